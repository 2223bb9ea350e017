"""Seconds a candidate of stage select: maps generated and scored, beside the generator's forward pass alone.

    python experiments/benchmarks/selection.py [--size 64] [--filters 16] [--maps 640] [--compute_dtype float32]

On a GPU: --size 256 --filters 64 --maps 6400 --compute_dtype bfloat16 --l_bins 0

The scorer is stage select's own (histograms and band covariance), given development crops of white noise
from 100 maps, and generators of fresh weights, in turn another for every candidate. "forward" makes the same
maps in the same batches and keeps one number of each batch. Rounds are interleaved; medians. One JSON line.
"""

import argparse
import json
import os
import platform
import time

import jax
import jax.numpy as jnp
import numpy as np

from cosmogan_jax.compare.scores.generator_score import make_scorer
from cosmogan_jax.compare.scores.pixel_distance import pixel_bins
from cosmogan_jax.compare.scores.score_measures import Measures, reference
from cosmogan_jax.emulators.dcgan.architecture import Architecture
from cosmogan_jax.emulators.dcgan.model import Dcgan
from cosmogan_jax.emulators.emulator import Emulator
from cosmogan_jax.emulators.normalisation import Normalisation
from cosmogan_jax.geometry import MapGeometry, log_l_edges
from cosmogan_jax.summaries import PAPER_L_EDGES

PARENTS, BATCH, CANDIDATES = 100, 64, 3
PIXEL_DEG = 12**0.5 / 1024  # the paper's


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, default in (("size", 64), ("filters", 16), ("maps", 640), ("l_bins", 20), ("rounds", 7)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--compute_dtype", default="float32")
    args = parser.parse_args()
    arch = Architecture(args.size, 4, args.filters, 64, compute_dtype=args.compute_dtype)
    model = Dcgan(arch)
    geometry = MapGeometry(args.size, args.size * PIXEL_DEG)
    rng = np.random.default_rng(0)
    real = rng.normal(0, 0.02, (args.maps, args.size, args.size)).astype(np.float32)
    measures = Measures(
        geometry,
        log_l_edges(geometry, args.l_bins) if args.l_bins else PAPER_L_EDGES,
        pixel_bins(real[:BATCH]),
        arch.num_layers,
        0.1,
        BATCH,
        log_l_edges(geometry, 20),
    )
    batches = (real[i : i + BATCH] for i in range(0, len(real), BATCH))
    fixed = reference(measures, batches, np.arange(args.maps) % PARENTS, "spectrum")
    candidates = [model.init(jax.random.key(n)) for n in range(CANDIDATES)]
    emulator = Emulator("", model, None, Normalisation("none", 1.0), geometry, {})

    def draw(variables, index):
        return emulator.draw(jax.random.key(0), index, variables=variables)[..., 0]

    score = jax.jit(make_scorer(draw, args.maps, measures, BATCH, "spectrum"))
    in_batches = jnp.arange(args.maps).reshape(-1, BATCH)
    forward = jax.jit(lambda gen: jax.lax.map(lambda part: draw(gen, part).sum(), in_batches))
    # In a program of its own, not fused with the generator.
    maps = jnp.asarray(real[:BATCH])
    spectra = jax.jit(measures.spectra)
    seconds = {"candidate": [], "forward": [], "spectra": []}
    for turn in range(-1, args.rounds):  # the first compiles
        gen = candidates[turn % CANDIDATES]
        for name, work in (
            ("candidate", lambda: score(gen, fixed)),  # noqa: B023  called at once
            ("forward", lambda: forward(gen)),  # noqa: B023
            ("spectra", lambda: [spectra(maps) for _ in range(len(in_batches))]),
        ):
            began = time.perf_counter()
            jax.device_get(work())
            if turn >= 0:
                seconds[name].append(time.perf_counter() - began)
    result = {
        **vars(args),
        "date": time.strftime("%Y-%m-%d"),
        "device": jax.devices()[0].device_kind,
        "processor": platform.processor() or platform.machine(),
        "cores": len(os.sched_getaffinity(0)),
        "load": round(os.getloadavg()[0], 1),
        "jax": jax.__version__,
        **{f"seconds_{name}": round(float(np.median(found)), 4) for name, found in seconds.items()},
        "seconds_candidate_range": [round(f(seconds["candidate"]), 4) for f in (min, max)],
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
