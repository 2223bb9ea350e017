"""Flags of stage select."""

from absl import flags

from cosmogan_jax.stages.settings import Select as SETTINGS

__all__ = ["SETTINGS", "define"]


def define() -> None:
    """Define the flags."""
    flags.DEFINE_integer("select_from_step", 0, "First checkpoint to rank.")
    flags.DEFINE_integer("select_maps", 640, "Maps generated for every checkpoint.")
    flags.DEFINE_integer("select_l_bins", 20, "Bands of ell, evenly spaced in its logarithm.")
    flags.DEFINE_enum(
        "weights",
        "last",
        ["last", "ema"],
        "The generator to rank and to generate with: as a checkpoint's step left it, or its moving "
        "average, with batch statistics made for it.",
    )
