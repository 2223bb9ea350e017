"""NumPy's npy and npz files, read without pickle and within the memory that the file itself takes."""

import io
import math
import tokenize
import warnings
import zipfile
from pathlib import Path
from typing import BinaryIO

import numpy as np

from cosmogan_jax.files.whole_files import first_line, reading

# What reading an archive raises that is damaged; OSError: its own or the disk's.
_DAMAGED_ARCHIVE = (zipfile.BadZipFile, ValueError, EOFError, NotImplementedError, RuntimeError, OSError)
_HEADER_READERS = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}


def read_npy(path: Path) -> np.ndarray:
    """Read the array of an npy file.

    Raises:
      ValueError: names a file that is not a whole npy file, or holds Python objects.
    """
    with open(path, "rb") as file:
        return _parse(file, Path(path).stat().st_size, str(path))


def read_npz(path: Path) -> dict[str, np.ndarray]:
    """Read all arrays of an archive that np.savez wrote, by name.

    Compressed archives are refused: a few bytes of one may stand for any number.

    Raises:
      ValueError: names a file that is not such an archive, or whose parts are damaged or hold Python objects.
    """
    with reading(path, "a whole npz file", _DAMAGED_ARCHIVE), zipfile.ZipFile(path) as archive:
        members = archive.infolist()
        if any(member.compress_type != zipfile.ZIP_STORED for member in members):
            raise ValueError("it is compressed")
        if sum(member.file_size for member in members) > Path(path).stat().st_size:
            raise ValueError("its parts are larger than the file")
        arrays = {}
        for member in members:
            content = archive.read(member)  # the archive's CRC-32 is verified
            name = member.filename.removesuffix(".npy")
            arrays[name] = _parse(io.BytesIO(content), len(content), f"{path}:{name}")
        return arrays


def npy_layout(file: BinaryIO, name: str) -> tuple[tuple[int, ...], bool, np.dtype]:
    """Read the header of an npy file: shape, whether in Fortran's order, dtype.

    name: what errors call the file.

    Raises:
      ValueError: no such header, or one of Python objects, which are never loaded.
    """
    try:
        version = np.lib.format.read_magic(file)
        read = _HEADER_READERS.get(version)
        if read is None:
            raise ValueError(f"version {version} of the format")
        with warnings.catch_warnings(action="ignore"):  # of headers as Python 2 wrote them
            shape, fortran, dtype = read(file)
    # A damaged header is parsed as Python literals, which fail in many ways.
    except (ValueError, TypeError, SyntaxError, KeyError, IndexError, AttributeError, EOFError, MemoryError,
            OverflowError, RecursionError, tokenize.TokenError) as error:  # fmt: skip
        raise ValueError(f"{name} is not a whole npy file: {first_line(error)}") from error
    if dtype.hasobject:
        raise ValueError(
            f"{name} is not a whole npy file: it holds pickled Python objects, which are never loaded; save a "
            "plain float array"
        )
    if any(not isinstance(n, int) or isinstance(n, bool) or n < 0 for n in shape):
        raise ValueError(f"{name} is not a whole npy file: shape {shape}")
    return tuple(shape), fortran, dtype


def check_npy_size(name: str, shape: tuple[int, ...], dtype: np.dtype, remaining: int) -> None:
    """Raise ValueError unless as many bytes remain in the file as its header announces."""
    needed = math.prod(shape) * dtype.itemsize
    if needed > remaining:
        raise ValueError(
            f"{name} is not a whole npy file: {shape} of {dtype.name} needs {needed} bytes, {remaining} are "
            "there"
        )


def _parse(file: BinaryIO, size: int, name: str) -> np.ndarray:
    shape, fortran, dtype = npy_layout(file, name)
    check_npy_size(name, shape, dtype, size - file.tell())
    count = math.prod(shape)
    if not count * dtype.itemsize:
        return np.empty(shape, dtype)
    content = file.read(count * dtype.itemsize)
    return np.frombuffer(content, dtype, count).reshape(shape, order="F" if fortran else "C").copy()
