"""The train step's batches: the same crops in the same order, cut on the device or streamed from the disk."""

import abc
import time
from collections import deque
from collections.abc import Iterator
from typing import Any, NamedTuple

import jax
import numpy as np
from jaxtyping import Array, Float, Int, Shaped

from cosmogan_jax import keys
from cosmogan_jax.emulators.interface import Batch
from cosmogan_jax.keys import SCHEME
from cosmogan_jax.machine.consensus import processes_here, smallest
from cosmogan_jax.machine.devices import Devices
from cosmogan_jax.machine.memory import free_memory, usable_memory
from cosmogan_jax.maps.crop_stream import stream_crops
from cosmogan_jax.maps.table_crops import Crops
from cosmogan_jax.settings import Train
from cosmogan_jax.stages.train.crop_batches import cut_crops, epoch_order
from cosmogan_jax.symmetries import orient

_AHEAD = 4  # batches: 67 MB of 64 maps of 256^2
_SHARE_OF_MEMORY = 0.5


class Order(NamedTuple):
    """Which crops every step's batch holds: each epoch a new permutation, its part batch dropped.

    Step n's crops follow from (seed, n), the scheme of keys and the crops alone: not from where a run began,
    nor from devices.
    """

    seed: int
    batch_size: int
    key_scheme: int = SCHEME

    def rows(
        self, crops: Int[np.ndarray, "crops 3"], first: int, stop: int
    ) -> Iterator[Int[np.ndarray, "batch 3"]]:
        """Return the rows of the crops of steps first to stop, batch by batch."""
        size, per_epoch = self.batch_size, len(crops) // self.batch_size
        key, order, epoch_of_order = keys.key(self.seed, "order", self.key_scheme), np.empty(0, np.int32), -1
        for step in range(first, stop):
            epoch, batch = divmod(step, per_epoch)
            if epoch != epoch_of_order:
                order, epoch_of_order = np.asarray(epoch_order(key, epoch, len(crops))), epoch
            yield crops[order[batch * size : (batch + 1) * size]]


class Feed(abc.ABC):
    """Gives the crops of every step's batch, with the parameters of the maps they are of.

    Attributes:
      held: what lies on the devices all the time, an input of every step.
      waited: seconds that the loop stood waiting for crops.
    """

    held: Any = ()

    def __init__(self, crops: Crops, parameters: tuple[str, ...], order: Order, devices: Devices):
        """Raise ValueError for parameters that are not known of the crops' maps."""
        self._crops, self._order, self._devices = crops, order, devices
        self._theta = _parameters_of_maps(crops, parameters)
        self.waited = 0.0

    @abc.abstractmethod
    def batches(self, first: int, stop: int) -> Iterator[Any]:
        """Return what the steps first to stop need beside `held`, each device's own on it."""

    @abc.abstractmethod
    def crops(self, held: Any, batch: Any) -> Batch:
        """Return the crops of a batch, and the parameters of their maps; to be traced into the step."""

    def _own_rows(
        self, crops: Int[np.ndarray, "crops 3"], first: int, stop: int
    ) -> Iterator[Int[np.ndarray, "rows 3"]]:
        """Return of every batch the rows that this process brings."""
        share = self._devices.share(self._order.batch_size)
        return (rows[share] for rows in self._order.rows(crops, first, stop))

    def _assemble(self, own: Shaped[np.ndarray, "rows ..."]) -> Shaped[Array, "batch ..."]:
        return self._devices.assemble(own, self._order.batch_size)


class HeldMaps(NamedTuple):
    """What a `DeviceFeed` holds on every device: maps, and the parameters of each; in the same order."""

    kappa: Float[Array, "maps height width bins"]
    theta: Float[Array, "maps parameters"]


class DeviceFeed(Feed):
    """All training maps on every device; a batch is rows of the crops, cut inside the step.

    A random batch wants crops of any map, so every device holds them all: 4.2 GB for 1000 maps of 1024^2. Every
    process reads its part of them only, once; the devices then exchange the parts. Maps divided among the
    devices would take less memory, and every crop would go over the network in its step.
    """

    def __init__(self, crops: Crops, parameters: tuple[str, ...], order: Order, devices: Devices):
        super().__init__(crops, parameters, order, devices)
        store = crops.store
        used, numbers = np.unique(crops.rows[:, 0], return_inverse=True)
        self._rows = np.stack([numbers, crops.rows[:, 1], crops.rows[:, 2]], axis=1).astype(np.int32)

        def read(number: int) -> Float[np.ndarray, "height width bins"]:
            return store.read(int(used[number]), int(used[number]) + 1)[0]

        kappa = devices.gather(read, (len(used), *store.array.shape[1:]))
        self.held = HeldMaps(kappa, devices.replicate(self._theta[used]))

    def batches(self, first: int, stop: int) -> Iterator[Int[Array, "batch 3"]]:
        """Return the rows of the batches."""
        return map(self._assemble, self._own_rows(self._rows, first, stop))

    def crops(self, held: HeldMaps, batch: Int[Array, "batch 3"]) -> Batch:
        """Cut the crops."""
        size = self._crops.geometry.num_pixels
        return Batch(cut_crops(held.kappa, batch, size), held.theta[batch[:, 0]])


class StreamFeed(Feed):
    """Maps stay on the disk; a batch is its crops, read and sent to the devices ahead of the step.

    A process reads the crops of its own devices, and nothing else of the maps than the chunks they lie in.
    Steps run behind the loop's back: as long as dispatched ones are under way the devices work on, so `waited`
    is the most that reading can have cost.
    """

    def batches(self, first: int, stop: int) -> Iterator[Batch]:
        """Return the crops with their parameters, one batch ahead on the devices."""
        reading: deque[np.ndarray] = deque()  # rows that the thread which reads has taken, in their order

        def rows() -> Iterator[Int[np.ndarray, "batch 3"]]:
            for own in self._own_rows(self._crops.rows, first, stop):
                reading.append(own)
                yield own

        stream = stream_crops(self._crops.store, rows(), self._crops.geometry.num_pixels, _AHEAD)
        sent = None
        while True:
            began = time.monotonic()
            kappa = next(stream, None)
            self.waited += time.monotonic() - began
            upcoming = None if kappa is None else self._with_parameters(kappa, reading.popleft())
            if sent is not None:
                yield sent
            if upcoming is None:
                return
            sent = upcoming

    def _with_parameters(self, kappa: np.ndarray, rows: Int[np.ndarray, "rows 3"]) -> Batch:
        return Batch(self._assemble(kappa), self._assemble(self._theta[rows[:, 0]]))

    def crops(self, held: tuple[()], batch: Batch) -> Batch:
        """Return the batch itself."""
        return batch


def open_feed(crops: Crops, settings: Train, devices: Devices, key_scheme: int = SCHEME) -> Feed:
    """Open the feed that settings.feed names; "auto" holds the maps on the devices where they fit on all."""
    name = settings.feed
    if name == "auto":
        maps = 4 * len(np.unique(crops.rows[:, 0])) * int(np.prod(crops.store.array.shape[1:]))
        name = "device" if _held_bytes(maps, devices) < _SHARE_OF_MEMORY * _free(devices) else "stream"
    if name == "stream":
        gib = settings.stream_cache_gib
        crops = crops.with_cache(int(usable_memory() / 4 / processes_here() if gib is None else gib * 2**30))
    feed = {"device": DeviceFeed, "stream": StreamFeed}[name]
    order = Order(settings.own_seed, settings.batch_size, key_scheme)
    return feed(crops, settings.condition_on, order, devices)


def _parameters_of_maps(crops: Crops, names: tuple[str, ...]) -> Float[np.ndarray, "maps parameters"]:
    """Return the named parameters of all maps of the store, NaN of those without a crop."""
    used, first = np.unique(crops.rows[:, 0], return_index=True)
    theta = np.full((crops.store.num_maps, len(names)), np.nan, np.float32)
    theta[used] = crops[first].theta(names)
    return theta


def _held_bytes(maps: int, devices: Devices) -> float:
    """Return the most bytes that holding the maps takes: of a device, or of a host with its CPU devices."""
    at_most = maps * (1 + 1 / devices.mesh.size) if devices.mesh.size > 1 else maps
    return at_most * (len(devices.local) * processes_here() if devices.local[0].platform == "cpu" else 1)


def _free(devices: Devices) -> float:
    return smallest(min(free_memory(device) for device in devices.local))


def random_orientations(
    key: Array, step: Int[Array, ""], kappa: Float[Array, "batch size size bins"]
) -> Float[Array, "batch size size bins"]:
    """Turn each crop into one of the square's eight orientations, by (key, step) alone; its bins alike."""
    turn_key = jax.random.fold_in(key, step)
    return jax.vmap(orient)(kappa, jax.random.randint(turn_key, kappa.shape[:1], 0, 8, np.int32))
