"""How a setting is declared: one line with its default, its help and its bounds.

The flag, its line in --help and in flags.txt, and the checks of its value all follow from that line
(`flags/absl_flags.py`); so does what stages compare when a finished stage is run again.
"""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, TypeVar

Settings = TypeVar("Settings")

# What a list of `Declared.names` names.
FILES = "files, folders or globs"


class Declared(NamedTuple):
    """What a setting says of itself besides its name, its type and its default.

    The words that it may be are its type, a Literal. Its unit stands in its name, or in the help.

    Attributes:
      help: what --help says of it.
      least, most: bounds of a number, or of every number of a list. A list of numbers without `least` is of
        positive ones.
      size, like: of a list of numbers: how many it may hold, and an example.
      valid, words: a further test of a value, true where it is right, and what it asks for. A test that raises
        a ValueError gives its own words.
      names: what a value must name where one is given; an empty variable of a shell names nothing.
      neutral: it does not change the stage's result, or only lets it grow: a finished stage that is run again
        may have another value.
      passing: true of one process or of one moment only: left out of the flag file that a run leaves.
    """

    help: str
    least: float | None = None
    most: float | None = None
    size: int | None = None
    like: str = "1,2"
    valid: Callable[[Any], object] | None = None
    words: str = ""
    names: str = ""
    neutral: bool = False
    passing: bool = False


def setting(default: Any, help: str, **facts: Any) -> Any:
    """Declare a field of settings, with a flag of its own; `facts` are those of `Declared`."""
    return dataclasses.field(default=default, metadata={"declared": Declared(help, **facts)})


def shared(owner: type, name: str, *, neutral: bool = False) -> Any:
    """Declare a field whose flag is the one that other settings declare.

    Raises:
      ValueError: they declare none of this name.
    """
    for field in dataclasses.fields(owner):
        if field.name == name and (declared := declaration(field)):
            facts = declared._replace(neutral=neutral)
            return dataclasses.field(default=field.default, metadata={"declared": facts})
    raise ValueError(f"{owner.__name__} declares no setting {name!r}")


def declaration(field: "dataclasses.Field[Any]") -> Declared | None:
    """Return what a field was declared with; None for one that has no flag by itself."""
    return field.metadata.get("declared")


def results_only(settings: Any) -> dict[str, Any]:
    """Return the settings of a stage that change its result, by flag name, as JSON would give them back."""
    values: dict[str, Any] = {}
    for field in dataclasses.fields(settings):
        value, declared = getattr(settings, field.name), declaration(field)
        if dataclasses.is_dataclass(value):
            values |= results_only(value)
        elif declared is None or not declared.neutral:
            values[field.name] = as_json(value)
    return values


def as_json(value: Any) -> Any:
    """Return the value of a setting as JSON would give it back."""
    return list(value) if isinstance(value, tuple) else value


def from_record(settings: type[Settings], recorded: Mapping[str, Any], **more: Any) -> Settings:
    """Return settings as a run recorded them; what it did not record, because it came later, is the default.

    Raises:
      ValueError: a setting without a default that is not recorded.
    """
    values = dict(more)
    for field in dataclasses.fields(settings):  # type: ignore[arg-type]
        if field.name in values:
            continue
        if field.name in recorded:
            value = recorded[field.name]
            values[field.name] = tuple(value) if isinstance(value, list) else value
        elif field.default is dataclasses.MISSING:
            raise ValueError(f"{field.name} is not recorded")
    return settings(**values)
