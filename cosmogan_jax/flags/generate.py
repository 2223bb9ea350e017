"""Flags of stage generate; --weights is defined with stage select's."""

from cosmogan_jax.flags import defining as flags
from cosmogan_jax.flags.number_lists import Joined, Numbers
from cosmogan_jax.settings import Generate as SETTINGS

__all__ = ["SETTINGS", "define"]


def define() -> None:
    """Define the flags."""
    flags.DEFINE_string("checkpoint", "selected", "Generator to use: selected, last, or a step.")
    flags.register_validator(
        "checkpoint", lambda c: c in ("selected", "last") or c.isdigit(), "must be selected, last, or a step"
    )
    flags.DEFINE_string(
        "pretrained",
        None,
        "Generator that is trained already, in place of a checkpoint: the name of one that comes with the "
        "package, or a folder that stage pack wrote.",
    )
    flags.DEFINE_integer("num_generated", 1024, "Maps to generate.")
    flags.DEFINE_integer(
        "generate_seed", 0, "Seed of the generated maps.", lower_bound=0, upper_bound=2**32 - 1
    )
    flags.DEFINE(
        Numbers(whole=True, most=2, like="128 or 128,256"),
        "generate_pixels",
        (),
        "Pixels along a side of the generated maps, or height,width, for emulators that make maps of any size "
        "(lognormal_gan); not given: as the training crops.",
        serializer=Joined(),
    )
    flags.DEFINE_boolean(
        "allow_untested_size",
        False,
        "Generate maps of more than twice the side of the training maps too, though none was there to learn "
        "such long waves from.",
    )
    flags.DEFINE(
        Numbers(most=2, like="30,0.26"),
        "generate_noise",
        (),
        "Shape noise on the generated maps: galaxies on a square arcminute and the scatter of one component of "
        "their ellipticities, as 30,0.26. Not for stage evaluate, which adds its own to both sides.",
        serializer=Joined(),
    )
    flags.register_validator(
        "generate_noise", lambda n: len(n) in (0, 2), "must be galaxies_per_arcmin2,sigma_e, as 30,0.26"
    )
    flags.DEFINE_float(
        "generate_smoothing_arcmin",
        0.0,
        "Gaussian smoothing of the generated maps, after the noise; its standard deviation in arcmin. Not for "
        "stage evaluate, which smooths both sides.",
        lower_bound=0.0,
    )
    flags.DEFINE_integer(
        "generate_batch",
        64,
        "Maps of the training crops' size generated at once, fewer of larger ones; does not change them.",
    )
