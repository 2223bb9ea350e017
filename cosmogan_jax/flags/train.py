"""Flags of stage train."""

from absl import flags

from cosmogan_jax.settings import Train as SETTINGS

__all__ = ["SETTINGS", "define"]


def define() -> None:
    """Define the flags."""
    flags.DEFINE_integer("num_layers", 4, "Convolutions in each network; at least 4.")
    flags.DEFINE_integer("num_filters", 64, "Features of the layer next to the maps; doubled at every layer.")
    flags.DEFINE_integer("latent_size", 64, "Length of the latent vector z.")
    flags.DEFINE_enum(
        "convolution_form",
        "phases",
        ["phases", "stock"],
        "How transposed convolutions and gradients are computed: by phases, or as autodiff writes them "
        "(several times slower on CPU). "
        "Equal up to rounding.",
    )
    flags.DEFINE_enum(
        "borders",
        "zeros",
        ["zeros", "canvas"],
        "zeros: beyond the generator's features lie zeros, which show at the maps' borders (the paper). "
        "canvas: it works on a larger canvas, of which all that has seen zeros is cut away.",
    )
    flags.DEFINE_enum(
        "compute_dtype",
        "float32",
        ["float32", "bfloat16", "bfloat16_gradients"],
        "Of the convolutions' inputs, products and outputs; bfloat16_gradients: of those of the gradients "
        "only, which then stay ten times nearer to float32's. All else is float32.",
    )
    flags.DEFINE_enum(
        "matmul_precision",
        "float32",
        ["float32", "tensorfloat32", "default"],
        "How float32 products are computed where there is a choice: tensorfloat32 rounds their factors to 10 "
        "bits (faster on GPUs); default is what the device does unasked. No difference on CPUs.",
    )
    flags.DEFINE_enum(
        "remat",
        "none",
        ["none", "generator", "both"],
        "Networks whose activations are computed again for the gradients instead of held: memory for time.",
    )
    flags.DEFINE_integer("batch_size", 64, "Maps in a batch.")
    flags.DEFINE_float("learning_rate", 2e-4, "Adam's learning rate.")
    flags.DEFINE_float("adam_beta1", 0.5, "Adam's beta1.")
    flags.DEFINE_float("label_flip_probability", 0.01, "Probability that a step flips all its labels.")
    flags.DEFINE_enum(
        "update_order",
        "joint",
        ["joint", "sequential"],
        "joint: D and G updated from one pass of D over the fakes (the authors' code). sequential: D first, "
        "then G from a fresh pass of the updated D.",
    )
    flags.DEFINE_enum(
        "augment",
        "none",
        ["none", "symmetries"],
        "Turn or mirror every crop at random, in one of the square's eight ways (the paper did not).",
    )
    flags.DEFINE_float(
        "ema_decay",
        0.0,
        "Decay of a moving average of the generator's weights, kept beside them for --weights=ema; 0: none, as "
        "in the paper.",
    )
    flags.register_validator("ema_decay", lambda decay: 0 <= decay < 1, "must lie in [0, 1)")
    flags.DEFINE_enum(
        "feed",
        "auto",
        ["auto", "device", "stream"],
        "Where crops are cut: from maps held on the device, or streamed from the disk. auto: device where they "
        "take less than half of what is free. The batches are the same.",
    )
    flags.DEFINE_float(
        "stream_cache_gib",
        None,
        "Memory for parts of maps already read, when streaming, in GiB. Unset: a quarter of the machine's.",
        lower_bound=0.0,
    )
    flags.DEFINE_integer(
        "num_devices",
        None,
        "Devices that share every batch; must divide batch_size. Unset: all there are, of all processes.",
        lower_bound=1,
    )
    flags.DEFINE_integer("num_epochs", 45, "Passes over the training crops; may grow in a later run.")
    flags.DEFINE_integer("num_steps", None, "Steps; takes the place of num_epochs; may grow in a later run.")
    flags.DEFINE_integer(
        "checkpoint_every_steps", 1000, "Steps between checkpoints; there is one after every epoch too."
    )
    flags.DEFINE_float(
        "max_minutes",
        None,
        "Minutes after which stage train saves and ends the run (exit code 0), as it does on SIGTERM; the same "
        "command goes on from there.",
        lower_bound=0.0,
    )
    flags.DEFINE_integer(
        "steps_per_dispatch",
        0,
        "Steps in one program, between two events (log, samples, checkpoint); 0: 1 on a CPU, else 16.",
        lower_bound=0,
    )
    flags.DEFINE_integer(
        "profile_steps",
        0,
        "Steps to trace with JAX's profiler once the programs are compiled, into <workdir>/train/profile, for "
        "XProf or ui.perfetto.dev; 0: none.",
        lower_bound=0,
    )
    flags.DEFINE_integer("log_every_steps", 50, "Steps between lines of metrics.jsonl.")
    flags.DEFINE_integer("sample_every_steps", 1000, "Steps between pictures of samples; 0: none.")
    flags.DEFINE_integer(
        "score_every_steps",
        500,
        "Steps between development scores in metrics.jsonl (pixel KS, chi2 of the spectrum, stationarity, "
        "signs of failure); 0: none.",
    )
    flags.DEFINE_integer("score_maps", 640, "Maps generated for every score: up to 64, or a multiple of 64.")
    flags.DEFINE_integer(
        "score_l_bins",
        20,
        "Bands of ell of the scores, evenly spaced in its logarithm; 0: the paper's 248 linear bins.",
    )
    flags.DEFINE_string(
        "stop_when",
        "",
        "Bounds on scores that end the training when all hold at three scores in a row, such as "
        "pixel_ks<0.02,spectrum_chi2<0.05. The run then counts as finished; other bounds or more steps let "
        "it go on.",
    )
    flags.DEFINE_integer(
        "select_from_epoch",
        0,
        "Epochs after which every step's generator is scored and the best kept for stage select (the "
        "paper: 45); 0: none.",
    )
    flags.DEFINE_integer("keep_best", 20, "Generators kept from select_from_epoch on.")
