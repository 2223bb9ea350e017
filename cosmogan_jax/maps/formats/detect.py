"""Which format a file is of: by what it begins with, by its name, by the options."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

from cosmogan_jax.maps.formats import table
from cosmogan_jax.maps.formats.header_numbers import checked_redshift
from cosmogan_jax.maps.formats.map_file import MapFile, ReadOptions
from cosmogan_jax.maps.formats.masks import MaskFile, as_mask_file
from cosmogan_jax.maps.formats.npy import fits_raw_shape
from cosmogan_jax.maps.formats.table import MapFormat

_ADVICE = (
    (b"PK\x05\x06", "an archive of nothing"),
    (b"\x80", "a pickle, which is never loaded; save the maps as npy"),
    (b"BZh", "compressed by bzip2; decompress it first"),
    (b"version https://git-lfs", "a pointer of Git LFS; fetch the file itself first"),
)
# Options that go with an array's axes, whatever its format.
_FOR_ARRAYS = {
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
    map_format = _format_of(path, options)
    maps = map_format.open(path, options)
    maps = dataclasses.replace(maps, options_used=maps.options_used | map_format.options.keys())
    if maps.bins:  # a redshift in the name is of none of them, or not known of which
        checked_redshift(Path("_"), maps.side_deg, None)
        return maps
    redshift = checked_redshift(path, maps.side_deg, maps.source_redshift)
    return dataclasses.replace(maps, source_redshift=redshift)


def open_mask_file(path: Path) -> MaskFile:
    """Open the masks of a FITS image, an npy file or the one dataset (or the one called mask) of an HDF5 file.

    (row, column), or (mask, row, column); of truth values, whole or floating-point numbers, which are 0 or 1.

    Raises:
      ValueError: another kind of file, a broken one, an array of other axes; on loading, other values.
      ModuleNotFoundError: astropy or h5py is not installed.
    """
    start = _first_bytes(path)
    reads = next((row.masks for row in table.FORMATS if row.masks and start.startswith(row.begins)), None)
    if reads is None:
        known = table.listed([row.name for row in table.FORMATS if row.masks], "and")
        raise ValueError(f"mask={path} is none of {known}: it begins with {start[:9]!r}")
    return as_mask_file(path, reads(path))


def check_options(files: Sequence[MapFile], options: ReadOptions) -> None:
    """Refuse an option that means nothing for any of the files.

    Where files of several kinds come together (FITS to train on, HDF5 beside them), it is enough that an
    option means something for one of them.

    Raises:
      ValueError: names the option and the first file.
    """
    for field in dataclasses.fields(options):
        value = getattr(options, field.name)
        goes_with = _goes_with(field.name)
        used = any(field.name in file.options_used for file in files)
        if goes_with and value != field.default and files and not used:
            shown = ",".join(map(str, value)) if isinstance(value, tuple) else value
            first = f"{files[0].path} ({files[0].format})"
            raise ValueError(f"{field.name}={shown} is for {goes_with}, and none is given: {first}")


def _goes_with(option: str) -> str | None:
    """Return in words which files an option is for; None where it goes with another option only."""
    files = [row.options[option] for row in table.FORMATS if option in row.options]
    return table.listed(files, "and") if files else _FOR_ARRAYS.get(option)


def _format_of(path: Path, options: ReadOptions) -> MapFormat:
    if path.is_dir():
        return table.folder_format(path) or table.STORE
    name = path.name.lower()
    if name.endswith(table.RAW.endings):
        return table.RAW
    start = _first_bytes(path)
    for row in table.FORMATS:
        for first in row.begins:
            # Two bytes may be those of a number: then the file's size decides.
            unsure = len(first) < 4 and options.raw_shape and fits_raw_shape(path, options.raw_shape)
            if start.startswith(first) and not unsure:
                return row
    for row in table.FORMATS:
        if row.is_one and not row.folder and row.is_one(path):
            return row
    # What calls itself by another format's ending and is not of it is broken, and no raw array.
    if options.raw_shape and start and not name.endswith(table.endings()):
        return table.RAW
    kind = next((advice for first, advice in _ADVICE if start.startswith(first)), None if start else "empty")
    known = table.listed([row.name for row in table.FORMATS], "and")
    unknown = f"none of {known}: it begins with {start[:12]!r}; raw float32 goes with --raw_shape"
    raise ValueError(f"{path} is {kind or unknown}")


def _first_bytes(path: Path) -> bytes:
    with open(path, "rb") as file:
        return file.read(32)
