"""Programs of one thread each, run side by side: the same bits at every run of a CPU, and all of its cores.

XLA's CPU programs share an FFT out among threads, but run it on one where a thread of the pool comes to it.
How many rows fall to a thread decides which of them are computed by vector instructions and which are left
over, and the two round differently: maps of 384 pixels and more came out different in their last bits from run
to run. Without XLA's threads there is one way only; Python's threads, each with maps of its own, keep the
cores busy, with less to wait for (experiments/benchmarks/README.md).
"""

import concurrent.futures
import os
from collections.abc import Callable, Sequence
from typing import Any

import jax

from cosmogan_jax.switches import with_usual

_OPTIONS: dict[str, Any] = {"xla_cpu_multi_thread_eigen": False}


def jit_on_one_thread(function: Callable, **options: Any) -> Callable:
    """jax.jit, for a CPU without XLA's threads; on accelerators jax.jit."""
    return jax.jit(function, compiler_options=_OPTIONS, **options)


class SideBySide:
    """function(part) of several parts at a time, one for every core; one after the other on accelerators.

    Nothing may depend on how many there are at a time: what a part gives follows from the part alone.
    """

    def __init__(self, function: Callable[[Any], Any]):
        self._function, self._compiled = function, False

    def __call__(self, parts: Sequence[Any]) -> list[Any]:
        """The results, in the order of the parts."""
        if jax.default_backend() != "cpu":
            return [self._function(part) for part in parts]
        # The first call alone, or every thread would compile the program.
        first = [] if self._compiled else [self._whole(part) for part in parts[:1]]
        self._compiled = True
        with concurrent.futures.ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
            return first + list(pool.map(self._whole, parts[len(first) :]))

    @with_usual  # a thread of the pool is in no context of its caller
    def _whole(self, part: Any) -> Any:
        return jax.block_until_ready(self._function(part))
