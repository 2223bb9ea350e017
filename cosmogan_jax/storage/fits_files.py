"""FITS images, one a file, plain or gzipped: read whole or not at all, written whole or not at all."""

import gzip
import io
import os
import warnings
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

ENDINGS = (".fits", ".fit", ".fits.gz", ".fit.gz")
Cards = Mapping[str, tuple[Any, str]]

# Cards of cosmological parameters, as LensTools and Columbia Lensing name them, by the project's names.
COSMOLOGY_CARDS = {
    "h": ("H", "Hubble constant in 100 km/s/Mpc"),
    "omega_m": ("OMEGA_M", "Matter density today"),
    "omega_lambda": ("OMEGA_L", "Dark energy density today"),
    "omega_b": ("OMEGA_B", "Baryon density today"),
    "sigma8": ("SIGMA8", "Linear rms overdensity in 8 Mpc/h"),
    "n_s": ("N_S", "Spectral index"),
    "w0": ("W0", "Dark energy equation of state"),
    "wa": ("WA", "Its change with the scale factor"),
}


def read_header(path: Path) -> Any:
    """Header of the first image of a file, an astropy Header.

    Raises:
      ValueError: a broken file, or one that holds no image.
      ModuleNotFoundError: astropy is not installed.
    """
    with _image(path) as hdu:
        return hdu.header


def read_image(path: Path, first_axis: slice | None = None) -> tuple[Any, np.ndarray]:
    """Header and pixels of the first image of a file, in this machine's byte order.

    Scaled integers become floats, blank ones NaN. first_axis reads that part of a cube alone.

    Raises:
      ValueError: a broken or truncated file, or one that holds no image.
      ModuleNotFoundError: astropy is not installed.
    """
    with _image(path) as hdu:
        data = hdu.data if first_axis is None else hdu.section[first_axis]
        return hdu.header, data.astype(data.dtype.newbyteorder("="))


def write_image(path: Path, image: np.ndarray, cards: Cards) -> None:
    """Write one image and its header cards, name to (value, comment); gzipped where the name ends in .gz.

    Raises:
      ModuleNotFoundError: astropy is not installed.
    """
    fits = _astropy_fits()
    header = fits.Header()
    for name, card in cards.items():
        header[name] = card
    buffer = io.BytesIO()
    fits.PrimaryHDU(image, header).writeto(buffer)
    content = buffer.getvalue()
    path = Path(path)
    partial = path.with_name(path.name + ".partial")
    # No time stamp in the gzip header: the same image is the same file.
    partial.write_bytes(gzip.compress(content, mtime=0) if path.name.endswith(".gz") else content)
    os.replace(partial, path)


@contextmanager
def _image(path: Path) -> Iterator[Any]:
    fits = _astropy_fits()
    from astropy.utils.exceptions import AstropyUserWarning

    broken = (OSError, EOFError, zlib.error, KeyError, TypeError, ValueError, IndexError, AstropyUserWarning)
    try:
        # A file shorter than its header says is only a warning to astropy.
        with (
            warnings.catch_warnings(action="error", category=AstropyUserWarning),
            open(path, "rb") as file,
            fits.open(file, memmap=False) as opened,
        ):
            images = [hdu for hdu in opened if hdu.is_image and hdu.header["NAXIS"]]
            if not images:
                raise ValueError("it holds no image")
            yield images[0]
    except FileNotFoundError:
        raise
    except broken as error:
        raise ValueError(f"{path} is not a whole FITS image: {_first_line(error)}") from error


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]


def _astropy_fits() -> Any:
    try:
        from astropy.io import fits
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError("FITS files need astropy: pip install 'cosmogan_jax[fits]'") from error
    return fits
