"""Flags of stage novelty."""

from cosmogan_jax.flags import defining as flags
from cosmogan_jax.settings import Novelty as SETTINGS

__all__ = ["SETTINGS", "define"]


def define() -> None:
    """Define the flags."""
    flags.DEFINE_integer(
        "novelty_maps",
        1024,
        "Generated maps searched for pairs that are the same, and as many training crops beside them. No pair "
        "says that there are more than n^2 / 6 distinct maps; the paper's batches are 32768. 0: the stage is "
        "left out.",
        lower_bound=0,
    )
    flags.register_validator("novelty_maps", lambda maps: maps != 1, "must be 0, or 2 or more")
    flags.DEFINE_integer(
        "novelty_batches", 1, "Batches of so many generated maps; the paper's 1e9 maps need six.", lower_bound=1
    )
    flags.DEFINE_integer(
        "novelty_queries",
        256,
        "Generated maps whose nearest training crops are searched, and validation crops beside them.",
        lower_bound=2,
    )
    flags.DEFINE_integer(
        "novelty_l_bins", 20, "Bands of ell, evenly spaced in its logarithm, in which spectra are compared.",
        lower_bound=1,
    )  # fmt: skip
    flags.DEFINE_float(
        "novelty_fraction",
        0.5,
        "Maps count as the same below this fraction of the smallest distance that real maps show.",
    )
    flags.register_validator("novelty_fraction", lambda f: 0 < f < 1, "must lie between 0 and 1")
    flags.DEFINE_boolean(
        "novelty_symmetries",
        False,
        "Search the nearest over the square's eight symmetries too; takes eight times as long.",
    )
    flags.DEFINE_boolean(
        "novelty_shifts",
        False,
        "Search the nearest over all windows of the training maps too, in the crop table or not.",
    )
    flags.DEFINE_integer(
        "novelty_steps", 32, "Steps of an interpolation between two z; an even number.", lower_bound=2
    )
    flags.register_validator("novelty_steps", lambda steps: steps % 2 == 0, "must be even")
