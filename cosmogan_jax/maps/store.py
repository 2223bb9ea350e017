"""Convergence maps on disk: one sharded, checksummed zarr3 array and a manifest beside it.

<store>/kappa/          zarr3 array (map, row, column, bin), float32, CRC32C per chunk; NaN where a pixel is
                        invalid. The last axis is that of source bins, of length 1 where there is one redshift
<store>/zarr.json       zarr3 group that holds the array, so that zarr and xarray open <store> itself
<store>/written.json    how many maps are on disk while the store is written
<store>/manifest.json   geometry, units, origin, split and parameters of every map, size and SHA-256 of every
                        shard (so that the manifest's own checksum identifies the store); written last, so that
                        a store whose writing was cut off has none and is refused

Of the manifest, "shape" is [maps, rows, columns, bins]; "side_deg" is the length of a column of pixels in
degrees (generated maps need not be square); "observed" says which shape noise and smoothing maps were given,
where they were; "parameters" is {name: [value of every map]} of what is known (omega_m, source_redshift and so
on), null where a map's value is not; "source_redshift" is null where it is not known or not one;
"bin_redshifts", where there are several bins, is each one's, null where it is not known. Stores of version 2
have neither the axis of bins nor parameters; they read alike.
"""

import contextlib
import dataclasses
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import tensorstore as ts
from jaxtyping import Float

from cosmogan_jax.files.json_files import check_object, read_json, read_object, write_json
from cosmogan_jax.files.zarr_arrays import (
    chunk_side,
    create_array,
    file_sizes,
    images_per_shard,
    open_array,
    shard_checksums,
    short,
)
from cosmogan_jax.geometry import MapGeometry
from cosmogan_jax.maps.parameters import Parameters, check_parameters, is_value

FORMAT = "cosmogan_jax map store"
VERSION = 3
_WITHOUT_BINS = 2  # a version whose arrays have three axes
_SHARD_BYTES = 64 * 2**20
_FIELDS = {"shape": list, "side_deg": float, "invalid_pixels": int, "shards": dict, "sha256": dict}


@dataclasses.dataclass(frozen=True)
class MapStore:
    """An open map store: the manifest in memory, the maps on disk; four axes, whatever the version.

    bin: the one of several bins that is read; all of them where it is None.
    """

    path: Path
    manifest: dict[str, Any]
    array: ts.TensorStore
    bin: int | None = None

    @property
    def num_maps(self) -> int:
        """Number of maps."""
        return self.manifest["shape"][0]

    @property
    def geometry(self) -> MapGeometry:
        """Pixels and side of every map.

        Raises:
          ValueError: they are not square.
        """
        rows, columns = self.manifest["shape"][1:3]
        if rows != columns:
            raise ValueError(
                f"{self.path} holds maps of {rows}x{columns} pixels: here maps must be square; others can be "
                "exported as npy"
            )
        return MapGeometry(rows, self.manifest["side_deg"])

    @property
    def image_shape(self) -> tuple[int, int]:
        """Rows and columns of every map, which need not be as many."""
        return self.manifest["shape"][1], self.manifest["shape"][2]

    def crop_geometry(self, num_pixels: int) -> MapGeometry:
        """Geometry of a square of so many pixels of the maps', square or not.

        Raises:
          ValueError: the maps are smaller.
        """
        rows, columns = self.image_shape
        if num_pixels > min(rows, columns):
            raise ValueError(f"crop num_pixels={num_pixels} must be at most {min(rows, columns)}")
        return MapGeometry(num_pixels, self.manifest["side_deg"] * num_pixels / rows)

    @property
    def num_bins(self) -> int:
        """Number of source bins, the last axis of the maps."""
        return self.array.shape[3]

    @property
    def bin_redshifts(self) -> tuple[float | None, ...]:
        """Source redshift of each bin that is stored, None where it is not known."""
        if "bin_redshifts" in self.manifest:
            return tuple(self.manifest["bin_redshifts"])
        bins = self.manifest["shape"][3] if self.manifest["version"] == VERSION else 1
        return (self.manifest.get("source_redshift"),) * bins if bins == 1 else (None,) * bins

    @property
    def source_redshift(self) -> float | None:
        """Of the maps that are read; None where it is not known, or not one."""
        return self.manifest.get("source_redshift") if self.bin is None else self.bin_redshifts[self.bin]

    def only(self, number: int) -> "MapStore":
        """The same store, of which one bin is read.

        Raises:
          ValueError: it has no such bin.
        """
        if not 0 <= number < self.num_bins:
            raise ValueError(f"{self.path}: bin={number} must lie in 0 to {self.num_bins - 1}")
        return dataclasses.replace(self, array=self.array[..., number : number + 1], bin=number)

    def with_cache(self, cache_bytes: int) -> "MapStore":
        """The same, opened anew with room for chunks that were read."""
        opened = open_map_store(self.path, cache_bytes=cache_bytes)
        return opened if self.bin is None else opened.only(self.bin)

    @property
    def parameters(self) -> Parameters:
        """What is known of every map, by name; None where a map's value is not."""
        return self.manifest.get("parameters", {})

    def read(self, start: int = 0, stop: int | None = None) -> Float[np.ndarray, "maps height width bins"]:
        """Maps start to stop as float32; a chunk whose checksum fails raises ValueError."""
        stop = self.num_maps if stop is None else stop
        with whole_maps(self.path):
            return self.array[start:stop].read().result()

    def batches(self) -> Iterator[Float[np.ndarray, "batch height width bins"]]:
        """All maps in order, a shard (64 MiB) at a time."""
        step = images_per_shard(self.num_maps, self.array.shape[1:], _SHARD_BYTES)
        for start in range(0, self.num_maps, step):
            yield self.read(start, min(start + step, self.num_maps))

    def identity(self) -> dict[str, Any]:
        """What makes this store the data set it is: pixels by checksum, geometry, redshift, splits, parameters.

        Not where the maps came from: the same maps from files that were moved are the same data set.
        """
        keys: tuple[str, ...] = ("shape", "side_deg", "source_redshift", "splits", "parents", "boxes", "sha256")
        keys += ("bin_redshifts",) if "bin_redshifts" in self.manifest else ()
        said = {key: self.manifest.get(key) for key in keys}
        # Stores without parameters are what they were before there were any.
        return said | ({"parameters": dict(self.parameters)} if self.parameters else {})

    def verify(self) -> None:
        """Read everything once.

        Raises:
          ValueError: a chunk whose checksum fails, or that is missing.
        """
        every = self if self.bin is None else open_map_store(self.path)
        invalid = sum(int((~np.isfinite(maps)).sum()) for maps in every.batches())
        if invalid != self.manifest["invalid_pixels"]:
            raise ValueError(
                f"{self.path}: {invalid} invalid pixels, the manifest says {self.manifest['invalid_pixels']}"
            )


@contextlib.contextmanager
def whole_maps(path: Path) -> Iterator[None]:
    """What TensorStore says of a chunk that is not what was written, with the store's name and the way out."""
    try:
        yield
    except (ValueError, OSError) as error:
        raise ValueError(
            f"{path} is damaged: {short(error)}; remove it with the directory of the stage that made it, and "
            "the same command makes it again"
        ) from error


def maps_written(path: Path) -> int:
    """How many maps of a store that is being written are on disk; a run that was cut off goes on from there.

    None of a store that a version without the axis of bins began: it is begun anew.
    """
    journal = Path(path) / "written.json"
    if not journal.is_file():
        return 0
    axes = len(read_object(Path(path) / "kappa/zarr.json", {"shape": list})["shape"])
    return read_object(journal, {"maps": int})["maps"] if axes == 4 else 0


def write_map_store(
    path: Path,
    batches: Iterable[Float[np.ndarray, "batch height width"] | Float[np.ndarray, "batch height width bins"]],
    num_maps: int,
    geometry: MapGeometry,
    manifest: dict[str, Any],
    start: int = 0,
    *,
    num_bins: int = 1,
    num_columns: int | None = None,
    allow_invalid: bool = False,
) -> MapStore:
    """Write maps batch by batch; memory holds one shard (64 MiB) and one batch at a time.

    Args:
      batches: maps with the axis of bins, or without where there is one.
      manifest: what else is known of the maps; "splits", "parents" and "boxes" have one entry a map, and so has
        each of "parameters".
      num_columns: pixels of a row of maps that are not square; the geometry is then that of a column.
      start: the map the batches begin with. Above 0, what was written of this store before is gone on with;
        it must be maps_written(path).
      allow_invalid: NaN marks pixels that hold no convergence; they are stored and counted in the manifest.

    Raises:
      ValueError: a map of another shape, non-finite values, another number of maps than announced, parameters
        that are not one number a map, or a disk that takes no more.
      FileExistsError: there is a store at this path.
    """
    path = Path(path)
    if (path / "manifest.json").exists():
        raise FileExistsError(f"map store {path} exists already")
    if start and allow_invalid:
        raise ValueError(f"start={start}: invalid pixels are counted from the first map on")
    if start != 0 and start != maps_written(path):
        raise ValueError(f"start={start}: the store at {path} holds {maps_written(path)} maps")
    check_parameters(manifest.get("parameters", {}), num_maps, str(path))
    size = geometry.num_pixels
    image = (size, size if num_columns is None else num_columns, num_bins)
    shape, shard = (num_maps, *image), images_per_shard(num_maps, image, _SHARD_BYTES)
    if start:
        array = open_array(path / "kappa", shape, write=True)
    else:
        (path / "written.json").unlink(missing_ok=True)
        attributes = {"long_name": "convergence kappa", "units": "1", "side_deg": geometry.side_deg}
        array = create_array(
            path / "kappa",
            shape,
            (shard, *image),
            ["map", "row", "column", "bin"],
            chunk=(1, chunk_side(image[0]), chunk_side(image[1]), num_bins),
            attributes=attributes,
        )
    written, pending, held, invalid = start, [], 0, 0
    for batch in batches:
        batch = np.asarray(batch, np.float32)
        if batch.ndim == 3 and num_bins == 1:
            batch = batch[..., None]
        if batch.shape[1:] != image:
            fit = image if num_bins > 1 else image[:2]
            raise ValueError(f"maps of shape {batch.shape[1:]} do not fit a store of {fit}")
        if allow_invalid and not np.isinf(batch).any():
            invalid += int(np.isnan(batch).sum())
        elif not np.isfinite(batch).all():
            bad = written + held + int(np.argmin(np.isfinite(batch).all(axis=(1, 2, 3))))
            raise ValueError(f"map {bad} holds non-finite values")
        pending.append(batch)
        held += len(batch)
        # Whole shards only: writing into a part of one reads and writes it again.
        if held >= shard:
            ready = np.concatenate(pending)
            whole = len(ready) - len(ready) % shard
            written = _write(path, array, written, ready[:whole])
            # A copy: a view would hold the shard that is written.
            pending, held = [ready[whole:].copy()], len(ready) - whole
    if held:
        written = _write(path, array, written, np.concatenate(pending))
    if written != num_maps or num_maps == 0:
        raise ValueError(f"num_maps={num_maps} announced, {written} maps given")
    full = {
        "format": FORMAT,
        "version": VERSION,
        "shape": list(shape),
        "dtype": "float32",
        "quantity": "convergence kappa",
        "unit": "dimensionless",
        "side_deg": geometry.side_deg,
        "invalid_pixels": invalid,
        "shards": file_sizes(path / "kappa"),
        "sha256": shard_checksums(path / "kappa"),
        **manifest,
    }
    told = ("quantity", "unit", "side_deg", "source_redshift")
    attributes = {"title": FORMAT, **{key: full[key] for key in told if full.get(key) is not None}}
    # Consolidated: readers of zarr then list no files, and do not stumble over the manifest.
    inside = {
        "kind": "inline",
        "must_understand": False,
        "metadata": {"kappa": read_json(path / "kappa/zarr.json")},
    }
    group = {"zarr_format": 3, "node_type": "group", "attributes": attributes, "consolidated_metadata": inside}
    write_json(path / "zarr.json", group)
    write_json(path / "manifest.json", full)
    (path / "written.json").unlink()
    return MapStore(path, full, array)


def _write(path: Path, array, first: int, maps: np.ndarray) -> int:
    if first + len(maps) > array.shape[0]:
        raise ValueError(f"num_maps={array.shape[0]} announced, more maps given")
    try:
        array[first : first + len(maps)].write(maps).result()
    except ValueError as error:
        raise ValueError(f"{path} cannot be written: {short(error)}") from error
    write_json(path / "written.json", {"maps": first + len(maps)})
    return first + len(maps)


def is_map_store(path: Path) -> bool:
    """Whether the folder is a map store, or was to become one; a zarr group of others is none."""
    if (path / "manifest.json").is_file():
        return True
    group = path / "zarr.json"
    by_others = group.is_file() and FORMAT.encode() not in group.read_bytes()
    return (path / "kappa" / "zarr.json").is_file() and not by_others


def open_map_store(path: Path, cache_bytes: int = 0) -> MapStore:
    """Open a whole store; that no shard is missing or cut short is checked, checksums are on reading.

    Raises:
      ValueError: no store, one whose writing was cut off, one of an unknown version, or one that lacks a part.
    """
    path = Path(path)
    if not (path / "manifest.json").is_file():
        cut_off = " (its writing was cut off)" if (path / "kappa").exists() else ""
        raise ValueError(f"{path} holds no whole map store{cut_off}: no manifest.json")
    manifest = read_object(path / "manifest.json", {})
    if manifest.get("format") != FORMAT or manifest.get("version") not in (_WITHOUT_BINS, VERSION):
        raise ValueError(
            f"{path}: format={manifest.get('format')!r} version={manifest.get('version')!r}, "
            f"expected {FORMAT!r} version {_WITHOUT_BINS} or {VERSION}"
        )
    _check_manifest(path / "manifest.json", manifest)
    found = file_sizes(path / "kappa")
    for name, size in manifest["shards"].items():
        if found.get(name) != size:
            raise ValueError(f"{path}/kappa/{name} has {found.get(name, 0)} bytes of {size}: not a whole store")
    array = open_array(path / "kappa", tuple(manifest["shape"]), cache_bytes=cache_bytes)
    if manifest["version"] == _WITHOUT_BINS:
        array = array[..., ts.newaxis]  # a view: what is read has the axis, what is on disk stays as it is
    return MapStore(path, manifest, array)


def _check_manifest(path: Path, manifest: dict[str, Any]) -> None:
    """What is relied on without asking; shards are only looked for among the array's own files."""
    check_object(manifest, _FIELDS, path)
    shape = manifest["shape"]
    axes = ["maps", "rows", "columns"] + (["bins"] if manifest["version"] == VERSION else [])
    if len(shape) != len(axes) or any(type(n) is not int or n < 1 for n in shape):
        raise ValueError(f"{path}: shape={shape} is not that of maps, [{', '.join(axes)}]")
    check_object(manifest["shards"], dict.fromkeys(manifest["shards"], int), f"{path}, shards")
    for name in ("splits", "parents", "boxes"):
        labels = manifest.get(name, [None] * shape[0])
        if not isinstance(labels, list) or len(labels) != shape[0]:
            raise ValueError(f"{path}: {name} must have one entry for each of {shape[0]} maps")
        if any(isinstance(label, (list, dict)) for label in labels):
            raise ValueError(f"{path}: {name} must be words or numbers")
    check_parameters(manifest.get("parameters", {}), shape[0], str(path))
    bins = shape[3] if manifest["version"] == VERSION else 1
    redshifts = manifest.get("bin_redshifts", [None] * bins)
    known = isinstance(redshifts, list) and all(z is None or is_value(z) for z in redshifts)
    if not known or len(redshifts) != bins:
        raise ValueError(f"{path}: bin_redshifts must be a number or null for each of {bins} bins")
    for name, kinds in (("source_redshift", (float, type(None))), ("origin", dict)):
        if name in manifest:
            check_object(manifest, {name: kinds}, path)
