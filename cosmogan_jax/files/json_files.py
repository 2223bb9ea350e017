"""JSON files that are either whole or not there, and what is checked of them before they are believed."""

import json
import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from cosmogan_jax.files.whole_files import append_lines, first_line, reading, write_text

# The types that a field may have.
Kinds = type | tuple[type, ...]
Fields = Mapping[str, Kinds]
_NUMBERS = (int, float)
_UNREADABLE = (ValueError, RecursionError)


def as_json(value: Any) -> Any:
    """Return a value as JSON can hold it: arrays as lists, numbers that are not finite as None (null)."""
    if isinstance(value, dict):
        return {name: as_json(item) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [as_json(item) for item in value]
    if isinstance(value, (np.ndarray, np.generic)):
        return as_json(value.tolist())
    return None if isinstance(value, float) and not math.isfinite(value) else value


def write_json(path: Path, content: Any) -> None:
    """Write a JSON file whole, of what `as_json` makes of the content; ValueError where that is impossible."""
    write_text(path, json.dumps(as_json(content), indent=1, allow_nan=False) + "\n")


def write_json_lines(path: Path, lines: Iterable[Mapping[str, Any]]) -> None:
    """Write a file of one object a line, as `write_json`."""
    write_text(path, _as_lines(lines))


def append_json_lines(path: Path, lines: Iterable[Mapping[str, Any]]) -> None:
    """Add objects to a file of one a line; a last line that was cut off is ended first.

    Raises:
      ValueError: it cannot be written.
    """
    append_lines(path, _as_lines(lines))


def _as_lines(lines: Iterable[Mapping[str, Any]]) -> str:
    return "".join(json.dumps(as_json(line), allow_nan=False) + "\n" for line in lines)


def read_json(path: Path) -> Any:
    """Read one JSON file; ValueError names a file that is not there or not JSON."""
    with reading(path, "a JSON file", _UNREADABLE):
        return _parse(Path(path).read_bytes())


def read_json_lines(path: Path, fields: Fields, *, cut_off: bool = False) -> list[dict[str, Any]]:
    """Read the objects of a file with one a line, all with these fields.

    cut_off: lines without an end, as a run that was killed leaves them, are passed over.

    Raises:
      ValueError: names the file and the first line that is not such an object.
    """
    objects = []
    for number, line in enumerate(Path(path).read_bytes().splitlines(), 1):
        if cut_off and not line.endswith(b"}"):
            continue
        try:
            value = _parse(line)
        except _UNREADABLE as error:
            raise ValueError(f"{path}, line {number}, is not JSON: {first_line(error)}") from error
        objects.append(check_object(value, fields, f"{path}, line {number}"))
    return objects


def read_object(path: Path, fields: Fields) -> dict[str, Any]:
    """Read a JSON object that has these fields, each of one of these types; ValueError as `check_object`."""
    return check_object(read_json(path), fields, path)


def check_object(value: Any, fields: Fields, where: Any) -> dict[str, Any]:
    """Return the value, if it is an object that has these fields.

    A whole number counts as a float too, a truth value as no number.

    Raises:
      ValueError: names where it stands, and the first field that is missing or of another type.
    """
    if not isinstance(value, dict):
        raise ValueError(f"{where} holds {_short(value)}, not an object of the fields {', '.join(fields)}")
    for name, kinds in fields.items():
        kinds = kinds if isinstance(kinds, tuple) else (kinds,)
        if name not in value:
            raise ValueError(f"{where} says nothing of {name!r}: damaged, or written by another version")
        field = value[name]
        allowed = kinds + (_NUMBERS if float in kinds else ())
        if not isinstance(field, allowed) or (isinstance(field, bool) and bool not in kinds):
            types = " or ".join("null" if kind is type(None) else kind.__name__ for kind in kinds)
            raise ValueError(f"{where}: {name}={_short(field)} is not of type {types}")
    return value


def _parse(text: bytes) -> Any:
    return json.loads(text, parse_constant=_refuse_constant)


def _refuse_constant(name: str) -> float:
    raise ValueError(f"{name} is no number of JSON")


def _short(value: Any) -> str:
    words = repr(value)
    return words if len(words) <= 60 else f"{words[:57]}..."
