"""Flags of stage evaluate."""

from absl import flags

from cosmogan_jax.stages.settings import Evaluate as SETTINGS

__all__ = ["SETTINGS", "define"]


def define() -> None:
    """Define the flags."""
    flags.DEFINE_integer(
        "evaluate_l_bins",
        16,
        "Bands of ell from a crop's fundamental mode to its Nyquist mode; 0: the paper's 248 bins.",
        lower_bound=0,
    )
