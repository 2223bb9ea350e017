"""Data parallel training: the batch axis lies on a mesh of devices, all else is whole on each of them.

The step is the same program text on any number of devices: XLA's partitioner splits it along the batch and puts
a sum over devices wherever the batch axis is summed, so batch norm, losses and gradients are those of the whole
batch. Axis types are Auto: under Explicit ones the reshapes from depth to space would have to be annotated.
Nothing of a batch travels between devices but those sums, which tests/test_scale_out.py checks in the program.
"""

import dataclasses
from collections.abc import Callable
from typing import Any, TypeVar

import jax
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec
from jaxtyping import Array, Float, Shaped

from cosmogan_jax import keys

_AXIS = "batch"
Tree = TypeVar("Tree")


@dataclasses.dataclass(frozen=True)
class Devices:
    """The devices a training runs on, of all its processes, those of one process side by side."""

    mesh: Mesh

    @property
    def whole(self) -> NamedSharding:
        """A copy on every device."""
        return NamedSharding(self.mesh, PartitionSpec())

    @property
    def by_rows(self) -> NamedSharding:
        """The first axis divided among the devices."""
        return NamedSharding(self.mesh, PartitionSpec(_AXIS))

    @property
    def local(self) -> list[Any]:
        """This process's devices."""
        return list(self.mesh.local_devices)

    def share(self, batch_size: int) -> slice:
        """Return the rows of a batch that this process brings."""
        indices = self.by_rows.addressable_devices_indices_map((batch_size,)).values()
        bounds = [index[0].indices(batch_size)[:2] for index in indices if index]
        return slice(min(start for start, _ in bounds), max(stop for _, stop in bounds))

    def assemble(self, rows: Shaped[np.ndarray, "rows ..."], batch_size: int) -> Shaped[Array, "batch ..."]:
        """Make a batch over all devices, of which each process brings its share."""
        return jax.make_array_from_process_local_data(self.by_rows, rows, (batch_size, *rows.shape[1:]))

    def replicate(self, tree: Tree) -> Tree:
        """Place a tree of arrays and keys, equal in all processes, on every device."""

        def place(leaf):
            if jax.dtypes.issubdtype(leaf.dtype, jax.dtypes.prng_key):
                return keys.rewrapped(place(jax.random.key_data(leaf)), leaf)
            value = np.asarray(leaf)
            return jax.make_array_from_process_local_data(self.whole, value, value.shape)

        return jax.tree.map(place, tree)

    def gather(
        self, read: Callable[[int], Float[np.ndarray, "..."]], shape: tuple[int, ...]
    ) -> Float[Array, "count ..."]:
        """Place an array on every device, of which every process reads its part only, row by row; then zeros.

        The parts go over the devices' own network, once; meanwhile a device holds its part beside the whole.
        Zeros make the number of rows one that the devices divide.
        """
        count, devices = shape[0], self.mesh.size
        padded = (-(-count // devices) * devices, *shape[1:])

        def rows_at(index):
            start, stop, _ = index[0].indices(padded[0])
            rows = np.zeros((stop - start, *shape[1:]), np.float32)
            for row in range(start, min(stop, count)):
                rows[row - start] = read(row)
            return rows

        parts = jax.make_array_from_callback(padded, self.by_rows, rows_at)
        if devices == 1:
            return parts
        return jax.jit(lambda x: x, out_shardings=self.whole)(parts)

    def on_one(self, tree: Tree) -> Tree:
        """Return this process's copy of a tree that is on every device: an array of its first device alone."""
        return jax.tree.map(lambda leaf: leaf.addressable_data(0), tree)


def choose_devices(num_devices: int | None, batch_size: int) -> Devices:
    """Return all devices of all processes, or the first few of a single process.

    Raises:
      ValueError: more than there are, fewer than all in several processes, or a batch they do not divide.
    """
    devices = sorted(jax.devices(), key=lambda device: (device.process_index, device.id))
    number = len(devices) if num_devices is None else num_devices
    if not 1 <= number <= len(devices):
        raise ValueError(f"num_devices={number} must lie between 1 and the {len(devices)} devices there are")
    if jax.process_count() > 1 and number != len(devices):
        raise ValueError(
            f"num_devices={number}: {jax.process_count()} processes use all their {len(devices)} devices"
        )
    if batch_size % number:
        raise ValueError(f"batch_size={batch_size} must be divisible by num_devices={number}")
    return Devices(Mesh(np.array(devices[:number]), (_AXIS,), axis_types=(AxisType.Auto,)))
