"""Several source bins through the same boxes: auto and cross power against Limber, skewness, and their cost.

python experiments/004-nbody/source_bins.py --workdir <run of several bins> [--cost <boxes>]

--cost: the folder of the run's boxes: only times maps through one of them, with all bins and with the farthest.
"""

import argparse
import dataclasses
import itertools
import json
import sys
import time
from pathlib import Path

import numpy as np

from cosmogan_jax.maps.store import open_map_store
from cosmogan_jax.runs.directory import stage_record
from cosmogan_jax.settings import Simulate
from cosmogan_jax.settings.declaration import from_record
from cosmogan_jax.sky.cosmology import PAPER_COSMOLOGY
from cosmogan_jax.sky.limber import convergence_power_of_bins
from cosmogan_jax.sky.lognormal import shifts_of_bins
from cosmogan_jax.sky.map_power import expected_bands
from cosmogan_jax.sky.source_distributions import bins_of_record
from cosmogan_jax.stages.simulate.nbody_sky import make_nbody_sky
from cosmogan_jax.summaries import power_spectrum

L_EDGES = np.array([200.0, 400.0, 800.0, 1500.0, 3000.0, 6000.0])
_TIMED = 2  # besides a first turn


def spectra(store, bins):
    """Return auto and cross power of pairs over Limber's through the maps' pixels, and the boxes' errors."""
    kappa, side = store.read(), store.geometry.side_deg
    rays = store.manifest.origin["rays_per_pixel"]
    boxes = np.array(store.manifest.boxes)

    def power_of(maps):
        return np.asarray(power_spectrum(maps, L_EDGES, side, mode_weights="full_plane"), np.float64)

    autos = [power_of(kappa[..., number]) for number in range(len(bins))]
    of_pairs, expected = {}, {}
    for a, b in itertools.combinations_with_replacement(range(len(bins)), 2):
        # |a + b|^2 = |a|^2 + |b|^2 + 2 Re(a b*)
        together = power_of(kappa[..., a] + kappa[..., b]) if a != b else None
        of_pairs[a, b] = autos[a] if together is None else (together - autos[a] - autos[b]) / 2
        expected[a, b] = expected_bands(
            lambda ell, a=a, b=b: convergence_power_of_bins(ell, bins)[a, b], store.geometry, L_EDGES, rays
        )
    ratios = {}
    for (a, b), power in of_pairs.items():
        by_box = np.array([power[boxes == name].mean(0) for name in dict.fromkeys(boxes)]) / expected[a, b]
        error = by_box.std(0, ddof=1) / np.sqrt(len(by_box))
        ratios[f"{bins[a].name} x {bins[b].name}"] = {
            "to_limber": np.round(by_box.mean(0), 3).tolist(),
            "error": np.round(error, 3).tolist(),
        }
    alike = {}
    for a, b in itertools.combinations(range(len(bins)), 2):
        found = of_pairs[a, b].mean(0) / np.sqrt(of_pairs[a, a].mean(0) * of_pairs[b, b].mean(0))
        theory = expected[a, b] / np.sqrt(expected[a, a] * expected[b, b])
        alike[f"{bins[a].name} x {bins[b].name}"] = {
            "r": np.round(found, 4).tolist(),
            "minus_limber": np.round(found - theory, 4).tolist(),
        }
    return {"l_edges": L_EDGES.tolist(), "power": ratios, "correlation": alike, "boxes": len(set(boxes))}


def shapes(store, bins):
    """Return skewness of each bin, and the shift of a lognormal field that has it."""
    shifts = shifts_of_bins(0.04, PAPER_COSMOLOGY, bins)
    told = {}
    for number, (bin, shift) in enumerate(zip(bins, shifts)):
        kappa = store.read()[..., number].astype(np.float64)
        kappa -= kappa.mean()
        sigma = kappa.std()
        skewness = (kappa**3).mean() / sigma**3
        # The skewness of a lognormal field is w^3 + 3 w, w = sigma / shift.
        w = np.roots([1, 0, 3, -skewness])
        w = float(w[np.abs(w.imag) < 1e-9].real[0])
        told[bin.name] = {
            "sigma": round(float(sigma), 5),
            "skewness": round(float(skewness), 3),
            "lognormal_shift_of_this_skewness": round(sigma / w, 4),
            "shift_of_the_lognormal_sky": round(float(shift), 4),
        }
    return told


def cost(workdir, boxes):
    """Return process seconds a map, through a box that is there: all bins, and the farthest alone; in turns."""
    flags = stage_record(workdir, "simulate").flags
    several = dataclasses.replace(from_record(Simulate, flags), boxes_dir=str(boxes))
    one = dataclasses.replace(several, source_redshifts=(), source_redshift=several.source_redshifts[-1])
    counts = {"train": several.num_train_maps, "development": 0, "validation": 0, "auxiliary": 0}
    seconds = {}
    for tracing in ("born", "multi_plane"):
        skies = {
            name: make_nbody_sky(dataclasses.replace(of, ray_tracing=tracing), workdir, counts)
            for name, of in (("one", one), ("all", several))
        }
        index = np.arange(4 if tracing == "born" else 1)
        spent = {name: [] for name in skies}
        for turn in range(1 + _TIMED):
            for name, sky in skies.items():
                mark = time.process_time()
                sky.maps(index, "train")
                if turn:  # the first reads planes and compiles
                    spent[name].append((time.process_time() - mark) / len(index))
        seconds[tracing] = {name: [round(turn, 4) for turn in of] for name, of in spent.items()}
        print(seconds, file=sys.stderr)
    return {"process_seconds_a_map": seconds}


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--workdir", type=Path, required=True)
    parser.add_argument("--cost", type=Path)
    args = parser.parse_args()
    if args.cost:
        result = cost(args.workdir, args.cost)
    else:
        store = open_map_store(args.workdir / "simulate/maps")
        bins = bins_of_record(store.manifest.origin["source_bins"])
        result = {**spectra(store, bins), "shapes": shapes(store, bins)}
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
