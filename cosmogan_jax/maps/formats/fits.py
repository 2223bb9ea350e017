"""Convergence maps in FITS: the angle from ANGLE (LensTools, Columbia Lensing, MassiveNuS) or from WCS."""

import math
import warnings
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np

from cosmogan_jax.files.fits_files import (
    COSMOLOGY_CARDS,
    PARAMETER_CARD,
    ImageHeader,
    astropy_fits,
    parsable,
    read_header,
    read_image,
    whole_fits,
)
from cosmogan_jax.maps.formats.gzip_cubes import GzipCube
from cosmogan_jax.maps.formats.header_numbers import as_number, first_number
from cosmogan_jax.maps.formats.healpix_tables import SkyTable, sky_table
from cosmogan_jax.maps.formats.map_file import MapFile, ReadOptions, check_dtype
from cosmogan_jax.maps.formats.sky import open_sky_table
from cosmogan_jax.maps.formats.stacks import StackLayout, stack_layout
from cosmogan_jax.maps.formats.units import FITS_UNIT, unit_of

_REDSHIFT = ("ZSOURCE", "Z_SOURCE", "Z_S", "ZS", "REDSHIFT")
# What LensTools calls its other images; WLshear and WLomega files lie beside the WLconv ones.
_OTHER_KINDS = ("ShearMap", "OmegaMap", "FlexionMap", "Mask", "CMBTemperatureMap", "PhiMap")
_OTHER_NAMES = ("WLshear", "WLomega", "WLjacobian")
# ANGLE and WCS of one header: written from one number, but rounded differently.
_SAME_SIDE = 1e-4
# A PC matrix without CDELT is in degrees by the standard, CDELT being 1; where it only turns the axes, pixels
# come out a degree wide, which is no pixel of a lensing map: the scale is missing.
_WIDEST_PIXEL_DEG = 0.5


def open_fits(path: Path, options: ReadOptions) -> MapFile:
    """Open the maps of one image in a FITS file: (row, column), or a cube of maps.

    The image is options.fits_extension, by name or number, or the only one of floating-point numbers. Angle,
    source redshift, cosmology and other parameters (HIERARCH PARAM <NAME>, as stage export writes them) that
    its own header lacks are taken from the file's first header. Z alone is
    a source redshift only where its comment says so, as LensTools' does; it may be a lens' or a snapshot's.

    Raises:
      ValueError: a broken file, several images to choose from, something else than convergence (lens planes,
        shear), an image that is no stack of square maps, or ANGLE and WCS that contradict each other.
      ModuleNotFoundError: astropy is not installed.
    """
    # Of a named image no sky is cut.
    if options.cut_patches and options.fits_extension is None and (table := sky_table(path)) is not None:
        return _open_sky(path, table, options)
    header = read_header(path, options.fits_extension)
    with whole_fits(path):
        headers = [_cards(header.own), _cards(header.primary)]
    with parsable(path):
        _check_kind(path, header.own)
        shape = tuple(header.own[f"NAXIS{axis}"] for axis in range(header.own["NAXIS"], 0, -1))
        layout = stack_layout(path, shape, options)
        dtype = _stored_dtype(path, header.own)
        side = _side_deg(path, headers, header.own, layout)
    read = _reader(path, header, layout.num_maps, options.fits_extension)

    def load(start: int, stop: int) -> np.ndarray:
        data = read(start, stop)
        check_dtype(path, data.dtype)
        return layout.bins_last(layout.take(data, slice(0, stop - start)))

    return layout.map_file(
        path,
        "FITS" if options.fits_extension is None else f"FITS:{options.fits_extension}",
        dtype,
        load,
        side_deg=side,
        source_redshift=_first(first_number(path, header, _REDSHIFT) for header in headers),
        facts={
            **_cosmology(headers),
            **_parameters(headers),
            **unit_of({**headers[1], **headers[0]}, FITS_UNIT),
        },
    )


def _open_sky(path: Path, table: SkyTable, options: ReadOptions) -> MapFile:
    with whole_fits(path):
        headers = [_cards(table.header), _cards(table.primary)]
    redshift = _first(first_number(path, header, _REDSHIFT) for header in headers)
    facts = {**_cosmology(headers), **_parameters(headers)}
    return open_sky_table(Path(path), table, options, {"source_redshift": redshift, "facts": facts})


def _reader(
    path: Path, header: ImageHeader, num_maps: int, extension: str | None
) -> Callable[[int, int], np.ndarray]:
    if num_maps == 1:
        return lambda start, stop: read_image(path, None, extension)[1]
    if header.gzip_offset is not None:
        return GzipCube(path, header).read
    return lambda start, stop: read_image(path, slice(start, stop), extension)[1]


def _check_kind(path: Path, header: Any) -> None:
    if "CHI" in header and "NPART" in header:
        raise ValueError(
            f"{path} is a lens plane (CHI and NPART in its header), not a convergence map: make maps of its "
            "folder with --sky=planes --lens_planes=<folder>"
        )
    kind = header.get("ITYPE")
    if kind in _OTHER_KINDS or Path(path).name.startswith(_OTHER_NAMES):
        mark = f"ITYPE={kind}" if kind in _OTHER_KINDS else "by its name"
        raise ValueError(f"{path} is not a convergence map ({mark}); leave it out with a glob, as 'WLconv*'")


def _cards(header: Any) -> dict[str, Any]:
    """Return the cards that matter and have a value; LensTools' Z, where it is the sources', as ZSOURCE."""
    undefined = astropy_fits().card.Undefined
    keys = ["ANGLE", "Z", *FITS_UNIT, *_REDSHIFT, *(key for key, _ in COSMOLOGY_CARDS.values())]
    keys += [key for key in header if key.startswith(PARAMETER_CARD)]
    cards = {key: header[key] for key in keys if key in header and not isinstance(header[key], undefined)}
    if "Z" in cards and "source" in header.comments["Z"].lower():
        cards.setdefault("ZSOURCE", cards["Z"])
    return cards


def _first(values: Iterable[Any]) -> Any:
    return next((value for value in values if value is not None), None)


def _cosmology(headers: list[dict[str, Any]]) -> dict[str, Any]:
    values = {
        name: _first(as_number(header.get(key)) for header in headers)
        for name, (key, _) in COSMOLOGY_CARDS.items()
    }
    values = {name: value for name, value in values.items() if value is not None}
    return {"cosmology": values} if values else {}


def _parameters(headers: list[dict[str, Any]]) -> dict[str, Any]:
    """Return parameters that have no card of their own, from the cards that stage export writes of them."""
    keys = sorted({key for header in headers for key in header if key.startswith(PARAMETER_CARD)})
    values = {
        key.removeprefix(PARAMETER_CARD).lower(): _first(as_number(header.get(key)) for header in headers)
        for key in keys
    }
    values = {name: value for name, value in values.items() if value is not None}
    return {"parameters": values} if values else {}


def _stored_dtype(path: Path, header: Any) -> str:
    bits = header["BITPIX"]
    if bits > 0 and not ({"BSCALE", "BZERO"} & set(header)):
        check_dtype(path, np.dtype(f">i{bits // 8}"))
    return f">{'f' if bits < 0 else 'i'}{abs(bits) // 8}"


def _side_deg(path: Path, headers: list[dict[str, Any]], header: Any, layout: StackLayout) -> float | None:
    angle, wcs = _first(cards.get("ANGLE") for cards in headers), _wcs_side_deg(path, header, layout)
    if angle is None:
        return wcs
    side = as_number(angle)
    if side is None or not 0 < side < math.inf:
        raise ValueError(f"{path}: ANGLE={angle!r} in its header is not a number of degrees")
    if wcs is not None and not math.isclose(side, wcs, rel_tol=_SAME_SIDE):
        raise ValueError(f"{path}: ANGLE={side:g} degrees, but its WCS makes the map {wcs:g} degrees wide")
    return side


def _wcs_side_deg(path: Path, header: Any, layout: StackLayout) -> float | None:
    """Return rows times the pixel's width, where the header has a celestial WCS with a scale."""
    from astropy.wcs import WCS, FITSFixedWarning, WcsError
    from astropy.wcs.utils import proj_plane_pixel_scales

    axes = [1, 2]
    has_matrix = any(header.get(f"CD{i}_{j}") for i in axes for j in axes)
    has_scale = has_matrix or any(f"CDELT{i}" in header for i in axes)
    if not (has_scale or any(f"PC{i}_{j}" in header for i in axes for j in axes)):
        return None
    try:
        with warnings.catch_warnings(action="ignore", category=FITSFixedWarning):  # dates and the like
            wcs = WCS(header).celestial
    except (WcsError, ValueError):
        return None  # axes that contradict each other say nothing
    if wcs.naxis != 2:
        return None
    scales = proj_plane_pixel_scales(wcs)  # in degrees: astropy converts CUNIT
    if not has_scale and scales.max() > _WIDEST_PIXEL_DEG:
        return None
    columns = layout.num_pixels if layout.num_columns is None else layout.num_columns
    sides = np.array([columns, layout.num_pixels]) * scales
    if not math.isclose(scales[0], scales[1], rel_tol=_SAME_SIDE):
        raise ValueError(
            f"{path}: its WCS makes the map {sides[0]:g} by {sides[1]:g} degrees; not square pixels"
        )
    return float(sides[1])
