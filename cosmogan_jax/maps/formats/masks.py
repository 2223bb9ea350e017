"""Survey masks as images: 1 where a pixel is observed, 0 where it is masked, as LensTools has it."""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool

from cosmogan_jax.files.fits_files import read_header, read_image
from cosmogan_jax.files.numpy_files import check_npy_size, npy_layout
from cosmogan_jax.maps.formats.hdf5 import BROKEN, h5py_module


class MaskArray(NamedTuple):
    """An array of masks as a format stores it, (row, column) or (mask, row, column).

    read: mask n of them, of whatever values are stored; of two axes all of it.
    """

    shape: tuple[int, ...]
    read: Callable[[int], np.ndarray]


class MaskFile(NamedTuple):
    """Masks of one file.

    Attributes:
      load: mask n of the file, True where a pixel is observed.
    """

    path: Path
    num_masks: int
    shape: tuple[int, int]
    load: Callable[[int], Bool[np.ndarray, "height width"]]

    def name(self, index: int) -> str:
        """Return the file, and which of its masks."""
        return str(self.path) if self.num_masks == 1 else f"{self.path}[{index}]"


def as_mask_file(path: Path, array: MaskArray) -> MaskFile:
    """Return the masks of an array; ValueError for other axes, and on loading for values other than 0 and 1."""
    shape = array.shape
    if len(shape) not in (2, 3) or 0 in shape:
        raise ValueError(f"mask={path} has shape {shape}; expected (row, column) or (mask, row, column)")

    def load(index: int) -> np.ndarray:
        return _checked(masks.name(index), array.read(index))

    masks = MaskFile(Path(path), shape[0] if len(shape) == 3 else 1, (shape[-2], shape[-1]), load)
    return masks


def npy_masks(path: Path) -> MaskArray:
    """Find the masks of an npy file, never unpickled."""
    with open(path, "rb") as file:
        shape, _, dtype = npy_layout(file, str(path))
        check_npy_size(str(path), shape, dtype, path.stat().st_size - file.tell())

    def read(index: int) -> np.ndarray:
        masks = np.load(path, mmap_mode="r", allow_pickle=False)
        return np.array(masks[index] if masks.ndim == 3 else masks)

    return MaskArray(shape, read)


def fits_masks(path: Path) -> MaskArray:
    """Find the masks of the only image of a FITS file."""
    header = read_header(path, None).own
    shape = tuple(header[f"NAXIS{axis}"] for axis in range(header["NAXIS"], 0, -1))

    def read(index: int) -> np.ndarray:
        return read_image(path, slice(index, index + 1))[1][0] if len(shape) == 3 else read_image(path)[1]

    return MaskArray(shape, read)


def hdf5_masks(path: Path) -> MaskArray:
    """Find the masks of an HDF5 file: its only dataset of 2 or 3 axes, or the only one that is called mask."""
    h5py = h5py_module()
    name, shape = _hdf5_dataset(path)

    def read(index: int) -> np.ndarray:
        try:
            with h5py.File(path, "r") as file:
                return np.asarray(file[name][index] if len(shape) == 3 else file[name][...])
        except BROKEN as error:
            raise ValueError(f"mask={path}:{name} cannot be read: {error}") from error

    return MaskArray(shape, read)


def _checked(name: str, mask: np.ndarray) -> Bool[np.ndarray, "height width"]:
    if mask.dtype.kind not in "biuf":
        raise ValueError(f"mask={name} holds {mask.dtype.name}, not 0 and 1")
    other = mask[(mask != 0) & (mask != 1)]
    if other.size:
        raise ValueError(
            f"mask={name} holds {other[0]:g}; a mask is 1 where a pixel is observed and 0 where it is not"
        )
    return mask.astype(bool)


def _hdf5_dataset(path: Path) -> tuple[str, tuple[int, ...]]:
    h5py = h5py_module()
    arrays: dict[str, tuple[int, ...]] = {}

    def visit(name, item):
        if isinstance(item, h5py.Dataset) and len(item.shape or ()) in (2, 3):
            arrays[name] = item.shape

    try:
        with h5py.File(path, "r") as file:
            file.visititems(visit)
    except BROKEN as error:
        raise ValueError(f"mask={path} is not a whole HDF5 file: {error}") from error
    if len(arrays) > 1:
        called = {name: shape for name, shape in arrays.items() if name.split("/")[-1].lower() == "mask"}
        arrays = called or arrays
    if len(arrays) != 1:
        listed = ", ".join(f"{name} {shape}" for name, shape in list(arrays.items())[:12]) or "none"
        raise ValueError(
            f"mask={path} must hold one array, or one called mask; arrays of 2 or 3 axes: {listed}"
        )
    return next(iter(arrays.items()))
