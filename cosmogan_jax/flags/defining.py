"""absl's functions that define flags, for the command line's own values or for those of one call from Python.

Modules of flags import this as `flags`. A notebook may hold other programs' absl flags, of the same names too:
what `apart` encloses sees none of them, and leaves nothing behind.
"""

import contextlib
import contextvars
import functools
from collections.abc import Callable, Iterator
from typing import Any

from absl import flags
from absl.flags import (
    ArgumentParser,
    ArgumentSerializer,
    Error,
    Flag,
    FlagValues,
    ListSerializer,
    ValidationError,
)

__all__ = [
    "ArgumentParser",
    "ArgumentSerializer",
    "Error",
    "Flag",
    "FlagValues",
    "ListSerializer",
    "ValidationError",
]

flags.disclaim_key_flags()  # a flag belongs to the module that calls these

_values: contextvars.ContextVar[FlagValues] = contextvars.ContextVar("values", default=flags.FLAGS)


def values() -> FlagValues:
    """The flags that are being defined and read."""
    return _values.get()


@contextlib.contextmanager
def apart() -> Iterator[FlagValues]:
    """Flags of their own, none of them defined yet, for as long as the block runs."""
    token = _values.set(FlagValues())
    try:
        yield values()
    finally:
        _values.reset(token)


def _here(of_absl: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(of_absl)
    def defined(*args: Any, **kwargs: Any) -> Any:
        return of_absl(*args, flag_values=values(), **kwargs)

    return defined


DEFINE = _here(flags.DEFINE)
DEFINE_boolean = _here(flags.DEFINE_boolean)
DEFINE_enum = _here(flags.DEFINE_enum)
DEFINE_float = _here(flags.DEFINE_float)
DEFINE_integer = _here(flags.DEFINE_integer)
DEFINE_list = _here(flags.DEFINE_list)
DEFINE_string = _here(flags.DEFINE_string)
register_validator = _here(flags.register_validator)
