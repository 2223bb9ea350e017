"""Flags of stage export."""

from cosmogan_jax.flags import defining as flags
from cosmogan_jax.settings import Export as SETTINGS

__all__ = ["SETTINGS", "define"]

_FORMATS = ("fits", "npy")


def define() -> None:
    """Define the flags."""
    flags.DEFINE_list(
        "export",
        [],
        "Formats in which maps are written for other tools: fits (one file a map), npy (one for all). "
        "None: the stage is left out.",
    )
    flags.register_validator("export", lambda e: all(x in _FORMATS for x in e), "knows fits and npy only")
    flags.DEFINE_string("export_from", None, "Map store to export. Unset: the run's generated maps.")
