"""Convergence maps in NumPy's npz archives, compressed or not; never unpickled."""

import functools
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, cast

import numpy as np

from cosmogan_jax.files.fits_files import MOST_COMPRESSED
from cosmogan_jax.files.numpy_files import check_npy_size, npy_layout
from cosmogan_jax.files.open_stream import OpenStream
from cosmogan_jax.files.whole_files import first_line
from cosmogan_jax.maps.formats.datasets import choose_datasets, join_datasets, may_be_maps
from cosmogan_jax.maps.formats.map_file import MapFile, ReadOptions, check_dtype
from cosmogan_jax.maps.formats.sky import is_sky, open_sky_array
from cosmogan_jax.maps.formats.stacks import stack_layout

_BROKEN = (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, OSError, KeyError)
_ENDING = ".npy"


def open_npz(path: Path, options: ReadOptions) -> MapFile:
    """Open the maps of the archive's only array of 2 to 4 axes, or of those that options.hdf5_dataset names.

    Raises:
      ValueError: a broken archive or none of npy files, pickled objects, no such array, several to choose from,
        or no stack of maps.
    """
    path = Path(path)
    with _whole(path), zipfile.ZipFile(path) as archive:
        members = [m.filename for m in archive.infolist() if m.filename.endswith(_ENDING)]
        if not members:
            raise ValueError("it holds no npy file")
        arrays = {member.removesuffix(_ENDING): _Array(path, archive, member) for member in members}
    maps = {
        name: array.shape
        for name, array in arrays.items()
        if array.dtype.kind == "f" and may_be_maps(array.shape, options)
    }
    names = choose_datasets(path, maps, options.hdf5_dataset, arrays.__contains__)
    of_each = options.of_each(len(names))
    parts = [_open(path, name, arrays[name], of_each) for name in names]
    return join_datasets(path, parts, names, options)


def _open(path: Path, name: str, array: "_Array", options: ReadOptions) -> MapFile:
    dtype = check_dtype(path, array.dtype)
    if is_sky(array.shape):
        whole = functools.partial(array.read, 0, array.shape[0])
        return open_sky_array(path, f"npz:{name}", (array.shape, dtype), whole, options)
    layout = stack_layout(path, array.shape, options)

    def load(start: int, stop: int) -> np.ndarray:
        if layout.num_maps == 1 or array.fortran:
            values = layout.take(array.read(0, array.shape[0]), slice(start, stop))
        else:
            values = layout.take(array.read(start, stop), slice(0, stop - start))
        return np.array(layout.bins_last(values), array.dtype.newbyteorder("="))

    return layout.map_file(path, f"npz:{name}", dtype, load)


class _Array(OpenStream):
    """One array of an archive, read along its first axis.

    Parts that are read in order are decompressed once, all of them together: the file stays open where it was
    read to, until the end, where zipfile compares the archive's CRC-32. One in Fortran's order is read whole.
    """

    def __init__(self, path: Path, archive: zipfile.ZipFile, member: str):
        self._path, self._member, label = path, member, f"{path}:{member.removesuffix(_ENDING)}"
        entry = archive.getinfo(member)
        if entry.file_size > MOST_COMPRESSED * max(entry.compress_size, 1):
            raise ValueError(f"{member} announces {entry.file_size} bytes, {entry.compress_size} are there")
        with archive.open(member) as file:
            self.shape, self.fortran, self.dtype = npy_layout(cast("BinaryIO", file), label)
            self._offset = file.tell()
        check_npy_size(label, self.shape, self.dtype, entry.file_size - self._offset)
        count = self.shape[0] if self.shape else 1
        self._item = int(np.prod(self.shape[1:], dtype=np.int64)) * self.dtype.itemsize
        self._end = self._offset + count * self._item

    def read(self, start: int, stop: int) -> np.ndarray:
        """Read items [start, stop) of the first axis."""
        with _whole(self._path), self._closed_by_errors():
            content = self._read(self._offset + start * self._item, (stop - start) * self._item)
        shape = (stop - start, *self.shape[1:])
        return np.frombuffer(content, self.dtype).reshape(shape, order="F" if self.fortran else "C")

    def _read(self, first: int, length: int) -> bytes:
        if self._file is None or self._file.tell() > first:
            self.close()
            with zipfile.ZipFile(self._path) as archive:
                self._file = archive.open(self._member)  # it stays open when the archive is closed
        while (skipped := first - self._file.tell()) > 0:
            if not self._file.read(min(skipped, 2**20)):  # not by seek: what is skipped is checked as well
                break
        content = self._file.read(length)
        if len(content) < length:
            raise EOFError(f"{self._member} ends too early")
        if first + length == self._end:
            while self._file.read(2**20):  # to the checksum
                pass
            self.close()
        return content


@contextmanager
def _whole(path: Path) -> Iterator[None]:
    """Turn what a broken archive makes zipfile and zlib say into one ValueError with its name."""
    try:
        yield
    except FileNotFoundError:
        raise
    except (*_BROKEN, ValueError) as error:
        line = first_line(error)
        if line.startswith(str(path)):
            raise ValueError(line) from error
        raise ValueError(f"{path} is not a whole npz archive: {line}") from error
