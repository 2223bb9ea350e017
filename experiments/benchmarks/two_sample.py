"""Time of the two-sample tests: 248 modes, 6400 maps against 6400, 999 permutations, KS and Anderson-Darling.

python experiments/benchmarks/two_sample.py

"walk" is what compare/two_sample/mode_tests.py does (lax.scan over the sorted maps, all permutations abreast),
"columns" the same with NumPy (gather, cumulative sum, maximum and product of a block of permutations, mode
after mode), written out here and checked against it; "clustered" the bootstrap, single maps against parents.
"""

import argparse
import json
import os
import time

import jax
import numpy as np

from cosmogan_jax.compare.two_sample import parent_resampling
from cosmogan_jax.compare.two_sample.mode_tests import clustered_tests, permutation_tests


def columns(one, two, parents_one, parents_two, seed, num_permutations, block=64):
    """KS and A^2 of all permutations by NumPy, values without ties."""
    values = np.concatenate([one, two])
    maps, modes = values.shape
    order = np.argsort(values, axis=0).T
    below = np.arange(1.0, maps)
    share = np.append(1 / (below * (maps - below)), 0).astype(np.float32)
    parents = parent_resampling.number_parents(parents_one, parents_two, (len(one), len(two)))
    sizes = np.bincount(parents.group).astype(float)
    ks, square = np.empty((2, modes, 1 + num_permutations))
    for first in range(0, 1 + num_permutations, block):
        part = range(first, min(first + block, 1 + num_permutations))
        weights = parent_resampling.permutation_weights(sizes, parents.num_one, seed, part)
        by_map = np.ascontiguousarray(weights.value[parents.group])
        difference, squared = np.empty_like(by_map), np.empty_like(by_map)
        for mode in range(modes):
            np.take(by_map, order[mode], axis=0, out=difference, mode="clip")
            np.cumsum(difference, axis=0, out=difference)
            np.multiply(difference, difference, out=squared)
            square[mode, part] = (share @ squared) * weights.size_product
            ks[mode, part] = np.sqrt(squared.max(0))
    return ks, square


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--maps", type=int, default=6400, help="on each side")
    parser.add_argument("--parents", type=int, default=200, help="on each side")
    parser.add_argument("--modes", type=int, default=248)
    parser.add_argument("--permutations", type=int, default=999)
    parser.add_argument("--forms", default="walk,columns,clustered")
    args = parser.parse_args()
    rng = np.random.default_rng(0)
    one, two = rng.normal(size=(2, args.maps, args.modes)).astype(np.float32)
    group = np.arange(args.maps) % args.parents
    data = (one, two, group, group)
    forms = {
        "walk": lambda: permutation_tests(*data, seed=0, num_permutations=args.permutations).ks.statistic,
        "columns": lambda: columns(*data, 0, args.permutations)[0][:, 0],
        "clustered": lambda: (
            clustered_tests(
                one, two, np.arange(args.maps), group, seed=0, num_resamples=args.permutations
            ).ks.statistic
        ),
    }
    times, statistics = {}, []
    for name in args.forms.split(","):
        began, cpu = time.perf_counter(), time.process_time()
        statistics.append(forms[name]())
        times[name] = {
            "wall_s": round(time.perf_counter() - began, 1),
            "processor_s": round(time.process_time() - cpu, 1),
        }
        np.testing.assert_allclose(statistics[-1], statistics[0], rtol=1e-4)
    print(
        json.dumps(
            {
                "device": jax.default_backend(),
                "cores": len(os.sched_getaffinity(0)),
                "load_of_others": round(os.getloadavg()[0], 1),
                **vars(args),
                "with_compilation": times,
            },
            indent=1,
        )
    )


if __name__ == "__main__":
    main()
