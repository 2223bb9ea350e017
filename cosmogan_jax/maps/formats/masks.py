"""Survey masks as images: 1 where a pixel is observed, 0 where it is masked, as LensTools has it."""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool

from cosmogan_jax.files.fits_files import read_header, read_image
from cosmogan_jax.files.numpy_files import check_npy_size, npy_layout

_NPY, _HDF5 = b"\x93NUMPY", b"\x89HDF\r\n\x1a\n"
_FITS = (b"SIMPLE  =", b"\x1f\x8b")
# What a damaged file makes h5py raise, besides ValueError.
_BROKEN = (OSError, RuntimeError, KeyError, TypeError, AttributeError, OverflowError, MemoryError)


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
        """The file, and which of its masks."""
        return str(self.path) if self.num_masks == 1 else f"{self.path}[{index}]"


def open_mask_file(path: Path) -> MaskFile:
    """Masks of a FITS image, an npy file or the one dataset (or the one called mask) of an HDF5 file.

    (row, column), or (mask, row, column); of truth values, whole or floating-point numbers, which are 0 or 1.

    Raises:
      ValueError: another kind of file, a broken one, an array of other axes; on loading, other values.
      ModuleNotFoundError: astropy or h5py is not installed.
    """
    with open(path, "rb") as file:
        start = file.read(9)
    if start.startswith(_NPY):
        with open(path, "rb") as file:
            shape, _, dtype = npy_layout(file, str(path))
            check_npy_size(str(path), shape, dtype, path.stat().st_size - file.tell())

        def read(index: int) -> np.ndarray:
            return np.array(_one(np.load(path, mmap_mode="r", allow_pickle=False), index))

    elif start.startswith(_HDF5):
        name, shape = _hdf5_dataset(path)

        def read(index: int) -> np.ndarray:
            return _read_hdf5(path, name, index if len(shape) == 3 else None)

    elif start.startswith(_FITS):
        header = read_header(path, None).own
        shape = tuple(header[f"NAXIS{axis}"] for axis in range(header["NAXIS"], 0, -1))

        def read(index: int) -> np.ndarray:
            return read_image(path, slice(index, index + 1))[1][0] if len(shape) == 3 else read_image(path)[1]

    else:
        raise ValueError(f"mask={path} is none of npy, FITS and HDF5: it begins with {start!r}")
    if len(shape) not in (2, 3) or 0 in shape:
        raise ValueError(f"mask={path} has shape {shape}; expected (row, column) or (mask, row, column)")

    def load(index: int) -> np.ndarray:
        return _checked(found.name(index), read(index))

    found = MaskFile(Path(path), shape[0] if len(shape) == 3 else 1, (shape[-2], shape[-1]), load)
    return found


def _one(masks: np.ndarray, index: int) -> np.ndarray:
    return masks[index] if masks.ndim == 3 else masks


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
    h5py = _h5py()
    found: dict[str, tuple[int, ...]] = {}

    def visit(name, item):
        if isinstance(item, h5py.Dataset) and len(item.shape or ()) in (2, 3):
            found[name] = item.shape

    try:
        with h5py.File(path, "r") as file:
            file.visititems(visit)
    except _BROKEN as error:
        raise ValueError(f"mask={path} is not a whole HDF5 file: {error}") from error
    if len(found) > 1:
        found = {name: shape for name, shape in found.items() if name.split("/")[-1].lower() == "mask"} or found
    if len(found) != 1:
        listed = ", ".join(f"{name} {shape}" for name, shape in list(found.items())[:12]) or "none"
        raise ValueError(
            f"mask={path} must hold one array, or one called mask; arrays of 2 or 3 axes: {listed}"
        )
    return next(iter(found.items()))


def _read_hdf5(path: Path, name: str, index: int | None) -> np.ndarray:
    try:
        with _h5py().File(path, "r") as file:
            return np.asarray(file[name][...] if index is None else file[name][index])
    except _BROKEN as error:
        raise ValueError(f"mask={path}:{name} cannot be read: {error}") from error


def _h5py():
    try:
        import h5py
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError("HDF5 files need h5py: pip install 'cosmogan_jax[hdf5]'") from error
    return h5py
