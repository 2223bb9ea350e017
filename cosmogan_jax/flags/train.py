"""Flags of stage train, and of every kind of emulator that it trains."""

from cosmogan_jax.flags.declared import define_declared
from cosmogan_jax.settings import Train as SETTINGS
from cosmogan_jax.settings.kinds import OF_KIND

__all__ = ["SETTINGS", "define"]


def define() -> None:
    """Define the flags."""
    define_declared(SETTINGS)
    for settings in OF_KIND.values():
        define_declared(settings)
