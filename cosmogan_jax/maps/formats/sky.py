"""Full-sky HEALPix maps as flat ones, `--cut_patches`. All patches of a file have one parent, the sky."""

import dataclasses
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from cosmogan_jax.maps.formats.bins import chosen_bins, join_as_bins
from cosmogan_jax.maps.formats.healpix_tables import SkyTable, read_sky
from cosmogan_jax.maps.formats.map_file import MapFile, ReadOptions, check_dtype
from cosmogan_jax.maps.formats.sky_patches import chosen_centres, num_side, patch_indices

# Pixels of a patch against the sky's.
_WIDEST_STEP = 2.0


def is_sky(shape: tuple[int, ...]) -> bool:
    """Tell whether an array is as long as a HEALPix map."""
    return len(shape) == 1 and num_side(shape[0]) is not None


def open_sky_table(path: Path, table: SkyTable, options: ReadOptions, fields: dict[str, Any]) -> MapFile:
    """Cut patches of one column of a HEALPix table.

    Args:
      fields: of the `MapFile`, what the headers tell.

    Raises:
      ValueError: several columns and none chosen, no angle for the patches, or no patch.
    """
    if options.source_bins and len(table.columns) > 1:
        numbers = chosen_bins(str(path), options.source_bins, len(table.columns))
        parts = [
            open_sky_table(path, table, dataclasses.replace(options, source_bins=(), channel=number), fields)
            for number in numbers
        ]
        names = [table.columns[number] for number in numbers]
        joined = join_as_bins(path, parts, names, parts[0].format)
        return dataclasses.replace(joined, bin_numbers=tuple(numbers), bins=(None,) * len(numbers))
    column = options.channel
    if column is None and len(table.columns) > 1:
        named = [n for n, name in enumerate(table.columns) if name.upper() in ("KAPPA", "CONVERGENCE")]
        if len(named) != 1:
            raise ValueError(
                f"{path} is a HEALPix map of columns {', '.join(table.columns)}; choose one with "
                f"--channel=0 to {len(table.columns) - 1}"
            )
        column = named[0]
    column = column or 0
    if column >= len(table.columns):
        raise ValueError(f"{path}: channel={column} must lie in 0 to {len(table.columns) - 1}")
    dtype = check_dtype(path, np.dtype(table.dtypes[column]))
    name = table.columns[column]

    def read() -> np.ndarray:
        return read_sky(path, table, name)

    used = {"cut_patches"} | ({"channel"} if len(table.columns) > 1 else set())
    kind = f"FITS:{name}"
    return _patches(path, kind, dtype, read, table.nside, options, fields, frozenset(used), nested=table.nested)


def open_sky_array(
    path: Path,
    kind: str,
    array: tuple[tuple[int, ...], str],
    read: Callable[[], np.ndarray],
    options: ReadOptions,
    fields: dict[str, Any] | None = None,
) -> MapFile:
    """Cut patches of an array of 12 nside² numbers, in HEALPix's RING order, healpy's own.

    Args:
      array: its shape and dtype.
      read: gives all of it; or of it a memory map.

    Raises:
      ValueError: no angle for the patches, or no patch.
    """
    (length,), dtype = array
    nside = num_side(length)
    assert nside is not None  # who calls has asked is_sky
    return _patches(
        path, kind, dtype, read, nside, options, fields or {}, frozenset({"cut_patches"}), nested=False
    )


def not_cut(path: Path) -> ValueError:
    """Return the error for a sky of which no patches are asked for."""
    return ValueError(
        f"{path} holds a HEALPix map: --cut_patches=<pixels on a side> cuts it to flat squares, --side_deg wide"
    )


def _check_pixels(path: Path, size: int, side_deg: float, nside: int) -> None:
    """Refuse pixels that would leave out most of the sky's: small scales would alias."""
    ours, sky = 60 * side_deg / size, 60 * math.degrees(math.sqrt(4 * math.pi / 12) / nside)
    if (factor := ours / sky) > _WIDEST_STEP:
        by = 2 ** math.ceil(math.log2(factor))
        raise ValueError(
            f"cut_patches={size} makes pixels of {ours:.3g} arcmin of {path}, whose own are {sky:.3g}: it "
            f"would take one of {factor**2:.0f}; cut {by * size} and average by prepare's --downsample={by}"
        )


def _patches(
    path: Path,
    kind: str,
    dtype: str,
    read: Callable[[], np.ndarray],
    nside: int,
    options: ReadOptions,
    fields: dict[str, Any],
    used: frozenset[str],
    *,
    nested: bool,
) -> MapFile:
    if not options.cut_patches:
        raise not_cut(path)
    size, *most = options.cut_patches
    if options.patch_side_deg is None:
        raise ValueError(f"cut_patches={size}: how wide are the patches? Give --side_deg, in degrees ({path})")
    side = options.patch_side_deg
    centres = chosen_centres(side, most[0] if most else None)
    _check_pixels(path, size, side, nside)
    held: list[np.ndarray] = []

    def load(start: int, stop: int) -> np.ndarray:
        # Read once a pass: the sky is held until its last patch is cut.
        if not held:
            held.append(read())
        sky = held[0]
        patches = np.empty((stop - start, size, size), sky.dtype.newbyteorder("="))
        for number, centre in enumerate(centres[start:stop]):
            patches[number] = sky[patch_indices(centre, size, side, nside, nested=nested)]
        if stop == len(centres):
            held.clear()
        return patches

    return MapFile(
        Path(path),
        f"HEALPix:{kind}, nside={nside}, {'NESTED' if nested else 'RING'}",
        len(centres),
        size,
        dtype,
        load,
        **{**fields, "side_deg": side},
        parents=(0,) * len(centres),
        options_used=used,
    )
