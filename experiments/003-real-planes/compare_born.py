"""Born maps of the real planes against the independently ray-traced map of the same planes.

python experiments/003-real-planes/compare_born.py --data <folder with lens_planes, kappa, rolls.json>
"""

import argparse
import json
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from astropy.io import fits

from cosmogan_jax.geometry import MapGeometry, log_l_edges
from cosmogan_jax.maps.lens_planes import read_lens_planes
from cosmogan_jax.sky.cosmology import Cosmology
from cosmogan_jax.sky.planes import born_maps, born_weights, plane_convergence, split_regions
from cosmogan_jax.summaries import power_spectrum

SIZE = 128


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    data = parser.parse_args().data
    planes = read_lens_planes(data / "lens_planes")
    side, head = float(planes.side_deg[0]), planes.header
    cosmology = Cosmology(head["OMEGA_M"], head["OMEGA_L"], head["H"], head["W0"], head["WA"])
    operators = ("five_point", "wide", "spectral")
    convergences = {name: plane_convergence(planes.potential, side, laplacian=name) for name in operators}
    kappa = convergences["five_point"]
    rolls = json.loads((data / "rolls.json").read_text())
    result = {}
    for name, redshift in (("z49", 0.49), ("z99", 0.99)):
        with fits.open(data / f"kappa/convergence_{name}.fit") as opened:
            traced = opened[0].data.astype(np.float32)
        weights = born_weights(planes.chi, cosmology, redshift)
        edges = log_l_edges(MapGeometry(512, side), 10)
        result[name] = {"l_edges": [round(e) for e in edges]}
        for laplacian, convergence in convergences.items():
            rolled = (np.roll(k, rolls.get(file, (0, 0)), (0, 1)) for k, file in zip(convergence, planes.names))
            born = sum(w * k for w, k in zip(weights, rolled))
            power = [np.asarray(power_spectrum(np.float32(m - m.mean()), edges, side)) for m in (born, traced)]
            result[name][laplacian] = {
                "correlation": round(float(np.corrcoef(born.ravel(), traced.ravel())[0, 1]), 4),
                "power_born_to_traced": [round(float(r), 3) for r in power[0] / power[1]],
            }
    small = MapGeometry(512, side).crop(SIZE)
    edges = log_l_edges(small, 8)

    def spectra(maps):
        return np.asarray(power_spectrum(maps, edges, small.side_deg, mode_weights="full_plane"))

    crops = traced.reshape(4, SIZE, 4, SIZE).swapaxes(1, 2).reshape(16, SIZE, SIZE)
    reference = spectra(crops)
    result["windows"] = {"pixels": SIZE, "l_edges": [round(e) for e in edges]}
    for split, region in split_regions(512).items():
        maps = born_maps(
            jax.random.key(0), jnp.arange(128), jnp.asarray(kappa), jnp.float32(weights), region, SIZE
        )
        found = spectra(maps)
        result["windows"][split] = {
            "mean_power_to_z99": [round(float(r), 3) for r in found.mean(0) / reference.mean(0)],
            "scatter_to_z99": [round(float(r), 3) for r in found.std(0) / reference.std(0)],
        }
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
