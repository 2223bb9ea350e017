"""Statistics of maps and fields of a plane: XLA's threads against programs of one thread, side by side.

python experiments/benchmarks/side_by_side.py

Interleaved rounds; medians of milliseconds a map, and how many different results came out of one input.
"""

import argparse
import collections
import functools
import hashlib
import os
import platform
import statistics
import time

import jax
import numpy as np

from cosmogan_jax.compare.scales import scales
from cosmogan_jax.compare.statistics import measure
from cosmogan_jax.geometry import MapGeometry
from cosmogan_jax.side_by_side import SideBySide, jit_on_one_thread
from cosmogan_jax.sky import ray_tracing

_TOGETHER = 16


def digest(found) -> str:
    """Of every byte of a tree of arrays."""
    return hashlib.sha256(b"".join(np.asarray(leaf).tobytes() for leaf in jax.tree.leaves(found))).hexdigest()


def compare(ways, given, rounds: int, units: int) -> str:
    """A table's cells: milliseconds a unit and different results of each way."""
    seconds, results = collections.defaultdict(list), collections.defaultdict(set)
    for way in ways.values():
        way(given)
    for _ in range(rounds):
        for name, way in ways.items():
            began = time.perf_counter()
            found = jax.block_until_ready(way(given))
            seconds[name].append(time.perf_counter() - began)
            results[name].add(digest(found))
    median = {name: 1e3 * statistics.median(of) / units for name, of in seconds.items()}
    return " | ".join(f"{median[name]:.3f} ms, {len(results[name])} of {rounds}" for name in ways)


def _parted(run: SideBySide, kappa):
    return run([kappa[i : i + _TOGETHER] for i in range(0, len(kappa), _TOGETHER)])


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=10)
    rounds = parser.parse_args().rounds
    print(f"{len(os.sched_getaffinity(0))} CPU cores, {platform.processor()}, jax {jax.__version__}")
    print("| | XLA's threads | one thread each, side by side |\n|---|---|---|")
    rng = np.random.default_rng(0)
    for size, maps in ((64, 256), (256, 256), (512, 64)):
        geometry = MapGeometry(size, 3.5)
        kappa = (0.02 * rng.normal(size=(maps, size, size))).astype(np.float32)
        of_each = functools.partial(measure, edges=scales(kappa[:64], geometry, 12).edges(), geometry=geometry)
        alone, shared = jit_on_one_thread(of_each), jax.jit(of_each)
        ways = {"shared": shared, "alone": functools.partial(_parted, SideBySide(alone))}
        cells = compare(ways, kappa, rounds, maps)
        print(f"| statistics of {maps} maps of {size}^2, a map | {cells} |", flush=True)
    plane = rng.normal(size=(512, 512)).astype(np.float32)
    fields = {
        "shared": jax.jit(ray_tracing.field_of_convergence),
        "alone": jit_on_one_thread(ray_tracing.field_of_convergence),
    }
    ways = {name: lambda kappa, run=run: run(kappa, 0.06) for name, run in fields.items()}
    print(f"| lens field of a plane of 512^2 | {compare(ways, plane, 20 * rounds, 1)} |")


if __name__ == "__main__":
    main()
