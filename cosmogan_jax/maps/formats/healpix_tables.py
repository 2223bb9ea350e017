"""Skies in FITS as healpy writes them: tables with PIXTYPE=HEALPIX, whole or of numbered pixels."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float

from cosmogan_jax.files.fits_files import MOST_COMPRESSED, astropy_fits, check_axes, whole_fits
from cosmogan_jax.maps.formats.sky_patches import num_side

# Of an explicit table, which names the pixels of a part of the sky.
_NUMBERS = ("PIXEL", "PIX", "IPIX", "INDEX")
_UNSEEN = np.nan
_MOST_SIDE = 2**15


class SkyTable(NamedTuple):
    """What the header of a table says; columns are those of values."""

    nside: int
    nested: bool
    columns: tuple[str, ...]
    dtypes: tuple[str, ...]
    header: Any
    primary: Any


def sky_table(path: Path) -> SkyTable | None:
    """Find the HEALPix table of a FITS file; None where it has none.

    Raises:
      ValueError: a broken file, or a table without NSIDE, ORDERING or values.
      ModuleNotFoundError: astropy is not installed.
    """
    with _opened(path) as opened:
        hdu = _table(opened)
        if hdu is None:
            return None
        header = hdu.header
        nside, ordering = header.get("NSIDE"), str(header.get("ORDERING", "")).strip().upper()
        if type(nside) is not int or not 0 < nside <= _MOST_SIDE or ordering not in ("RING", "NESTED", "NEST"):
            raise ValueError(f"NSIDE={nside!r} and ORDERING={ordering!r} are not those of a HEALPix map")
        columns = [column for column in hdu.columns if column.name.upper() not in _NUMBERS]
        if not columns:
            raise ValueError("its HEALPix table has no column of values")
        names = tuple(column.name for column in columns)
        dtypes = tuple(str(column.dtype.base.newbyteorder(">").str) for column in columns)
        return SkyTable(nside, ordering != "RING", names, dtypes, header, opened[0].header)


def read_sky(path: Path, table: SkyTable, column: str) -> Float[np.ndarray, " pixels"]:
    """Read the values of the whole sky; NaN where an explicit table has no pixel.

    Raises:
      ValueError: a broken file, or one that has not as many pixels as its NSIDE says.
    """
    pixels = 12 * table.nside**2
    with _opened(path) as opened:
        hdu = _table(opened)
        if hdu is None:
            raise ValueError("its HEALPix table is gone")
        size = Path(path).stat().st_size
        if 4 * pixels > MOST_COMPRESSED * size and not _is_explicit(hdu):
            raise ValueError(f"NSIDE={table.nside} has {pixels} pixels, the file {size} bytes")
        values = np.asarray(hdu.data[column]).reshape(-1)
        values = values.astype(values.dtype.newbyteorder("="))
        if not _is_explicit(hdu):
            if num_side(len(values)) != table.nside:
                raise ValueError(f"NSIDE={table.nside} has {pixels} pixels, its table {len(values)}")
            return values
        numbers = np.asarray(hdu.data[_number_column(hdu)]).reshape(-1).astype(np.int64)
        if len(numbers) and (numbers.min() < 0 or numbers.max() >= pixels):
            raise ValueError(f"its table names pixels that a sky of NSIDE={table.nside} has not")
        sky = np.full(pixels, _UNSEEN, values.dtype)
        sky[numbers] = values
        return sky


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    fits = astropy_fits()
    with whole_fits(path), open(path, "rb") as file:
        check_axes(file)
    with whole_fits(path), fits.open(path, memmap=False) as opened:
        yield opened


def _table(opened: Any) -> Any:
    for hdu in opened:
        if str(hdu.header.get("PIXTYPE", "")).strip().upper() == "HEALPIX" and hasattr(hdu, "columns"):
            return hdu
    return None


def _is_explicit(table: Any) -> bool:
    return _number_column(table) is not None


def _number_column(table: Any) -> str | None:
    return next((name for name in table.columns.names if name.upper() in _NUMBERS), None)
