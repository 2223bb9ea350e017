"""Flags of stage simulate."""

from absl import flags

from cosmogan_jax.stages.settings import Simulate as SETTINGS

__all__ = ["SETTINGS", "define"]


def define() -> None:
    """Define the flags."""
    flags.DEFINE_enum("sky", "lognormal", ["lognormal", "planes"], "Where convergence maps come from.")
    flags.DEFINE_string("lens_planes", None, "Folder of lens planes in LensTools' FITS format (sky=planes).")
    flags.DEFINE_integer("map_pixels", 1024, "Pixels on a side of a simulated map.")
    flags.DEFINE_float(
        "side_deg",
        None,
        "Side of a map in degrees. Unset: sqrt(12) (lognormal), what the planes say (planes).",
    )
    flags.DEFINE_float("source_redshift", 1.0, "Redshift of the lensed sources.")
    flags.DEFINE_float(
        "lognormal_shift",
        0.04,
        "Lowest possible convergence of the lognormal sky, negated; sets its skewness (0.04 matches the pixel "
        "skewness of N-body maps, 0.027 that of maps smoothed by 1 arcmin). Dimensionless.",
    )
    flags.DEFINE_integer("num_train_maps", 1000, "Maps to train on.")
    flags.DEFINE_integer("num_development_maps", 100, "Maps to select checkpoints on.")
    flags.DEFINE_integer("num_validation_maps", 100, "Maps to evaluate against; seen by no other stage.")
