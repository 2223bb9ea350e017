"""Which reader a file needs, by what it begins with and its name; and the files that a pattern means."""

import dataclasses
import glob
import re
from collections.abc import Callable, Sequence
from pathlib import Path

from cosmogan_jax.storage.fits_files import ENDINGS as FITS_ENDINGS
from cosmogan_jax.storage.map_store import is_map_store
from cosmogan_jax.storage.readers.fits import open_fits
from cosmogan_jax.storage.readers.hdf5 import open_hdf5
from cosmogan_jax.storage.readers.map_file import MapFile, ReadOptions
from cosmogan_jax.storage.readers.npy import open_npy, open_raw
from cosmogan_jax.storage.readers.store import open_store

_RAW_ENDINGS = (".f32",)
_ENDINGS = (".npy", *FITS_ENDINGS, ".h5", ".hdf5", ".he5", *_RAW_ENDINGS)
_MAGIC = (
    (b"\x93NUMPY", "npy", open_npy),
    (b"SIMPLE  =", "FITS", open_fits),
    (b"\x1f\x8b", "gzipped FITS", open_fits),
    (b"\x89HDF\r\n\x1a\n", "HDF5", open_hdf5),
)
_ADVICE = (
    (b"PK\x03\x04", "a zip or npz archive; save the array of maps alone, as npy"),
    (b"\x80", "a pickle, which is never loaded; save the maps as npy"),
    (b"version https://git-lfs", "a pointer of Git LFS; fetch the file itself first"),
)
# Columbia Lensing's WLconv_z1.00_0001r.fits; a decimal point is asked for, or snap_z99 would be redshift 99.
_NAMED_REDSHIFT = re.compile(r"(?:^|[_\-.])zs?_?(\d+\.\d+)(?=[_\-.]|$)")


def open_map_file(path: Path, options: ReadOptions | None = None) -> MapFile:
    """Open one file, or a map store, by its content; only raw .f32, which has none to tell, by its name.

    Raises:
      FileNotFoundError: there is nothing at `path`.
      ValueError: nothing this project reads, or a broken file; what it looks like is said.
    """
    path, options = Path(path), options or ReadOptions()
    found = _reader(path)(path, options)
    if found.source_redshift is None and (named := _NAMED_REDSHIFT.search(path.name)):
        found = dataclasses.replace(found, source_redshift=float(named[1]))
    return found


def find_map_files(patterns: Sequence[str]) -> list[Path]:
    """Files and map stores that the patterns mean, in order, each once.

    A pattern is a file, a map store, a folder (all files in it with a known ending) or a glob (** goes down
    folders). The files of one folder or glob are in natural order: map_2 before map_10.

    Raises:
      ValueError: a pattern that means no file.
    """
    found: dict[Path, None] = {}
    for pattern in patterns:
        path = Path(pattern).expanduser()
        if path.is_dir() and not is_map_store(path):
            inside = [p for p in path.iterdir() if p.name.endswith(_ENDINGS) and p.is_file()]
            if not inside:
                raise ValueError(f"maps={pattern}: the folder holds no file that ends in {' '.join(_ENDINGS)}")
        elif path.exists():
            inside = [path]
        else:
            inside = [Path(p) for p in glob.glob(str(path), recursive=True)]
            inside = [p for p in inside if p.is_file() or is_map_store(p)]
            if not inside:
                raise ValueError(f"maps={pattern}: no such file, folder or glob")
        found.update(dict.fromkeys(sorted(inside, key=_natural)))
    return list(found)


def _reader(path: Path) -> Callable[[Path, ReadOptions], MapFile]:
    if path.is_dir():
        return open_store
    with open(path, "rb") as file:
        start = file.read(32)
    for magic, _, reader in _MAGIC:
        if start.startswith(magic):
            return reader
    if path.name.endswith(_RAW_ENDINGS):
        return open_raw
    what = next((advice for magic, advice in _ADVICE if start.startswith(magic)), None)
    if not start:
        what = "empty"
    known = f"none of {', '.join(name for _, name, _ in _MAGIC)}, a map store or raw {' '.join(_RAW_ENDINGS)}"
    raise ValueError(f"{path} is {what or f'{known}: it begins with {start[:12]!r}'}")


def _natural(path: Path) -> list[tuple[int, int, str]]:
    parts = re.split(r"(\d+)", str(path))
    return [(1, int(part), part) if part.isdigit() else (0, 0, part) for part in parts]
