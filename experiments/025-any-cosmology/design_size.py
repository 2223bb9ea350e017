"""What more cosmologies and more boxes of each would buy: errors of smooth regressions at held-out cosmologies.

    python experiments/025-any-cosmology/design_size.py runs/any-cosmology/simulate/maps

Each box's ln of the mean power in 12 bands, ln of the variance and skewness are measured on its maps, and
regressed on (1, t, t^2), t the standardised ln Omega_m and ln sigma8, from some of the training cosmologies and
some boxes of each. At the held-out cosmologies the result is compared with the mean over all their boxes, whose
own noise, known from the scatter over boxes of the same seed at all cosmologies, is taken off. This is the part
of an emulator's error that its simulations alone decide, whatever its network; minutes on one core.
"""

import itertools
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from cosmogan_jax.emulators.conditioning import measured, regressors
from cosmogan_jax.geometry import log_l_edges
from cosmogan_jax.maps.store import open_map_store
from cosmogan_jax.summaries import power_spectrum

NAMES = ("omega_m", "sigma8")
CROP, BANDS, DRAWS = 64, 12, 40


def measure(store) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return names, splits and parameters of all boxes, and their numbers: (boxes, BANDS + 2)."""
    geometry = store.crop_geometry(CROP)
    edges = log_l_edges(geometry, BANDS)

    @jax.jit
    def sums(kappa):
        crops = kappa.reshape(-1, 2, CROP, 2, CROP).swapaxes(2, 3).reshape(-1, CROP, CROP)
        power = power_spectrum(crops, edges, geometry.side_deg).mean(0)
        off = crops - crops.mean()
        return jnp.concatenate([power, jnp.stack([(off**2).mean(), (off**3).mean()])])

    labels = [f"{split}/{box}/{theta}" for split, box, theta in zip(*columns(store), strict=True)]
    starts = [n for n, label in enumerate(labels) if n == 0 or label != labels[n - 1]]
    rows = []
    for start, stop in itertools.pairwise([*starts, len(labels)]):
        values = np.asarray(sums(store.read(start, stop)[..., 0]), np.float64)
        *power, variance, third = values
        rows.append([*np.log(power), np.log(variance), third / variance**1.5])
    splits, boxes, theta = (np.array(column)[starts] for column in columns(store))
    return boxes, splits, theta, np.array(rows)


def columns(store):
    """Return split, box and parameters of every map."""
    theta = np.array([store.parameters[name] for name in NAMES], float).T
    return store.manifest.splits, store.manifest.boxes, [tuple(row) for row in theta]


def predicted(theta: np.ndarray, values: np.ndarray, at: np.ndarray) -> np.ndarray:
    """Regress the values on those parameters and return them at others."""
    conditioning = measured(theta, NAMES, 2)
    phi, phi_at = (np.asarray(regressors(conditioning, jnp.asarray(x), NAMES, 2)) for x in (theta, at))
    return phi_at @ np.linalg.lstsq(phi, values, rcond=None)[0]


def main(path: Path) -> None:
    """Print the table."""
    _, splits, theta, values = measure(open_map_store(path))
    train, held = splits == "train", np.isin(splits, ("validation", "auxiliary"))
    points = np.unique(theta[held], axis=0)
    of_point = [values[held & (theta == point).all(1)] for point in points]
    truth = np.array([boxes.mean(0) for boxes in of_point])
    noise = np.mean([boxes.var(0, ddof=1) / len(boxes) for boxes in of_point], axis=0)
    cosmologies = np.unique(theta[train], axis=0)
    most = min(int((train & (theta == point).all(1)).sum()) for point in cosmologies)
    print(f"{len(points)} held-out cosmologies of {len(of_point[0])} boxes")
    print(
        "| cosmologies | boxes of each | boxes | power, rms over bands | sigma | skewness |\n"
        + "|---" * 6
        + "|"
    )
    rng = np.random.default_rng(0)
    for count, boxes in itertools.product(sorted({8, 10, 12, len(cosmologies)}), range(1, most + 1)):
        squares = []
        for _ in range(DRAWS):
            chosen = rng.choice(len(cosmologies), count, replace=False)
            rows = [
                rng.choice(np.flatnonzero(train & (theta == cosmologies[n]).all(1)), boxes, replace=False)
                for n in chosen
            ]
            which = np.concatenate(rows)
            squares.append(((predicted(theta[which], values[which], points) - truth) ** 2).mean(0))
        error = np.sqrt(np.maximum(np.median(squares, axis=0) - noise, 0))
        power = np.sqrt((error[:BANDS] ** 2).mean())
        print(
            f"| {count} | {boxes} | {count * boxes} | {power:.3f} | {error[BANDS] / 2:.3f} | {error[-1]:.3f} |"
        )


if __name__ == "__main__":
    main(Path(sys.argv[1]))
