"""Files that are either whole or not there, and files that grow by whole lines."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np


@contextmanager
def named(path: Path) -> Iterator[None]:
    """What the system says of a file that cannot be written, as a ValueError with the file's name."""
    try:
        yield
    except OSError as error:
        raise ValueError(f"{path} cannot be written: {error.strerror or error}") from error


@contextmanager
def write_whole(path: Path) -> Iterator[BinaryIO]:
    """A file to write to; it gets its name when all of it is on the disk, and is removed where that fails.

    Never through a memory map: on a full disk a store to one kills the process (SIGBUS), a write is an error.

    Raises:
      ValueError: it cannot be written: no room, no permission, no folder.
    """
    path = Path(path)
    partial = path.with_name(path.name + ".partial")
    try:
        with named(path):
            with open(partial, "wb") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            os.replace(partial, path)
    except BaseException:
        with suppress(OSError):
            partial.unlink()
        raise


def write_text(path: Path, text: str) -> None:
    """A text file (UTF-8), as `write_whole`."""
    with write_whole(path) as file:
        file.write(text.encode())


def write_arrays(path: Path, arrays: dict[str, Any]) -> None:
    """An npz file of named arrays, uncompressed and nothing pickled, as `write_whole`."""
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
    with named(path), open(path, "ab+") as file:
        if file.tell():
            file.seek(-1, os.SEEK_END)
            if file.read(1) != b"\n":
                text = "\n" + text
        file.write(text.encode())
