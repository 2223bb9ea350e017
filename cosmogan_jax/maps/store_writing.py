"""Writing of map stores: whole shards, one after the other, and the manifest when all are on disk."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import tensorstore as ts
from jaxtyping import Float

from cosmogan_jax.files.json_files import read_json, read_object, write_json
from cosmogan_jax.files.zarr_arrays import (
    chunk_side,
    create_array,
    file_sizes,
    open_array,
    shard_checksums,
    short,
)
from cosmogan_jax.geometry import MapGeometry
from cosmogan_jax.maps.parameters import check_parameters
from cosmogan_jax.maps.store import MapStore, maps_per_shard, open_map_store
from cosmogan_jax.maps.store_manifest import FORMAT, VERSION


def maps_written(path: Path) -> int:
    """Return how many maps of a store that is being written are on disk.

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
    if start:
        _check_start(path, start, allow_invalid)
    check_parameters(manifest.get("parameters", {}), num_maps, str(path))
    rows = geometry.num_pixels
    image = (rows, rows if num_columns is None else num_columns, num_bins)
    shards, invalid = _Shards(path, (num_maps, *image), start, geometry.side_deg), 0
    for batch in batches:
        maps = _of_shape(np.asarray(batch, np.float32), image)
        invalid += _count_invalid(maps, shards.written + shards.held, allow_invalid)
        shards.add(maps)
    shards.finish()
    content = {
        "format": FORMAT,
        "version": VERSION,
        "shape": [num_maps, *image],
        "dtype": "float32",
        "quantity": "convergence kappa",
        "unit": "dimensionless",
        "side_deg": geometry.side_deg,
        "invalid_pixels": invalid,
        "shards": file_sizes(path / "kappa"),
        "sha256": shard_checksums(path / "kappa"),
        **manifest,
    }
    _write_group(path, content)
    write_json(path / "manifest.json", content)
    (path / "written.json").unlink()
    return open_map_store(path)


def _check_start(path: Path, start: int, allow_invalid: bool) -> None:
    if allow_invalid:
        raise ValueError(f"start={start}: invalid pixels are counted from the first map on")
    if start != maps_written(path):
        raise ValueError(f"start={start}: the store at {path} holds {maps_written(path)} maps")


class _Shards:
    """The array of a store that is being written: whole shards only, as long as maps come.

    Writing into a part of a shard reads and writes it again.

    Attributes:
      written: maps on disk.
      held: maps that wait for the rest of their shard.
    """

    def __init__(self, path: Path, shape: tuple[int, int, int, int], start: int, side_deg: float):
        num_maps, *image = shape
        self._path, self.written, self.held = path, start, 0
        self._num_maps, self._shard = num_maps, maps_per_shard(num_maps, tuple(image))
        self._pending: list[np.ndarray] = []
        if start:
            self._array: ts.TensorStore = open_array(path / "kappa", shape, write=True)
            return
        (path / "written.json").unlink(missing_ok=True)
        self._array = create_array(
            path / "kappa",
            shape,
            (self._shard, *image),
            ["map", "row", "column", "bin"],
            chunk=(1, chunk_side(image[0]), chunk_side(image[1]), image[2]),
            attributes={"long_name": "convergence kappa", "units": "1", "side_deg": side_deg},
        )

    def add(self, maps: Float[np.ndarray, "batch height width bins"]) -> None:
        """Write the shards that are full with these maps; ValueError for more maps than announced."""
        self._pending.append(maps)
        self.held += len(maps)
        if self.held >= self._shard:
            ready = np.concatenate(self._pending)
            full = len(ready) - len(ready) % self._shard
            self._write(ready[:full])
            # A copy: a view would hold the shard that is written.
            self._pending, self.held = [ready[full:].copy()], len(ready) - full

    def finish(self) -> None:
        """Write the last shard; ValueError for fewer maps than announced."""
        if self.held:
            self._write(np.concatenate(self._pending))
        if self.written != self._num_maps or self._num_maps == 0:
            raise ValueError(f"num_maps={self._num_maps} announced, {self.written} maps given")

    def _write(self, maps: np.ndarray) -> None:
        stop = self.written + len(maps)
        if stop > self._num_maps:
            raise ValueError(f"num_maps={self._num_maps} announced, more maps given")
        try:
            self._array[self.written : stop].write(maps).result()
        except ValueError as error:
            raise ValueError(f"{self._path} cannot be written: {short(error)}") from error
        write_json(self._path / "written.json", {"maps": stop})
        self.written = stop


def _of_shape(maps: np.ndarray, image: tuple[int, int, int]) -> np.ndarray:
    """Return the maps with the axis of bins; ValueError where their shape is another."""
    if maps.ndim == 3 and image[2] == 1:
        maps = maps[..., None]
    if maps.shape[1:] != image:
        fit = image if image[2] > 1 else image[:2]
        raise ValueError(f"maps of shape {maps.shape[1:]} do not fit a store of {fit}")
    return maps


def _count_invalid(maps: np.ndarray, first: int, allow_invalid: bool) -> int:
    """Return how many pixels are NaN; ValueError where they must not be, or are infinite, names the first map.

    first: the number of the first of these maps.
    """
    if allow_invalid and not np.isinf(maps).any():
        return int(np.isnan(maps).sum())
    finite = np.isfinite(maps).all(axis=(1, 2, 3))
    if not finite.all():
        raise ValueError(f"map {first + int(np.argmin(finite))} holds non-finite values")
    return 0


def _write_group(path: Path, content: dict[str, Any]) -> None:
    """Write the zarr group, consolidated: its readers then list no files, nor stumble over the manifest."""
    shown = ("quantity", "unit", "side_deg", "source_redshift")
    attributes = {"title": FORMAT, **{name: content[name] for name in shown if content.get(name) is not None}}
    inside = {
        "kind": "inline",
        "must_understand": False,
        "metadata": {"kappa": read_json(path / "kappa/zarr.json")},
    }
    group = {"zarr_format": 3, "node_type": "group", "attributes": attributes, "consolidated_metadata": inside}
    write_json(path / "zarr.json", group)
