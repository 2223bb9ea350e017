"""Time of the paper's statistics per 256^2 map: 248-bin power spectrum, 19-threshold Minkowski functionals.

One core:   XLA_FLAGS=--xla_cpu_multi_thread_eigen=false taskset -c 0 python experiments/benchmarks/summaries.py
Two cores:  python experiments/benchmarks/summaries.py

LensTools 1.2 on one core of an AMD EPYC Genoa: 8.75 ms and 6.62 ms a map.
"""

import argparse
import concurrent.futures
import json
import os
import statistics
import time

import jax
import jax.numpy as jnp
import numpy as np

from cosmogan_jax.side_by_side import SideBySide, jit_on_one_thread
from cosmogan_jax.summaries import PAPER_L_EDGES, PAPER_THRESHOLDS, minkowski_functionals, power_spectrum

SIDE_DEG = np.sqrt(12) / 4


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--maps", type=int, default=64)
    parser.add_argument("--repeats", type=int, default=15)
    args = parser.parse_args()
    functions = {
        "power_spectrum": lambda k: power_spectrum(k, PAPER_L_EDGES, SIDE_DEG),
        "minkowski_functionals": lambda k: minkowski_functionals(k, PAPER_THRESHOLDS),
        "both": lambda k: (
            power_spectrum(k, PAPER_L_EDGES, SIDE_DEG),
            minkowski_functionals(k, PAPER_THRESHOLDS),
        ),
        "power_spectrum, vmapped": jax.vmap(lambda k: power_spectrum(k, PAPER_L_EDGES, SIDE_DEG)),
        "minkowski_functionals, vmapped": jax.vmap(lambda k: minkowski_functionals(k, PAPER_THRESHOLDS)),
    }
    # As stage evaluate takes them: programs of one thread, for each core maps of its own.
    both = functions["both"]
    side_by_side = SideBySide(jit_on_one_thread(both))
    functions = {name: jax.jit(function) for name, function in functions.items()}
    functions["both, side by side"] = lambda _: side_by_side(pieces)
    pool, alone = concurrent.futures.ThreadPoolExecutor(len(os.sched_getaffinity(0))), jit_on_one_thread(both)
    functions["both, threads alone"] = lambda _: list(
        pool.map(lambda k: jax.block_until_ready(alone(k)), pieces)
    )
    times = {name: [] for name in functions}
    for repeat in range(args.repeats + 1):
        kappa = 0.02 * jax.random.normal(jax.random.key(repeat), (args.maps, 256, 256))
        pieces = jnp.split(kappa, max(1, len(kappa) // 16))
        jax.block_until_ready((kappa, pieces))
        for name, function in functions.items():
            began = time.perf_counter()
            jax.block_until_ready(function(kappa))
            if repeat:
                times[name].append(1e3 * (time.perf_counter() - began) / args.maps)
    medians = {name: round(statistics.median(values), 3) for name, values in times.items()}
    cores = len(os.sched_getaffinity(0))
    print(
        json.dumps({"device": jax.default_backend(), "cores": cores, **vars(args), "median_ms_a_map": medians})
    )


if __name__ == "__main__":
    main()
