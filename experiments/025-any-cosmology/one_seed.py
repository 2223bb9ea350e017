"""The README picture: one seed of an emulator of any cosmology, at nine of them.

    python experiments/025-any-cosmology/one_seed.py [emulator]

The first map of seed 0, 64x64 pixels; not chosen.
"""

import sys
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from cosmogan_jax.emulators.packed import load

OMEGA_M, SIGMA8 = (0.24, 0.30, 0.36), (0.92, 0.80, 0.68)
LOW, HIGH = -0.02, 0.06


def main(name: str) -> None:
    """Draw them in a table, Omega_m to the right and sigma8 upwards."""
    emulator = load(name)
    side = emulator.geometry.side_deg
    figure = Figure(figsize=(6.6, 6.2), layout="constrained")
    axes = figure.subplots(len(SIGMA8), len(OMEGA_M), sharex=True, sharey=True)
    for row, sigma8 in zip(axes, SIGMA8, strict=True):
        for ax, omega_m in zip(row, OMEGA_M, strict=True):
            kappa = np.asarray(emulator.sample(seed=0, num_maps=1, omega_m=omega_m, sigma8=sigma8))[0]
            image = ax.imshow(
                kappa, vmin=LOW, vmax=HIGH, origin="lower", extent=(0, side, 0, side), cmap="cividis"
            )
            ax.set_title(f"$\\Omega_m$ = {omega_m:g}, $\\sigma_8$ = {sigma8:g}", fontsize=9)
    for row in axes:
        row[0].set_ylabel("[degrees]")
    for ax in axes[-1]:
        ax.set_xlabel("[degrees]")
    figure.colorbar(image, ax=axes, label="convergence κ, sources at redshift 1", extend="both", shrink=0.8)
    figure.savefig(Path(__file__).parent / "one_seed.png", dpi=80)


if __name__ == "__main__":
    main(*sys.argv[1:] or ["pm-zs1-cosmology"])
