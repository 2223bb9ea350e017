"""What the measuring tasks share: sizes, a way to tell numbers as they come, and timing on a device."""

import argparse
import json
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple


class Size(NamedTuple):
    """What is measured at: the paper's network and maps, or ones that a CPU does in seconds."""

    map_size: int
    filters: int
    batch: int
    generated: int
    summarised: int
    compared: int
    particles: int
    fallback_particles: int
    map_pixels: int
    maps_of_a_box: int
    repeats: int
    variants: int  # of precisions and the like, in order of worth


SIZES = {
    "paper": Size(256, 64, 64, 1024, 6400, 8, 512, 256, 1024, 100, 10, 9),
    "tiny": Size(32, 4, 4, 16, 32, 4, 16, 8, 64, 4, 2, 1),
}


class Teller:
    """Writes a line at a time, so that what was measured before a limit is there."""

    def __init__(self, out: Path, task: str):
        out.mkdir(parents=True, exist_ok=True)
        self._file = open(out / f"{task}.jsonl", "w", buffering=1)  # noqa: SIM115  open as long as the process

    def __call__(self, what: str, **values: Any) -> None:
        """Tell numbers under a name."""
        self._file.write(json.dumps({"what": what, **values}) + "\n")
        print(f"  {what}: {values}", flush=True)


def arguments(tasks: dict[str, Callable]) -> tuple[Callable, argparse.Namespace, Size]:
    """The task that the command line names."""
    parser = argparse.ArgumentParser()
    parser.add_argument("task", choices=tasks)
    parser.add_argument("--size", choices=SIZES, default="paper")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seconds", type=float, default=600.0)
    args = parser.parse_args()
    return tasks[args.task], args, SIZES[args.size]


def milliseconds(run: Callable[[int], Any], repeats: int) -> dict[str, float]:
    """Median and range over repeats of run(number), which is called once before; numbers make inputs fresh."""
    import jax

    jax.block_until_ready(run(0))
    times = []
    for number in range(1, repeats + 1):
        began = time.perf_counter()
        jax.block_until_ready(run(number))
        times.append(1e3 * (time.perf_counter() - began))
    return {
        "median_ms": round(statistics.median(times), 4), "least_ms": round(min(times), 4),
        "most_ms": round(max(times), 4), "repeats": repeats,
    }  # fmt: skip
