"""Flags of stage train."""

from absl import flags

from cosmogan_jax.stages.settings import Train as SETTINGS

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
    flags.DEFINE_integer("log_every_steps", 50, "Steps between lines of metrics.jsonl.")
    flags.DEFINE_integer("sample_every_steps", 1000, "Steps between pictures of samples; 0: none.")
