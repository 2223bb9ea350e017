"""Flags of stage select."""

from cosmogan_jax.flags import defining as flags
from cosmogan_jax.settings import Select as SETTINGS

__all__ = ["SETTINGS", "define"]


def define() -> None:
    """Define the flags."""
    flags.DEFINE_integer("select_from_step", 0, "First checkpoint to rank.")
    flags.DEFINE_integer(
        "select_maps",
        640,
        "Maps generated for every candidate, up to 64 or a multiple of 64 (the paper: 6400).",
    )
    flags.DEFINE_integer(
        "select_l_bins",
        20,
        "Modes whose histograms are compared: bands of ell, evenly spaced in its logarithm; 0: the paper's 248 "
        "linear bins.",
    )
    flags.DEFINE_enum(
        "select_by",
        "histograms",
        ["histograms", "covariance"],
        "What ranks generators, in train's dense phase and in select: chi2 between histograms of the power "
        "spectrum, mode by mode, as the paper says of its own; or chi2 of its means in at most 20 bands with "
        "their covariance. Both are recorded.",
    )
    flags.DEFINE_integer(
        "select_again",
        20,
        "The best so many are scored again, with fresh z and against the other half of the development maps; "
        "the best of these is selected.",
    )
    flags.DEFINE_enum(
        "weights",
        "last",
        ["last", "ema"],
        "The generator to rank and to generate with: as a checkpoint's step left it, or its moving "
        "average, with batch statistics made for it.",
    )
