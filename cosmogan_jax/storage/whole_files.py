"""Binary files that are either whole or not there."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO


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
        with open(partial, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(partial, path)
    except BaseException as error:
        with suppress(OSError):
            partial.unlink()
        if isinstance(error, OSError):
            raise ValueError(f"{path} cannot be written: {error.strerror or error}") from error
        raise
