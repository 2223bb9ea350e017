"""Convergence maps in HDF5: a dataset by its path, angle and redshift from attributes."""

import numbers
from pathlib import Path
from typing import Any

import numpy as np

from cosmogan_jax.storage.readers.map_file import MapFile, ReadOptions, check_dtype, stack_layout

_SIDE = ("side_deg", "ANGLE", "angle", "side_angle")
_FILL = ("_FillValue", "missing_value")
_REDSHIFT = ("source_redshift", "redshift", "ZSOURCE", "z_s", "z")


def open_hdf5(path: Path, options: ReadOptions) -> MapFile:
    """Maps of one dataset; which one need not be said where the file holds a single array of 2 to 4 axes.

    side_deg and the source redshift are read from attributes of the dataset or of the file; pixels that hold
    the dataset's _FillValue or missing_value are NaN.

    Raises:
      ValueError: a broken file, no such dataset, several to choose from, or no stack of square maps.
      ModuleNotFoundError: h5py is not installed.
    """
    try:
        import h5py
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError("HDF5 files need h5py: pip install 'cosmogan_jax[hdf5]'") from error
    try:
        with h5py.File(path, "r") as file:
            name = _dataset(path, file, options.hdf5_dataset)
            dataset = file[name]
            dtype = check_dtype(path, dataset.dtype)
            num_maps, num_pixels, take = stack_layout(path, dataset.shape, options.channel)
            of_file = {**dict(file.attrs), **dict(dataset.attrs)}
    except OSError as error:
        raise ValueError(f"{path} is not a whole HDF5 file: {str(error).splitlines()[0]}") from error

    def load(start: int, stop: int) -> np.ndarray:
        try:
            with h5py.File(path, "r") as file:
                dataset = file[name]
                # h5py has no None in an index: a single map is read whole.
                source = dataset[...] if num_maps == 1 else dataset
                values = np.asarray(take(source, slice(start, stop)), dataset.dtype.newbyteorder("="))
                fill = _first(dict(dataset.attrs), _FILL)
                return values if fill is None else np.where(values == values.dtype.type(fill), np.nan, values)
        except OSError as error:
            raise ValueError(f"{path}:{name} cannot be read: {str(error).splitlines()[0]}") from error

    return MapFile(
        Path(path),
        f"HDF5:{name}",
        num_maps,
        num_pixels,
        dtype,
        load,
        _first(of_file, _SIDE),
        _first(of_file, _REDSHIFT),
    )


def _dataset(path: Path, file: Any, asked: str | None) -> str:
    import h5py

    found: dict[str, tuple[int, ...]] = {}

    def visit(name, item):
        if isinstance(item, h5py.Dataset) and 2 <= len(item.shape) <= 4 and item.dtype.kind == "f":
            found[name] = item.shape

    file.visititems(visit)
    listed = ", ".join(f"{name} {shape}" for name, shape in found.items()) or "none"
    if asked is not None:
        if not isinstance(file.get(asked), h5py.Dataset):
            raise ValueError(f"{path} has no dataset hdf5_dataset={asked}; arrays of 2 to 4 axes: {listed}")
        return asked
    if len(found) != 1:
        raise ValueError(f"{path}: choose its dataset with --hdf5_dataset; arrays of 2 to 4 axes: {listed}")
    return next(iter(found))


def _first(attributes: dict[str, Any], names: tuple[str, ...]) -> float | None:
    for name in names:
        value = attributes.get(name)
        if isinstance(value, np.ndarray) and value.size == 1:
            value = value.item()
        if isinstance(value, numbers.Real):
            return float(value)
    return None
