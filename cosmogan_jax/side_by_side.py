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
    """Compile by jax.jit, for a CPU without XLA's threads."""
    return jax.jit(function, compiler_options=_OPTIONS, **options)


class SideBySide:
    """function(part) of several parts at a time, one for every core; one after the other on accelerators.

    Nothing may depend on how many there are at a time: what a part gives follows from the part alone. The
    threads are kept from call to call, and end with the object.
    """

    def __init__(self, function: Callable[[Any], Any]):
        self._function, self._compiled = function, False
        self._pool: tuple[tuple[int, int], concurrent.futures.Executor] | None = None

    def __call__(self, parts: Sequence[Any]) -> list[Any]:
        """Return the results, in the order of the parts."""
        if jax.default_backend() != "cpu":
            return [self._function(part) for part in parts]
        # The first call alone, or every thread would compile the program.
        first = [] if self._compiled else [self._whole(part) for part in parts[:1]]
        self._compiled = True
        pool = self._threads()
        others = [pool.submit(self._whole, part) for part in parts[len(first) :]]
        try:
            return first + [other.result() for other in others]
        finally:  # after an error nothing goes on behind the caller's back
            for other in others:
                other.cancel()
            concurrent.futures.wait(others)

    def _threads(self) -> concurrent.futures.Executor:
        """Return a thread for each core this process may use; a forked process has none of its parent's."""
        owner = os.getpid(), len(os.sched_getaffinity(0))
        if self._pool is None or self._pool[0] != owner:
            self._pool = owner, concurrent.futures.ThreadPoolExecutor(owner[1])
        return self._pool[1]

    @with_usual  # a thread of the pool is in no context of its caller
    def _whole(self, part: Any) -> Any:
        return jax.block_until_ready(self._function(part))
