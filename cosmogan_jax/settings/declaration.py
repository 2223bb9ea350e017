"""How a setting is declared: one line with its default, its help and its bounds; flags follow from it."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, TypeVar

Settings = TypeVar("Settings")


class Declared(NamedTuple):
    """What a setting says of itself besides its type and default.

    Attributes:
      choices: all words it may be; any value where there are none.
      least: the smallest number it may be.
      valid, words: a test of a value beyond these, and what it asks for.
    """

    help: str
    choices: tuple[str, ...] = ()
    least: float | None = None
    valid: Callable[[Any], bool] | None = None
    words: str = ""


def setting(
    default: Any,
    help: str,
    *,
    choices: tuple[str, ...] = (),
    least: float | None = None,
    valid: Callable[[Any], bool] | None = None,
    words: str = "",
    neutral: bool = False,
) -> Any:
    """A field with a flag of its own; neutral: it does not change the stage's result, or only carries it on."""
    declared = Declared(help, choices, least, valid, words)
    return dataclasses.field(default=default, metadata={"declared": declared, "neutral": neutral})


def neutral(default: Any = dataclasses.MISSING) -> Any:
    """A field whose flag is defined elsewhere, and which does not change the stage's result."""
    return dataclasses.field(default=default, metadata={"neutral": True})


def from_record(settings: type[Settings], recorded: Mapping[str, Any], **more: Any) -> Settings:
    """Settings as a run recorded them; what it did not record, because the setting came later, is its default.

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
