"""What a file says of its maps besides their pixels: numbers by the names people give them, or refused."""

import math
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from cosmogan_jax.geometry import check_side_deg

# Columbia Lensing's WLconv_z1.00_0001r.fits; a decimal point is asked for, or snap_z99 would be redshift 99.
_NAMED_REDSHIFT = re.compile(r"(?:^|[_\-.])zs?_?(\d+\.(\d+))(?=[_\-.]|$)")
# Its older WL-conv_(cosmology)_0001r_0029p_0100z_og.gre.fit: redshift 1.00.
_NAMED_HUNDREDTHS = re.compile(r"_\d{4}r_\d{4}p_(\d{4})z(?=[_\-.]|$)")
# A second number after it, as of redshifts 0.3 to 0.6 in kappa_z0.3_0.6: where a range of lenses or a bin ends.
_UPPER_END = re.compile(r"(?:_|-|\.\.|_?to_?)(?:z(?:max)?_?)?(\d+\.\d+)(?=[_\-.]|$)")
_ROUNDED = 1e-4


def first_number(path: Path, header: Mapping[str, Any], names: Iterable[str]) -> float | None:
    """Return the number under the first of the names that is there; text that reads as a number is one.

    Tables of numbers, as of all redshifts of a file, are passed over.

    Raises:
      ValueError: what stands there is no number.
    """
    for name in names:
        value = header.get(name)
        is_one = isinstance(value, (np.generic, np.ndarray)) and value.size == 1
        if is_one or isinstance(value, (int, float, str, bytes)):
            if (number := as_number(value)) is None:
                raise ValueError(f"{path}: {name}={value!r} is not a number")
            return number
    return None


def as_number(value: Any) -> float | None:
    """Return a float of a number, of an array of one, or of text that reads as one; None of anything else."""
    if isinstance(value, (np.ndarray, np.generic)) and value.size == 1:
        value = value.item()
    if isinstance(value, bytes):
        value = value.decode("ascii", "replace")
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        return None
    try:
        return float(value)
    except ValueError:
        return None


def checked_redshift(path: Path, side_deg: float | None, source_redshift: float | None) -> float | None:
    """Return the source redshift by the file or else by its name; ValueError for what no map can have.

    The two agree where the name is the file's number rounded to the digits that the name has.
    """
    try:
        if side_deg is not None:
            check_side_deg(side_deg)
    except ValueError as error:
        raise ValueError(f"{path} says {error}") from error
    named = _named_redshift(path.name)
    for redshift in (source_redshift, named and named[0]):
        if redshift is not None and not 0 < redshift < math.inf:
            raise ValueError(f"{path} says source_redshift={redshift:g}, which must be positive and finite")
    if source_redshift is None or named is None:
        return source_redshift if named is None else named[0]
    value, half_a_digit = named
    if abs(source_redshift - value) > max(_ROUNDED * value, 1.001 * half_a_digit):
        raise ValueError(f"{path} says source redshift {source_redshift:g}, but its name says {value:g}")
    return source_redshift


def _named_redshift(name: str) -> tuple[float, float] | None:
    """Return the redshift in a file's name, and half a unit of its last digit.

    None where the name tells a range (kappa_z0.3_0.6), or several redshifts (lens_z0.5_zs1.0): no one of them
    is known to be the sources'.
    """
    redshifts = {}
    for match in _NAMED_REDSHIFT.finditer(name):
        value = float(match[1])
        upper = _UPPER_END.match(name, match.end())
        if upper and float(upper[1]) > value:
            return None
        redshifts[value] = 0.5 * 10.0 ** -len(match[2])
    if len(redshifts) == 1:
        return next(iter(redshifts.items()))
    if not redshifts and (hundredths := _NAMED_HUNDREDTHS.search(name)):
        return int(hundredths[1]) / 100, 0.005
    return None
