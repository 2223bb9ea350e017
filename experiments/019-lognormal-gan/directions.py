"""Power of generated maps over validation maps, by direction and into the corners.

python experiments/019-lognormal-gan/directions.py --workdir=runs/lognormal-gan

Means over maps under a Hann window, in rings of |k| (fundamentals of a crop) and sectors: within 15 degrees of
the axis of columns, of rows, and within 8 of a diagonal. Rings alone hid from the first recipe what this shows.
"""

import argparse
import itertools
from pathlib import Path

import numpy as np

from cosmogan_jax.maps.crop_table import open_crop_table
from cosmogan_jax.maps.store import open_map_store

MAPS = 2400


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workdir", type=Path, required=True)
    workdir = parser.parse_args().workdir
    table = open_crop_table(workdir / "prepare")
    real = {split: table.cut(table.choose(split, MAPS))[..., 0] for split in ("validation", "train")}
    made = open_map_store(workdir / "generate/maps").read(0, MAPS)[..., 0]
    size = made.shape[-1]
    window = np.hanning(size + 2)[1:-1]
    window = window[:, None] * window
    mean = real["validation"].mean(dtype=np.float64)

    def power(kappa):
        return (np.abs(np.fft.fft2((kappa - mean) * window)) ** 2).mean(0)

    reference = power(real["validation"])
    frequency = np.fft.fftfreq(size, 1 / size)
    wave = np.hypot(frequency[:, None], frequency)
    angle = np.degrees(np.arctan2(np.abs(frequency)[:, None], np.abs(frequency)))
    sectors = {
        "all": angle >= 0,
        "columns": angle < 15,
        "rows": angle > 75,
        "diagonals": np.abs(angle - 45) < 8,
    }
    half = size / 2
    edges = np.concatenate([np.geomspace(1, half, 9), half * np.array([1.1, 1.2, 1.3, 1.415])])
    print("| maps | sector | " + " | ".join(f"{a:.0f} to {b:.0f}" for a, b in itertools.pairwise(edges)) + " |")
    print("|---" * (len(edges) + 1) + "|")
    for name, kappa in (("training", real["train"]), ("generated", made)):
        found = power(kappa)
        for sector, inside in sectors.items():
            cells = []
            for low, high in itertools.pairwise(edges):
                ring = inside & (wave >= low) & (wave < high)
                cells.append(f"{found[ring].mean() / reference[ring].mean():.2f}" if ring.any() else "")
            print(f"| {name} | {sector} | " + " | ".join(cells) + " |")


if __name__ == "__main__":
    main()
