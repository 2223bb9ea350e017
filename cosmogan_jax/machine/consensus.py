"""What the processes of a training must decide alike while it runs; in one process each decides as it would."""

import platform
import zlib
from collections import deque
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jax.experimental import multihost_utils

from cosmogan_jax.machine.devices import Devices

_LAG = 2  # dispatches: what is looked at was enqueued behind an earlier one, so that no device waits for a host


def stop_together(reason: Callable[[], str | None], devices: Devices) -> Callable[[], str | None]:
    """Return a function, to be called after every dispatch, that gives all processes the same reason at once.

    `reason` is this process's own. What any process answers, all are told two calls later.
    """
    if jax.process_count() == 1:
        return reason
    largest = jax.jit(jnp.max, out_shardings=devices.whole)
    answers: deque[jax.Array] = deque()
    words = ("", "train_minutes", "SIGTERM", "SIGINT", "max_minutes")

    def ask() -> str | None:
        own = (reason() or "").partition("=")[0]
        mine = np.full(len(devices.local), words.index(own), np.int32)
        answers.append(largest(devices.assemble(mine, devices.mesh.size)))
        return (words[int(answers.popleft())] or None) if len(answers) > _LAG else None

    return ask


def smallest(value: float) -> float:
    """Return the smallest of all processes' values, in float32."""
    if jax.process_count() == 1:
        return value
    return float(multihost_utils.process_allgather(np.float32(value)).min())


def processes_here() -> int:
    """Return how many processes of this training share this host."""
    if jax.process_count() == 1:
        return 1
    mine = np.uint32(zlib.crc32(platform.node().encode()))
    return int((multihost_utils.process_allgather(mine) == mine).sum())
