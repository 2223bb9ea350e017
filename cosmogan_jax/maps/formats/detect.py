"""Which reader a file needs, by what it begins with and its name."""

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path

from cosmogan_jax.files.fits_files import ENDINGS as FITS_ENDINGS
from cosmogan_jax.files.zarr_folders import is_zarr
from cosmogan_jax.maps.formats.fits import open_fits
from cosmogan_jax.maps.formats.hdf5 import open_hdf5
from cosmogan_jax.maps.formats.map_file import MapFile, ReadOptions
from cosmogan_jax.maps.formats.npy import (
    fits_raw_shape,
    is_kappatng,
    open_kappatng,
    open_npy,
    open_raw,
)
from cosmogan_jax.maps.formats.npz import open_npz
from cosmogan_jax.maps.formats.said import check_said
from cosmogan_jax.maps.formats.store import open_store
from cosmogan_jax.maps.formats.zarr import open_zarr_maps
from cosmogan_jax.maps.store import is_map_store

_RAW_ENDING = ".f32"
# What calls itself so and is not is broken, and no raw array.
_OTHER_ENDINGS = (".npy", ".npz", *FITS_ENDINGS, ".fits.fz", ".h5", ".hdf5", ".he5")
_MAGIC = (
    (b"\x93NUMPY", "npy", open_npy),
    (b"SIMPLE  =", "FITS", open_fits),
    (b"\x1f\x8b", "gzipped FITS", open_fits),
    (b"\x89HDF\r\n\x1a\n", "HDF5", open_hdf5),
    (b"PK\x03\x04", "npz", open_npz),
)
_ADVICE = (
    (b"PK\x05\x06", "an archive of nothing"),
    (b"\x80", "a pickle, which is never loaded; save the maps as npy"),
    (b"BZh", "compressed by bzip2; decompress it first"),
    (b"version https://git-lfs", "a pointer of Git LFS; fetch the file itself first"),
)
_FOR = {
    "hdf5_dataset": "HDF5 files, zarr groups and npz archives",
    "raw_shape": "raw files",
    "fits_extension": "FITS files",
    "channel": "arrays with a channel axis",
    "cut_patches": "HEALPix maps",
    "source_bins": "maps of several channels",
}


def open_map_file(path: Path, options: ReadOptions | None = None) -> MapFile:
    """Open one file, map store or zarr folder by its content.

    Raw float32, which may begin with anything, is known by its ending .f32; or, whatever its ending, where
    options.raw_shape is given and nothing else is told by what the file begins with.

    Options that mean nothing for this file are left to `check_options`, which sees all files.

    Raises:
      FileNotFoundError: there is nothing at `path`.
      ValueError: nothing this project reads, a broken file, or one that says what no map can have (an angle
        or source redshift that is not positive, a redshift other than the one in its name).
    """
    path, options = Path(path), options or ReadOptions()
    found = _reader(path, options)(path, options)
    if found.bins:  # a redshift in the name is of none of them, or not known of which
        check_said(Path("_"), found.side_deg, None)
        return found
    redshift = check_said(path, found.side_deg, found.source_redshift)
    return dataclasses.replace(found, source_redshift=redshift)


def check_options(files: Sequence[MapFile], options: ReadOptions) -> None:
    """Refuse an option that means nothing for any of the files.

    Where files of several kinds come together (FITS to train on, HDF5 beside them), it is enough that an
    option means something for one of them.

    Raises:
      ValueError: names the option and the first file.
    """
    for field in dataclasses.fields(options):
        value = getattr(options, field.name)
        used = any(field.name in file.options_used for file in files)
        if field.name in _FOR and value != field.default and files and not used:
            given = ",".join(map(str, value)) if isinstance(value, tuple) else value
            first = f"{files[0].path} ({files[0].format})"
            raise ValueError(f"{field.name}={given} is for {_FOR[field.name]}, and none is given: {first}")


def _reader(path: Path, options: ReadOptions) -> Callable[[Path, ReadOptions], MapFile]:
    if path.is_dir():
        return open_zarr_maps if is_zarr(path) and not is_map_store(path) else open_store
    if path.name.lower().endswith(_RAW_ENDING):
        return open_raw
    with open(path, "rb") as file:
        start = file.read(32)
    for magic, _, reader in _MAGIC:
        # Two bytes may be those of a number: then the file's size decides.
        unsure = len(magic) < 4 and options.raw_shape and fits_raw_shape(path, options.raw_shape)
        if start.startswith(magic) and not unsure:
            return reader
    if is_kappatng(path):
        return open_kappatng
    if options.raw_shape and start and not path.name.lower().endswith(_OTHER_ENDINGS):
        return open_raw
    what = next((advice for magic, advice in _ADVICE if start.startswith(magic)), None)
    if not start:
        what = "empty"
    known = f"none of {', '.join(name for _, name, _ in _MAGIC)}, a map store, zarr or raw {_RAW_ENDING}"
    raw = "" if what else "; raw float32 goes with --raw_shape"
    raise ValueError(f"{path} is {what or f'{known}: it begins with {start[:12]!r}{raw}'}")
