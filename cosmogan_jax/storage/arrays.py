"""Arrays of square images on disk: zarr3, float32, sharded, every image a chunk with its CRC32C."""

import math
from pathlib import Path

import tensorstore as ts


def create_array(path: Path, shape: tuple[int, ...], shard: tuple[int, ...], dimension_names: list[str]):
    """A new array at `path`, whatever was there; the last two axes are an image's rows and columns."""
    chunk = [1] * (len(shape) - 2) + list(shape[-2:])
    return ts.open(
        {
            **_spec(path),
            "metadata": {
                "shape": list(shape),
                "data_type": "float32",
                "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": list(shard)}},
                "codecs": [
                    {
                        "name": "sharding_indexed",
                        "configuration": {
                            "chunk_shape": chunk,
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


def open_array(path: Path, shape: tuple[int, ...], *, write: bool = False):
    """An array that is there; ValueError where it cannot be opened or has another shape."""
    try:
        array = ts.open(_spec(path), read=True, write=write).result()
    except ValueError as error:
        raise ValueError(f"{path}: the array cannot be opened: {str(error).splitlines()[0][:200]}") from error
    if array.shape != tuple(shape):
        raise ValueError(f"{path}: the array's shape {list(array.shape)} is not the manifest's {list(shape)}")
    return array


def images_per_shard(num_images: int, num_pixels: int, shard_bytes: int) -> int:
    """As many images as a shard of that size holds, at least one."""
    return max(1, min(num_images, shard_bytes // (4 * math.prod((num_pixels, num_pixels)))))


def _spec(path: Path) -> dict:
    return {"driver": "zarr3", "kvstore": {"driver": "file", "path": f"{Path(path).resolve()}/"}}
