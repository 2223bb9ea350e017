"""Settings of stage train that hold for every kind of emulator."""

import dataclasses
from typing import Any, Literal

from cosmogan_jax.settings.declaration import setting, shared
from cosmogan_jax.settings.select import Select


@dataclasses.dataclass(frozen=True)
class Train:
    """How long is trained, on which batches, and what is watched; `of_kind` are the settings of the kind."""

    # Flags of the run and of stage prepare, without a default: no record of a training lacks them.
    seed: int
    crop_size: int
    of_kind: Any  # a class of `settings/kinds.py`
    emulator: str = setting(
        "dcgan",
        "Kind of emulator that is trained: dcgan, the paper's adversarial networks; lognormal_gan, a small "
        "network on a lognormal field, with flags and defaults of its own (settings/lognormal_gan.py).",
    )
    train_seed: int | None = setting(
        None,
        "Seed of weights, latents and order of the batches. Unset: --seed; another gives trainings that differ "
        "by chance alone, on the same maps.",
        valid=lambda seed: seed is None or 0 <= seed < 2**32,
        words="must lie in [0, 2**32)",
    )
    batch_size: int = setting(64, "Maps in a batch.")
    learning_rate: float = setting(2e-4, "Adam's learning rate.")
    adam_beta1: float = setting(0.5, "Adam's beta1.")
    augment: Literal["none", "symmetries"] = setting(
        "none",
        "Turn or mirror every crop at random, in one of the square's eight ways (the paper did not).",
    )
    condition_on: tuple[str, ...] = setting(
        (),
        "Parameters of the maps that the networks are given beside them, as omega_m,sigma8; every map must say "
        "them.",
    )
    ema_decay: float = setting(
        0.0,
        "Decay of a moving average of the generator's weights, kept beside them for --weights=ema; 0: none, as "
        "in the paper.",
        valid=lambda decay: 0 <= decay < 1,
        words="must lie in [0, 1)",
    )
    checkpoint_every_steps: int = setting(
        1000, "Steps between checkpoints; there is one after every epoch too."
    )
    num_epochs: int = setting(45, "Passes over the training crops; may grow in a later run.", neutral=True)
    num_steps: int | None = setting(
        None, "Steps; takes the place of num_epochs; may grow in a later run.", neutral=True
    )
    log_every_steps: int = setting(50, "Steps between lines of metrics.jsonl.", neutral=True)
    sample_every_steps: int = setting(1000, "Steps between pictures of samples; 0: none.", neutral=True)
    max_minutes: float | None = setting(
        None,
        "Minutes after which stage train saves and ends the run (exit code 0), as it does on SIGTERM; the same "
        "command goes on from there.",
        least=0.0,
        neutral=True,
    )
    train_minutes: float | None = setting(
        None,
        "Minutes of training after which stage train is finished, with the steps that fitted in, and the next "
        "stages follow; num_epochs or num_steps are the most. Minutes before a stop count.",
        valid=lambda minutes: minutes is None or minutes > 0,
        words="must be positive",
        neutral=True,
    )
    steps_per_dispatch: int = setting(
        0,
        "Steps in one program, between two events (log, samples, checkpoint); 0: 1 on a CPU, else up to 16, so "
        "that they divide the events' intervals where these have that in common.",
        least=0,
        neutral=True,
    )
    profile_steps: int = setting(
        0,
        "Steps to trace with JAX's profiler once the programs are compiled, into <workdir>/train/profile, for "
        "XProf or ui.perfetto.dev; 0: none.",
        least=0,
        neutral=True,
    )
    score_every_steps: int = setting(
        500,
        "Steps between development scores in metrics.jsonl (pixel KS, chi2 of the spectrum, stationarity, "
        "signs of failure); 0: none.",
        neutral=True,
    )
    score_maps: int = setting(
        640, "Maps generated for every score: up to 64, or a multiple of 64.", neutral=True
    )
    score_l_bins: int = setting(
        20,
        "Bands of ell of the scores, evenly spaced in its logarithm; 0: the paper's 248 linear bins.",
        neutral=True,
    )
    stop_when: str = setting(
        "",
        "Bounds on scores that end the training when all hold at three scores in a row, such as "
        "pixel_ks<0.02,spectrum_chi2<0.05. The run then counts as finished; other bounds or more steps let "
        "it go on.",
        neutral=True,
    )
    select_from_epoch: int = setting(
        0,
        "Epochs after which every step's generator is scored and the best kept for stage select (the "
        "paper: 45); 0: none.",
        neutral=True,
    )
    keep_best: int = setting(20, "Generators kept from select_from_epoch on.", neutral=True)
    num_devices: int | None = setting(
        None,
        "Devices that share every batch; must divide batch_size. Unset: all there are, of all processes.",
        least=1,
        neutral=True,
    )
    feed: Literal["auto", "device", "stream"] = setting(
        "auto",
        "Where crops are cut: from maps held on the device, or streamed from the disk. auto: device where they "
        "take less than half of what is free. The batches are the same.",
        neutral=True,
    )
    stream_cache_gib: float | None = setting(
        None,
        "Memory for parts of maps already read, when streaming, in GiB. Unset: a quarter of the machine's.",
        least=0.0,
        neutral=True,
    )
    # Which generator counts as the best.
    select_by: Literal["histograms", "covariance"] = shared(Select, "select_by", neutral=True)
    weights: Literal["last", "ema"] = shared(Select, "weights", neutral=True)

    @property
    def own_seed(self) -> int:
        """Seed of all that is random in a training."""
        return self.seed if self.train_seed is None else self.train_seed
