"""Takes mean and covariance of all auto and cross powers of maps in several source bins, for other codes.

    python experiments/guides/scripts/several_bins.py [folder] [emulator] [maps]

Where nothing is said: runs/guides/bins, pm-four-bins and 400.

Shows: maps of several bins, galaxies' shape noise of each, smoothing, the whole data vector in one call, its
files in a layout of two-point data, and its correlation matrix as a picture. The emulator is a name or a folder
that stage pack wrote; of "" maps are sums of lognormal shells, the farther bins' of more. Half a minute.
"""

import sys
from pathlib import Path

import jax
import jax.numpy as jnp
from matplotlib.figure import Figure

import cosmogan_jax
from cosmogan_jax.compare.joint_data_vectors import joint_data_vector
from cosmogan_jax.files.data_vector_files import write_data_vector
from cosmogan_jax.geometry import MapGeometry
from cosmogan_jax.maps.source_bins import bins_first
from cosmogan_jax.sky.lognormal import lognormal_amplitudes, lognormal_maps
from cosmogan_jax.summaries.observer import add_shape_noise_of_bins, smooth

GALAXIES = (5.0, 7.0, 8.0, 10.0)  # an arcmin^2, in each bin


def shells(number: int) -> tuple[jax.Array, MapGeometry]:
    """Maps of three bins, (maps, size, size, bins): bin b is the sum of lognormal shells 0 to b."""
    geometry, keys = MapGeometry(64, 0.875), jax.random.split(jax.random.key(0), 3)
    amplitudes, variance = lognormal_amplitudes(lambda ell: 2e-7 / ell, geometry, 0.03)
    of_shell = [lognormal_maps(key, jnp.arange(number), amplitudes, variance, 0.03) for key in keys]
    return jnp.cumsum(jnp.stack(of_shell, -1), -1), geometry


def main(folder: str = "runs/guides/bins", name: str = "pm-four-bins", number: str = "400") -> None:
    if name:
        emulator = cosmogan_jax.load(name)
        maps, geometry = emulator.sample(seed=0, num_maps=int(number)), emulator.geometry
    else:
        maps, geometry = shells(int(number))
    kappa = bins_first(jnp.asarray(maps))  # (maps, bins, size, size)
    galaxies = GALAXIES[: kappa.shape[1]]
    noise = cosmogan_jax.GalaxyNoise(galaxies_per_arcmin2=galaxies)
    seen = add_shape_noise_of_bins(jax.random.key(1), kappa, jnp.arange(len(kappa)), geometry, noise)
    vector = joint_data_vector(smooth(seen, geometry, 1.0), geometry, num_bands=8, statistics=["peaks"])
    about = [f"bin {b + 1}: {of:g} galaxies an arcmin^2" for b, of in enumerate(galaxies)]
    write_data_vector(Path(folder), vector.tables(), vector.covariance, vector.labels, about)

    figure = Figure(figsize=(6, 5), layout="constrained")
    ax = figure.subplots()
    figure.colorbar(ax.imshow(vector.correlation, vmin=-1, vmax=1, cmap="PuOr_r"), label="correlation")
    ax.set(xlabel="number in the data vector", title=" then ".join(vector.columns))
    figure.savefig(Path(folder) / "correlation.png", dpi=120)
    print(f"{len(vector.mean)} numbers of {vector.num_maps} maps in {kappa.shape[1]} bins, in {folder}")
    print("\n".join(f"{label}: {mean:.3e}" for label, mean in list(zip(vector.labels, vector.mean))[:3]))


if __name__ == "__main__":
    main(*sys.argv[1:])
