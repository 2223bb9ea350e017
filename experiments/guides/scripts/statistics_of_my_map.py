"""Takes the statistics of a map file in any form that `--maps` reads.

    python experiments/guides/scripts/statistics_of_my_map.py [file] [degrees]     # runs/guides/map.fits

Shows: reading a map, its power spectrum, Minkowski functionals and peaks. The side in degrees is wanted where
the file does not say it; the default is the file that sample.py writes. Five seconds of one core.
"""

import sys

import jax.numpy as jnp
import numpy as np

from cosmogan_jax.geometry import MapGeometry, log_l_edges
from cosmogan_jax.maps.formats import open_map_file
from cosmogan_jax.summaries import minkowski_functionals, peak_counts, power_spectrum


def main(path: str = "runs/guides/map.fits", degrees: str | None = None) -> None:
    file = open_map_file(path)
    side_deg = float(degrees) if degrees else file.side_deg
    if side_deg is None:
        raise SystemExit(f"{path} does not say how wide its maps are: give their side in degrees after it")
    kappa = jnp.asarray(file.read(0, 1)[0])  # NaN where pixels are invalid
    print(f"{path}: {kappa.shape} pixels, {side_deg:.4g} degrees, sigma {float(kappa.std()):.5f}")

    l_edges = log_l_edges(MapGeometry(kappa.shape[-1], side_deg), 8)
    power = power_spectrum(kappa, l_edges, side_deg)
    for low, high, of in zip(l_edges[:-1], l_edges[1:], power):
        middle = np.sqrt(low * high)
        print(f"ell {low:5.0f} to {high:5.0f}: ell^2 P / 2 pi = {middle**2 * of / (2 * np.pi):.3e}")

    sigma = np.arange(-2.0, 4.1)  # thresholds in units of the map's own standard deviation
    v0, v1, v2 = minkowski_functionals(kappa, sigma)
    for level, *of in zip((sigma[1:] + sigma[:-1]) / 2, v0, v1, v2):
        print(f"at {level:+.1f} sigma: V0 {of[0]:.3f}, V1 {of[1]:.4f}, V2 {of[2]:+.5f}")
    heights = np.linspace(-0.02, 0.1, 7)
    peaks = peak_counts(kappa, heights) * np.diff(heights)  # it gives their density in kappa
    print(f"peaks from {heights[0]:g} to {heights[-1]:g} in kappa, 6 bins: {np.rint(peaks)}")


if __name__ == "__main__":
    main(*sys.argv[1:])
