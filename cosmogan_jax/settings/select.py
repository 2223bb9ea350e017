"""Settings of stage select."""

import dataclasses
from typing import Literal

from cosmogan_jax.settings.declaration import setting, shared
from cosmogan_jax.settings.run import Run


@dataclasses.dataclass(frozen=True)
class Select:
    """Which generators of a training are ranked, on how many maps, and by what."""

    seed: int = shared(Run, "seed")
    select_from_step: int = setting(0, "First checkpoint to rank.")
    select_maps: int = setting(
        640, "Maps generated for every candidate, up to 64 or a multiple of 64 (the paper: 6400)."
    )
    select_l_bins: int = setting(
        20,
        "Modes whose histograms are compared: bands of ell, evenly spaced in its logarithm; 0: the paper's 248 "
        "linear bins.",
    )
    select_by: Literal["histograms", "covariance"] = setting(
        "histograms",
        "What ranks generators, in train's dense phase and in select: chi2 between histograms of the power "
        "spectrum, mode by mode, as the paper says of its own; or chi2 of its means in at most 20 bands with "
        "their covariance. Both are recorded.",
    )
    select_again: int = setting(
        20,
        "The best so many are scored again, with fresh z and against the other half of the development maps; "
        "the best of these is selected.",
    )
    weights: Literal["last", "ema"] = setting(
        "last",
        "The generator to rank and to generate with: as a checkpoint's step left it, or its moving "
        "average, with batch statistics made for it.",
    )
