"""Gzipped FITS cubes, read part by part; gzip can only be decompressed from the beginning of a file."""

import gzip
import math
from pathlib import Path

import numpy as np

from cosmogan_jax.files.fits_files import ImageHeader, astropy_fits, whole_fits
from cosmogan_jax.files.open_stream import OpenStream


class GzipCube(OpenStream):
    """One image of a gzipped FITS file, of 3 or more axes.

    Parts that are read in order are decompressed once, all of them together: the file stays open at the place
    it was read to, until the last map is read. Memory holds one part at a time.
    """

    def __init__(self, path: Path, header: ImageHeader):
        axes = [header.own[f"NAXIS{axis}"] for axis in range(1, header.own["NAXIS"] + 1)]
        self._path, self._header, self._offset = path, header.own, header.gzip_offset
        self._num_maps = axes[-1]
        self._map_bytes = abs(header.own["BITPIX"]) // 8 * math.prod(axes[:-1])

    def read(self, start: int, stop: int) -> np.ndarray:
        """Read maps [start, stop), scaled as astropy does, in this machine's byte order.

        Raises:
          ValueError: a broken or truncated file.
        """
        with whole_fits(self._path):
            with self._closed_by_errors():
                content = self._read(start, stop)
            data = self._unpack(content, stop - start)
            return data.astype(data.dtype.newbyteorder("="))

    def _read(self, start: int, stop: int) -> bytes:
        first, length = self._offset + start * self._map_bytes, (stop - start) * self._map_bytes
        if self._file is None or self._file.tell() > first:
            self.close()
            self._file = gzip.GzipFile(self._path, "rb")
        self._file.seek(first)
        content = self._file.read(length)
        if len(content) < length:
            raise EOFError("the compressed file ends too early")
        if stop == self._num_maps:
            while self._file.read(2**20):  # to the checksum at the end
                pass
            self.close()
        return content

    def _unpack(self, content: bytes, num_maps: int) -> np.ndarray:
        """Return pixels as astropy makes them of a file that holds these maps alone."""
        fits = astropy_fits()
        header = self._header.copy()
        header[f"NAXIS{header['NAXIS']}"] = num_maps
        kind = fits.ImageHDU if "XTENSION" in header else fits.PrimaryHDU
        return kind.fromstring(header.tostring().encode("ascii") + content).data
