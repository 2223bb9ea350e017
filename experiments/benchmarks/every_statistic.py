"""Time of every statistic per 256^2 map, on one core, and of all that stage evaluate takes today.

nice -n 5 taskset -c 0 python experiments/benchmarks/every_statistic.py

Interleaved rounds over the same maps, skewed and with a falling spectrum; medians. Programs of one thread, as
those of stage evaluate (`side_by_side.py`).
"""

import argparse
import os
import statistics
import time

import jax
import numpy as np

from cosmogan_jax.compare.scales import scales
from cosmogan_jax.geometry import MapGeometry
from cosmogan_jax.side_by_side import jit_on_one_thread
from cosmogan_jax.stages.evaluate import summarising
from cosmogan_jax.summaries import (
    PAPER_L_EDGES,
    PAPER_THRESHOLDS,
    bispectrum,
    minimum_counts,
    minkowski_functionals,
    moments,
    ms_ssim,
    peak_counts,
    power_spectrum,
    scattering_coefficients,
    starlet_l1_norm,
    starlet_peak_counts,
    starlet_statistics,
    starlet_transform,
)

SIZE, SIDE_DEG, TOGETHER = 256, np.sqrt(12) / 4, 16
STARLET_SCALES, STARLET_BINS = 5, 16


def skewed_maps(rng: np.random.Generator, number: int) -> np.ndarray:
    """Lognormal maps of P ~ l^-1.5, smoothed over a pixel."""
    k = np.hypot(np.fft.fftfreq(SIZE)[:, None], np.fft.rfftfreq(SIZE))
    k[0, 0] = 1
    modes = np.fft.rfft2(rng.normal(size=(number, SIZE, SIZE))) * k**-0.75 * np.exp(-((2 * np.pi * k) ** 2) / 2)
    gauss = np.fft.irfft2(modes)
    return (0.02 * (np.exp(gauss / gauss.std()) - np.exp(0.5))).astype(np.float32)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=15)
    rounds = parser.parse_args().rounds
    kappa = skewed_maps(np.random.default_rng(0), TOGETHER)
    geometry = MapGeometry(SIZE, SIDE_DEG)
    scale = scales(kappa, geometry, 12)
    wavelets = np.asarray(starlet_transform(kappa, STARLET_SCALES))
    quantiles = np.quantile(wavelets, [1e-3, 1 - 1e-3], axis=(0, 2, 3))
    edges = np.linspace(*quantiles, STARLET_BINS + 1, axis=-1)
    evaluate = summarising.summariser(scale, geometry)
    old = {
        "power spectrum, 248 bins": lambda k: power_spectrum(k, PAPER_L_EDGES, SIDE_DEG),
        "Minkowski functionals, 19 thresholds": lambda k: minkowski_functionals(k, PAPER_THRESHOLDS),
        "peaks, 14 bins": lambda k: peak_counts(k, scale.peak_edges),
        "bispectrum, 6 bins": lambda k: bispectrum(k, scale.bispectrum_edges, SIDE_DEG),
        "moments": moments,
    }
    new = {
        "minima, 14 bins": lambda k: minimum_counts(k, scale.peak_edges),
        "starlet transform, 5 scales": lambda k: starlet_transform(k, STARLET_SCALES),
        "starlet l1 norm, 5 scales, 16 bins": lambda k: starlet_l1_norm(k, edges),
        "starlet peaks, 5 scales, 16 bins": lambda k: starlet_peak_counts(k, edges),
        "starlet l1 norm and peaks of one transform": lambda k: starlet_statistics(k, edges, edges),
        "the same, 4 scales": lambda k: starlet_statistics(k, edges[:4], edges[:4]),
        "scattering, j = 0 to 4, 4 angles": lambda k: scattering_coefficients(k, 5),
        "scattering, j = 1 to 4, 4 angles": lambda k: scattering_coefficients(k, 4, first_scale=1),
        "the same at full resolution": lambda k: scattering_coefficients(
            k, 4, first_scale=1, full_resolution=True
        ),
        "MS-SSIM, a pair": lambda k: ms_ssim(k, k[::-1], 0.2),
    }
    functions = {name: jit_on_one_thread(function) for name, function in (old | new).items()}
    functions = {"all that stage evaluate takes": evaluate} | functions
    seconds: dict[str, list[float]] = {name: [] for name in functions}
    for round_ in range(rounds + 1):
        for name, function in functions.items():
            began = time.perf_counter()
            jax.block_until_ready(function(kappa))
            if round_:
                seconds[name].append(time.perf_counter() - began)
    print(f"{len(os.sched_getaffinity(0))} core, jax {jax.__version__}, {rounds} rounds of {TOGETHER} maps")
    print("| | ms a map, median | fastest |\n|---|---|---|")
    for name, of in seconds.items():
        print(f"| {name} | {1e3 * statistics.median(of) / TOGETHER:.2f} | {1e3 * min(of) / TOGETHER:.2f} |")


if __name__ == "__main__":
    main()
