"""absl's flags, as declared settings define them: for the command line, or for one call from Python.

A notebook may hold other programs' absl flags, of the same names too: what `apart` encloses sees none of them,
and leaves nothing behind.
"""

import contextlib
import contextvars
import dataclasses
import types
import typing
from collections.abc import Callable, Iterator
from typing import Any

from absl import flags
from absl.flags import Error as Error
from absl.flags import Flag as Flag
from absl.flags import FlagValues

from cosmogan_jax.settings.declaration import Declared, declaration

_values: contextvars.ContextVar[FlagValues] = contextvars.ContextVar("values", default=flags.FLAGS)


def values() -> FlagValues:
    """Return the flags that are being defined and read."""
    return _values.get()


@contextlib.contextmanager
def apart() -> Iterator[FlagValues]:
    """Enclose a block with flags of its own, none of them defined yet."""
    token = _values.set(FlagValues())
    try:
        yield values()
    finally:
        _values.reset(token)


def define_declared(settings: type) -> None:
    """Define a flag for every declared setting, but for those whose flag other settings have defined."""
    for field in dataclasses.fields(settings):
        declared = declaration(field)
        if declared is not None and field.name not in values():
            _define(field, declared, settings.__module__)


def _define(field: "dataclasses.Field[Any]", declared: Declared, module: str) -> None:
    name, kind = field.name, _plain(field.type)
    default: Any = field.default
    where: dict[str, Any] = {"flag_values": values(), "module_name": module}
    bounds: dict[str, Any] = {"lower_bound": declared.least, "upper_bound": declared.most}
    origin, parts = typing.get_origin(kind), typing.get_args(kind)
    if origin is typing.Literal:
        flags.DEFINE_enum(name, default, list(parts), declared.help, **where)
    elif kind is bool:
        flags.DEFINE_boolean(name, default, declared.help, **where)
    elif kind is int:
        flags.DEFINE_integer(name, default, declared.help, **bounds, **where)
    elif kind is float:
        flags.DEFINE_float(name, default, declared.help, **bounds, **where)
    elif origin is tuple and parts[0] is str:
        flags.DEFINE_list(name, list(default), declared.help, **where)
    elif origin is tuple:
        numbers = _Numbers(parts[0], declared)
        flags.DEFINE(numbers, name, default, declared.help, serializer=_Joined(), **where)
    else:
        flags.DEFINE_string(name, None if default is None else str(default), declared.help, **where)
    if declared.valid is not None:
        flags.register_validator(name, _checker(declared.valid), declared.words, flag_values=values())


def _plain(annotated: Any) -> Any:
    """Return the type of a value that is given: of `int | None`, int."""
    if isinstance(annotated, types.UnionType):
        return next(part for part in typing.get_args(annotated) if part is not type(None))
    return annotated


def _checker(valid: Callable[[Any], object]) -> Callable[[Any], object]:
    def check(value: Any) -> object:
        try:
            return valid(value)
        except ValueError as error:
            raise flags.ValidationError(str(error)) from None

    return check


class _Numbers(flags.ArgumentParser):
    """Numbers between commas, as they are declared: of one type, so many, from zero on or positive."""

    def __init__(self, kind: type, declared: Declared):
        super().__init__()
        self._kind, self._size, self._from_zero = kind, declared.size, declared.least == 0
        self._words = f"{'' if self._from_zero else 'positive '}{'whole ' if kind is int else ''}numbers"
        self.syntactic_help = f"{self._words}, as {declared.like}"

    def parse(self, argument):
        """Return a tuple of the numbers; ValueError where they are none."""
        if isinstance(argument, (tuple, list)):
            return tuple(argument)
        try:
            numbers = tuple(self._kind(part) for part in argument.split(",")) if argument else ()
        except ValueError:
            raise ValueError(f"expected {self.syntactic_help}") from None
        allowed = all(0 < number < float("inf") or (self._from_zero and number == 0) for number in numbers)
        if not allowed or (self._size is not None and len(numbers) > self._size):
            raise ValueError(f"expected {self.syntactic_help}")
        return numbers

    def flag_type(self):
        """Return the name of the type, as --helpxml prints it."""
        return self._words


class _Joined(flags.ArgumentSerializer):
    """Back to what `_Numbers` reads."""

    def serialize(self, value):
        """Return the numbers between commas."""
        return ",".join(str(number) if isinstance(number, int) else f"{number:g}" for number in value)
