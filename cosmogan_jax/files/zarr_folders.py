"""Folders that zarr-python or xarray wrote, of versions 2 and 3: their arrays, with their metadata."""

import base64
import binascii
import os
import struct
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import tensorstore as ts

from cosmogan_jax.files.fits_files import MOST_COMPRESSED
from cosmogan_jax.files.json_files import read_object
from cosmogan_jax.files.zarr_arrays import short

_MARKS = ("zarr.json", ".zgroup", ".zarray")


class ZarrArray(NamedTuple):
    """One array: its place below the folder ("" where the folder is the array), and what its metadata say.

    attributes: with _FillValue as a number, where xarray wrote it in base64.
    """

    name: str
    shape: tuple[int, ...]
    dtype: np.dtype
    attributes: dict[str, Any]
    driver: str


def is_zarr(path: Path) -> bool:
    """Return whether the folder is a zarr array or group."""
    return any((Path(path) / mark).is_file() for mark in _MARKS)


def find_arrays(path: Path) -> tuple[list[ZarrArray], dict[str, Any]]:
    """Find all arrays of a group, in the order of their names, and the group's own attributes.

    Raises:
      ValueError: metadata that are none.
    """
    arrays: list[ZarrArray] = []
    own: dict[str, Any] = {}
    for folder, folders, files in os.walk(path):
        here = Path(folder)
        kind, metadata, attributes = _node(here, files)
        folders.sort()
        if kind != "group":
            folders.clear()  # of chunks, or of what is no part of it
        if here == Path(path):
            own = attributes
        if kind != "array":
            continue
        name = here.relative_to(path).as_posix()
        shape = metadata.get("shape")
        if not isinstance(shape, list) or any(type(n) is not int or n < 0 for n in shape):
            raise ValueError(f"{here}: shape={shape} is none of an array")
        driver = "zarr3" if "zarr.json" in files else "zarr"
        dtype = _dtype(metadata.get("data_type" if driver == "zarr3" else "dtype"))
        name = "" if name == "." else name
        attributes = _decoded(attributes)
        if driver == "zarr" and "scale_factor" in attributes:  # where xarray writes it in version 2
            attributes.setdefault("_FillValue", metadata.get("fill_value"))
        arrays.append(ZarrArray(name, tuple(shape), dtype, attributes, driver))
    return arrays, own


def open_zarr(path: Path, array: ZarrArray) -> Any:
    """Open an array, to be read by slices.

    Raises:
      ValueError: it cannot be opened, contradicts its metadata, or takes far more memory than its files.
    """
    place = Path(path) / array.name
    stored = sum(file.stat().st_size for file in place.rglob("*") if file.is_file())
    if int(np.prod(array.shape, dtype=object)) * array.dtype.itemsize > MOST_COMPRESSED * stored:
        raise ValueError(f"{place} of shape {list(array.shape)} is not written: {stored} bytes of it are there")
    spec = {"driver": array.driver, "kvstore": {"driver": "file", "path": f"{place.resolve()}/"}}
    try:
        opened = ts.open(spec, read=True).result()
    except ValueError as error:
        raise ValueError(f"{place}: the array cannot be opened: {short(error)}") from error
    if opened.shape != array.shape:
        raise ValueError(f"{place}: its shape is {list(opened.shape)}, its metadata say {list(array.shape)}")
    chunk = opened.chunk_layout.read_chunk.shape or ()
    needed = int(np.prod([n or 1 for n in chunk], dtype=object)) * array.dtype.itemsize
    if needed > MOST_COMPRESSED * stored:
        raise ValueError(f"{place}: a chunk of {list(chunk)} takes {needed} bytes, {stored} are there")
    return opened


def read_zarr(path: Path, array: ZarrArray, opened: Any) -> np.ndarray:
    """Read a slice of an opened array.

    Raises:
      ValueError: a chunk that is damaged.
    """
    try:
        return np.asarray(opened.read().result())
    except (ValueError, OSError) as error:
        raise ValueError(f"{Path(path) / array.name} cannot be read: {short(error)}") from error


def _node(here: Path, files: list[str]) -> tuple[str, dict[str, Any], dict[str, Any]]:
    """Read what a folder is (group, array or nothing), its metadata and its attributes."""
    if "zarr.json" in files:
        metadata = read_object(here / "zarr.json", {})
        attributes = metadata.get("attributes")
        kind = metadata.get("node_type")
        return str(kind), metadata, attributes if isinstance(attributes, dict) else {}
    attributes = read_object(here / ".zattrs", {}) if ".zattrs" in files else {}
    if ".zarray" in files:
        return "array", read_object(here / ".zarray", {}), attributes
    return ("group" if ".zgroup" in files else "nothing"), {}, attributes


def _dtype(name: Any) -> np.dtype:
    """Return NumPy's dtype of a name; that of bytes, which no map has, where it knows none."""
    try:
        return np.dtype(name) if isinstance(name, str) else np.dtype("V1")
    except (TypeError, ValueError, SyntaxError):
        return np.dtype("V1")


def _decoded(attributes: dict[str, Any]) -> dict[str, Any]:
    fill = attributes.get("_FillValue")
    if isinstance(fill, str):
        try:
            (value,) = struct.unpack("<d", base64.b64decode(fill, validate=True))
        except (binascii.Error, struct.error, ValueError):
            return {name: value for name, value in attributes.items() if name != "_FillValue"}
        return {**attributes, "_FillValue": value}
    return attributes
