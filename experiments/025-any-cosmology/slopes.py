"""d ln P / d ln theta of an emulator beside that of all boxes by regression, halofit's beside both.

    python experiments/025-any-cosmology/slopes.py runs/any-cosmology/simulate/maps [emulator]

At Omega_m 0.3 and sigma8 0.8. The emulator's: differences of the same seeds 5 % below and above. The boxes': a
quadratic regression of ln P of every box of the design, the held-out ones among them, with errors from a
bootstrap over boxes, those of one seed together. No matched seeds at this point (023 makes such): errors are
larger than those of differences, and the emulator learnt from a part of these boxes.
"""

import sys
from pathlib import Path

import numpy as np
from design_size import BANDS, NAMES, measure, predicted

from cosmogan_jax.emulators.packed import load
from cosmogan_jax.geometry import log_l_edges
from cosmogan_jax.maps.store import open_map_store
from cosmogan_jax.sky.cosmology import paper_with
from cosmogan_jax.sky.limber import convergence_power
from cosmogan_jax.sky.matter_power import matter_power
from cosmogan_jax.summaries import power_spectrum

CENTRE = {"omega_m": 0.3, "sigma8": 0.8}
STEP, MAPS, DRAWS = 0.05, 4096, 100


def displaced(name: str) -> list[dict[str, float]]:
    """Return the parameters below and above the centre."""
    return [{**CENTRE, name: CENTRE[name] * (1 + sign * STEP)} for sign in (-1, 1)]


def slope(of) -> dict[str, np.ndarray]:
    """Return d ln P / d ln theta by name, of a function that gives ln P at a cosmology."""
    slopes = {}
    for name in NAMES:
        low, high = (of(where) for where in displaced(name))
        slopes[name] = (high - low) / np.log((1 + STEP) / (1 - STEP))
    return slopes


def log_halofit(ell: np.ndarray, where: dict[str, float]) -> np.ndarray:
    """Return ln C_ell of Limber's integral over halofit's matter power."""
    power = matter_power(paper_with(**where))
    return np.log(np.asarray(convergence_power(ell, 1.0, power)))


def main(store: Path, name: str) -> None:
    """Print a table."""
    boxes, splits, theta, values = measure(open_map_store(store))
    used = splits != "development"
    boxes, theta, values = boxes[used], theta[used], values[used, :BANDS]

    def of_boxes(rows):
        return slope(lambda at: predicted(theta[rows], values[rows], np.array([[at[n] for n in NAMES]]))[0])

    # Boxes of one name are of one seed where they are held out; training boxes have a name of their own each.
    seeds = np.unique(boxes)
    members = [np.flatnonzero(boxes == seed) for seed in seeds]
    rng = np.random.default_rng(0)
    draws = [of_boxes(np.concatenate([members[n] for n in rng.integers(0, len(seeds), len(seeds))]))
             for _ in range(DRAWS)]  # fmt: skip
    emulator = load(name)
    edges = log_l_edges(emulator.geometry, BANDS)

    def of_emulator(where):
        power = 0.0
        for first in range(0, MAPS, 512):
            kappa = emulator.sample(seed=0, num_maps=512, first=first, **where)
            power += np.asarray(power_spectrum(kappa, edges, emulator.geometry.side_deg), np.float64).mean(0)
        return np.log(power)

    ell = np.sqrt(edges[1:] * edges[:-1])
    halofit = slope(lambda where: log_halofit(ell, where))
    ours, whole = slope(of_emulator), of_boxes(np.arange(len(boxes)))
    print(f"| ell | {' | '.join(f'{x:.0f}' for x in ell)} |\n|---{'|---' * BANDS}|")
    for n in NAMES:
        error = np.std([draw[n] for draw in draws], axis=0)
        for title, row in (("emulator", ours[n]), ("boxes", whole[n]), ("their error", error),
                           ("emulator - boxes", ours[n] - whole[n]), ("halofit", halofit[n])):  # fmt: skip
            print(f"| {n}: {title} | {' | '.join(f'{x:.2f}' for x in row)} |")


if __name__ == "__main__":
    main(Path(sys.argv[1]), *(sys.argv[2:] or ["pm-zs1-cosmology"]))
