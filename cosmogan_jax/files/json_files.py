"""JSON files that are either whole or not there, and what is checked of them before they are believed."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cosmogan_jax.files.whole_files import write_text

# The types that a field may have.
Kinds = type | tuple[type, ...]
Fields = Mapping[str, Kinds]
_NUMBERS = (int, float)


def write_json(path: Path, content: Any) -> None:
    """Write a JSON file whole; ValueError where it cannot be written."""
    write_text(path, json.dumps(content, indent=1, allow_nan=False) + "\n")


def read_json(path: Path) -> Any:
    """Read one JSON file; ValueError names a file that is not there or not JSON."""
    try:
        return _parse(Path(path).read_bytes())
    except FileNotFoundError:
        raise ValueError(f"{path} is missing") from None
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path} is not a JSON file: {str(error).splitlines()[0]}") from error


def read_json_lines(path: Path, fields: Fields, *, cut_off: bool = False) -> list[dict[str, Any]]:
    """The objects of a file with one a line, all with these fields.

    cut_off: lines without an end, as a run that was killed leaves them, are passed over.

    Raises:
      ValueError: names the file and the first line that is not such an object.
    """
    found = []
    for number, line in enumerate(Path(path).read_bytes().splitlines(), 1):
        if cut_off and not line.endswith(b"}"):
            continue
        try:
            value = _parse(line)
        except (ValueError, RecursionError) as error:
            raise ValueError(f"{path}, line {number}, is not JSON: {str(error).splitlines()[0]}") from error
        found.append(check_object(value, fields, f"{path}, line {number}"))
    return found


def read_object(path: Path, fields: Fields) -> dict[str, Any]:
    """Read a JSON object that has these fields, each of one of these types; ValueError as `check_object`."""
    return check_object(read_json(path), fields, path)


def check_object(value: Any, fields: Fields, where: Any) -> dict[str, Any]:
    """The value, if it is an object that has these fields; a whole number is a float too, no truth value is.

    Raises:
      ValueError: names where it stands, and the first field that is missing or of another type.
    """
    if not isinstance(value, dict):
        raise ValueError(f"{where} holds {_short(value)}, not an object of the fields {', '.join(fields)}")
    for name, kinds in fields.items():
        kinds = kinds if isinstance(kinds, tuple) else (kinds,)
        if name not in value:
            raise ValueError(f"{where} says nothing of {name!r}: damaged, or written by another version")
        found = value[name]
        allowed = kinds + (_NUMBERS if float in kinds else ())
        if not isinstance(found, allowed) or (isinstance(found, bool) and bool not in kinds):
            told = " or ".join("null" if kind is type(None) else kind.__name__ for kind in kinds)
            raise ValueError(f"{where}: {name}={_short(found)} is not of type {told}")
    return value


def _parse(text: bytes) -> Any:
    return json.loads(text, parse_constant=_no_number)


def _no_number(name: str) -> float:
    raise ValueError(f"{name} is no number of JSON")


def _short(value: Any) -> str:
    said = repr(value)
    return said if len(said) <= 60 else f"{said[:57]}..."
