"""NumPy's npy and npz files, read without pickle and within the memory that the file itself takes."""

import io
import math
import tokenize
import warnings
import zipfile
from pathlib import Path
from typing import BinaryIO

import numpy as np


def read_npy(path: Path) -> np.ndarray:
    """The array of an npy file.

    Raises:
      ValueError: names a file that is not a whole npy file, or holds Python objects.
    """
    with open(path, "rb") as file:
        return _parse(file, Path(path).stat().st_size, str(path))


def read_npz(path: Path) -> dict[str, np.ndarray]:
    """All arrays of an archive that np.savez wrote, by name.

    Compressed archives are refused: a few bytes of one may stand for any number.

    Raises:
      ValueError: names a file that is not such an archive, or whose parts are damaged or hold Python objects.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
            if any(member.compress_type != zipfile.ZIP_STORED for member in members):
                raise ValueError("it is compressed")
            if sum(member.file_size for member in members) > Path(path).stat().st_size:
                raise ValueError("its parts are larger than the file")
            found = {}
            for member in members:
                content = archive.read(member)  # the archive's CRC-32 is verified
                name = member.filename.removesuffix(".npy")
                found[name] = _parse(io.BytesIO(content), len(content), f"{path}:{name}")
            return found
    except FileNotFoundError:
        raise ValueError(f"{path} is missing") from None
    except (zipfile.BadZipFile, ValueError, EOFError, NotImplementedError, RuntimeError, OSError) as error:
        said = (str(error).splitlines() or [type(error).__name__])[0]
        raise ValueError(f"{path} is not a whole npz file: {said}") from error


def npy_layout(file: BinaryIO, said: str) -> tuple[tuple[int, ...], bool, np.dtype]:
    """Shape, whether in Fortran's order, and dtype that the header of an npy file tells.

    Raises:
      ValueError: no such header, or one of Python objects, which are never loaded.
    """
    try:
        version = np.lib.format.read_magic(file)
        read = {
            (1, 0): np.lib.format.read_array_header_1_0,
            (2, 0): np.lib.format.read_array_header_2_0,
        }.get(version)
        if read is None:
            raise ValueError(f"version {version} of the format")
        with warnings.catch_warnings(action="ignore"):  # of headers as Python 2 wrote them
            shape, fortran, dtype = read(file)
    # A damaged header is parsed as Python literals, which fail in many ways.
    except (ValueError, TypeError, SyntaxError, KeyError, IndexError, AttributeError, EOFError, MemoryError,
            OverflowError, RecursionError, tokenize.TokenError) as error:  # fmt: skip
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise ValueError(f"{said} is not a whole npy file: {reason}") from error
    if dtype.hasobject:
        raise ValueError(
            f"{said} is not a whole npy file: it holds pickled Python objects, which are never loaded; save a "
            "plain float array"
        )
    if any(not isinstance(n, int) or isinstance(n, bool) or n < 0 for n in shape):
        raise ValueError(f"{said} is not a whole npy file: shape {shape}")
    return tuple(shape), fortran, dtype


def check_npy_size(said: str, shape: tuple[int, ...], dtype: np.dtype, left: int) -> None:
    """ValueError unless as many bytes are left in the file as its header announces."""
    needed = math.prod(shape) * dtype.itemsize
    if needed > left:
        raise ValueError(
            f"{said} is not a whole npy file: {shape} of {dtype.name} needs {needed} bytes, {left} are there"
        )


def _parse(file: BinaryIO, size: int, said: str) -> np.ndarray:
    shape, fortran, dtype = npy_layout(file, said)
    check_npy_size(said, shape, dtype, size - file.tell())
    count = math.prod(shape)
    if not count * dtype.itemsize:
        return np.empty(shape, dtype)
    content = file.read(count * dtype.itemsize)
    return np.frombuffer(content, dtype, count).reshape(shape, order="F" if fortran else "C").copy()
