"""Maps of the N-body sky against Limber theory, and their shapes against the real planes' map.

python experiments/004-nbody/light_cone.py --plain <workdir> --sharp <workdir> --data <folder with kappa>
"""

import argparse
import json
from pathlib import Path

import numpy as np
from astropy.io import fits
from scipy.ndimage import gaussian_filter

from cosmogan_jax.geometry import MapGeometry
from cosmogan_jax.maps.store import open_map_store
from cosmogan_jax.sky.limber import convergence_power
from cosmogan_jax.summaries import minkowski_functionals, peak_counts, power_spectrum

L_EDGES = np.array([100, 200, 400, 800, 1500, 3000, 6000, 12000, 26000, 50000.0])
THRESHOLDS = np.linspace(-2, 4, 13)
PEAKS = np.array([1.0, 2.0, 3.0, 4.0, 6.0])


def spectra(store):
    """Mean power over theory in each band, by box too."""
    geometry, kappa = store.geometry, store.read()[..., 0]
    edges = L_EDGES[: np.searchsorted(L_EDGES, geometry.nyquist_ell * 1.01)]
    power = np.asarray(power_spectrum(kappa, edges, geometry.side_deg, mode_weights="full_plane"))
    ell, weight, bins = (
        geometry.half_plane_ell(),
        geometry.half_plane_weights(),
        geometry.half_plane_bins(edges),
    )

    def bands(theory):
        values = theory(np.maximum(ell, 1))
        return np.array(
            [np.average(values[bins == b], weights=weight[bins == b]) for b in range(len(edges) - 1)]
        )

    halofit = bands(lambda x: convergence_power(x, 1.0))
    linear = bands(lambda x: convergence_power(x, 1.0, linear=True))
    boxes = np.array(store.manifest.boxes)
    by_box = np.array([power[boxes == name].mean(0) for name in dict.fromkeys(boxes)])
    mean = by_box.mean(0)
    return {
        "l_edges": edges.tolist(),
        "to_halofit": np.round(mean / halofit, 3).tolist(),
        "error_from_boxes": np.round(by_box.std(0, ddof=1) / np.sqrt(len(by_box)) / halofit, 3).tolist(),
        "to_linear": np.round(mean / linear, 3).tolist(),
        "boxes": len(by_box),
        "maps": len(power),
    }


def shapes(kappa, side_deg, smoothing_arcmin):
    """Statistics of maps smoothed by a Gaussian of that sigma, without the border it reaches."""
    pixels = smoothing_arcmin / MapGeometry(kappa.shape[-1], side_deg).pixel_arcmin
    border = int(3 * pixels) + 1
    smooth = np.stack([gaussian_filter(k.astype(np.float64), pixels) for k in kappa])
    smooth = smooth[:, border:-border, border:-border]
    nu = smooth - smooth.mean((1, 2), keepdims=True)
    sigma = np.sqrt((nu**2).mean())
    area = smooth.shape[0] * (side_deg * smooth.shape[1] / kappa.shape[-1]) ** 2
    nu = (nu / sigma).astype(np.float32)
    v = [np.asarray(f).mean(0) for f in minkowski_functionals(nu, THRESHOLDS, normalised=False)]
    peaks = np.asarray(peak_counts(nu, PEAKS, normalised=False)).sum(0) * np.diff(PEAKS)
    return {
        "sigma": round(float(sigma), 5),
        "skewness": round(float((nu**3).mean()), 3),
        "kurtosis": round(float((nu**4).mean() - 3), 3),
        "peaks_per_deg2": [round(float(x), 3) for x in peaks / area],
        "V0": [round(float(x), 4) for x in v[0]],
        "V1_to_its_maximum": [round(float(x), 3) for x in v[1] / v[1].max()],
        "V2_to_its_maximum": [round(float(x), 3) for x in v[2] / np.abs(v[2]).max()],
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("plain", "sharp", "data"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    args = parser.parse_args()
    stores = {name: open_map_store(getattr(args, name) / "simulate/maps") for name in ("plain", "sharp")}
    result = {name: {"power": spectra(store)} for name, store in stores.items()}
    result["resolution"] = stores["plain"].manifest.origin["resolution"]
    with fits.open(args.data / "kappa/convergence_z99.fit") as opened:
        real = {"real planes": (opened[0].data.astype(np.float32)[None], 3.5)}
    maps = {name: (store.read()[..., 0], store.geometry.side_deg) for name, store in stores.items()} | real
    result["smoothed"] = {
        f"{arcmin} arcmin": {name: shapes(*of, arcmin) for name, of in maps.items()} for arcmin in (1, 2, 4)
    }
    result["thresholds"], result["peak_edges"] = THRESHOLDS.tolist(), PEAKS.tolist()
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
