"""Named parameters of maps (omega_m, sigma8, source_redshift): one number a map, None where it is not known."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float, Int

# A FITS card holds a name of this length beside its value.
_NAME = re.compile(r"[a-z][a-z0-9_]{0,31}")
# A 32-bit float holds it; fill values of other tools (1e30 and above) are none.
_LARGEST = 1e30
Parameters = Mapping[str, Sequence[float | None]]


def shown(value: Any) -> str:
    """Return a value as it can stand in a line: escaped and cut short where it has to be."""
    text = value if isinstance(value, str) and value.isprintable() else repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def check_name(name: Any, where: str) -> str:
    """Give the name back; ValueError unless it is a small letter, then small letters, digits and _ up to 32."""
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise ValueError(
            f"{where}: '{shown(name)}' is no name of a parameter, which has small letters, digits and _ only, "
            "begins with a letter and is at most 32 long, as omega_m"
        )
    return name


def is_value(value: Any) -> bool:
    """Tell whether it is a number that a parameter can have: finite, and none of the fill values."""
    return isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) < _LARGEST


def check_parameters(parameters: Any, num_maps: int, where: str) -> None:
    """Check parameters as a manifest holds them.

    Raises:
      ValueError: no object of lists, a name that is none, another number of values than of maps, or a value
        that is neither finite nor null.
    """
    if not isinstance(parameters, dict):
        raise ValueError(f"{where}: parameters must be an object of lists, one value a map")
    for name, values in parameters.items():
        check_name(name, f"{where}, parameters")
        if not isinstance(values, list) or len(values) != num_maps:
            raise ValueError(f"{where}: parameter {name} must have one value for each of {num_maps} maps")
        for number, value in enumerate(values):
            if value is not None and not is_value(value):
                raise ValueError(f"{where}: {name}={shown(value)} of map {number} is not a finite number")


def known_for_all(parameters: Parameters) -> tuple[str, ...]:
    """Return the names of the parameters that every map has a value of, in their order."""
    return tuple(name for name, values in parameters.items() if None not in values)


def parameter_rows(
    parameters: Parameters, maps: Int[np.ndarray, " rows"], names: Sequence[str], where: str
) -> Float[np.ndarray, "rows parameters"]:
    """Return float32 rows of the named parameters of these maps; no column where none is named.

    Raises:
      ValueError: names the parameter, and the first of the maps where it is not known.
    """
    rows = np.empty((len(maps), len(names)), np.float32)
    for column, name in enumerate(names):
        values = parameters.get(name)
        if values is None:
            known = ", ".join(known_for_all(parameters)) or "none"
            raise ValueError(f"{where} does not say {name} of its maps; parameters known of all: {known}")
        unknown = next((int(number) for number in maps if values[number] is None), None)
        if unknown is not None:
            raise ValueError(f"{where} does not say {name} of map {unknown}")
        rows[:, column] = np.array(values, np.float64)[maps]
    return rows
