"""Crops read from the disk ahead of the step that wants them."""

from collections import deque
from collections.abc import Iterable, Iterator

import numpy as np
import tensorstore as ts
from jaxtyping import Float, Int

from cosmogan_jax.storage.map_store import MapStore


def stream_crops(
    store: MapStore, batches: Iterable[Int[np.ndarray, "batch 3"]], crop_size: int, ahead: int
) -> Iterator[Float[np.ndarray, "batch crop_size crop_size"]]:
    """The crops of every batch of rows (map, row, column), in order; the next `ahead` are being read meanwhile.

    Reading is TensorStore's own, in its threads; parts of maps stay in the cache the store was opened with.

    Raises:
      ValueError: a chunk whose checksum fails.
    """
    reads: deque = deque()
    for rows in batches:
        reads.append(_read(store, rows, crop_size))
        if len(reads) > ahead:
            yield reads.popleft().result()
    while reads:
        yield reads.popleft().result()


def _read(store: MapStore, rows: Int[np.ndarray, "batch 3"], size: int) -> ts.Future:
    # One read of a stacked view: the crops land in one array without a copy.
    cuts = [
        store.array[int(map_), int(row) : int(row) + size, int(column) : int(column) + size].translate_to[0, 0]
        for map_, row, column in rows
    ]
    return ts.stack(cuts).read()
