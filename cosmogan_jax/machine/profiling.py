"""A trace of a few training steps, as JAX's profiler writes it."""

from pathlib import Path
from typing import Any

import jax

_AFTER_DISPATCHES = 3  # the first compile; those behind them are as all others


class Profiler:
    """Traces `steps` steps, and those that share their last dispatch, once the programs are compiled."""

    def __init__(self, directory: Path, steps: int):
        """Trace nothing with steps=0."""
        self._directory, self._left, self._wait, self._running = directory, steps, _AFTER_DISPATCHES, False

    def before_dispatch(self, state: Any) -> None:
        """Begin when it is time; what was dispatched before is done by then."""
        if self._left > 0 and not self._running and self._wait == 0:
            jax.block_until_ready(state)
            # The second form is one file that https://ui.perfetto.dev opens.
            jax.profiler.start_trace(str(self._directory), create_perfetto_trace=True)
            self._running = True

    def after_dispatch(self, state: Any, count: int, seconds_of_compilation: float) -> bool:
        """Count the steps of a dispatch, end the trace behind the last, and return whether it ended now."""
        if self._running:
            self._left -= count
            if self._left <= 0:
                self.close(state)
                return True
        elif self._wait and not seconds_of_compilation:
            self._wait -= 1
        return False

    def close(self, state: Any = None) -> None:
        """End a trace that runs."""
        if self._running:
            jax.block_until_ready(state)
            jax.profiler.stop_trace()
            self._running, self._left = False, 0
