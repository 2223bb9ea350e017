"""FITS images, plain or gzipped: read whole or not at all, written whole or not at all."""

import gzip
import io
import math
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np

from cosmogan_jax.files.whole_files import first_line, write_whole

ENDINGS = (".fits", ".fit", ".fits.gz", ".fit.gz")
# Deflate packs 1032 bytes into one at most; what announces more of itself is damaged.
MOST_COMPRESSED = 1100
_GZIP, _BLOCK = b"\x1f\x8b", 2880
_OF_DATASUM = "sum of all pixels"  # not the time: the same image is the same file
_MOST_AXES = 999  # the standard's
_MOST_BLOCKS = 1000  # of a header: 36,000 cards
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


# Other parameters stand in long cards, HIERARCH PARAM <NAME>.
PARAMETER_CARD = "PARAM "


class ImageHeader(NamedTuple):
    """Headers of an image: its own and the file's first; gzip_offset: see `read_header`."""

    own: Any
    primary: Any
    gzip_offset: int | None


def read_header(path: Path, extension: str | None = None) -> ImageHeader:
    """Read the headers of an image: of `extension` (name or number), or of the only floating-point image.

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
    """Read header and pixels of an image, chosen as by `read_header`, in this machine's byte order.

    Scaled integers become floats, blank ones NaN. first_axis reads that slice of a cube alone. A DATASUM in the
    header is verified, but not of a slice.

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
    hdu = fits.PrimaryHDU(image, _header(cards))
    hdu.add_datasum(when=_OF_DATASUM)
    _write(path, hdu)


def write_images(path: Path, images: Mapping[str, tuple[np.ndarray, Cards]], cards: Cards) -> None:
    """Write several images as extensions by name, each with cards of its own, behind a first header of `cards`.

    Raises: as `write_image`.
    """
    fits = astropy_fits()
    hdus = [fits.PrimaryHDU(header=_header(cards))]
    for name, (image, own) in images.items():
        hdus.append(fits.ImageHDU(image, _header(own), name=name))
        hdus[-1].add_datasum(when=_OF_DATASUM)
    _write(path, fits.HDUList(hdus))


def _header(cards: Cards) -> Any:
    header = astropy_fits().Header()
    for name, card in cards.items():
        header[name] = card
    return header


def _write(path: Path, hdus: Any) -> None:
    buffer = io.BytesIO()
    hdus.writeto(buffer)
    content = buffer.getvalue()
    with write_whole(path) as file:
        # No time stamp here either.
        file.write(gzip.compress(content, mtime=0) if str(path).endswith(".gz") else content)


@contextmanager
def whole_fits(path: Path) -> Iterator[None]:
    """Turn what a broken file makes astropy and gzip raise into a ValueError that names the file."""
    from astropy.io.fits.verify import VerifyWarning
    from astropy.utils.exceptions import AstropyUserWarning

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
    except Exception as error:  # damage shows in many ways: AttributeError, RuntimeError, VerifyError, ...
        raise ValueError(f"{path} is not a whole FITS image: {first_line(error)}") from error


@contextmanager
def parsable(path: Path) -> Iterator[None]:
    """Turn the error of a card that astropy cannot parse into a ValueError that names the file."""
    from astropy.io.fits.verify import VerifyError

    try:
        yield
    except VerifyError as error:
        raise ValueError(f"{path} is not a whole FITS image: {first_line(error)}") from error


@contextmanager
def _image(path: Path, extension: str | None) -> Iterator[tuple[Any, Any]]:
    fits = astropy_fits()
    with whole_fits(path), open(path, "rb") as file:
        check_axes(file)
    with whole_fits(path), open(path, "rb") as file, fits.open(file, memmap=False) as opened:
        chosen = _choose(path, opened, extension)
        _check_size(path, chosen.header)
        yield chosen, opened[0].header


def check_axes(file: BinaryIO) -> None:
    """Raise ValueError for more axes than an image can have; astropy would count them all, were they 10^12."""
    packed = file.read(2) == _GZIP
    file.seek(0)
    content: BinaryIO | gzip.GzipFile = gzip.GzipFile(fileobj=file) if packed else file
    while cards := _next_cards(content):
        values = {card[:8].rstrip(): card[10:].split(b"/")[0].strip() for card in cards if card[8:10] == b"= "}
        axes = values.get(b"NAXIS", b"0")
        if axes.isdigit() and int(axes[:20]) > _MOST_AXES:
            raise ValueError(f"its header says NAXIS={axes.decode()}")
        # What follows the pixels is the next header, if these are numbers; astropy tells where they are not.
        try:
            sides = [int(values[b"NAXIS%d" % (n + 1)]) for n in range(int(axes))]
            extra, groups = int(values.get(b"PCOUNT", b"0")), int(values.get(b"GCOUNT", b"1"))
            size = abs(int(values[b"BITPIX"])) // 8 * groups * (extra + (math.prod(sides) if sides else 0))
        except (KeyError, ValueError):
            return
        if not 0 <= size < 2**62:
            return
        content.seek(-(-size // _BLOCK) * _BLOCK, io.SEEK_CUR)


def _next_cards(content: BinaryIO | gzip.GzipFile) -> list[bytes]:
    """Read the cards of the header that begins here, none where it does not end within reason."""
    cards: list[bytes] = []
    for _ in range(_MOST_BLOCKS):
        block = content.read(_BLOCK)
        cards += [block[start : start + 80] for start in range(0, len(block), 80)]
        if len(block) < _BLOCK or any(card.rstrip() == b"END" for card in cards[-36:]):
            return cards
    return []


def _check_size(path: Path, header: Any) -> None:
    """Raise ValueError for more pixels than the file can hold, before memory is asked for them."""
    needed = abs(header["BITPIX"]) // 8 * math.prod(header[f"NAXIS{n}"] for n in range(1, header["NAXIS"] + 1))
    size = path.stat().st_size
    if needed > MOST_COMPRESSED * size:
        raise ValueError(f"its header announces {needed} bytes of pixels, the file has {size}")


class _NoSuchImage(ValueError):
    """An image that is not there, in a file that is whole."""


def _choose(path: Path, opened: Any, extension: str | None) -> Any:
    images = {n: hdu for n, hdu in enumerate(opened) if hdu.is_image and hdu.header["NAXIS"]}
    if not images:
        healpix = any(hdu.header.get("PIXTYPE") == "HEALPIX" for hdu in opened)
        cut = "a HEALPix map: --cut_patches=<pixels on a side> cuts it to flat squares, --side_deg wide"
        raise _NoSuchImage(f"{path} holds {cut if healpix else 'no FITS image'}")
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
        return file.read(2) == _GZIP


def astropy_fits() -> Any:
    """Import astropy.io.fits where it is used; ModuleNotFoundError says what to install."""
    try:
        from astropy.io import fits
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError("FITS files need astropy: pip install 'cosmogan_jax[fits]'") from error
    return fits
