"""A picture: maps of N-body boxes that the emulator never saw beside generated ones, colours alike.

    python experiments/019-lognormal-gan/real_and_generated.py runs/lognormal-gan-large/simulate/maps

Not chosen: the first map of each of the first validation boxes, and the first maps that are generated.
"""

import sys
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from cosmogan_jax.emulators.packed import load
from cosmogan_jax.maps.store import open_map_store

SHOWN, PIXELS = 4, 128
LOW, HIGH = -0.02, 0.06


def main(store: Path) -> None:
    emulator, maps = load("pm-zs1-64"), open_map_store(store)
    boxes = [box for box in dict.fromkeys(maps.manifest.boxes) if box.startswith("validation")][:SHOWN]
    first = [maps.manifest.boxes.index(box) for box in boxes]
    real = np.concatenate([maps.read(i, i + 1)[..., 0] for i in first])
    generated = np.asarray(emulator.sample(seed=0, num_maps=SHOWN, size=PIXELS))
    side = emulator.geometry.side_deg / emulator.geometry.num_pixels * PIXELS
    figure = Figure(figsize=(9, 4.6), layout="constrained")
    rows = figure.subplots(2, SHOWN, sharex=True, sharey=True)
    for row, name, kappa in zip(rows, ("N-body simulation", "generated"), (real, generated), strict=True):
        for ax, one in zip(row, kappa, strict=True):
            image = ax.imshow(
                one, vmin=LOW, vmax=HIGH, origin="lower", extent=(0, side, 0, side), cmap="cividis"
            )
        row[0].set_ylabel(f"{name}\n[degrees]")
    for ax in rows[1]:
        ax.set_xlabel("[degrees]")
    figure.colorbar(image, ax=rows, label="convergence κ, sources at redshift 1", extend="both")
    figure.savefig(Path(__file__).parent / "real_and_generated.png", dpi=100)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
