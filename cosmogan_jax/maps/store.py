"""Convergence maps on disk: one sharded, checksummed zarr3 array and a manifest beside it.

<store>/kappa/          zarr3 array (map, row, column, bin), float32, CRC32C per chunk; NaN where a pixel is
                        invalid. The last axis is that of source bins, of length 1 where there is one redshift
<store>/zarr.json       zarr3 group that holds the array, so that zarr and xarray open <store> itself
<store>/written.json    how many maps are on disk while the store is written (`store_writing.py`)
<store>/manifest.json   geometry, units, origin, split and parameters of every map, size and SHA-256 of every
                        shard, so that the manifest's own checksum identifies the store (`store_manifest.py`);
                        written last, so that a store whose writing was cut off has none and is refused
"""

import contextlib
import dataclasses
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import tensorstore as ts
from jaxtyping import Float

from cosmogan_jax.files.json_files import read_object
from cosmogan_jax.files.zarr_arrays import file_sizes, images_per_shard, open_array, short
from cosmogan_jax.geometry import MapGeometry
from cosmogan_jax.maps.parameters import Parameters
from cosmogan_jax.maps.store_manifest import FORMAT, StoreManifest

_SHARD_BYTES = 64 * 2**20


@dataclasses.dataclass(frozen=True)
class MapStore:
    """An open map store: the manifest in memory, the maps on disk; four axes, whatever the version.

    bin: the one of several bins that is read; all of them where it is None.
    """

    path: Path
    manifest: StoreManifest
    array: ts.TensorStore
    bin: int | None = None

    @property
    def num_maps(self) -> int:
        """Return the number of maps."""
        return self.manifest.shape[0]

    @property
    def geometry(self) -> MapGeometry:
        """Return pixels and side of every map.

        Raises:
          ValueError: they are not square.
        """
        rows, columns = self.image_shape
        if rows != columns:
            raise ValueError(
                f"{self.path} holds maps of {rows}x{columns} pixels: here maps must be square; others can be "
                "exported as npy"
            )
        return MapGeometry(rows, self.manifest.side_deg)

    @property
    def image_shape(self) -> tuple[int, int]:
        """Return rows and columns of every map, which need not be as many."""
        return self.manifest.shape[1:3]

    def crop_geometry(self, num_pixels: int) -> MapGeometry:
        """Return the geometry of a square of so many pixels of the maps, square or not.

        Raises:
          ValueError: the maps are smaller.
        """
        rows, columns = self.image_shape
        if num_pixels > min(rows, columns):
            raise ValueError(f"crop num_pixels={num_pixels} must be at most {min(rows, columns)}")
        return MapGeometry(num_pixels, self.manifest.side_deg * num_pixels / rows)

    @property
    def num_bins(self) -> int:
        """Return the number of source bins, the last axis of the maps."""
        return self.array.shape[3]

    @property
    def bin_redshifts(self) -> tuple[float | None, ...]:
        """Return the source redshift of each bin that is stored, None where it is not known."""
        return self.manifest.bin_redshifts

    @property
    def bin_names(self) -> tuple[str, ...]:
        """Return the name of each bin that is stored."""
        return self.manifest.bin_names

    @property
    def source_redshift(self) -> float | None:
        """Return the redshift of the maps that are read; None where it is not known, or not one."""
        return self.manifest.source_redshift if self.bin is None else self.bin_redshifts[self.bin]

    def only(self, number: int) -> "MapStore":
        """Return the same store, of which one bin is read.

        Raises:
          ValueError: it has no such bin.
        """
        if not 0 <= number < self.num_bins:
            raise ValueError(f"{self.path}: bin={number} must lie in 0 to {self.num_bins - 1}")
        return dataclasses.replace(self, array=self.array[..., number : number + 1], bin=number)

    def with_cache(self, cache_bytes: int) -> "MapStore":
        """Open the same anew, with room for chunks that were read."""
        opened = open_map_store(self.path, cache_bytes=cache_bytes)
        return opened if self.bin is None else opened.only(self.bin)

    @property
    def parameters(self) -> Parameters:
        """Return what is known of every map, by name; None where a map's value is not."""
        return self.manifest.parameters

    def read(self, start: int = 0, stop: int | None = None) -> Float[np.ndarray, "maps height width bins"]:
        """Read maps start to stop as float32; a chunk whose checksum fails raises ValueError."""
        stop = self.num_maps if stop is None else stop
        with whole_maps(self.path):
            return self.array[start:stop].read().result()

    def batches(self) -> Iterator[Float[np.ndarray, "batch height width bins"]]:
        """Yield all maps in order, a shard (64 MiB) at a time."""
        step = maps_per_shard(self.num_maps, self.array.shape[1:])
        for start in range(0, self.num_maps, step):
            yield self.read(start, min(start + step, self.num_maps))

    def verify(self) -> None:
        """Read everything once.

        Raises:
          ValueError: a chunk whose checksum fails, or that is missing.
        """
        all_bins = self if self.bin is None else open_map_store(self.path)
        invalid = sum(int((~np.isfinite(maps)).sum()) for maps in all_bins.batches())
        if invalid != self.manifest.invalid_pixels:
            raise ValueError(
                f"{self.path}: {invalid} invalid pixels, the manifest says {self.manifest.invalid_pixels}"
            )


@contextlib.contextmanager
def whole_maps(path: Path) -> Iterator[None]:
    """Turn what TensorStore says of a damaged chunk into a ValueError with the store's name and the way out."""
    try:
        yield
    except (ValueError, OSError) as error:
        raise ValueError(
            f"{path} is damaged: {short(error)}; remove it with the directory of the stage that made it, and "
            "the same command makes it again"
        ) from error


def maps_per_shard(num_maps: int, image: tuple[int, ...]) -> int:
    """Return how many of the maps of this shape go into a shard."""
    return images_per_shard(num_maps, image, _SHARD_BYTES)


def is_map_store(path: Path) -> bool:
    """Tell whether the folder is a map store, or was to become one; a zarr group of others is none."""
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
    manifest = StoreManifest.from_json(read_object(path / "manifest.json", {}), path / "manifest.json")
    sizes = file_sizes(path / "kappa")
    # Shards are only looked for among the array's own files.
    for name, size in manifest.shards.items():
        if sizes.get(name) != size:
            raise ValueError(f"{path}/kappa/{name} has {sizes.get(name, 0)} bytes of {size}: not a whole store")
    shape = manifest.shape if manifest.has_bin_axis else manifest.shape[:3]
    array = open_array(path / "kappa", shape, cache_bytes=cache_bytes)
    if not manifest.has_bin_axis:
        array = array[..., ts.newaxis]  # a view: what is read has the axis, what is on disk stays as it is
    return MapStore(path, manifest, array)
