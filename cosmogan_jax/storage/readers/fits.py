"""Convergence maps in FITS: the angle from ANGLE (LensTools, Columbia Lensing, MassiveNuS) or from WCS."""

import math
from pathlib import Path
from typing import Any

import numpy as np

from cosmogan_jax.storage.fits_files import COSMOLOGY_CARDS, read_header, read_image
from cosmogan_jax.storage.readers.map_file import MapFile, ReadOptions, check_dtype, stack_layout

_REDSHIFT = ("ZSOURCE", "Z_SOURCE", "Z_S", "ZS", "REDSHIFT", "Z")
# ANGLE and WCS of one header: written from one number, but rounded differently.
_SAME_SIDE = 1e-4


def open_fits(path: Path, options: ReadOptions) -> MapFile:
    """Maps of the first image in a FITS file: (row, column), or a cube of maps.

    Raises:
      ValueError: a broken file, a lens plane, an image that is no stack of square maps, or ANGLE and WCS that
        contradict each other.
      ModuleNotFoundError: astropy is not installed.
    """
    header = read_header(path)
    if "CHI" in header and "NPART" in header:
        raise ValueError(
            f"{path} is a lens plane (CHI and NPART in its header), not a convergence map: make maps of its "
            "folder with --sky=planes --lens_planes=<folder>"
        )
    shape = tuple(header[f"NAXIS{axis}"] for axis in range(header["NAXIS"], 0, -1))
    num_maps, num_pixels, take = stack_layout(path, shape, options.channel)

    def load(start: int, stop: int) -> np.ndarray:
        part = slice(start, stop) if num_maps > 1 else None
        data = read_image(path, part)[1]
        check_dtype(path, data.dtype)
        return take(data, slice(0, stop - start))

    return MapFile(
        Path(path),
        "FITS",
        num_maps,
        num_pixels,
        _stored_dtype(path, header),
        load,
        _side_deg(path, header, num_pixels),
        next((float(header[key]) for key in _REDSHIFT if _is_number(header.get(key))), None),
        _cosmology(header),
    )


def _cosmology(header: Any) -> dict[str, Any]:
    found = {
        name: float(header[key]) for name, (key, _) in COSMOLOGY_CARDS.items() if _is_number(header.get(key))
    }
    return {"cosmology": found} if found else {}


def _stored_dtype(path: Path, header: Any) -> str:
    bits = header["BITPIX"]
    if bits > 0 and not ({"BSCALE", "BZERO"} & set(header)):
        check_dtype(path, np.dtype(f">i{bits // 8}"))
    return f">{'f' if bits < 0 else 'i'}{abs(bits) // 8}"


def _side_deg(path: Path, header: Any, num_pixels: int) -> float | None:
    angle, wcs = header.get("ANGLE"), _wcs_side_deg(path, header, num_pixels)
    if angle is None:
        return wcs
    if not _is_number(angle) or not 0 < angle < math.inf:
        raise ValueError(f"{path}: ANGLE={angle!r} in its header is not a number of degrees")
    if wcs is not None and not math.isclose(angle, wcs, rel_tol=_SAME_SIDE):
        raise ValueError(f"{path}: ANGLE={angle:g} degrees, but its WCS makes the map {wcs:g} degrees wide")
    return float(angle)


def _wcs_side_deg(path: Path, header: Any, num_pixels: int) -> float | None:
    """Pixels times the pixel's width along both axes, where the header has a celestial WCS."""
    from astropy.wcs import WCS
    from astropy.wcs.utils import proj_plane_pixel_scales

    if not {"CDELT1", "CD1_1"} & set(header):
        return None
    wcs = WCS(header).celestial
    if wcs.naxis != 2:
        return None
    sides = num_pixels * proj_plane_pixel_scales(wcs)  # in degrees: astropy converts CUNIT
    if not math.isclose(sides[0], sides[1], rel_tol=_SAME_SIDE):
        raise ValueError(f"{path}: its WCS makes the map {sides[0]:g} by {sides[1]:g} degrees; not square")
    return float(sides[0])


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)
