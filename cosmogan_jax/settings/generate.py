"""Settings of stage generate."""

import dataclasses
from typing import Literal

from cosmogan_jax.settings.declaration import setting, shared
from cosmogan_jax.settings.select import Select


@dataclasses.dataclass(frozen=True)
class Generate:
    """Which generator draws maps, how many, of which size, and how they are observed."""

    checkpoint: str = setting(
        "selected",
        "Generator to use: selected, last, or a step.",
        valid=lambda checkpoint: checkpoint in ("selected", "last") or checkpoint.isdigit(),
        words="must be selected, last, or a step",
    )
    pretrained: str | None = setting(
        None,
        "Generator that is trained already, in place of a checkpoint: the name of one that comes with the "
        "package, or a folder that stage pack wrote.",
        names="something",
    )
    weights: Literal["last", "ema"] = shared(Select, "weights")
    num_generated: int = setting(1024, "Maps to generate.")
    generate_seed: int = setting(0, "Seed of the generated maps.", least=0, most=2**32 - 1)
    generate_pixels: tuple[int, ...] = setting(
        (),
        "Pixels along a side of the generated maps, or height,width, for emulators that make maps of any size "
        "(lognormal_gan); not given: as the training crops.",
        size=2,
        like="128 or 128,256",
    )
    generate_noise: tuple[float, ...] = setting(
        (),
        "Shape noise on the generated maps: galaxies on a square arcminute and the scatter of one component of "
        "their ellipticities, as 30,0.26; of several source bins the galaxies in EACH bin (not in all of them "
        "together), one number for all or one of each, and the scatter last: 4,6,7,9,0.26. Not for stage "
        "evaluate, which adds its own to both sides.",
        like="30,0.26",
        valid=lambda noise: len(noise) != 1,
        words="must be galaxies_per_arcmin2,sigma_e, as 30,0.26 (of four source bins also 4,6,7,9,0.26)",
    )
    generate_smoothing_arcmin: float = setting(
        0.0,
        "Gaussian smoothing of the generated maps, after the noise; its standard deviation in arcmin. Not for "
        "stage evaluate, which smooths both sides.",
        least=0.0,
    )
    generate_parameters: str | None = setting(
        None,
        "Cosmology of the maps of a conditional emulator, as omega_m=0.3,sigma8=0.8. Unset: those of the "
        "validation maps in turn; each seed at all of them where validation maps are of the same seeds.",
        names="something",
    )
    generate_design: str | None = setting(
        None,
        "CSV file of cosmologies at which maps are drawn in turn: a row of names, then one for each cosmology.",
        names="something",
    )
    extrapolate: bool = setting(
        False,
        "Generate maps of cosmologies outside the hull of the training maps', too.",
        neutral=True,
    )
    generate_batch: int = setting(
        64,
        "Maps of the training crops' size generated at once, fewer of larger ones; does not change them.",
        neutral=True,
    )
    allow_untested_size: bool = setting(
        False,
        "Generate maps of more than twice the side of the training maps too, though none was there to learn "
        "such long waves from.",
        neutral=True,
    )
