"""Flags of stage report."""

from cosmogan_jax.flags import defining as flags
from cosmogan_jax.settings import Report as SETTINGS

__all__ = ["SETTINGS", "define"]


def define() -> None:
    """Define the flags."""
    flags.DEFINE_string("report_title", "Convergence map emulator", "Title of the page.")
