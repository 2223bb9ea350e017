"""What attributes of arrays in HDF5 and zarr say of maps: angle, redshift, cosmology, packing."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from cosmogan_jax.files.fits_files import COSMOLOGY_CARDS
from cosmogan_jax.maps.formats.header_numbers import as_number, first_number
from cosmogan_jax.maps.formats.units import HDF5_UNITS, unit_of

_SIDE = ("side_deg", "ANGLE", "angle", "side_angle")
_REDSHIFT = ("source_redshift", "ZSOURCE", "z_source", "z_s", "zs", "redshift")
_REDSHIFTS = (*_REDSHIFT, "source_redshifts", "redshifts")
_FILL = ("_FillValue", "missing_value")
_SCALE = ("scale_factor", "add_offset")


def attribute_fields(path: Path, own: Mapping[str, Any], of_file: Mapping[str, Any]) -> dict[str, Any]:
    """Return side_deg, source_redshift and facts of a `MapFile`, by the array's attributes, else the file's."""
    fields: dict[str, Any] = {}
    for name, keys in (("side_deg", _SIDE), ("source_redshift", _REDSHIFT)):
        value = first_number(path, own, keys)
        fields[name] = first_number(path, of_file, keys) if value is None else value
    return {**fields, "facts": {**_cosmology({**of_file, **own}), **unit_of(own, HDF5_UNITS)}}


def redshifts_of_bins(own: Mapping[str, Any], of_file: Mapping[str, Any]) -> tuple[float, ...]:
    """Return the redshifts of an array's channels, where an attribute lists them; none where none does."""
    for attributes in (own, of_file):
        for name in _REDSHIFTS:
            values = np.asarray(attributes.get(name, ()))
            if values.ndim == 1 and values.size > 1 and values.dtype.kind in "fiu":
                return tuple(values.astype(float).tolist())
    return ()


def is_packed(kind: str, own: Mapping[str, Any]) -> bool:
    """Tell whether integers (by NumPy's kind of dtype) stand for real numbers."""
    return kind in "iu" and "scale_factor" in own


def unpacker(path: Path, own: Mapping[str, Any]) -> Callable[[np.ndarray], np.ndarray]:
    """Return what makes convergence of pixels as they are stored, by the netCDF conventions.

    Pixels that hold _FillValue or missing_value are NaN; others are times scale_factor, plus add_offset, where
    there are any.
    """
    scale, offset = (first_number(path, own, [key]) for key in _SCALE)
    fills = [fill for key in _FILL if (fill := first_number(path, own, [key])) is not None]

    def unpack(values: np.ndarray) -> np.ndarray:
        with np.errstate(over="ignore", invalid="ignore"):
            invalid = [values == np.array(fill).astype(values.dtype) for fill in fills]
        if scale is not None or offset is not None:
            values = values * np.float64(1 if scale is None else scale) + (offset or 0.0)
        return np.where(np.any(invalid, 0), np.nan, values) if fills else values

    return unpack


def _cosmology(attributes: Mapping[str, Any]) -> dict[str, Any]:
    """Return parameters under the project's names, or as FITS headers call them."""
    values = {
        name: as_number(attributes.get(name, attributes.get(key))) for name, (key, _) in COSMOLOGY_CARDS.items()
    }
    values = {name: value for name, value in values.items() if value is not None}
    return {"cosmology": values} if values else {}
