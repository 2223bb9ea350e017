"""By which statistic of a single map are generated maps told from real ones? A quadratic discriminant of each.

    told_by.py <working directory of a run> [--statistics=power_bands,pdf,...] [--maps=1280]

Of every statistic of the one table: the best rule that knows means and covariance of its modes on either side
(Gaussian in them), made from generated maps and half of the boxes, tried on others and the other half. At AUC
one half the statistic tells nothing, nor does anything quadratic in it. Beside it validation boxes against
auxiliary ones. Where maps are of several cosmologies: of each by itself, the mean. Real boxes are few: errors
are those of the control, some 0.02.
"""

import argparse
from pathlib import Path

import numpy as np

from cosmogan_jax.compare.covariance import independent_columns
from cosmogan_jax.compare.data_vectors import data_vector
from cosmogan_jax.compare.statistics import STATISTICS
from cosmogan_jax.maps.crop_table import open_crop_table
from cosmogan_jax.maps.store import open_map_store


def halves(labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Rows of the first half of the labels, and of the others."""
    first = np.isin(labels, np.unique(labels)[::2])
    return np.flatnonzero(first), np.flatnonzero(~first)


def log_density(x: np.ndarray, like: np.ndarray) -> np.ndarray:
    """ln of the Gaussian density that has the mean and covariance of the rows of `like`."""
    off, covariance = x - like.mean(0), np.atleast_2d(np.cov(like.T))
    return -0.5 * ((off @ np.linalg.inv(covariance)) * off).sum(1) - 0.5 * np.linalg.slogdet(covariance)[1]


def auc(ours: tuple[np.ndarray, np.ndarray], theirs: tuple[np.ndarray, np.ndarray]) -> float:
    """AUC of the rule made from the first halves, on the second ones."""
    (our_first, our_second), (their_first, their_second) = ours, theirs
    ours_score, theirs_score = (
        log_density(x, our_first) - log_density(x, their_first) for x in (our_second, their_second)
    )
    return float((ours_score[:, None] > theirs_score[None]).mean())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument(
        "--statistics", default=",".join(name for name in STATISTICS if name != "power_spectrum")
    )
    parser.add_argument("--maps", type=int, default=1280, help="of each set and cosmology, at most")
    args = parser.parse_args()
    table, store = open_crop_table(args.run / "prepare"), open_map_store(args.run / "generate/maps")
    parameters = [name for name in table.parameters if name in store.parameters]
    sets = {}
    for name in ("validation", "auxiliary"):
        crops = table.crops[name]
        theta = table.theta(crops, parameters) if parameters else np.zeros((len(crops), 0))
        boxes = table.boxes(crops)
        sets[name] = table.cut(crops)[..., 0], theta, crops[:, 0] if boxes is None else boxes
    of_store = [np.asarray(store.parameters[name], np.float64) for name in parameters]
    own = np.stack(of_store, -1) if of_store else np.zeros((store.num_maps, 0))
    sets["generated"] = store.read()[..., 0], own, np.arange(store.num_maps)
    points = np.unique(sets["validation"][1], axis=0)
    names = args.statistics.split(",")
    areas = {name: [] for name in names}
    for point in points:
        chosen = {}
        for name, (kappa, theta, labels) in sets.items():
            rows = np.flatnonzero((np.abs(theta - point) < 1e-4).all(1))[: args.maps]
            chosen[name] = kappa[rows], labels[rows]
        vector = data_vector(names, chosen["validation"][0][:256], table.geometry)
        values = {name: vector.of_maps(kappa) for name, (kappa, _) in chosen.items()}
        split = {name: halves(labels) for name, (_, labels) in chosen.items()}
        for name in names:
            columns = np.arange(len(vector.labels))[vector.columns(name)]
            columns = columns[independent_columns(*(rows[:, columns] for rows in values.values()))]
            parts = {key: [rows[half][:, columns] for half in split[key]] for key, rows in values.items()}
            real = [np.concatenate(pair) for pair in zip(parts["validation"], parts["auxiliary"])]
            control = auc(parts["auxiliary"], parts["validation"])
            # Scatter of the generated maps' modes over that of real ones.
            ratio = np.concatenate(parts["generated"]).std(0) / np.concatenate(real).std(0)
            areas[name].append((auc(parts["generated"], real), control, np.exp(np.abs(np.log(ratio)).max())))
    print(f"{len(points)} cosmologies; {args.maps} maps of each at most")
    print("| statistic | AUC | real maps | scatter off by a factor of at most |\n|---|---|---|---|")
    for name in names:
        told, control, ratio = np.mean(areas[name], 0)
        print(f"| {STATISTICS[name].title} | {told:.3f} | {control:.3f} | {ratio:.2f} |", flush=True)


if __name__ == "__main__":
    main()
