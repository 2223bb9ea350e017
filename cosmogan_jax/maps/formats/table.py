"""The one table of map formats: how each is known, what opens it, which options are for it.

A format is known by a file's first bytes; where these do not tell it, by `is_one`, which looks at more of the
file; a folder by `is_one` alone. Its ending says which files a folder or glob means.
"""

import dataclasses
from collections.abc import Callable, Mapping
from pathlib import Path

from cosmogan_jax.files.fits_files import ENDINGS as FITS_ENDINGS
from cosmogan_jax.files.zarr_folders import is_zarr
from cosmogan_jax.maps.formats.fits import open_fits
from cosmogan_jax.maps.formats.hdf5 import open_hdf5
from cosmogan_jax.maps.formats.map_file import MapFile, ReadOptions
from cosmogan_jax.maps.formats.masks import MaskArray, fits_masks, hdf5_masks, npy_masks
from cosmogan_jax.maps.formats.npy import is_kappatng, open_kappatng, open_npy, open_raw
from cosmogan_jax.maps.formats.npz import open_npz
from cosmogan_jax.maps.formats.store import open_store
from cosmogan_jax.maps.formats.zarr import open_zarr_maps
from cosmogan_jax.maps.store import is_map_store


@dataclasses.dataclass(frozen=True)
class MapFormat:
    """A format that maps are read from.

    Attributes:
      name: in messages.
      open: gives the maps of a file or folder.
      endings: of its files, in small letters.
      begins: first bytes, any of which tell the format.
      is_one: tells whether a file is of this format where endings and first bytes do not, or a folder where
        `folder` says so.
      options: the `ReadOptions` that are for this format, or for a few, and what its files are called where
        such an option is refused.
      masks: reads survey masks; None where masks are not read from this format.
    """

    name: str
    open: Callable[[Path, ReadOptions], MapFile]
    endings: tuple[str, ...] = ()
    begins: tuple[bytes, ...] = ()
    is_one: Callable[[Path], bool] | None = None
    folder: bool = False
    options: Mapping[str, str] = dataclasses.field(default_factory=dict)
    masks: Callable[[Path], MaskArray] | None = None

    def __post_init__(self):
        if not (self.begins or self.is_one or self.endings):
            raise ValueError(f"map format {self.name}: neither begins, is_one nor endings tell its files")
        if self.folder and self.is_one is None:
            raise ValueError(f"map format {self.name}: a folder is told by is_one alone")
        if unknown := self.options.keys() - {field.name for field in dataclasses.fields(ReadOptions)}:
            raise ValueError(f"map format {self.name}: ReadOptions has no option {', '.join(sorted(unknown))}")


# Raw pixels may begin with anything: the ending tells them, or --raw_shape where nothing else is told.
RAW = MapFormat("raw float32", open_raw, (".f32",), options={"raw_shape": "raw files"})
# What a folder that is none of these is opened as, for the reason why it is none.
STORE = MapFormat("map store", open_store, is_one=is_map_store, folder=True)
FORMATS: tuple[MapFormat, ...] = (
    MapFormat("npy", open_npy, (".npy",), (b"\x93NUMPY",), masks=npy_masks),
    MapFormat(
        "FITS",
        open_fits,
        (*FITS_ENDINGS, ".fits.fz"),
        (b"SIMPLE  =", b"\x1f\x8b"),  # the second: gzipped
        options={"fits_extension": "FITS files"},
        masks=fits_masks,
    ),
    MapFormat(
        "HDF5",
        open_hdf5,
        (".h5", ".hdf5", ".he5"),
        (b"\x89HDF\r\n\x1a\n",),
        options={"hdf5_dataset": "HDF5 files"},
        masks=hdf5_masks,
    ),
    STORE,  # before zarr: a map store is a zarr group too
    MapFormat("zarr", open_zarr_maps, is_one=is_zarr, folder=True, options={"hdf5_dataset": "zarr groups"}),
    MapFormat("npz", open_npz, (".npz",), (b"PK\x03\x04",), options={"hdf5_dataset": "npz archives"}),
    MapFormat("kappaTNG", open_kappatng, (".dat",), is_one=is_kappatng),
    RAW,
)


def folder_format(path: Path) -> MapFormat | None:
    """Return the format of a folder that is one file of maps; None where it is none."""
    return next((row for row in FORMATS if row.folder and row.is_one and row.is_one(path)), None)


def endings() -> tuple[str, ...]:
    """Return the endings by which alone files are known as maps, in the table's order."""
    return tuple(ending for row in FORMATS if row.is_one is None for ending in row.endings)


def is_map_name(path: Path) -> bool:
    """Tell whether a file ends as those of a format do, and is one where the ending alone does not say so."""
    name = path.name.lower()
    return any(name.endswith(row.endings) and (row.is_one is None or row.is_one(path)) for row in FORMATS)


def listed(words: list[str], last: str) -> str:
    """Return words with commas between them, and `last` before the last one."""
    return f" {last} ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)
