"""Crops read from the disk ahead of the step that wants them."""

import queue
import threading
from collections import deque
from collections.abc import Iterable, Iterator

import numpy as np
import tensorstore as ts
from jaxtyping import Float, Int

from cosmogan_jax.maps.store import MapStore, whole_maps

_UNDER_WAY = 2  # reads at a time; TensorStore's threads share the chunks of each


def stream_crops(
    store: MapStore, batches: Iterable[Int[np.ndarray, "batch 3"]], crop_size: int, ahead: int
) -> Iterator[Float[np.ndarray, "batch crop_size crop_size bins"]]:
    """Yield the crops of every batch of rows (map, row, column), in order; up to `ahead` batches wait, ready.

    A thread asks for them, TensorStore's own threads read; parts of maps stay in the cache the store was opened
    with. `batches` is iterated in that thread. Memory holds ahead + 3 batches.

    Raises:
      ValueError: a chunk whose checksum fails.
    """
    ready: queue.Queue = queue.Queue(maxsize=ahead)
    stop = threading.Event()

    def put(item) -> bool:
        while not stop.is_set():
            try:
                ready.put(item, timeout=0.1)
                return True
            except queue.Full:
                continue
        return False

    def work():
        try:
            for crops in _read_in_order(store, batches, crop_size):
                if not put([crops]):
                    return
                del crops
            put([])
        except BaseException as error:  # whatever ends the thread must end the wait for it
            put(error)

    thread = threading.Thread(target=work, name="crop stream", daemon=True)
    thread.start()
    try:
        while True:
            item = ready.get()
            if isinstance(item, BaseException):
                raise item
            if not item:
                return
            yield item.pop()  # no reference stays here: whoever takes a batch decides when its memory goes
    finally:
        stop.set()
        thread.join()


def _read_in_order(store: MapStore, batches: Iterable[np.ndarray], size: int) -> Iterator[np.ndarray]:
    reads: deque[ts.Future] = deque()
    for rows in batches:
        # One read of a stacked view: the crops land in one array without a copy.
        cuts = [
            store.array[int(map_), int(row) : int(row) + size, int(column) : int(column) + size]
            for map_, row, column in rows
        ]
        reads.append(ts.stack([cut.translate_to[0, 0, 0] for cut in cuts]).read())
        if len(reads) == _UNDER_WAY:
            yield _result(store, reads.popleft())
    while reads:
        yield _result(store, reads.popleft())


def _result(store: MapStore, read: ts.Future) -> np.ndarray:
    with whole_maps(store.path):
        return read.result()
