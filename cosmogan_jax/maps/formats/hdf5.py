"""Convergence maps in HDF5: datasets by their paths, angle, redshift and cosmology from attributes."""

from pathlib import Path
from typing import Any

import numpy as np

from cosmogan_jax.files.fits_files import MOST_COMPRESSED
from cosmogan_jax.files.whole_files import first_line
from cosmogan_jax.maps.formats.attributes import is_packed, redshifts_of_bins, said_by, unpacker
from cosmogan_jax.maps.formats.datasets import choose_datasets, join_datasets, may_be_maps
from cosmogan_jax.maps.formats.map_file import MapFile, ReadOptions, check_dtype, stack_layout
from cosmogan_jax.maps.formats.sky import is_sky, open_sky_array

# What a damaged file makes h5py raise, besides ValueError.
_BROKEN = (OSError, RuntimeError, KeyError, TypeError, AttributeError, OverflowError, MemoryError)


def open_hdf5(path: Path, options: ReadOptions) -> MapFile:
    """Maps of one dataset, or of all whose names fit a glob, one after the other.

    Which one need not be said where the file holds a single array of 2 to 4 axes. side_deg, source redshift and
    cosmology are read from attributes of the dataset or else of the file; those of several datasets that differ
    are parameters of the maps.
    Pixels that hold the dataset's _FillValue or missing_value are NaN; others are times its scale_factor,
    plus its add_offset (the netCDF conventions), where it has them.

    Raises:
      ValueError: a broken file, no such dataset, several to choose from, no stack of maps, or several of maps
        of other sizes.
      ModuleNotFoundError: h5py is not installed.
    """
    try:
        import h5py
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError("HDF5 files need h5py: pip install 'cosmogan_jax[hdf5]'") from error
    path = Path(path)
    try:
        with h5py.File(path, "r") as file:
            names = choose_datasets(
                path,
                _arrays(file, options),
                options.hdf5_dataset,
                lambda name: isinstance(file.get(name), h5py.Dataset),
            )
            of_each = options.of_each(len(names))
            parts = [_open(path, file, name, of_each) for name in names]
    except _BROKEN as error:
        raise ValueError(f"{path} is not a whole HDF5 file: {first_line(error)}") from error
    return join_datasets(path, parts, names, options)


def _open(path: Path, file: Any, name: str, options: ReadOptions) -> MapFile:
    import h5py

    dataset = file[name]
    _check_place(path, name, dataset)
    own = dict(dataset.attrs)
    packed = is_packed(dataset.dtype.kind, own)
    dtype = dataset.dtype.str if packed else check_dtype(path, dataset.dtype)
    unpack = unpacker(path, own)
    if is_sky(dataset.shape):

        def read() -> np.ndarray:
            with h5py.File(path, "r") as file:
                return unpack(file[name][...])

        told = (dataset.shape, dtype)
        used = frozenset({"hdf5_dataset"})
        said = said_by(path, own, dict(file.attrs))
        return open_sky_array(path, f"HDF5:{name}", told, read, options, said, used)
    layout = stack_layout(path, dataset.shape, options)

    def load(start: int, stop: int) -> np.ndarray:
        try:
            with h5py.File(path, "r") as file:
                dataset = file[name]
                # h5py has no None in an index: a single map is read whole.
                source = dataset[...] if layout.num_maps == 1 else dataset
                values = np.asarray(layout.take(source, slice(start, stop)), dataset.dtype.newbyteorder("="))
        except _BROKEN as error:
            raise ValueError(f"{path}:{name} cannot be read: {first_line(error)}") from error
        return unpack(layout.bins_last(values))

    return MapFile(
        path,
        f"HDF5:{name}",
        layout.num_maps,
        layout.num_pixels,
        dtype,
        load,
        **said_by(path, own, dict(file.attrs)),
        **layout.told(redshifts_of_bins(own, dict(file.attrs))),
        options_used=frozenset({"hdf5_dataset"} | layout.options_used),
    )


def _arrays(file: Any, options: ReadOptions) -> dict[str, tuple[int, ...]]:
    """Arrays that may be maps, with their shapes."""
    import h5py

    found: dict[str, tuple[int, ...]] = {}

    def visit(name, item):
        if not isinstance(item, h5py.Dataset) or not may_be_maps(item.shape, options):
            return
        if item.dtype.kind == "f" or is_packed(item.dtype.kind, item.attrs):
            found[name] = item.shape

    file.visititems(visit)
    return found


def _check_place(path: Path, name: str, dataset: Any) -> None:
    """ValueError for pixels that lie outside of the file's folder, or in far fewer bytes than can hold them."""
    if dataset.file.filename != str(path):
        places = [dataset.file.filename]
    elif dataset.is_virtual:
        places = [source.file_name for source in dataset.virtual_sources()]
    else:
        places = [place for place, *_ in dataset.external or ()]
    home = Path(path).resolve().parent
    for place in places:
        if place != "." and not (home / place).resolve().is_relative_to(home):
            raise ValueError(
                f"{path}:{name} lies in {place}, outside of the file's folder; copy it there first"
            )
    needed, stored = dataset.size * dataset.dtype.itemsize, dataset.id.get_storage_size()
    if not places and needed > MOST_COMPRESSED * stored:
        raise ValueError(f"{path}:{name} of {needed} bytes is not written: {stored} bytes of it are there")
