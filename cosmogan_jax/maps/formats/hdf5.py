"""Convergence maps in HDF5: datasets by their paths, angle, redshift and cosmology from attributes."""

from pathlib import Path
from typing import Any

import numpy as np

from cosmogan_jax.files.fits_files import MOST_COMPRESSED
from cosmogan_jax.files.whole_files import first_line
from cosmogan_jax.maps.formats.attributes import attribute_fields, is_packed, redshifts_of_bins, unpacker
from cosmogan_jax.maps.formats.datasets import choose_datasets, join_datasets, may_be_maps
from cosmogan_jax.maps.formats.map_file import MapFile, ReadOptions, check_dtype
from cosmogan_jax.maps.formats.sky import is_sky, open_sky_array
from cosmogan_jax.maps.formats.stacks import stack_layout

# What a damaged file makes h5py raise, besides ValueError.
BROKEN = (OSError, RuntimeError, KeyError, TypeError, AttributeError, OverflowError, MemoryError)


def open_hdf5(path: Path, options: ReadOptions) -> MapFile:
    """Open the maps of one dataset, or of all whose names fit a glob, one after the other.

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
    h5py, path = h5py_module(), Path(path)
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
    except BROKEN as error:
        raise ValueError(f"{path} is not a whole HDF5 file: {first_line(error)}") from error
    return join_datasets(path, parts, names, options)


def h5py_module() -> Any:
    """Import h5py; ModuleNotFoundError names the extra where it is not installed."""
    try:
        import h5py
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError("HDF5 files need h5py: pip install 'cosmogan_jax[hdf5]'") from error
    return h5py


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

        array = (dataset.shape, dtype)
        fields = attribute_fields(path, own, dict(file.attrs))
        return open_sky_array(path, f"HDF5:{name}", array, read, options, fields)
    layout = stack_layout(path, dataset.shape, options)

    def load(start: int, stop: int) -> np.ndarray:
        try:
            with h5py.File(path, "r") as file:
                dataset = file[name]
                # h5py has no None in an index: a single map is read whole.
                source = dataset[...] if layout.num_maps == 1 else dataset
                values = np.asarray(layout.take(source, slice(start, stop)), dataset.dtype.newbyteorder("="))
        except BROKEN as error:
            raise ValueError(f"{path}:{name} cannot be read: {first_line(error)}") from error
        return unpack(layout.bins_last(values))

    redshifts = redshifts_of_bins(own, dict(file.attrs))
    fields = attribute_fields(path, own, dict(file.attrs))
    return layout.map_file(path, f"HDF5:{name}", dtype, load, redshifts, **fields)


def _arrays(file: Any, options: ReadOptions) -> dict[str, tuple[int, ...]]:
    """Return the arrays that may be maps, with their shapes."""
    import h5py

    arrays: dict[str, tuple[int, ...]] = {}

    def visit(name, item):
        if not isinstance(item, h5py.Dataset) or not may_be_maps(item.shape, options):
            return
        if item.dtype.kind == "f" or is_packed(item.dtype.kind, item.attrs):
            arrays[name] = item.shape

    file.visititems(visit)
    return arrays


def _check_place(path: Path, name: str, dataset: Any) -> None:
    """Refuse pixels that lie outside of the file's folder, or in far fewer bytes than can hold them."""
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
