"""Map files for other tools: FITS (LensTools, astropy), one map a file; npy and HDF5, all maps in one."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from cosmogan_jax.files.fits_files import Cards, write_image, write_images
from cosmogan_jax.files.whole_files import write_whole, write_whole_by_name
from cosmogan_jax.geometry import MapGeometry
from cosmogan_jax.maps.formats.hdf5 import h5py_module


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
    write_image(path, np.asarray(kappa, np.float32), {**_map_cards(geometry), **cards})


def write_fits_bins(
    path: Path,
    kappa: Float[np.ndarray, "height width bins"],
    geometry: MapGeometry,
    cards: Cards,
    of_bins: Mapping[str, Cards],
) -> None:
    """Write one map of several source bins, an image extension each, as `write_fits_map` writes one.

    Args:
      cards: of the first header, which has no image.
      of_bins: names of the extensions in the order of the bins, with further cards of each.
    """
    images = {
        name: (np.asarray(kappa[..., number], np.float32), {**_map_cards(geometry), **own})
        for number, (name, own) in enumerate(of_bins.items())
    }
    write_images(path, images, cards)


def _map_cards(geometry: MapGeometry) -> Cards:
    pixel_deg, middle = geometry.side_deg / geometry.num_pixels, (geometry.num_pixels + 1) / 2
    return {
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


def write_hdf5_maps(
    path: Path,
    batches: Iterable[Float[np.ndarray, "batch height width *bins"]],
    shape: tuple[int, ...],
    attributes: Mapping[str, Any],
) -> None:
    """Write all maps in one HDF5 file, as the dataset `kappa` of that shape, float32; whole or not there.

    Raises:
      ValueError: as `write_npy_maps`.
      ModuleNotFoundError: h5py is not installed; the message names the extra.
    """
    h5py, written = h5py_module(), 0
    with write_whole_by_name(path) as partial, h5py.File(partial, "w") as file:
        dataset = file.create_dataset("kappa", shape, "<f4", chunks=(1, *shape[1:]))
        dataset.attrs.update(attributes)
        for label, axis in zip(("map", "row", "column", "bin"), dataset.dims):
            axis.label = label
        for batch in batches:
            if batch.shape[1:] != tuple(shape[1:]) or written + len(batch) > shape[0]:
                raise ValueError(f"{path}: maps of shape {batch.shape} do not fit {tuple(shape)}")
            dataset[written : written + len(batch)] = batch
            written += len(batch)
        if written != shape[0]:
            raise ValueError(f"{path}: {shape[0]} maps announced, {written} given")
