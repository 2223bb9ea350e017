"""Born and multi-plane maps of the real planes against an independent ray tracer's map of the same planes.

python experiments/004-nbody/compare_tracing.py --data <folder with lens_planes, kappa, rolls.json>
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
from cosmogan_jax.sky import planes, ray_tracing
from cosmogan_jax.sky.cosmology import Cosmology, comoving_distance
from cosmogan_jax.summaries import power_spectrum

NEAREST = ("snap57", "snap58")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    data = parser.parse_args().data
    lens = read_lens_planes(data / "lens_planes")
    rolls = json.loads((data / "rolls.json").read_text())
    head, size = lens.header, lens.potential.shape[-1]
    cosmology = Cosmology(head["OMEGA_M"], head["OMEGA_L"], head["H"], head["W0"], head["WA"])
    side = np.radians(lens.side_deg[0])
    pixel = np.float32(side / size)
    rolled = [np.roll(p, rolls.get(n, (0, 0)), (0, 1)) for p, n in zip(lens.potential, lens.names)]
    fields = [ray_tracing.field_of_potential(jnp.asarray(np.pad(p, 2, mode="wrap")), pixel) for p in rolled]
    grids = {
        "pixel": np.mgrid[:size, :size] * float(pixel),
        # LensTools' own examples shoot rays from linspace(0, side, N), both ends included, and read the pixel
        # that a ray falls in.
        "stretched": np.stack(np.meshgrid(*[np.linspace(0, side, size)] * 2, indexing="ij")),
    }
    through = jax.jit(ray_tracing.pass_plane)

    def multi_plane(redshift, grid, nearest_pixel, left_out):
        source = float(comoving_distance(cosmology, redshift))
        rays = ray_tracing.begin(jnp.asarray(grids[grid], jnp.float32))
        for name, field, chi in zip(lens.names, fields, lens.chi):
            if chi < source and not name.startswith(left_out):
                if nearest_pixel:
                    beta = ray_tracing.position(rays, chi) / pixel
                    y, x = (np.asarray(jnp.floor(b + 1e-4)).astype(int) % size for b in beta)
                    at = ray_tracing.LensField(*(f[y, x] for f in field))
                    a = ray_tracing.jacobian(rays, chi)
                    alpha = jnp.stack([at.alpha_y, at.alpha_x])
                    tidal = jnp.stack(
                        [at.psi_yy * a[0] + at.psi_xy * a[1], at.psi_xy * a[0] + at.psi_xx * a[1]]
                    )
                    rays = rays._replace(
                        deflection=rays.deflection + alpha, deflection_chi=rays.deflection_chi + chi * alpha,
                        tidal=rays.tidal + tidal, tidal_chi=rays.tidal_chi + chi * tidal,
                    )  # fmt: skip
                else:
                    rays = through(rays, field, np.float32(chi), pixel, jnp.zeros(2))
        return np.asarray(ray_tracing.lensed_maps(rays, source).kappa)

    def born(redshift, left_out, laplacian):
        weights = planes.born_weights(lens.chi, cosmology, redshift)
        kappa = planes.plane_convergence(np.stack(rolled), lens.side_deg[0], laplacian=laplacian)
        return sum(w * k for w, k, n in zip(weights, kappa, lens.names) if w > 0 and not n.startswith(left_out))

    result = {}
    edges = log_l_edges(MapGeometry(size, lens.side_deg[0]), 10)
    for name, redshift in (("z49", 0.49), ("z99", 0.99)):
        with fits.open(data / f"kappa/convergence_{name}.fit") as opened:
            reference = opened[0].data.astype(np.float64)
        variants = {"born, five_point": born(redshift, ("none",), "five_point"),
                    "born, wide": born(redshift, ("none",), "wide"),
                    "multi-plane, bilinear": multi_plane(redshift, "pixel", False, ("none",)),
                    "multi-plane, LensTools' rays": multi_plane(redshift, "stretched", True, ("none",)),
                    "born, wide, without snap57 and snap58": born(redshift, NEAREST, "wide"),
                    "multi-plane, bilinear, without snap57 and snap58":
                        multi_plane(redshift, "pixel", False, NEAREST),
                    "multi-plane, LensTools' rays, without snap57 and snap58":
                        multi_plane(redshift, "stretched", True, NEAREST)}  # fmt: skip
        result[name] = {"l_edges": [round(e) for e in edges]}
        for variant, kappa in variants.items():
            power = [np.asarray(power_spectrum(np.float32(m - m.mean()), edges, lens.side_deg[0]))
                     for m in (kappa, reference)]  # fmt: skip
            result[name][variant] = {
                "correlation": round(float(np.corrcoef(kappa.ravel(), reference.ravel())[0, 1]), 4),
                "power_to_reference": [round(float(r), 3) for r in power[0] / power[1]],
            }
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
