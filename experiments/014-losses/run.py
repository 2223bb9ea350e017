"""Every loss, trained for some hundred steps on a lognormal sky: is the generator better than it was?

    python experiments/014-losses/run.py [--seeds 3] [--steps 400]

results.json, beside this file, holds a line for every training; it is written as they end.
"""

import argparse
import json
import time
from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from cosmogan_jax.compare.scores.pixel_distance import pixel_ks
from cosmogan_jax.compare.scores.spectrum_distance import spectrum_chi2
from cosmogan_jax.emulators.dcgan.architecture import Architecture
from cosmogan_jax.emulators.dcgan.engine import as_variables
from cosmogan_jax.emulators.dcgan.model import Dcgan
from cosmogan_jax.emulators.dcgan.networks import build_networks
from cosmogan_jax.emulators.dcgan.state import adam, init_state
from cosmogan_jax.emulators.dcgan.step_parts import StepSettings
from cosmogan_jax.emulators.dcgan.train_step import make_train_step
from cosmogan_jax.emulators.emulator import Emulator
from cosmogan_jax.emulators.normalisation import Normalisation
from cosmogan_jax.geometry import MapGeometry, log_l_edges
from cosmogan_jax.sky.limber import convergence_power
from cosmogan_jax.sky.lognormal import lognormal_amplitudes, lognormal_maps
from cosmogan_jax.summaries import power_spectrum

GEOMETRY, BANDS = MapGeometry(32, 0.4375), 8  # the paper's pixels, averaged four by four
SHIFT, SCALE = 0.027, 0.12
FILTERS, LATENT, BATCH, SCORED = 8, 16, 16, 512
CASES = {
    "non_saturating": {},
    "non_saturating, r1": {"r1_penalty": 1.0},
    "hinge": {"loss": "hinge"},
    "least_squares": {"loss": "least_squares"},
    "wasserstein": {"loss": "wasserstein"},
    "hinge, r1, no norm": {"loss": "hinge", "r1_penalty": 1.0, "disc_norm": "none"},
    "non_saturating, no norm": {"disc_norm": "none"},
}


class Score(NamedTuple):
    """How far generated maps are from maps that no training saw."""

    pixels: float  # Kolmogorov-Smirnov distance
    spectrum: float  # chi2 distance of `compare/scores/spectrum_distance.py`, at most 0.82 or so
    worst_power: float  # largest |log| of the mean power's ratio among bands


def sky(num_maps, seed):
    """Lognormal maps at the paper's source redshift, in network units."""
    amplitudes, variance = lognormal_amplitudes(lambda ell: convergence_power(ell, 1.0), GEOMETRY, SHIFT)
    draw = jax.jit(lognormal_maps)
    key, amplitudes = jax.random.key(seed), jnp.asarray(amplitudes, jnp.float32)
    return draw(key, jnp.arange(num_maps), amplitudes, variance, SHIFT) / SCALE


@jax.jit
def spectra(maps):
    edges = log_l_edges(GEOMETRY, BANDS)
    return power_spectrum(maps, edges, GEOMETRY.side_deg, mode_weights="full_plane")


def score(networks, gen, fresh):
    maps = Emulator(
        "", Dcgan(networks.arch), as_variables(gen), Normalisation("none", 1.0), GEOMETRY, {}
    ).sample(jax.random.key(99), SCORED)
    power, expected = np.asarray(spectra(maps)), np.asarray(spectra(fresh))
    ratio = np.log(np.maximum(power.mean(0), 1e-30) / expected.mean(0))
    return Score(float(pixel_ks(maps, fresh)), spectrum_chi2(power, expected), float(abs(ratio).max()))


def train(case, seed, steps, learning_rate, maps, fresh):
    """Scores before and after a training, and the seconds of its steps."""
    case = dict(case)
    arch = Architecture(
        32,
        4,
        FILTERS,
        LATENT,
        disc_norm=case.pop("disc_norm", "none" if "wasserstein" in case.values() else "batch"),
    )
    networks, optimizer = build_networks(arch), adam(learning_rate, 0.5)
    state = init_state(networks, optimizer, jax.random.key(seed))
    step = jax.jit(make_train_step(networks, optimizer, StepSettings(0.0, **case)), donate_argnums=0)
    scores = [score(networks, state.gen, fresh)]
    order = np.random.default_rng(seed).integers(len(maps), size=(steps, BATCH))
    began = 0.0
    for n, rows in enumerate(order):
        state, metrics = step(state, maps[rows])
        if n == 0:
            jax.block_until_ready(state)
            began = time.perf_counter()
    jax.block_until_ready(state)
    seconds = (time.perf_counter() - began) / max(1, steps - 1)
    return [*scores, score(networks, state.gen, fresh)], seconds, {k: float(v) for k, v in metrics.items()}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=400)
    parser.add_argument("--learning_rate", type=float, default=1e-3)
    parser.add_argument("--cases", nargs="*", default=list(CASES))
    parser.add_argument("--out", type=Path, default=Path(__file__).with_name("results.json"))
    args = parser.parse_args()
    maps, fresh = sky(4096, 1), sky(SCORED, 2)
    known = {
        "steps": args.steps,
        "learning_rate": args.learning_rate,
        "other maps of the sky": Score(
            float(pixel_ks(maps[:SCORED], fresh)),
            spectrum_chi2(np.asarray(spectra(maps[:SCORED])), np.asarray(spectra(fresh))),
            float(np.abs(np.log(spectra(maps[:SCORED]).mean(0) / spectra(fresh).mean(0))).max()),
        )._asdict(),
        "trainings": [],
    }
    for name in args.cases:
        for seed in range(args.seeds):
            (before, after), seconds, metrics = train(
                CASES[name], seed, args.steps, args.learning_rate, maps, fresh
            )
            line = {
                "case": name, "seed": seed, "before": before._asdict(), "after": after._asdict(),
                "ms_a_step": round(1e3 * seconds, 2), "metrics": metrics,
            }  # fmt: skip
            print(json.dumps(line), flush=True)
            known["trainings"].append(line)
            args.out.write_text(json.dumps(known, indent=1) + "\n")


if __name__ == "__main__":
    main()
