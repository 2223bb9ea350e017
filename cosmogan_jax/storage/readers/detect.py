"""Which reader a file needs, by what it begins with and its name."""

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path

from cosmogan_jax.storage.readers.fits import open_fits
from cosmogan_jax.storage.readers.hdf5 import open_hdf5
from cosmogan_jax.storage.readers.map_file import MapFile, ReadOptions
from cosmogan_jax.storage.readers.npy import is_kappatng, open_kappatng, open_npy, open_raw
from cosmogan_jax.storage.readers.said import check_said
from cosmogan_jax.storage.readers.store import open_store

_RAW_ENDING = ".f32"
_MAGIC = (
    (b"\x93NUMPY", "npy", open_npy),
    (b"SIMPLE  =", "FITS", open_fits),
    (b"\x1f\x8b", "gzipped FITS", open_fits),
    (b"\x89HDF\r\n\x1a\n", "HDF5", open_hdf5),
)
_ADVICE = (
    (b"PK\x03\x04", "a zip or npz archive; save the array of maps alone, as npy"),
    (b"\x80", "a pickle, which is never loaded; save the maps as npy"),
    (b"BZh", "compressed by bzip2; decompress it first"),
    (b"version https://git-lfs", "a pointer of Git LFS; fetch the file itself first"),
)
_FOR = {
    "hdf5_dataset": "HDF5 files",
    "raw_shape": f"raw {_RAW_ENDING} files",
    "fits_extension": "FITS files",
    "channel": "arrays with a channel axis",
}


def open_map_file(path: Path, options: ReadOptions | None = None) -> MapFile:
    """Open one file, or a map store, by its content; raw .f32, which may begin with anything, by its name.

    Options that mean nothing for this file are left to `check_options`, which sees all files.

    Raises:
      FileNotFoundError: there is nothing at `path`.
      ValueError: nothing this project reads, a broken file, or one that says what no map can have (an angle
        or source redshift that is not positive, a redshift other than the one in its name).
    """
    path, options = Path(path), options or ReadOptions()
    found = _reader(path)(path, options)
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
        if value != field.default and files and not any(field.name in file.options_used for file in files):
            given = ",".join(map(str, value)) if isinstance(value, tuple) else value
            first = f"{files[0].path} ({files[0].format})"
            raise ValueError(f"{field.name}={given} is for {_FOR[field.name]}, and none is given: {first}")


def _reader(path: Path) -> Callable[[Path, ReadOptions], MapFile]:
    if path.is_dir():
        return open_store
    if path.name.lower().endswith(_RAW_ENDING):
        return open_raw
    with open(path, "rb") as file:
        start = file.read(32)
    for magic, _, reader in _MAGIC:
        if start.startswith(magic):
            return reader
    if is_kappatng(path):
        return open_kappatng
    what = next((advice for magic, advice in _ADVICE if start.startswith(magic)), None)
    if not start:
        what = "empty"
    known = f"none of {', '.join(name for _, name, _ in _MAGIC)}, a map store or raw {_RAW_ENDING}"
    raise ValueError(f"{path} is {what or f'{known}: it begins with {start[:12]!r}'}")
