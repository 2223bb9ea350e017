"""Time and memory of the birthday paradox's search: all pairs of n maps, by pixels.

python experiments/benchmarks/novelty.py --maps=32768 --size=64

The maps are white noise with two of them equal, which the search must find. --hold_gib says how much memory
maps may take: below what all need, the others are made anew as they stream past.
"""

import argparse
import json
import os
import resource
import time

import jax
import jax.numpy as jnp
import numpy as np

from cosmogan_jax.compare.novelty.birthday import nearest_others


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--maps", type=int, default=32768)
    parser.add_argument("--size", type=int, default=64)
    parser.add_argument("--tile", type=int, default=1024)
    parser.add_argument("--hold_gib", type=float, default=1.0)
    args = parser.parse_args()
    key, twin = jax.random.key(0), args.maps // 3

    @jax.jit
    def draw(index):
        seeds = jnp.where(index == args.maps - 1, twin, index)
        return jax.vmap(lambda n: jax.random.normal(jax.random.fold_in(key, n), (args.size, args.size)))(seeds)

    made = 0

    def read(start, stop):
        nonlocal made
        made += stop - start
        return draw(jnp.arange(start, start + args.tile))[: stop - start]

    draw(jnp.arange(args.tile)).block_until_ready()
    before = resource.getrusage(resource.RUSAGE_SELF)
    began, cpu = time.perf_counter(), time.process_time()
    found = nearest_others(read, args.maps, tile_size=args.tile, hold_bytes=args.hold_gib * 2**30)
    seconds, cpu = time.perf_counter() - began, time.process_time() - cpu
    assert found.closest[0].tolist() == [twin, args.maps - 1]
    assert found.closest_distance[0] == 0
    after = resource.getrusage(resource.RUSAGE_SELF)
    flops = float(args.maps) ** 2 * args.size**2  # half of the pairs, a product and a sum each
    print(
        json.dumps(
            {
                "device": jax.devices()[0].device_kind,
                "cores": len(os.sched_getaffinity(0)),
                "load_average": round(os.getloadavg()[0], 1),
                **vars(args),
                "seconds": round(seconds, 1),
                "cpu_seconds": round(cpu, 1),
                "gflop_per_cpu_second": round(1e-9 * flops / cpu, 1),
                "maps_made": made,
                "peak_gib_of_process": round(after.ru_maxrss / 2**20, 2),
                "peak_gib_before": round(before.ru_maxrss / 2**20, 2),
                "next_closest": round(float(np.sort(found.closest_distance)[1]), 3),
            }
        )
    )


if __name__ == "__main__":
    main()
