"""Flags that follow from declared settings (`settings/declaration.py`)."""

import dataclasses
import types
import typing
from typing import Any

from cosmogan_jax.flags import defining as flags
from cosmogan_jax.settings.declaration import Declared


def define_declared(settings: type) -> None:
    """Define a flag for every declared field; one that is there already belongs to an earlier kind too."""
    for field in dataclasses.fields(settings):
        declared = field.metadata.get("declared")
        if declared is not None and field.name not in flags.values():
            _define(field.name, _kind(field.type), field.default, declared)


def _define(name: str, kind: type, default: Any, declared: Declared) -> None:
    if declared.choices:
        flags.DEFINE_enum(name, default, list(declared.choices), declared.help)
    elif kind is bool:
        flags.DEFINE_boolean(name, default, declared.help)
    elif kind is int:
        least = None if declared.least is None else int(declared.least)
        flags.DEFINE_integer(name, default, declared.help, lower_bound=least)
    elif kind is float:
        flags.DEFINE_float(name, default, declared.help, lower_bound=declared.least)
    elif kind is tuple:
        flags.DEFINE_list(name, list(default), declared.help)
    else:
        flags.DEFINE_string(name, default, declared.help)
    if declared.valid is not None:
        flags.register_validator(name, declared.valid, declared.words)


def _kind(annotated: Any) -> type:
    """The plain type of an annotation: of `int | None` int, of `tuple[str, ...]` tuple, of a Literal str."""
    if isinstance(annotated, types.UnionType):
        annotated = next(part for part in typing.get_args(annotated) if part is not type(None))
    origin = typing.get_origin(annotated)
    return str if origin is typing.Literal else origin or annotated
