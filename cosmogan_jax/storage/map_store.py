"""Convergence maps on disk: one sharded, checksummed zarr3 array and a manifest beside it.

<store>/kappa/          zarr3 array (map, row, column), float32, one map a chunk, CRC32C per chunk
<store>/written.json    how many maps are on disk while the store is written
<store>/manifest.json   geometry, units, origin of every map; written last, so that a store whose
                        writing was cut off has none and is refused
"""

import dataclasses
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import tensorstore as ts
from jaxtyping import Float

from cosmogan_jax.geometry import MapGeometry
from cosmogan_jax.storage.arrays import create_array, images_per_shard, open_array
from cosmogan_jax.storage.json_files import read_json, write_json

FORMAT = "cosmogan_jax map store"
VERSION = 1
_SHARD_BYTES = 64 * 2**20


@dataclasses.dataclass(frozen=True)
class MapStore:
    """An open map store: the manifest in memory, the maps on disk."""

    path: Path
    manifest: dict[str, Any]
    array: ts.TensorStore

    @property
    def num_maps(self) -> int:
        """Number of maps."""
        return self.manifest["shape"][0]

    @property
    def geometry(self) -> MapGeometry:
        """Pixels and side of every map."""
        return MapGeometry(self.manifest["shape"][1], self.manifest["side_deg"])

    def read(self, start: int = 0, stop: int | None = None) -> Float[np.ndarray, "maps height width"]:
        """Maps start to stop as float32; a chunk whose checksum fails raises ValueError."""
        stop = self.num_maps if stop is None else stop
        return self.array[start:stop].read().result()


def maps_written(path: Path) -> int:
    """How many maps of a store that is being written are on disk; a run that was cut off goes on from there."""
    journal = Path(path) / "written.json"
    return read_json(journal)["maps"] if journal.is_file() else 0


def write_map_store(
    path: Path,
    batches: Iterable[Float[np.ndarray, "batch height width"]],
    num_maps: int,
    geometry: MapGeometry,
    manifest: dict[str, Any],
    start: int = 0,
) -> MapStore:
    """Write maps batch by batch; memory holds one shard (64 MiB) and one batch at a time.

    Args:
      start: the map the batches begin with. Above 0, what was written of this store before is gone on with;
        it must be maps_written(path).

    Raises:
      ValueError: a map of another shape, non-finite values, or another number of maps than announced.
      FileExistsError: there is a store at this path.
    """
    path = Path(path)
    if (path / "manifest.json").exists():
        raise FileExistsError(f"map store {path} exists already")
    if start != 0 and start != maps_written(path):
        raise ValueError(f"start={start}: the store at {path} holds {maps_written(path)} maps")
    size = geometry.num_pixels
    shape, shard = (num_maps, size, size), images_per_shard(num_maps, size, _SHARD_BYTES)
    if start:
        array = open_array(path / "kappa", shape, write=True)
    else:
        (path / "written.json").unlink(missing_ok=True)
        array = create_array(path / "kappa", shape, (shard, size, size), ["map", "row", "column"])
    written, pending = start, []
    for batch in batches:
        batch = np.asarray(batch, np.float32)
        if batch.shape[1:] != (size, size):
            raise ValueError(f"maps of shape {batch.shape[1:]} do not fit a store of ({size}, {size})")
        if not np.isfinite(batch).all():
            bad = written + sum(map(len, pending)) + int(np.argmin(np.isfinite(batch).all(axis=(1, 2))))
            raise ValueError(f"map {bad} holds non-finite values")
        pending.append(batch)
        # Whole shards only: writing into a part of one reads and writes it again.
        if sum(map(len, pending)) >= shard:
            ready = np.concatenate(pending)
            whole = len(ready) - len(ready) % shard
            written = _write(path, array, written, ready[:whole])
            pending = [ready[whole:]]
    if sum(map(len, pending)):
        written = _write(path, array, written, np.concatenate(pending))
    if written != num_maps or num_maps == 0:
        raise ValueError(f"num_maps={num_maps} announced, {written} maps given")
    full = {
        "format": FORMAT,
        "version": VERSION,
        "shape": [num_maps, size, size],
        "dtype": "float32",
        "quantity": "convergence kappa",
        "unit": "dimensionless",
        "side_deg": geometry.side_deg,
        **manifest,
    }
    write_json(path / "manifest.json", full)
    (path / "written.json").unlink()
    return MapStore(path, full, array)


def _write(path: Path, array, first: int, maps: np.ndarray) -> int:
    if first + len(maps) > array.shape[0]:
        raise ValueError(f"num_maps={array.shape[0]} announced, more maps given")
    array[first : first + len(maps)].write(maps).result()
    write_json(path / "written.json", {"maps": first + len(maps)})
    return first + len(maps)


def open_map_store(path: Path) -> MapStore:
    """Open a whole store.

    Raises:
      ValueError: no store, one whose writing was cut off, or one of an unknown version.
    """
    path = Path(path)
    if not (path / "manifest.json").is_file():
        cut_off = " (its writing was cut off)" if (path / "kappa").exists() else ""
        raise ValueError(f"{path} holds no whole map store{cut_off}: no manifest.json")
    manifest = read_json(path / "manifest.json")
    if manifest.get("format") != FORMAT or manifest.get("version") != VERSION:
        raise ValueError(
            f"{path}: format={manifest.get('format')!r} version={manifest.get('version')!r}, "
            f"expected {FORMAT!r} version {VERSION}"
        )
    return MapStore(path, manifest, open_array(path / "kappa", tuple(manifest["shape"])))
