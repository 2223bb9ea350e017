"""Compressed files, which can only be read from their beginning on."""

import gzip
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO


class OpenStream:
    """A file that stays open where it was read to: parts that are read in order are decompressed once."""

    _file: IO[bytes] | gzip.GzipFile | None = None

    def close(self) -> None:
        """Close the file, if it is open."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def __del__(self):
        self.close()

    @contextmanager
    def _closed_by_errors(self) -> Iterator[None]:
        """Close the file where a read fails: the next one begins anew."""
        try:
            yield
        except BaseException:
            self.close()
            raise
