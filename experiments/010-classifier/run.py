"""What the classifier finds of differences that were planted in one of two halves of a set of maps.

python experiments/010-classifier/run.py [--prepare=<stage directory of a run>] [--only=<name>,...]
"""

import argparse
import json
import os
import platform
import time
from datetime import date
from pathlib import Path

import jax
import numpy as np
from scipy.stats import norm

from cosmogan_jax.compare.discrimination.classifier_features import features_of, reference_of
from cosmogan_jax.geometry import MapGeometry
from cosmogan_jax.maps.crop_table import open_crop_table
from cosmogan_jax.sky.limber import convergence_power
from cosmogan_jax.sky.lognormal import lognormal_amplitudes, lognormal_maps
from cosmogan_jax.stages.evaluate.classification import ClassificationSettings, KeptMaps, split, tell_apart

RESULTS = Path(__file__).with_name("results.json")
GEOMETRY = MapGeometry(64, 0.875)
LOGNORMAL_MAPS = 12_000
TILT = 0.03


def position(ell):
    """0 at the fundamental mode, 1 at the Nyquist mode and beyond, even in log ell."""
    low, high = GEOMETRY.fundamental_ell, GEOMETRY.nyquist_ell
    return np.clip(np.log(np.maximum(ell, low) / low) / np.log(high / low), 0, 1)


GAINS = {
    "nothing": np.ones_like,
    # The power of the Nyquist mode rises by 3 % against that of the fundamental.
    "tilt_end_to_end": lambda ell: 1 + TILT * (position(ell) - 0.5),
    # The spectral index rises by 0.03: 11 % from end to end.
    "tilt_index": lambda ell: (np.maximum(ell, GEOMETRY.fundamental_ell) / 2300.0) ** TILT,
}


def planted(name, kappa):
    transform = np.fft.rfft2(kappa)
    if name == "random_phases":  # every map keeps the power of each of its modes, and nothing else
        noise = np.random.default_rng(5).normal(size=kappa.shape).astype(np.float32)
        phases = np.fft.rfft2(noise)
        transform[:, :, :] = np.abs(transform) * phases / np.abs(phases) * (GEOMETRY.half_plane_ell() > 0) + (
            transform * (GEOMETRY.half_plane_ell() == 0)
        )
    else:
        transform *= np.sqrt(GAINS[name](GEOMETRY.half_plane_ell()))
    return np.fft.irfft2(transform, s=kappa.shape[1:]).astype(np.float32)


def best_by_spectrum(first, second):
    """AUC and accuracy of the best linear function of the logarithmic bands, were these normal."""
    reference = reference_of(first, second, GEOMETRY.side_deg)
    a, b = (features_of(kappa, reference, GEOMETRY.side_deg).spectrum for kappa in (first, second))
    shift = np.asarray(a).mean(0) - b.mean(0)
    d = np.sqrt(shift @ np.linalg.solve(np.cov(b.T), shift))
    return {"d_prime": d, "accuracy": norm.cdf(d / 2), "auc": norm.cdf(d / np.sqrt(2))}


def lognormal(count):
    amplitudes, variance = lognormal_amplitudes(lambda ell: convergence_power(ell, 1.0), GEOMETRY, 0.03)
    make = jax.jit(lambda index: lognormal_maps(jax.random.key(3), index, amplitudes, variance, 0.03))
    return np.concatenate([np.asarray(make(np.arange(i, i + 1000))) for i in range(0, count, 1000)])


def planes(prepare):
    table = open_crop_table(Path(prepare))
    assert table.geometry == GEOMETRY, table.geometry
    return table.cut(table.crops["train"])[..., 0]


# name: (maps, planted difference, maps of each set, steps)
CASES = {
    "planes-index": ("planes", "tilt_index", 6000, 300),
    "planes-index-1000-steps": ("planes", "tilt_index", 6000, 1000),
    "planes-index-2048": ("planes", "tilt_index", 2048, 300),
    "planes-end": ("planes", "tilt_end_to_end", 6000, 300),
    "planes-nothing": ("planes", "nothing", 6000, 300),
    "planes-nothing-2048": ("planes", "nothing", 2048, 300),
    "planes-phases-2048": ("planes", "random_phases", 2048, 300),
    "lognormal-index-2048": ("lognormal", "tilt_index", 2048, 300),
    "lognormal-end": ("lognormal", "tilt_end_to_end", 6000, 300),
    "lognormal-end-1000-steps": ("lognormal", "tilt_end_to_end", 6000, 1000),
    "lognormal-nothing": ("lognormal", "nothing", 6000, 300),
}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--prepare")
    parser.add_argument("--only")
    flags = parser.parse_args()
    made = {}
    for name in flags.only.split(",") if flags.only else CASES:
        source, difference, count, steps = CASES[name]
        if source == "planes" and not flags.prepare:
            continue
        if source not in made:
            made = {source: planes(flags.prepare) if source == "planes" else lognormal(LOGNORMAL_MAPS)}
            made[source] = made[source][np.random.default_rng(0).permutation(len(made[source]))]
        half = len(made[source]) // 2
        first, second = planted(difference, made[source][:count]), made[source][half : half + count]
        # The same maps with and without: the shift of the bands without their scatter from map to map.
        best = best_by_spectrum(planted(difference, second), second)
        start, spent = time.perf_counter(), time.process_time()
        found = tell_apart(
            *split([KeptMaps(first, np.arange(count)), KeptMaps(second, np.arange(count))], 0),
            GEOMETRY.side_deg, ClassificationSettings(steps, count, 0),
        )  # fmt: skip
        results = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
        results[name] = {
            "maps": source, "planted": difference, **found, "best_by_spectrum": best,
            "seconds": time.perf_counter() - start, "cpu_seconds": time.process_time() - spent,
            "date": str(date.today()), "jax": jax.__version__, "device": jax.devices()[0].device_kind,
            "cores": os.cpu_count(), "machine": platform.machine(),
        }  # fmt: skip
        RESULTS.write_text(json.dumps(results, indent=1) + "\n")
        print(name, {key: value["value"] for key, value in found.items() if "auc" in key}, flush=True)


if __name__ == "__main__":
    main()
