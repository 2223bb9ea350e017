"""Convergence maps in HDF5: a dataset by its path, angle, redshift and cosmology from attributes."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from cosmogan_jax.storage.fits_files import COSMOLOGY_CARDS, MOST_COMPRESSED
from cosmogan_jax.storage.readers.map_file import MapFile, ReadOptions, check_dtype, stack_layout
from cosmogan_jax.storage.readers.said import as_number, first_number
from cosmogan_jax.storage.readers.units import HDF5_UNITS, told_unit

_SIDE = ("side_deg", "ANGLE", "angle", "side_angle")
_REDSHIFT = ("source_redshift", "ZSOURCE", "z_source", "z_s", "zs", "redshift")
_FILL = ("_FillValue", "missing_value")
_SCALE = ("scale_factor", "add_offset")
_LISTED = 12
# What a damaged file makes h5py raise, besides ValueError.
_BROKEN = (OSError, RuntimeError, KeyError, TypeError, AttributeError, OverflowError, MemoryError)


def open_hdf5(path: Path, options: ReadOptions) -> MapFile:
    """Maps of one dataset; which one need not be said where the file holds a single array of 2 to 4 axes.

    side_deg, source redshift and cosmology are read from attributes of the dataset or else of the file.
    Pixels that hold the dataset's _FillValue or missing_value are NaN; others are times its scale_factor,
    plus its add_offset (the netCDF conventions), where it has them.

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
            _check_place(path, name, dataset)
            own, of_file = dict(dataset.attrs), dict(file.attrs)
            dtype = dataset.dtype.str if _is_packed(dataset) else check_dtype(path, dataset.dtype)
            layout = stack_layout(path, dataset.shape, options.channel)
    except _BROKEN as error:
        raise ValueError(f"{path} is not a whole HDF5 file: {_first_line(error)}") from error
    scale, offset = (first_number(path, own, [key]) for key in _SCALE)
    fills = [fill for key in _FILL if (fill := first_number(path, own, [key])) is not None]

    def load(start: int, stop: int) -> np.ndarray:
        try:
            with h5py.File(path, "r") as file:
                dataset = file[name]
                # h5py has no None in an index: a single map is read whole.
                source = dataset[...] if layout.num_maps == 1 else dataset
                values = np.asarray(layout.take(source, slice(start, stop)), dataset.dtype.newbyteorder("="))
        except _BROKEN as error:
            raise ValueError(f"{path}:{name} cannot be read: {_first_line(error)}") from error
        with np.errstate(over="ignore", invalid="ignore"):
            invalid = [values == np.array(fill).astype(values.dtype) for fill in fills]
        if scale is not None or offset is not None:
            values = values * np.float64(1 if scale is None else scale) + (offset or 0.0)
        return np.where(np.any(invalid, 0), np.nan, values) if fills else values

    said = own if first_number(path, own, _SIDE) is not None else of_file
    redshift = first_number(path, own, _REDSHIFT)
    return MapFile(
        Path(path),
        f"HDF5:{name}",
        layout.num_maps,
        layout.num_pixels,
        dtype,
        load,
        first_number(path, said, _SIDE),
        first_number(path, of_file, _REDSHIFT) if redshift is None else redshift,
        {**_cosmology({**of_file, **own}), **told_unit(own, HDF5_UNITS)},
        options_used=frozenset({"hdf5_dataset"} | layout.options_used),
    )


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


def _is_packed(dataset: Any) -> bool:
    """Integers that stand for real numbers."""
    return dataset.dtype.kind in "iu" and "scale_factor" in dataset.attrs


def _dataset(path: Path, file: Any, asked: str | None) -> str:
    import h5py

    found: dict[str, tuple[int, ...]] = {}

    def visit(name, item):
        is_array = isinstance(item, h5py.Dataset) and 2 <= len(item.shape or ()) <= 4
        if is_array and (item.dtype.kind == "f" or _is_packed(item)):
            found[name] = item.shape

    file.visititems(visit)
    if asked is not None:
        if not isinstance(file.get(asked), h5py.Dataset):
            raise ValueError(
                f"{path} has no dataset hdf5_dataset={asked}; arrays of 2 to 4 axes: {_listed(found)}"
            )
        return asked
    if len(found) != 1:
        raise ValueError(
            f"{path}: choose its dataset with --hdf5_dataset; arrays of 2 to 4 axes: {_listed(found)}"
        )
    return next(iter(found))


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]


def _listed(found: Mapping[str, tuple[int, ...]]) -> str:
    """A few of the datasets, first those that call themselves convergence: kappaTNG's files hold 200."""
    names = sorted(found, key=lambda name: not any(word in name.lower() for word in ("kappa", "conv")))
    more = f" and {len(names) - _LISTED} more" if len(names) > _LISTED else ""
    return (", ".join(f"{name} {found[name]}" for name in names[:_LISTED]) or "none") + more


def _cosmology(said: Mapping[str, Any]) -> dict[str, Any]:
    """Parameters under the project's names, or as FITS headers call them."""
    found = {name: as_number(said.get(name, said.get(key))) for name, (key, _) in COSMOLOGY_CARDS.items()}
    found = {name: value for name, value in found.items() if value is not None}
    return {"cosmology": found} if found else {}
