"""Flags of stage prepare."""

from absl import flags

from cosmogan_jax.stages.settings import Prepare as SETTINGS

__all__ = ["SETTINGS", "define"]


def define() -> None:
    """Define the flags."""
    flags.DEFINE_integer("crop_size", 256, "Pixels on a side of a crop, and so of generated maps.")
    flags.DEFINE_integer("crops_per_map", 200, "Random crops of every map.")
    flags.DEFINE_enum(
        "normalisation",
        "none",
        ["none", "linear", "arcsinh"],
        "What the networks see, always undone in generated maps: kappa as it is (the paper), "
        "kappa/scale, or arcsinh(kappa/scale)/3.",
    )
    flags.DEFINE_float("normalisation_scale", 1.0, "Scale of the normalisation, in kappa (dimensionless).")
