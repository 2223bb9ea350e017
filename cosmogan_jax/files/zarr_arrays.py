"""Arrays of square images on disk: zarr3, float32, sharded, every chunk with its CRC32C."""

import math
import re
from pathlib import Path
from typing import Any

import tensorstore as ts

from cosmogan_jax.files.checksums import file_sha256


def create_array(
    path: Path,
    shape: tuple[int, ...],
    shard: tuple[int, ...],
    dimension_names: list[str],
    *,
    chunk: tuple[int, ...] | None = None,
    attributes: dict[str, Any] | None = None,
):
    """Create an array at `path`, whatever was there.

    chunk is the shape of a chunk, which divides the shard's; without it a chunk is one image, of which the last
    two axes are rows and columns. What was never written reads as NaN: a lost chunk is not taken for a map of
    zeros.
    """
    chunk = chunk or (1,) * (len(shape) - 2) + tuple(shape[-2:])
    return ts.open(
        {
            **_spec(path),
            "metadata": {
                "shape": list(shape),
                "data_type": "float32",
                "fill_value": "NaN",
                "attributes": attributes or {},
                "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": list(shard)}},
                "codecs": [
                    {
                        "name": "sharding_indexed",
                        "configuration": {
                            "chunk_shape": list(chunk),
                            "codecs": [
                                {"name": "bytes", "configuration": {"endian": "little"}},
                                {"name": "crc32c"},
                            ],
                        },
                    }
                ],
                "dimension_names": dimension_names,
            },
        },
        create=True,
        delete_existing=True,
    ).result()


def open_array(path: Path, shape: tuple[int, ...], *, write: bool = False, cache_bytes: int = 0):
    """Open an array that is there; ValueError where it cannot be opened or has another shape.

    cache_bytes: how much of it, decoded and checked, may stay in memory for the next read.
    """
    context = ts.Context({"cache_pool": {"total_bytes_limit": cache_bytes}})
    # A whole array does not change: what is in the cache needs no look at the disk.
    cached: dict[str, Any] = {"recheck_cached_data": False} if cache_bytes else {}
    try:
        array = ts.open(_spec(path), read=True, write=write, context=context, **cached).result()
    except ValueError as error:
        raise ValueError(f"{path}: the array cannot be opened: {short(error)}") from error
    if array.shape != tuple(shape):
        raise ValueError(f"{path}: the array's shape {list(array.shape)} is not the manifest's {list(shape)}")
    if array.dtype != ts.float32:
        raise ValueError(f"{path}: the array holds {array.dtype.name}, expected float32")
    # A chunk is read into memory whole: one that reaches beyond the array would take any amount.
    chunk = array.chunk_layout.read_chunk.shape or ()
    if any(side is None or side > n for side, n in zip(chunk, shape)):
        raise ValueError(f"{path}: the array's chunks of {list(chunk)} are larger than its {list(shape)}")
    return array


def short(error: Exception) -> str:
    """Shorten a message of TensorStore: to the system's words where it quotes them."""
    message = " ".join(str(error).split())
    quoted = re.search(r"(?:^|: )([^:\[]+) \[os_error_code", message)
    return quoted[1] if quoted else re.sub(r" \[source locations=.*", "", message)[:300]


def images_per_shard(num_images: int, image: tuple[int, ...], shard_bytes: int) -> int:
    """Return how many images of this shape a shard of that size holds, at least one."""
    return max(1, min(num_images, shard_bytes // (4 * math.prod(image))))


def chunk_side(num_pixels: int) -> int:
    """Return the side of a map's chunks: its largest divisor from 32 to 128 pixels, or the whole map.

    A random crop of 256 pixels touches 9 chunks of 128, 2.25 times its own pixels; whole maps of 1024 as chunks
    would be 16 times (experiments/benchmarks/streaming.py).
    """
    return next((side for side in range(128, 31, -1) if num_pixels % side == 0), num_pixels)


def file_sizes(path: Path) -> dict[str, int]:
    """Return the bytes of every shard below an array, by its path relative to the array."""
    shards = sorted(p for p in (Path(path) / "c").rglob("*") if p.is_file())
    return {str(p.relative_to(path)): p.stat().st_size for p in shards}


def shard_checksums(path: Path) -> dict[str, str]:
    """Return the SHA-256 of every shard below an array, by its path relative to the array."""
    return {name: file_sha256(Path(path) / name) for name in file_sizes(path)}


def _spec(path: Path) -> dict:
    return {"driver": "zarr3", "kvstore": {"driver": "file", "path": f"{Path(path).resolve()}/"}}
