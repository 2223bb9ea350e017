"""The train step's batches: the same crops in the same order, cut on the device or streamed from the disk."""

import time
from collections import deque
from collections.abc import Iterator
from typing import NamedTuple

import jax
import numpy as np
from jaxtyping import Array, Float, Int

from cosmogan_jax import keys
from cosmogan_jax.emulators.batch import Batch
from cosmogan_jax.keys import SCHEME
from cosmogan_jax.machine.consensus import processes_here, smallest
from cosmogan_jax.machine.devices import Devices
from cosmogan_jax.machine.memory import free_memory, usable_memory
from cosmogan_jax.maps.crop_stream import stream_crops
from cosmogan_jax.maps.crop_table import CropTable
from cosmogan_jax.settings import Train
from cosmogan_jax.stages.train.crop_batches import cut_crops, epoch_order
from cosmogan_jax.symmetries import orient

_AHEAD = 4  # batches: 67 MB of 64 maps of 256^2
_SHARE_OF_MEMORY = 0.5


class HeldMaps(NamedTuple):
    """What a `DeviceFeed` holds on every device: maps, and the parameters of each; in the same order."""

    kappa: Float[Array, "maps height width bins"]
    theta: Float[Array, "maps parameters"]


class DeviceFeed:
    """All training maps on every device; a batch is rows of the crop table, cut inside the step.

    A random batch wants crops of any map, so every device holds them all: 4.2 GB for 1000 maps of 1024^2. Every
    process reads its part of them only, once; the devices then exchange the parts. Maps divided among the
    devices would take less memory, and every crop would go over the network in its step.
    """

    def __init__(
        self,
        table: CropTable,
        crops: Int[np.ndarray, "crops 3"],
        settings: Train,
        devices: Devices,
        scheme: int = SCHEME,
    ):
        used, numbers = np.unique(crops[:, 0], return_inverse=True)
        self._crops = np.stack([numbers, crops[:, 1], crops[:, 2]], axis=1).astype(np.int32)

        def read(number: int) -> Float[np.ndarray, "height width bins"]:
            return table.store.read(int(used[number]), int(used[number]) + 1)[0]

        theta = _of_maps(table, crops, settings.condition_on)[used]
        kappa = devices.gather(read, (len(used), *table.store.array.shape[1:]))
        self.held = HeldMaps(kappa, devices.replicate(theta))
        self._size, self.waited = table.geometry.num_pixels, 0.0
        self._settings, self._devices, self._scheme = settings, devices, scheme

    def batches(self, first: int, stop: int) -> Iterator[Int[Array, "batch 3"]]:
        """Rows of the batches of steps first to stop, each device's own on it."""
        for rows in _own_rows(self._crops, self._settings, self._devices, self._scheme, first, stop):
            yield self._devices.assemble(rows, self._settings.batch_size)

    def crops(self, held: HeldMaps, batch: Int[Array, "batch 3"]) -> Batch:
        """The crops of a batch, and the parameters of the maps they are of; to be traced into the step."""
        return Batch(cut_crops(held.kappa, batch, self._size), held.theta[batch[:, 0]])


class StreamFeed:
    """Maps stay on the disk; a batch is its crops, read and sent to the devices ahead of the step.

    A process reads the crops of its own devices, and nothing else of the maps than the chunks they lie in.
    `waited` is the time that the loop stood waiting for a crop to be read. Steps run behind the loop's back: as
    long as dispatched ones are under way the devices work on, so it is the most that reading can have cost.
    """

    held = ()

    def __init__(
        self,
        table: CropTable,
        crops: Int[np.ndarray, "crops 3"],
        settings: Train,
        devices: Devices,
        scheme: int = SCHEME,
    ):
        cache = settings.stream_cache_gib
        cache_bytes = int(usable_memory() / 4 / processes_here() if cache is None else cache * 2**30)
        self._store = table.store.with_cache(cache_bytes)
        self._theta = _of_maps(table, crops, settings.condition_on)
        self._crops, self._size, self._settings = crops, table.geometry.num_pixels, settings
        self._devices, self._scheme = devices, scheme
        self.waited = 0.0  # seconds

    def batches(self, first: int, stop: int) -> Iterator[Batch]:
        """The crops of steps first to stop with their parameters, one batch ahead on the devices."""
        asked: deque[np.ndarray] = deque()  # rows that the thread which reads has taken, in their order

        def rows() -> Iterator[Int[np.ndarray, "batch 3"]]:
            for own in _own_rows(self._crops, self._settings, self._devices, self._scheme, first, stop):
                asked.append(own)
                yield own

        read = stream_crops(self._store, rows(), self._size, _AHEAD)
        sent = None
        while True:
            began = time.monotonic()
            kappa = next(read, None)
            self.waited += time.monotonic() - began
            upcoming = None if kappa is None else self._assemble(kappa, asked.popleft())
            if sent is not None:
                yield sent
            if upcoming is None:
                return
            sent = upcoming

    def _assemble(self, kappa: np.ndarray, rows: Int[np.ndarray, "rows 3"]) -> Batch:
        size = self._settings.batch_size
        return Batch(self._devices.assemble(kappa, size), self._devices.assemble(self._theta[rows[:, 0]], size))

    def crops(self, held: tuple[()], batch: Batch) -> Batch:
        """The batch itself."""
        return batch


def _own_rows(
    crops: Int[np.ndarray, "crops 3"], settings: Train, devices: Devices, scheme: int, first: int, stop: int
) -> Iterator[Int[np.ndarray, "rows 3"]]:
    """Of every batch the rows that this process brings."""
    share = devices.share(settings.batch_size)
    for rows in batch_rows(crops, settings.own_seed, settings.batch_size, first, stop, scheme):
        yield rows[share]


def _of_maps(
    table: CropTable, crops: Int[np.ndarray, "crops 3"], names: tuple[str, ...]
) -> Float[np.ndarray, "maps parameters"]:
    """The named parameters of all maps of the table, NaN of those without a crop; ValueError where unknown."""
    used, first = np.unique(crops[:, 0], return_index=True)
    theta = np.full((table.store.num_maps, len(names)), np.nan, np.float32)
    theta[used] = table.theta(crops[first], names)
    return theta


def open_feed(
    table: CropTable, settings: Train, devices: Devices, scheme: int = SCHEME
) -> DeviceFeed | StreamFeed:
    """The feed that settings.feed names; "auto" holds the maps on the devices where they fit on all."""
    crops = table.crops["train"]
    name = settings.feed
    if name == "auto":
        maps = 4 * len(np.unique(crops[:, 0])) * int(np.prod(table.store.array.shape[1:]))
        name = "device" if _held_bytes(maps, devices) < _SHARE_OF_MEMORY * _free(devices) else "stream"
    return (DeviceFeed if name == "device" else StreamFeed)(table, crops, settings, devices, scheme)


def _held_bytes(maps: int, devices: Devices) -> float:
    """The most bytes that holding the maps takes: of a device, or of a host, whose CPU devices share them."""
    at_most = maps * (1 + 1 / devices.mesh.size) if devices.mesh.size > 1 else maps
    return at_most * (len(devices.local) * processes_here() if devices.local[0].platform == "cpu" else 1)


def _free(devices: Devices) -> float:
    return smallest(min(free_memory(device) for device in devices.local))


def batch_rows(
    crops: Int[np.ndarray, "crops 3"],
    seed: int,
    batch_size: int,
    first: int,
    stop: int,
    scheme: int = SCHEME,
) -> Iterator[Int[np.ndarray, "batch 3"]]:
    """Rows of the crop table for steps first to stop; each epoch a new permutation, its part batch dropped.

    Step n's rows follow from (seed, n), the scheme of keys and the table alone: not from where a run began, nor
    from devices.
    """
    key, per_epoch = keys.key(seed, "order", scheme), len(crops) // batch_size
    order, order_of = np.empty(0, np.int32), -1
    for step in range(first, stop):
        epoch, batch = divmod(step, per_epoch)
        if epoch != order_of:
            order, order_of = np.asarray(epoch_order(key, epoch, len(crops))), epoch
        yield crops[order[batch * batch_size : (batch + 1) * batch_size]]


def random_orientations(
    key: Array, step: Int[Array, ""], kappa: Float[Array, "batch size size bins"]
) -> Float[Array, "batch size size bins"]:
    """Each crop in one of the square's eight orientations, all its bins alike, from (key, step) alone."""
    turn_key = jax.random.fold_in(key, step)
    return jax.vmap(orient)(kappa, jax.random.randint(turn_key, kappa.shape[:1], 0, 8, np.int32))
