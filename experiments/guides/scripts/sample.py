"""Draws maps of an emulator that comes trained with the package, and writes them for other tools.

    python experiments/guides/scripts/sample.py [folder] [name] [pixels]      # runs/guides pm-zs1-64 128

Shows: what emulators there are, maps of another size than the training's, the same maps through galaxies' shape
noise, and one map as FITS with its angle in the header. A quarter of a minute of one core, mostly compilation.
"""

import sys
from pathlib import Path

import numpy as np

import cosmogan_jax
from cosmogan_jax.maps.map_files import write_fits_map


def main(folder: str = "runs/guides", name: str = "pm-zs1-64", pixels: str = "128") -> None:
    to = Path(folder)
    to.mkdir(parents=True, exist_ok=True)
    emulator = cosmogan_jax.load(name)
    print(f"{name}, one of {', '.join(cosmogan_jax.names())}; trained on {emulator.geometry.num_pixels} pixels")

    # Map n depends on the seed and on n alone, however many are drawn.
    kappa = emulator.sample(seed=0, num_maps=16, size=int(pixels))
    noise = cosmogan_jax.GalaxyNoise(galaxies_per_arcmin2=30, sigma_e=0.26)
    seen = emulator.sample(seed=0, num_maps=16, size=int(pixels), noise=noise, smoothing_arcmin=1.0)
    print(f"kappa {kappa.shape}: sigma {float(kappa.std()):.4f}; observed and smoothed {float(seen.std()):.4f}")

    np.save(to / "maps.npy", kappa)
    geometry = emulator.of_size(int(pixels)).geometry
    write_fits_map(to / "map.fits", np.asarray(kappa[0]), geometry, {"ZSOURCE": (1.0, "source redshift")})
    print(f"{to / 'maps.npy'}, and the first as {to / 'map.fits'}, {geometry.side_deg:.3g} degrees wide")


if __name__ == "__main__":
    main(*sys.argv[1:])
