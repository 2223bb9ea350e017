"""Flags of stage pack."""

import re

from cosmogan_jax.flags import defining as flags
from cosmogan_jax.settings import Pack as SETTINGS

__all__ = ["SETTINGS", "define"]


def define() -> None:
    """Define the flags."""
    flags.DEFINE_string(
        "pack",
        None,
        "Name under which the evaluated generator is packed with its model card, for --pretrained. "
        "Unset: the stage is left out.",
    )
    flags.register_validator(
        "pack",
        lambda name: name is None or re.fullmatch(r"[a-z0-9][a-z0-9_.-]*", name) is not None,
        "must be of small letters, digits, '-', '_' and '.'",
    )
    flags.DEFINE_string("pack_data", None, "What the maps are, for the card: their source and its licence.")
    flags.DEFINE_enum(
        "pack_dtype",
        "float32",
        ["float32", "float16"],
        "How parameters are stored; the card says what float16 changes in the maps.",
    )
