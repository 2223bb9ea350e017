"""Files that are either whole or not there, files that grow by whole lines, and the words where that fails."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn an OSError into a ValueError that names the file, which cannot be written."""
    try:
        yield
    except OSError as error:
        raise ValueError(f"{path} cannot be written: {error.strerror or error}") from error


@contextmanager
def reading(path: Path, form: str, damage: tuple[type[Exception], ...] = (ValueError,)) -> Iterator[None]:
    """Turn what a damaged file makes its reader raise into a ValueError that names the file.

    form: what it is not, as "a whole npz file". damage: the types of the errors that mean damage.
    """
    try:
        yield
    except FileNotFoundError:
        raise ValueError(f"{path} is missing") from None
    except damage as error:
        raise ValueError(f"{path} is not {form}: {first_line(error)}") from error


def first_line(error: BaseException) -> str:
    """Return the first line of an error's message, or the name of its type where there is none."""
    return (str(error).splitlines() or [type(error).__name__])[0]


@contextmanager
def write_whole(path: Path) -> Iterator[BinaryIO]:
    """Open a file that gets its name when all of it is on the disk, and is removed where that fails.

    Never through a memory map: on a full disk a store to one kills the process (SIGBUS), a write is an error.

    Raises:
      ValueError: it cannot be written: no room, no permission, no folder.
    """
    path = Path(path)
    partial = path.with_name(path.name + ".partial")
    try:
        with writing(path):
            with open(partial, "wb") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            os.replace(partial, path)
    except BaseException:
        with suppress(OSError):
            partial.unlink()
        raise


@contextmanager
def write_whole_by_name(path: Path) -> Iterator[Path]:
    """Give the name by which a library is to write a file that gets its own when it is done; `write_whole`."""
    path = Path(path)
    partial = path.with_name(path.name + ".partial")
    try:
        with writing(path):
            yield partial
            with open(partial, "rb") as file:
                os.fsync(file.fileno())
            os.replace(partial, path)
    except BaseException:
        with suppress(OSError):
            partial.unlink()
        raise


def write_text(path: Path, text: str) -> None:
    """Write a text file (UTF-8), as `write_whole`."""
    with write_whole(path) as file:
        file.write(text.encode())


def write_arrays(path: Path, arrays: dict[str, Any]) -> None:
    """Write an npz file of named arrays, uncompressed and nothing pickled, as `write_whole`."""
    for name, array in arrays.items():
        if np.asarray(array).dtype.hasobject:
            raise ValueError(f"{path}: {name} holds Python objects")
    with write_whole(path) as file:
        np.savez(file, **arrays)


def append_lines(path: Path, text: str) -> None:
    """Add whole lines to a text file; a last line that was cut off is ended first.

    Raises:
      ValueError: it cannot be written.
    """
    with writing(path), open(path, "ab+") as file:
        if file.tell():
            file.seek(-1, os.SEEK_END)
            if file.read(1) != b"\n":
                text = "\n" + text
        file.write(text.encode())
