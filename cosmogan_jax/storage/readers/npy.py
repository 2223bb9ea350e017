"""NumPy's npy files, memory-mapped, never unpickled; and raw little-endian float32."""

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np

from cosmogan_jax.storage.readers.map_file import MapFile, ReadOptions, check_dtype, stack_layout


def open_npy(path: Path, options: ReadOptions) -> MapFile:
    """Maps of an npy file.

    Raises:
      ValueError: pickled objects, a truncated file, or an array that is no stack of square maps.
    """
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except (ValueError, EOFError) as error:
        reason = str(error).splitlines()[0]
        if "object" in reason.lower():
            reason = "it holds pickled Python objects, which are never loaded; save a plain float array"
        raise ValueError(f"{path} is not a whole npy file: {reason}") from error
    return _stack(path, "npy", array, lambda: np.load(path, mmap_mode="r", allow_pickle=False), options)


def open_raw(path: Path, options: ReadOptions) -> MapFile:
    """Maps of raw little-endian float32, in C order, with shape options.raw_shape.

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
        raise ValueError(
            f"{path} has {size} bytes, --raw_shape={','.join(map(str, shape))} needs {4 * math.prod(shape)}"
        )

    def map_file():
        return np.memmap(path, "<f4", "r", shape=shape)

    return _stack(path, "raw float32", map_file(), map_file, options)


def _stack(
    path: Path, format_: str, array: np.ndarray, map_file: Callable[[], np.ndarray], options: ReadOptions
) -> MapFile:
    dtype = check_dtype(path, array.dtype)
    num_maps, num_pixels, take = stack_layout(path, array.shape, options.channel)

    def load(start: int, stop: int) -> np.ndarray:
        # Mapped anew each time: pages that were read do not stay in this process's memory.
        return np.array(take(map_file(), slice(start, stop)), array.dtype.newbyteorder("="))

    return MapFile(Path(path), format_, num_maps, num_pixels, dtype, load)
