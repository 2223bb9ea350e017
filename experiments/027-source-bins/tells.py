"""Which simple numbers of a single map in several source bins tell generated maps from real ones?

    tells.py <working directory of a run> [--maps=1280] [--as_they_are] [--of=<numbers> ...]

Maps are taken apart as the emulator does (`emulators/lognormal_gan/bins_apart.py`; --as_they_are: not), and of
each kind of numbers a line through them (a linear discriminant with a little ridge) is fitted on one half of
the maps and asked of the other; training against validation crops is the control. With --of one kind's numbers
are listed: by how many scatters of one map their means differ. It was what showed the blind spots of three
designs, and runs in seconds on maps of any emulator.
"""

import argparse
import itertools
from collections.abc import Callable
from pathlib import Path

import numpy as np

from cosmogan_jax.emulators.lognormal_gan import bins_apart
from cosmogan_jax.maps.crop_table import open_crop_table
from cosmogan_jax.maps.store import open_map_store
from cosmogan_jax.summaries import coherence, pair_power_spectra

BANDS, RIDGE, SIDE = 11, 0.05, 1.0  # bands are of modes: degrees do not matter
QUANTILES = (0.001, 0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99, 0.999)


def laplacian(u: np.ndarray) -> np.ndarray:
    """Four times a pixel less its four neighbours, without borders."""
    around = u[:, 2:, 1:-1] + u[:, :-2, 1:-1] + u[:, 1:-1, 2:] + u[:, 1:-1, :-2]
    return 4 * u[:, 1:-1, 1:-1] - around


def in_units(u: np.ndarray) -> np.ndarray:
    """About each map's mean, in units of its scatter."""
    return (u - u.mean((1, 2), keepdims=True)) / u.std((1, 2), keepdims=True)


def powers(u: np.ndarray) -> np.ndarray:
    """Of all pairs i <= j, by band."""
    edges = np.linspace(360 / SIDE, 180 * u.shape[1] / SIDE, BANDS + 1)
    return np.concatenate(
        [np.asarray(pair_power_spectra(np.moveaxis(some, -1, 1), edges, SIDE)) for some in np.array_split(u, 8)]
    )


def autos(u: np.ndarray) -> np.ndarray:
    row, column = np.triu_indices(u.shape[-1])
    return np.log(powers(u)[:, row == column]).reshape(len(u), -1)


def shared(u: np.ndarray) -> np.ndarray:
    return np.arctanh(0.999 * np.asarray(coherence(powers(u)))).reshape(len(u), -1)


def moments(u: np.ndarray) -> np.ndarray:
    x = in_units(u)
    return np.concatenate([np.log(u.std((1, 2))), (x**3).mean((1, 2)), np.log((x**4).mean((1, 2)))], 1)


def curvatures(u: np.ndarray) -> np.ndarray:
    lap, pairs = in_units(laplacian(u)), list(itertools.permutations(range(u.shape[-1]), 2))
    thirds = [(lap[..., i] ** 2 * lap[..., j]).mean((1, 2)) for i, j in pairs]
    fourths = [(lap[..., i] ** 2 * lap[..., j] ** 2).mean((1, 2)) for i, j in pairs if i < j]
    return np.stack(thirds + fourths, -1)


def rough_and_high(u: np.ndarray) -> np.ndarray:
    lap, x = in_units(laplacian(u)), in_units(u)[:, 1:-1, 1:-1]
    return np.stack(
        [
            (lap[..., i] ** 2 * x[..., j]).mean((1, 2))
            for i, j in itertools.product(range(u.shape[-1]), repeat=2)
        ],
        -1,
    )


NUMBERS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "log_power": autos,
    "coherence": shared,
    "moments": moments,
    "moments_of_laplacian": lambda u: moments(laplacian(u)),
    "quantiles": lambda u: np.concatenate([np.quantile(u, q, axis=(1, 2)) for q in QUANTILES], 1),
    "curvatures": curvatures,
    "rough_and_high": rough_and_high,
}


def auc(ours: np.ndarray, theirs: np.ndarray) -> float:
    """Of a line fitted on one half of the maps and asked of the other; the mean of both ways."""
    areas = []
    for first, second in ((slice(0, None, 2), slice(1, None, 2)), (slice(1, None, 2), slice(0, None, 2))):
        both = np.concatenate([ours[first], theirs[first]])
        a, b = ((rows - both.mean(0)) / both.std(0) for rows in (ours, theirs))
        within = np.cov(a[first].T) + np.cov(b[first].T) + RIDGE * np.eye(a.shape[1])
        line = np.linalg.solve(within, a[first].mean(0) - b[first].mean(0))
        areas.append(((a[second] @ line)[:, None] > (b[second] @ line)[None]).mean())
    return float(np.mean(areas))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("--maps", type=int, default=1280, help="of each set, at most")
    parser.add_argument("--as_they_are", action="store_true", help="bins are not taken apart")
    parser.add_argument("--of", choices=tuple(NUMBERS), help="list these numbers, map against map")
    args = parser.parse_args()
    table, store = open_crop_table(args.run / "prepare"), open_map_store(args.run / "generate/maps")
    sets = {name: table.cut(table.choose(name, args.maps)) for name in ("train", "validation")}
    sets["generated"] = store.read(0, min(args.maps, store.num_maps))
    num_bins = sets["train"].shape[-1]
    mixing = np.eye(num_bins) if args.as_they_are else bins_apart.measured([sets["train"]])
    apart = {name: bins_apart.apart_in_float64(kappa, mixing) for name, kappa in sets.items()}
    if args.of:
        real, made = (NUMBERS[args.of](apart[name]) for name in ("validation", "generated"))
        for number, off in enumerate((made.mean(0) - real.mean(0)) / real.std(0)):
            print(f"{number:4d}  real {real[:, number].mean():9.4f}  off by {off:+.2f} of a map's scatter")
        return
    print(f"{'numbers':22s} {'how many':>8s} {'AUC':>6s} {'control':>8s}")
    for name, numbers in NUMBERS.items():
        rows = {key: numbers(u) for key, u in apart.items()}
        own = [auc(rows[key], rows["validation"]) for key in ("generated", "train")]
        print(f"{name:22s} {rows['train'].shape[1]:8d} {own[0]:6.3f} {own[1]:8.3f}", flush=True)


if __name__ == "__main__":
    main()
