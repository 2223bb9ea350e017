"""Memory-mapped forms: NumPy's npy files, never unpickled, raw float32, and kappaTNG's binary maps."""

import math
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np

from cosmogan_jax.files.numpy_files import check_npy_size, npy_layout
from cosmogan_jax.maps.formats.map_file import MapFile, ReadOptions, check_dtype
from cosmogan_jax.maps.formats.sky import is_sky, open_sky_array
from cosmogan_jax.maps.formats.stacks import stack_layout


def open_npy(path: Path, options: ReadOptions) -> MapFile:
    """Open the maps of an npy file.

    Raises:
      ValueError: pickled objects, a truncated file, or an array that is no stack of square maps.
    """
    return _stack(path, "npy", lambda: _load_npy(path), options)


def _load_npy(path: Path) -> np.ndarray:
    with open(path, "rb") as file:
        shape, fortran, dtype = npy_layout(file, str(path))
        start = file.tell()
    check_npy_size(str(path), shape, dtype, Path(path).stat().st_size - start)
    if not (math.prod(shape) and dtype.itemsize):
        return np.empty(shape, dtype)
    return np.memmap(path, dtype, "r", start, shape, "F" if fortran else "C")


def open_raw(path: Path, options: ReadOptions) -> MapFile:
    """Open maps of raw little-endian float32, in C order, with shape options.raw_shape; nothing else.

    raw_shape is (row, column), then the number of maps is what the file's size says, or (map, row, column).

    Raises:
      ValueError: no shape, or one that the file's size contradicts.
    """
    shape, size = options.raw_shape, Path(path).stat().st_size
    if len(shape) not in (2, 3) or min(shape, default=0) < 1:
        raise ValueError(
            f"{path} is raw float32 of {size} bytes: give its shape, --raw_shape=rows,columns or "
            "--raw_shape=maps,rows,columns"
        )
    if len(shape) == 2:
        count, rest = divmod(size, 4 * math.prod(shape))
        if rest or not count:
            raise ValueError(
                f"{path} has {size} bytes, not a multiple of the {4 * math.prod(shape)} of a map of "
                f"--raw_shape={','.join(map(str, shape))}"
            )
        shape = (count, *shape)
    if size != 4 * math.prod(shape):
        wider = "; it would be float64, which is not read so: store npy" if size == 8 * math.prod(shape) else ""
        raise ValueError(
            f"{path} has {size} bytes, --raw_shape={','.join(map(str, shape))} needs {4 * math.prod(shape)}"
            + wider
        )
    return _stack(path, "raw float32", lambda: np.memmap(path, "<f4", "r", shape=shape), options)


def fits_raw_shape(path: Path, shape: tuple[int, ...]) -> bool:
    """Tell whether the file's size is that of raw maps of this shape, or of a number of them."""
    size, needed = Path(path).stat().st_size, 4 * math.prod(shape)
    whole = size == needed if len(shape) == 3 else size % max(needed, 1) == 0
    return len(shape) in (2, 3) and 0 < needed <= size and whole


def open_kappatng(path: Path, options: ReadOptions) -> MapFile:
    """Open the map of a file of kappaTNG's binary release (Osato, Liu and Haiman 2021, arXiv:2010.09731).

    n as an int32, n² float64, n again, little-endian. Neither angle (5 degrees) nor redshift is told.

    Raises:
      ValueError: the file is none of these, or n is too small for a map.
    """
    num_pixels = _kappatng_pixels(path)
    if num_pixels is None:
        raise ValueError(f"{path} is not one of kappaTNG's binary maps")
    shape = (num_pixels, num_pixels)
    return _stack(path, "kappaTNG", lambda: np.memmap(path, "<f8", "r", 4, shape), options)


def is_kappatng(path: Path) -> bool:
    """Tell whether the file's size and both its ends fit kappaTNG's binary form."""
    return _kappatng_pixels(path) is not None


def _kappatng_pixels(path: Path) -> int | None:
    size = Path(path).stat().st_size
    if size < 16:
        return None
    with open(path, "rb") as file:
        first = file.read(4)
        file.seek(-4, os.SEEK_END)
        last = file.read(4)
    num_pixels = int.from_bytes(first, "little")
    return num_pixels if first == last and size == 8 + 8 * num_pixels**2 else None


def _stack(
    path: Path,
    format_: str,
    map_file: Callable[[], np.ndarray],
    options: ReadOptions,
) -> MapFile:
    # The array itself is not kept: an open memory map is an open file, and a data set may be many thousands.
    array = map_file()
    shape, native = array.shape, array.dtype.newbyteorder("=")
    dtype = check_dtype(path, array.dtype)
    del array
    if is_sky(shape):
        return open_sky_array(path, format_, (shape, dtype), map_file, options)
    layout = stack_layout(path, shape, options)

    def load(start: int, stop: int) -> np.ndarray:
        # Mapped anew each time: pages that were read do not stay in this process's memory.
        return np.array(layout.bins_last(layout.take(map_file(), slice(start, stop))), native)

    return layout.map_file(path, format_, dtype, load)
