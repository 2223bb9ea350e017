"""Map files for other tools: FITS (LensTools, astropy), one map a file, and npy, all maps in one."""

import os
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from jaxtyping import Float

from cosmogan_jax.geometry import MapGeometry
from cosmogan_jax.storage.fits_files import Cards, write_image


def write_fits_map(
    path: Path, kappa: Float[np.ndarray, "height width"], geometry: MapGeometry, cards: Cards
) -> None:
    """One convergence map with ANGLE (side in degrees, LensTools' key), a flat WCS scale and unit.

    Args:
      path: file to write; an existing one is replaced.
      kappa: the map, dimensionless; written as float32.
      geometry: its pixels and side.
      cards: further header cards, name to (value, comment).

    Raises:
      ModuleNotFoundError: astropy is not installed; the message names the extra.
    """
    pixel_deg, middle = geometry.side_deg / geometry.num_pixels, (geometry.num_pixels + 1) / 2
    own = {
        "ANGLE": (geometry.side_deg, "Side angle in degrees"),
        "ITYPE": ("ConvergenceMap", "Image type"),
        "BUNIT": ("", "convergence, dimensionless"),
        "CTYPE1": ("RA---TAN", "gnomonic; the map has no place on the sky"),
        "CTYPE2": ("DEC--TAN", "gnomonic; the map has no place on the sky"),
        "CUNIT1": ("deg", ""),
        "CUNIT2": ("deg", ""),
        "CRVAL1": (0.0, "reference point"),
        "CRVAL2": (0.0, "reference point"),
        "CRPIX1": (middle, "middle of the map"),
        "CRPIX2": (middle, "middle of the map"),
        "CDELT1": (pixel_deg, "pixel width in degrees"),
        "CDELT2": (pixel_deg, "pixel width in degrees"),
    }
    write_image(path, np.asarray(kappa, np.float32), {**own, **cards})


def write_npy_maps(
    path: Path, batches: Iterable[Float[np.ndarray, "batch height width"]], shape: tuple[int, int, int]
) -> None:
    """All maps in one npy file of that shape, float32, written batch by batch; whole or not there.

    Raises:
      ValueError: the batches hold another number of maps.
    """
    path = Path(path)
    partial = path.with_name(path.name + ".partial")
    array = np.lib.format.open_memmap(partial, mode="w+", dtype=np.float32, shape=shape)
    written = 0
    for batch in batches:
        array[written : written + len(batch)] = batch
        written += len(batch)
    if written != len(array):
        raise ValueError(f"{path}: {len(array)} maps announced, {written} given")
    array.flush()
    del array
    os.replace(partial, path)
