"""The README's picture: maps of the N-body planes beside generated ones, same scale of colours.

    python -m cosmogan_jax.main --flagfile=experiments/008-reduced-scale/sky.flags --lens_planes=<folder> \
        --workdir=runs/picture --num_train_maps=1 --num_development_maps=1 --num_validation_maps=4
    python experiments/008-reduced-scale/real_and_generated.py runs/picture/simulate/maps

The first four of each, not chosen; the real ones of the validation region, which the generator never saw.
"""

import sys
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from cosmogan_jax.pretrained import load
from cosmogan_jax.storage.map_store import open_map_store
from cosmogan_jax.storage.readers import as_kappa

SHOWN = 4
LOW, HIGH = -0.02, 0.06


def main(store: Path) -> None:
    emulator = load("planes-z0.99-64")
    maps = open_map_store(store)
    of_validation = [i for i, split in enumerate(maps.manifest["splits"]) if split == "validation"][:SHOWN]
    real = as_kappa(np.concatenate([maps.read(i, i + 1)[..., 0] for i in of_validation]), downsample=2)
    generated = np.asarray(emulator.sample(seed=0, num_maps=SHOWN))
    side = emulator.geometry.side_deg
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
    figure.colorbar(image, ax=rows, label="convergence κ, sources at redshift 0.99", extend="both")
    figure.savefig(Path(__file__).parent / "real_and_generated.png", dpi=100)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
