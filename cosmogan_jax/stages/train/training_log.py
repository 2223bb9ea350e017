"""metrics.jsonl, a line for every logging interval of a training; continued without gap or repeat."""

import math
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jaxtyping import Array, Float

from cosmogan_jax.files.json_files import append_json_lines, read_json_lines, write_json_lines

_NEUTRAL = ("steps_per_second", "minutes")

# Metrics of steps, by name, as they go beside a checkpoint.
Pending = dict[str, list[float]]


class NonFinite(ValueError):
    """Metrics of a step that are not numbers."""


class TrainingLog:
    """Metrics stay on the device until they are asked for: at the end of an interval, or at a checkpoint.

    A line holds `step`, `epoch` (from 0), the metrics of that step under their own names, `mean_` and the name
    for those that are to be averaged over all steps since the line before, what else was observed after the
    step, steps_per_second over the interval (without compilation, scores and pictures; after a pause, over
    the part since), and the minutes of training so far, everything counted. All but these two are the same in a
    training that was stopped and went on.
    """

    def __init__(self, path: Path | None, first: int, pending: Pending, averaged: Sequence[str] = ()):
        """Go on after step `first`: what was logged later is dropped, for those steps are trained again.

        path: None in all processes but one, which write nothing.
        """
        kept = _cut(path, first) if path else []
        self._path, self._step, self._averaged = path, first, tuple(averaged)
        self._fetched = {name: list(values) for name, values in pending.items()}
        self._waiting: list[dict[str, Float[Array, " steps"]]] = []
        self._minutes_before, self._opened = kept[-1].get("minutes", 0.0) if kept else 0.0, time.monotonic()
        self._begin_timing()

    def minutes(self) -> float:
        """Return the minutes of training so far, those before a stop included, up to the last line then."""
        return self._minutes_before + (time.monotonic() - self._opened) / 60

    def lines(self) -> list[dict[str, Any]]:
        """Return all lines so far."""
        return read_log(self._path) if self._path else []

    def add(self, metrics: dict[str, Float[Array, " steps"]], seconds_of_compilation: float = 0.0) -> None:
        """Take the metrics of a dispatch without waiting for them."""
        self._waiting.append(metrics)
        self.leave_out(seconds_of_compilation)

    def leave_out(self, seconds: float) -> None:
        """Leave time out of steps_per_second: compilation, scores, pictures."""
        self._apart += seconds

    def pending(self) -> Pending:
        """Fetch the metrics of the steps since the last line from the device.

        Raises:
          NonFinite: a step has some that are not finite.
        """
        for metrics in jax.device_get(self._waiting):
            count = len(next(iter(metrics.values())))
            for number in range(count):
                values = {name: float(value[number]) for name, value in metrics.items()}
                self._step += 1
                if not all(map(math.isfinite, values.values())):
                    raise NonFinite(f"step {self._step}: non-finite metrics {values}")
                for name, value in values.items():
                    self._fetched.setdefault(name, []).append(value)
            self._timed += count
        self._waiting = []
        return self._fetched

    def write(self, step: int, epoch: int, observed: Mapping[str, float]) -> dict[str, Any]:
        """End the interval with its line, and return it.

        Raises:
          NonFinite: as `pending`.
        """
        interval = self.pending()
        seconds = max(time.monotonic() - self._began - self._apart, 1e-9)
        line = {
            "step": step,
            "epoch": epoch,
            **{name: values[-1] for name, values in interval.items()},
            **{f"mean_{name}": float(np.mean(interval[name])) for name in self._averaged},
            **observed,
            "steps_per_second": round(self._timed / seconds, 4),
            "minutes": round(self.minutes(), 3),
        }
        if self._path:
            append_json_lines(self._path, [line])
        self._fetched = {}
        self._begin_timing()
        return line

    def _begin_timing(self) -> None:
        self._began, self._apart, self._timed = time.monotonic(), 0.0, 0


def read_log(path: Path, *, timed: bool = True) -> list[dict[str, Any]]:
    """Read the lines of a metrics.jsonl, none where there is none; timed=False leaves out measured times."""
    if not path.is_file():
        return []
    lines = read_json_lines(path, {"step": int})
    return [{k: v for k, v in line.items() if timed or k not in _NEUTRAL} for line in lines]


def _cut(path: Path, step: int) -> list[dict[str, Any]]:
    """Drop the lines of later steps; return those that are kept."""
    if not path.exists():
        return []
    kept = [line for line in read_json_lines(path, {"step": int}, cut_off=True) if line["step"] <= step]
    write_json_lines(path, kept)
    return kept
