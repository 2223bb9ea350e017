"""Flags of stage generate; --weights is defined with stage select's."""

from absl import flags

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
    flags.DEFINE_integer("generate_batch", 64, "Maps generated at once; does not change them.")
