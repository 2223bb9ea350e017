"""Convergence maps in zarr arrays and groups that others wrote; the project's own are map stores."""

from pathlib import Path

import numpy as np

from cosmogan_jax.files.zarr_folders import ZarrArray, find_arrays, open_zarr, read_zarr
from cosmogan_jax.maps.formats.attributes import attribute_fields, is_packed, redshifts_of_bins, unpacker
from cosmogan_jax.maps.formats.datasets import choose_datasets, join_datasets, may_be_maps
from cosmogan_jax.maps.formats.map_file import MapFile, ReadOptions, check_dtype
from cosmogan_jax.maps.formats.sky import is_sky, open_sky_array
from cosmogan_jax.maps.formats.stacks import stack_layout


def open_zarr_maps(path: Path, options: ReadOptions) -> MapFile:
    """Open maps of a zarr array, or of one or several of a group, as of datasets of HDF5 (`hdf5.open_hdf5`).

    Chunks that were never written read as the array's fill value, which zarr leaves out.

    Raises:
      ValueError: a broken folder, no such array, several to choose from, or no stack of maps.
    """
    path = Path(path)
    every, of_group = find_arrays(path)
    arrays = {array.name: array for array in every}
    maps = {
        name: array.shape
        for name, array in arrays.items()
        if may_be_maps(array.shape, options)
        and (array.dtype.kind == "f" or is_packed(array.dtype.kind, array.attributes))
    }
    names = choose_datasets(path, maps, options.hdf5_dataset, arrays.__contains__)
    of_each = options.of_each(len(names))
    parts = [_open(path, arrays[name], of_group, of_each) for name in names]
    return join_datasets(path, parts, names, options)


def _open(path: Path, array: ZarrArray, of_group: dict, options: ReadOptions) -> MapFile:
    packed = is_packed(array.dtype.kind, array.attributes)
    dtype = array.dtype.str if packed else check_dtype(path, array.dtype)
    unpack, opened = unpacker(path, array.attributes), open_zarr(path, array)
    kind = f"zarr:{array.name}" if array.name else "zarr"
    if is_sky(array.shape):
        return open_sky_array(
            path,
            kind,
            (array.shape, dtype),
            lambda: unpack(read_zarr(path, array, opened)),
            options,
            attribute_fields(path, array.attributes, of_group),
        )
    layout = stack_layout(path, array.shape, options)

    def load(start: int, stop: int) -> np.ndarray:
        if layout.num_maps == 1:
            values = layout.take(read_zarr(path, array, opened), slice(start, stop))
        else:
            values = read_zarr(path, array, layout.take(opened, slice(start, stop)))
        return unpack(layout.bins_last(np.asarray(values, array.dtype.newbyteorder("="))))

    redshifts = redshifts_of_bins(array.attributes, of_group)
    fields = attribute_fields(path, array.attributes, of_group)
    return layout.map_file(path, kind, dtype, load, redshifts, **fields)
