"""Map files for other tools: FITS (LensTools, astropy), one map a file, and npy, all maps in one."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
from jaxtyping import Float

from cosmogan_jax.files.fits_files import Cards, write_image
from cosmogan_jax.files.whole_files import write_whole
from cosmogan_jax.geometry import MapGeometry


def write_fits_map(
    path: Path, kappa: Float[np.ndarray, "height width"], geometry: MapGeometry, cards: Cards
) -> None:
    """Write one convergence map with ANGLE (side in degrees, LensTools' key), a flat WCS scale and unit.

    Args:
      path: file to write; an existing one is replaced.
      kappa: the map, dimensionless; written as float32.
      geometry: its pixels and side.
      cards: further header cards, name to (value, comment).

    Raises:
      ValueError: the disk takes no more.
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
        "CDELT1": (-pixel_deg, "degrees; columns run west, as on the sky"),
        "CDELT2": (pixel_deg, "pixel width in degrees"),
    }
    write_image(path, np.asarray(kappa, np.float32), {**own, **cards})


def write_npy_maps(
    path: Path, batches: Iterable[Float[np.ndarray, "batch height width *bins"]], shape: tuple[int, ...]
) -> None:
    """Write all maps in one npy file of that shape, float32, batch by batch; whole or not there.

    Raises:
      ValueError: the batches hold another number of maps, or maps of another size, or the disk takes no more.
    """
    header = {"descr": "<f4", "fortran_order": False, "shape": tuple(shape)}
    written = 0
    with write_whole(path) as file:
        np.lib.format.write_array_header_1_0(file, header)
        for batch in batches:
            if batch.shape[1:] != tuple(shape[1:]):
                raise ValueError(f"{path}: maps of shape {batch.shape[1:]} do not fit {tuple(shape[1:])}")
            file.write(np.ascontiguousarray(batch, "<f4").data)
            written += len(batch)
        if written != shape[0]:
            raise ValueError(f"{path}: {shape[0]} maps announced, {written} given")
