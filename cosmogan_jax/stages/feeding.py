"""The train step's batches: the same crops in the same order, cut on the device or streamed from the disk."""

import os
import time
from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from cosmogan_jax.gan.sampling import cut_crops, epoch_order
from cosmogan_jax.sky.symmetries import orient
from cosmogan_jax.stages.settings import Train
from cosmogan_jax.storage.crop_stream import stream_crops
from cosmogan_jax.storage.crop_table import CropTable
from cosmogan_jax.storage.map_store import open_map_store

_AHEAD = 4  # batches: 67 MB of 64 maps of 256^2
_SHARE_OF_MEMORY = 0.5
_TURNS = 2**31 - 1  # told apart from the epochs, which are folded into the same key


class DeviceFeed:
    """All training maps on the device; a batch is rows of the crop table, cut inside the step."""

    def __init__(self, table: CropTable, crops: Int[np.ndarray, "crops 3"], settings: Train):
        used, numbers = np.unique(crops[:, 0], return_inverse=True)
        self._crops = np.stack([numbers, crops[:, 1], crops[:, 2]], axis=1).astype(np.int32)
        maps = np.empty((len(used), *table.store.array.shape[1:]), np.float32)
        for place, index in enumerate(used):
            maps[place] = table.store.read(int(index), int(index) + 1)[0]
        self.held, self._size, self.waited = jnp.asarray(maps), table.geometry.num_pixels, 0.0
        self._settings = settings

    def batches(self, first: int, stop: int) -> Iterator[Int[np.ndarray, "batch 3"]]:
        """Rows of the batches of steps first to stop."""
        return batch_rows(self._crops, self._settings.seed, self._settings.batch_size, first, stop)

    def crops(self, held: Float[Array, "maps height width"], batch: Int[Array, "batch 3"]) -> Array:
        """The crops of a batch; to be traced into the step."""
        return cut_crops(held, batch, self._size)


class StreamFeed:
    """Maps stay on the disk; a batch is its crops, read and sent to the device ahead of the step."""

    held = ()

    def __init__(self, table: CropTable, crops: Int[np.ndarray, "crops 3"], settings: Train):
        cache = settings.stream_cache_gib
        cache_bytes = int(physical_memory() / 4 if cache is None else cache * 2**30)
        self._store = open_map_store(table.store.path, cache_bytes=cache_bytes)
        self._crops, self._size, self._settings = crops, table.geometry.num_pixels, settings
        self.waited = 0.0  # seconds that steps waited for their crops

    def batches(self, first: int, stop: int) -> Iterator[Float[Array, "batch size size"]]:
        """The crops of steps first to stop, one batch ahead on the device."""
        rows = batch_rows(self._crops, self._settings.seed, self._settings.batch_size, first, stop)
        read = stream_crops(self._store, rows, self._size, _AHEAD)
        sent = None
        while True:
            began = time.monotonic()
            batch = next(read, None)
            self.waited += time.monotonic() - began
            upcoming = None if batch is None else jax.device_put(batch)
            if sent is not None:
                yield sent
            if upcoming is None:
                return
            sent = upcoming

    def crops(self, held: tuple[()], batch: Float[Array, "batch size size"]) -> Array:
        """The batch itself."""
        return batch


def open_feed(table: CropTable, settings: Train) -> DeviceFeed | StreamFeed:
    """The feed that settings.feed names; "auto" holds the maps on the device where they fit."""
    crops = table.crops["train"]
    name = settings.feed
    if name == "auto":
        needed = 4 * len(np.unique(crops[:, 0])) * int(np.prod(table.store.array.shape[1:]))
        name = "device" if needed < _SHARE_OF_MEMORY * free_memory(jax.local_devices()[0]) else "stream"
    return (DeviceFeed if name == "device" else StreamFeed)(table, crops, settings)


def batch_rows(
    crops: Int[np.ndarray, "crops 3"], seed: int, batch_size: int, first: int, stop: int
) -> Iterator[Int[np.ndarray, "batch 3"]]:
    """Rows of the crop table for steps first to stop; each epoch a new permutation, its part batch dropped.

    Step n's rows follow from (seed, n) and the table alone: not from where a run began, nor from devices.
    """
    key, per_epoch = jax.random.key(seed), len(crops) // batch_size
    order, order_of = None, None
    for step in range(first, stop):
        epoch, batch = divmod(step, per_epoch)
        if epoch != order_of:
            order, order_of = np.asarray(epoch_order(key, epoch, len(crops))), epoch
        yield crops[order[batch * batch_size : (batch + 1) * batch_size]]


def random_orientations(
    key: Array, step: Int[Array, ""], kappa: Float[Array, "batch size size"]
) -> Float[Array, "batch size size"]:
    """Each crop in one of the square's eight orientations, from (key, step) alone."""
    turn_key = jax.random.fold_in(jax.random.fold_in(key, _TURNS), step)
    return jax.vmap(orient)(kappa, jax.random.randint(turn_key, kappa.shape[:1], 0, 8))


def free_memory(device: Any) -> float:
    """Bytes free on an accelerator, as its allocator sees it; on a CPU half of the machine's memory."""
    stats = device.memory_stats() if device.platform != "cpu" else None
    if stats and "bytes_limit" in stats:
        return stats["bytes_limit"] - stats.get("bytes_in_use", 0)
    return physical_memory() / 2


def physical_memory() -> int:
    """Bytes of memory of this machine."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
