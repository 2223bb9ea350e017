"""FITS images, plain or gzipped: read whole or not at all, written whole or not at all."""

import gzip
import io
import warnings
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from cosmogan_jax.storage.whole_files import write_whole

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


class ImageHeader(NamedTuple):
    """Its own header, the file's first, and where its pixels begin in what a gzipped file decompresses to."""

    own: Any
    primary: Any
    gzip_offset: int | None


def read_header(path: Path, extension: str | None = None) -> ImageHeader:
    """Headers of an image of a file: of `extension` (name or number), or of the only floating-point image.

    gzip_offset is where the image's pixels begin in what the file decompresses to; None where it is not
    gzipped, or its pixels are compressed by tiles besides.

    Raises:
      ValueError: a broken file, one that holds no image, or several and none is chosen.
      ModuleNotFoundError: astropy is not installed.
    """
    with _image(path, extension) as (hdu, primary):
        tiled = type(hdu).__name__ == "CompImageHDU"
        offset = None if tiled or not _is_gzip(path) else hdu.fileinfo()["datLoc"]
        return ImageHeader(hdu.header, primary, offset)


def read_image(
    path: Path, first_axis: slice | None = None, extension: str | None = None
) -> tuple[Any, np.ndarray]:
    """Header and pixels of an image of a file, chosen as by `read_header`, in this machine's byte order.

    Scaled integers become floats, blank ones NaN. first_axis reads that part of a cube alone. A DATASUM in the
    header is verified, but not for a part.

    Raises:
      ValueError: a broken or truncated file, one that holds no image, or several and none is chosen.
      ModuleNotFoundError: astropy is not installed.
    """
    with _image(path, extension) as (hdu, _):
        if first_axis is None and hdu.verify_datasum() == 0:
            raise ValueError("its pixels do not add up to the DATASUM of its header")
        data = hdu.data if first_axis is None else hdu.section[first_axis]
        return hdu.header, data.astype(data.dtype.newbyteorder("="))


def write_image(path: Path, image: np.ndarray, cards: Cards) -> None:
    """Write one image and its header cards, name to (value, comment); gzipped where the name ends in .gz.

    Raises:
      ValueError: the disk takes no more.
      ModuleNotFoundError: astropy is not installed.
    """
    fits = astropy_fits()
    header = fits.Header()
    for name, card in cards.items():
        header[name] = card
    buffer = io.BytesIO()
    hdu = fits.PrimaryHDU(image, header)
    hdu.add_datasum(when="sum of all pixels")  # not the time: the same image is the same file
    hdu.writeto(buffer)
    content = buffer.getvalue()
    with write_whole(path) as file:
        # No time stamp here either.
        file.write(gzip.compress(content, mtime=0) if str(path).endswith(".gz") else content)


@contextmanager
def whole_fits(path: Path) -> Iterator[None]:
    """What a broken file makes astropy and gzip say, as one ValueError with its name."""
    from astropy.io.fits.verify import VerifyError, VerifyWarning
    from astropy.utils.exceptions import AstropyUserWarning

    broken = (
        OSError, EOFError, zlib.error, KeyError, TypeError, ValueError, IndexError,
        VerifyError, AstropyUserWarning,
    )  # fmt: skip
    try:
        with warnings.catch_warnings():
            # A file shorter than its header says is only a warning to astropy, and so is a header that does
            # not parse. A card that means nothing here (BLANK of floating-point pixels) is not told.
            warnings.simplefilter("error", AstropyUserWarning)
            warnings.simplefilter("ignore", VerifyWarning)
            warnings.filterwarnings("error", "Error validating header", VerifyWarning)
            yield
    except (FileNotFoundError, _NoSuchImage):
        raise
    except broken as error:
        raise ValueError(f"{path} is not a whole FITS image: {_first_line(error)}") from error


@contextmanager
def _image(path: Path, extension: str | None) -> Iterator[tuple[Any, Any]]:
    fits = astropy_fits()
    with whole_fits(path), open(path, "rb") as file, fits.open(file, memmap=False) as opened:
        yield _choose(path, opened, extension), opened[0].header


class _NoSuchImage(ValueError):
    """Nothing is wrong with the file."""


def _choose(path: Path, opened: Any, extension: str | None) -> Any:
    images = {n: hdu for n, hdu in enumerate(opened) if hdu.is_image and hdu.header["NAXIS"]}
    if not images:
        healpix = any(hdu.header.get("PIXTYPE") == "HEALPIX" for hdu in opened)
        raise _NoSuchImage(
            f"{path} holds "
            + ("a HEALPix map: project it to flat, square maps first" if healpix else "no FITS image")
        )
    listed = ", ".join(f"{n} {hdu.name or '(no name)'} {hdu.shape}" for n, hdu in images.items())
    if extension is not None:
        wanted = extension.strip().upper()
        chosen = {n: hdu for n, hdu in images.items() if wanted in (str(n), hdu.name)}
        if len(chosen) != 1:
            what = f"no image fits_extension={extension}" if not chosen else f"several images {extension}"
            raise _NoSuchImage(f"{path} holds {what}; its images: {listed}")
    else:
        # Masks and counts are integers; they leave no doubt which image is the map.
        chosen = {n: hdu for n, hdu in images.items() if _is_real(hdu.header)} or images
        if len(chosen) > 1:
            raise _NoSuchImage(f"{path} holds several images; choose one with --fits_extension: {listed}")
    return next(iter(chosen.values()))


def _is_real(header: Any) -> bool:
    return header["NAXIS"] > 1 and (header["BITPIX"] < 0 or bool({"BSCALE", "BZERO"} & set(header)))


def _is_gzip(path: Path) -> bool:
    with open(path, "rb") as file:
        return file.read(2) == b"\x1f\x8b"


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]


def astropy_fits() -> Any:
    """astropy.io.fits, imported where it is used; what to install where it is not there."""
    try:
        from astropy.io import fits
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError("FITS files need astropy: pip install 'cosmogan_jax[fits]'") from error
    return fits
