"""The unit that a file says its pixels have; convergence has none."""

from collections.abc import Mapping
from typing import Any

# FITS headers; attributes of HDF5 datasets, as netCDF and others write them.
FITS_UNIT, HDF5_UNITS = ("BUNIT",), ("units", "unit", "BUNIT", "UNITS", "Units")
_NONE = {
    "",
    "1",
    "1.0",
    "none",
    "null",
    "n/a",
    "unitless",
    "dimensionless",
    "adimensional",
    "kappa",
    "convergence",
}


def unit_of(attributes: Mapping[str, Any], names: tuple[str, ...]) -> dict[str, str]:
    """Return {"unit": its name} where one is named that is not the name of none."""
    for name in names:
        value = attributes.get(name)
        if isinstance(value, bytes):
            value = value.decode("ascii", "replace")
        if value is None or str(value).strip().lower() in _NONE:
            continue
        return {"unit": str(value).strip()}
    return {}
