"""Several training steps in one dispatch to the device."""

import time
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from cosmogan_jax.emulators.interface import State
from cosmogan_jax.stages.train.schedule import Schedule

# (state, maps held on the device, a batch) -> (state, metrics)
Step = Callable[[State, Any, Any], tuple[State, dict[str, Float[Array, ""]]]]
StackedMetrics = dict[str, Float[Array, " steps"]]

_STEPS_ON_ACCELERATORS = 16


def scan_steps(step: Step) -> Callable[[State, Any, Sequence[Any]], tuple[State, StackedMetrics]]:
    """Return a pure function that takes a step for every batch it is given, and gives all their metrics."""

    def steps(state, held, batches):
        if len(batches) == 1:
            state, metrics = step(state, held, batches[0])
            return state, jax.tree.map(lambda value: value[None], metrics)
        stacked = jax.tree.map(lambda *leaves: jnp.stack(leaves), *batches)
        return jax.lax.scan(lambda state, batch: step(state, held, batch), state, stacked)

    return steps


class Dispatcher:
    """`scan_steps` compiled, with the state donated; on an accelerator the host does not wait for results.

    On a CPU the steps of a dispatch are taken one program each, because XLA computes convolutions inside a loop
    by a slow kernel there (30 times slower at 64^2, 16 filters, batch 32), and no more than two are under way,
    so that a signal or a time limit is answered after two steps. Any chunks then give the same bits.
    """

    def __init__(self, step: Step, steps_per_dispatch: int, schedule: Schedule):
        """Compile nothing yet.

        steps_per_dispatch: 0 is 1 on a CPU, up to 16 elsewhere (`Schedule.steps_of_a_dispatch`).
        """
        self._on_cpu = jax.default_backend() == "cpu"
        most = 1 if self._on_cpu else _STEPS_ON_ACCELERATORS
        self.steps = steps_per_dispatch or schedule.steps_of_a_dispatch(most)
        self._run = jax.jit(scan_steps(step), donate_argnums=0)
        self._compiled: set[int] = set()
        self._last_metrics: Any = None

    def __call__(self, state: State, held: Any, batches: Sequence[Any]) -> tuple[State, StackedMetrics, float]:
        """Return the state after the batches, every step's metrics, and the seconds that compilation took."""
        seconds, metrics = 0.0, []
        for together in [[batch] for batch in batches] if self._on_cpu else [batches]:
            began = time.monotonic()
            state, stacked = self._run(state, held, tuple(together))
            if len(together) not in self._compiled:  # a call returns when its program is compiled and under way
                self._compiled.add(len(together))
                seconds += time.monotonic() - began
            if self._on_cpu:
                jax.block_until_ready(self._last_metrics)
                self._last_metrics = stacked
            metrics.append(stacked)
        if len(metrics) > 1:
            metrics = [jax.tree.map(lambda *values: jnp.concatenate(values), *metrics)]
        return state, metrics[0], seconds
