"""Convergence maps on disk: one sharded, checksummed zarr3 array and a manifest beside it.

<store>/kappa/          zarr3 array (map, row, column), float32, one map a chunk, CRC32C per chunk
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


def write_map_store(
    path: Path,
    batches: Iterable[Float[np.ndarray, "batch height width"]],
    num_maps: int,
    geometry: MapGeometry,
    manifest: dict[str, Any],
) -> MapStore:
    """Write maps batch by batch into a new store; memory holds one shard (64 MiB) at a time.

    Raises:
      ValueError: a map of another shape, non-finite values, or another number of maps than announced.
      FileExistsError: there is a store at this path.
    """
    path = Path(path)
    if (path / "manifest.json").exists():
        raise FileExistsError(f"map store {path} exists already")
    size = geometry.num_pixels
    shard = max(1, min(num_maps, _SHARD_BYTES // (4 * size * size)))
    array = ts.open(
        {
            "driver": "zarr3",
            "kvstore": {"driver": "file", "path": f"{path.resolve() / 'kappa'}/"},
            "metadata": {
                "shape": [num_maps, size, size],
                "data_type": "float32",
                "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": [shard, size, size]}},
                "codecs": [
                    {
                        "name": "sharding_indexed",
                        "configuration": {
                            "chunk_shape": [1, size, size],
                            "codecs": [
                                {"name": "bytes", "configuration": {"endian": "little"}},
                                {"name": "crc32c"},
                            ],
                        },
                    }
                ],
                "dimension_names": ["map", "row", "column"],
            },
        },
        create=True,
        delete_existing=True,
    ).result()
    written, pending = 0, []
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
            written = _write(array, written, ready[:whole], num_maps)
            pending = [ready[whole:]]
    if sum(map(len, pending)):
        written = _write(array, written, np.concatenate(pending), num_maps)
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
    return MapStore(path, full, array)


def _write(array, first: int, maps: np.ndarray, num_maps: int) -> int:
    if first + len(maps) > num_maps:
        raise ValueError(f"num_maps={num_maps} announced, more maps given")
    array[first : first + len(maps)].write(maps).result()
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
    array = _open_array(path)
    if list(array.shape) != manifest["shape"]:
        raise ValueError(
            f"{path}: the array's shape {list(array.shape)} is not the manifest's {manifest['shape']}"
        )
    return MapStore(path, manifest, array)


def _open_array(path: Path):
    spec = {"driver": "zarr3", "kvstore": {"driver": "file", "path": f"{path.resolve() / 'kappa'}/"}}
    try:
        return ts.open(spec, read=True).result()
    except ValueError as error:
        raise ValueError(f"{path}: the array cannot be opened: {str(error).splitlines()[0][:200]}") from error
