"""Omega_m and sigma8 of simulations that an emulator never saw, inferred by a likelihood that it gives.

    infer.py --emulator=<name or folder> --work=<folder>                    # all parts, one after the other
    infer.py --emulator=... --work=... --part=truths --share=0/2            # boxes: half of them, on one core
    infer.py --emulator=stand-in --truths_from=stand-in --work=...          # rehearsal: must be calibrated
    infer.py --emulator=stand-in --truths_from=stand-in:1.2 --work=...      # and must not

Mean and covariance of a data vector, or of its logarithm where all of it is positive, come from the emulator's
maps of the same random numbers at some cosmologies, smooth functions between (`inference/summary_model.py`);
the likelihood is Sellentin & Heavens'; the prior is flat in the hull of the emulator's training cosmologies.
Truths are drawn from it. The data of each are the mean data vector of ONE patch from each of ten boxes of its
own: patches of one box share its variance, which single maps of an emulator lack. Galaxy noise and smoothing
are the same on both sides, and so is the resolution of the boxes.

Parts: truths (boxes; what is there is not made again), table (the emulator's data vectors at the nodes),
posterior (ranks of the truths; the fiducial's posterior beside one by the simulations' own mean and
covariance), summary.
"""

import argparse
import dataclasses
import functools
import sys
from pathlib import Path

import numpy as np

sys.path.append(str(Path(__file__).parent))
sys.path.append(str(Path(__file__).parents[1] / "023-derivatives-covariance"))

from boxes_at import EmulatorAsBoxes, Look, Simulations, Theta, add_flags, look_of, simulations_of
from stand_in import opened

from cosmogan_jax.compare.covariance import independent_columns
from cosmogan_jax.compare.data_vectors import DataVector, data_vector
from cosmogan_jax.compare.fisher import independent_maps
from cosmogan_jax.emulators.emulator import Emulator
from cosmogan_jax.emulators.parameter_response import EmulatorVectors
from cosmogan_jax.files.json_files import write_json
from cosmogan_jax.files.numpy_files import read_npy, read_npz
from cosmogan_jax.files.whole_files import write_arrays, write_whole
from cosmogan_jax.inference.calibration import calibration
from cosmogan_jax.inference.posterior_grid import (
    ParameterGrid,
    drawn_in_hull,
    hull_grid,
    posteriors,
    ranks,
    shift_and_width,
)
from cosmogan_jax.inference.summary_model import SummaryModel, fit_summary_model

PARTS = ("truths", "table", "posterior", "summary")
TABLE_SEED, REFERENCE_SEED = 1, 2  # of the emulator's maps
TRUTH_SEED, FIDUCIAL_SEED = 1_000_000, 900_000  # of boxes: those of truth n follow TRUTH_SEED + 1000 n
QUANTITIES = {
    "omega_m": lambda theta: theta[:, 0],
    "sigma8": lambda theta: theta[:, 1],
    "sigma8 (omega_m / 0.3)^0.5": lambda theta: theta[:, 1] * np.sqrt(theta[:, 0] / 0.3),
}
SHIFT_GOAL, WIDTH_GOAL, P_GOAL = 0.2, 0.1, 0.01


@dataclasses.dataclass(frozen=True)
class Task:
    """What is inferred, and from what."""

    emulator: Emulator
    simulations: Simulations
    look: Look
    args: argparse.Namespace

    @property
    def names(self) -> tuple[str, ...]:
        return self.emulator.parameters

    @property
    def hull(self) -> np.ndarray:
        return np.array(self.emulator.design)

    @property
    def work(self) -> Path:
        return self.args.work

    def theta(self, row: np.ndarray) -> Theta:
        return {name: float(value) for name, value in zip(self.names, row)}

    @property
    def fiducial(self) -> np.ndarray:
        if self.args.fiducial:
            return np.array([float(word.partition("=")[2]) for word in self.args.fiducial.split(",")])
        return (self.hull.min(0) + self.hull.max(0)) / 2

    def truths(self) -> np.ndarray:
        """Drawn from the prior; more truths begin with the same ones."""
        random = np.random.default_rng(self.args.seed)
        return np.concatenate([drawn_in_hull(self.hull, 1, random) for _ in range(self.args.num_truths)])

    def boxes(self) -> list[tuple[np.ndarray, range]]:
        """Cosmology and seeds of the boxes of every truth, then those at the fiducial."""
        each, first = (
            self.args.boxes_per_truth,
            range(TRUTH_SEED, TRUTH_SEED + 1000 * self.args.num_truths, 1000),
        )
        of_truths = [(truth, range(seed, seed + each)) for truth, seed in zip(self.truths(), first)]
        return [*of_truths, (self.fiducial, range(FIDUCIAL_SEED, FIDUCIAL_SEED + self.args.fiducial_boxes))]

    @functools.cached_property
    def vector(self) -> DataVector:
        """The data vector, its bins set by the emulator's maps in the middle of the hull."""
        rows = self.theta(self.hull.mean(0))
        reference = np.asarray(
            self.emulator.sample(
                REFERENCE_SEED, self.args.reference_maps, noise=self.look.noise,
                smoothing_arcmin=self.look.smoothing_arcmin, **rows,
            )
        )  # fmt: skip
        names = self.args.statistics.split(",")
        return data_vector(names, reference, self.emulator.geometry, self.args.num_bands, self.args.largest_ell)


def make_truths(task: Task) -> None:
    """Make the boxes of this process's share."""
    if isinstance(task.simulations, EmulatorAsBoxes):
        return
    share, shares = map(int, task.args.share.split("/"))
    own = [(theta, seed) for theta, seeds in task.boxes() for seed in seeds][share::shares]
    for number, (theta, seed) in enumerate(own):
        task.simulations.seen(task.theta(theta), [seed], 1)
        if number % 50 == 0:
            print(f"truths: {number} of {len(own)} boxes", flush=True)


def measured_boxes(task: Task) -> list[np.ndarray]:
    """Data vectors of the patches, (boxes, patches, modes): of every truth, then of the fiducial."""
    values = []
    for theta, seeds in task.boxes():
        kappa = task.simulations.seen(task.theta(theta), seeds, task.args.patches_per_box)
        rows = task.vector.of_maps(kappa.reshape(-1, *kappa.shape[2:]))
        values.append(rows.reshape(*kappa.shape[:2], -1))
    return values


def make_table(task: Task) -> tuple[np.ndarray, list[np.ndarray]]:
    """Nodes, the design's own cosmologies and points drawn in their hull, and the data vectors at each."""
    drawn = drawn_in_hull(task.hull, task.args.more_nodes, np.random.default_rng(task.args.seed + 1))
    nodes = np.concatenate([np.unique(task.hull, axis=0), drawn])
    vectors = EmulatorVectors(
        task.emulator,
        task.vector.measure,
        TABLE_SEED,
        task.args.table_maps,
        task.look.noise,
        task.look.smoothing_arcmin,
    )
    folder, values = task.work / "table", []
    folder.mkdir(parents=True, exist_ok=True)
    for number, node in enumerate(nodes):
        path = folder / f"{number:03d}.npy"
        if not path.exists():
            with write_whole(path) as file:
                np.save(file, vectors.at(**task.theta(node)))
            print(f"table: {number + 1} of {len(nodes)} nodes", flush=True)
        values.append(read_npy(path))
    return nodes, values


def find_posteriors(task: Task) -> None:
    """Ranks of all truths, and the fiducial's posterior beside the simulations'; both into posterior.npz."""
    args = task.args
    nodes, values = make_table(task)
    kept = independent_columns(*values)
    model = fit_summary_model(
        task.names, nodes, [node[:, kept] for node in values], order=args.order, covariance_order=2
    )
    grid = hull_grid(task.names, task.hull, args.grid)
    *of_truths, fiducial = [boxes[..., kept] for boxes in measured_boxes(task)]
    truths, of_truths = task.truths(), np.stack(of_truths)
    data = of_truths[:, :, 0].mean(1)
    mass = posteriors(grid, model, data, args.boxes_per_truth, logarithm=bool((data > 0).all()))
    shift, width = at_fiducial(task, model, grid, of_truths, fiducial)
    write_arrays(
        task.work / "posterior.npz",
        {
            "truths": truths, "modes": kept, "left_out": np.abs(model.left_out).max(1),
            "ranks": np.stack([ranks(grid, mass, truths, quantity) for quantity in QUANTITIES.values()]),
            "means": np.stack([mass @ quantity(grid.points) for quantity in QUANTITIES.values()]),
            "shift": np.stack(shift), "width": np.stack(width),
        },
    )  # fmt: skip


def at_fiducial(
    task: Task, model: SummaryModel, grid: ParameterGrid, of_truths: np.ndarray, fiducial: np.ndarray
):
    """Shift and width of the emulator's posterior beside that of the simulations' own mean and covariance.

    Data: the simulations' mean at the fiducial, as if of ten patches. On both sides the covariance is held at
    the fiducial's, and the mean is a function of the parameters: of the truths' own boxes on the simulations'
    side. The errors are of resampled boxes, of which the simulations' side is made.
    """
    random, masses = np.random.default_rng(task.args.seed + 2), []
    theta = np.concatenate([task.truths(), task.fiducial[None]])
    labels = np.repeat(np.arange(len(fiducial)), fiducial.shape[1])
    maps = independent_maps(fiducial.reshape(-1, fiducial.shape[-1]), labels)
    logarithm, expected = bool((of_truths > 0).all()), model.mean(task.fiducial[None])[0]
    for resample in range(task.args.resamples + 1):
        nodes, middle = [boxes.reshape(-1, boxes.shape[-1]) for boxes in of_truths], fiducial
        if resample:
            drawn = random.integers(0, of_truths.shape[1], of_truths.shape[:2])
            nodes = [boxes[rows].reshape(-1, boxes.shape[-1]) for boxes, rows in zip(of_truths, drawn)]
            middle = fiducial[random.integers(0, len(fiducial), len(fiducial))]
        patches = middle.reshape(-1, middle.shape[-1])
        own = fit_summary_model(
            task.names, theta, [*nodes, patches], order=task.args.order, covariance_order=None
        )
        data = patches.mean(0)[None]
        covariances = [model.covariance(task.fiducial[None])[0], np.cov(patches.T)]
        if logarithm:
            covariances = [c / np.outer(mu, mu) for c, mu in zip(covariances, (expected, data[0]))]
        masses.append([
            posteriors(
                grid, each, data, task.args.boxes_per_truth, logarithm=logarithm, covariance=c,
                covariance_maps=n, mean_maps=np.inf,
            )[0]
            for each, c, n in zip((model, own), covariances, (model.maps, maps))
        ])  # fmt: skip
    by_emulator, by_simulations = np.array(masses).transpose(1, 0, 2)
    return shift_and_width(grid, by_emulator, by_simulations)


def summarise(task: Task) -> None:
    """Print the table of the results, and write results.json."""
    results = read_npz(task.work / "posterior.npz")
    rows, ranks_of, means_of = {}, results["ranks"], results["means"]
    print(f"{ranks_of.shape[1]} truths, {task.args.boxes_per_truth} boxes each; {len(results['modes'])} modes")
    print("| quantity | p of uniform ranks (KS) | (chi2 of bins) | mean rank | inside 68 % | trend (p) |")
    print("|---|---|---|---|---|---|")
    for name, ranks_one, means_one in zip(QUANTITIES, ranks_of, means_of):
        c = calibration(ranks_one, means_one, num_bins=max(2, min(10, len(ranks_one) // 5)))
        coverage, error = c.coverage.value[0], c.coverage.standard_error[0]
        print(
            f"| {name} | {c.p_value:.3g} | {c.histogram_p_value:.3g} | {c.mean.value:.3f} ± "
            f"{c.mean.standard_error:.3f} | {100 * coverage:.1f} ± {100 * error:.1f} % | "
            f"{c.trend:+.3f} ({c.trend_p_value:.3g}) |"
        )
        rows[name] = {
            "p_value": c.p_value, "histogram_p_value": c.histogram_p_value, "histogram": c.histogram.tolist(),
            "mean_rank": float(c.mean.value), "coverage": float(coverage), "coverage_error": float(error),
            "trend": c.trend, "trend_p_value": c.trend_p_value,
            "calibrated": min(c.p_value, c.trend_p_value) > P_GOAL,
        }  # fmt: skip
    print("| at the fiducial | shift, in the simulations' sigma | width over the simulations' |\n|---|---|---|")
    for number, name in enumerate(task.names):
        (shift, shift_error), (width, width_error) = results["shift"][:, number], results["width"][:, number]
        print(f"| {name} | {shift:+.3f} ± {shift_error:.3f} | {width:.3f} ± {width_error:.3f} |")
        rows[f"fiducial {name}"] = {
            "shift": shift, "shift_error": shift_error, "width": width, "width_error": width_error,
            "within_goals": bool(abs(shift) <= SHIFT_GOAL and abs(width - 1) <= WIDTH_GOAL),
        }  # fmt: skip
    print(f"the table's nodes left out are predicted to {results['left_out'].max():.3f} sigma of one map")
    write_json(task.work / "results.json", rows)


def parsed(given: list[str] | None = None) -> argparse.Namespace:
    """Flags."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--emulator", required=True, help="name, folder, or stand-in[:answer]")
    parser.add_argument(
        "--truths_from", default="boxes", help="boxes, or an emulator whose maps take their place"
    )
    parser.add_argument("--work", type=Path, required=True, help="folder of all that is made")
    parser.add_argument("--part", choices=("all", *PARTS), default="all")
    parser.add_argument(
        "--share", default="0/1", help="of the boxes: this process's number/number of processes"
    )
    parser.add_argument("--statistics", default="power_bands", help="of the one table, with commas")
    parser.add_argument("--num_bands", type=int, default=12)
    parser.add_argument("--largest_ell", type=float, default=5600.0)
    parser.add_argument(
        "--fiducial", default="", help="omega_m=0.3,sigma8=0.8; unset: the middle of the ranges"
    )
    for name, default, words in (
        ("num_truths", 200, "drawn from the prior"),
        ("boxes_per_truth", 10, "one patch of each is the data"),
        ("patches_per_box", 4, "the others only tell the simulations' own mean"),
        ("fiducial_boxes", 60, "for the simulations' own covariance"),
        ("table_maps", 4000, "of the emulator at each node"),
        ("more_nodes", 12, "beside the training cosmologies"),
        ("reference_maps", 256, "that bins are set by"),
        ("order", 3, "of the mean's polynomial"),
        ("grid", 100, "points along a parameter"),
        ("resamples", 50, "of boxes, for the errors at the fiducial"),
        ("num_pixels", 64, "of a stand-in"),
        ("seed", 0, "of truths and nodes"),
    ):
        parser.add_argument(f"--{name}", type=int, default=default, help=f"{words} ({default})")
    add_flags(parser, noise=30.0, smoothing=1.0)
    return parser.parse_args(given)


def task_of(args: argparse.Namespace) -> Task:
    """What the flags ask for.

    Raises:
      ValueError: an emulator that is conditioned on something else than omega_m and sigma8.
    """
    emulator = opened(args.emulator, args.num_pixels)
    if emulator.parameters != ("omega_m", "sigma8") or not emulator.design:
        raise ValueError(
            f"emulator={args.emulator} must be one of omega_m and sigma8, with its design; its parameters: "
            f"{', '.join(emulator.parameters) or 'none'}"
        )
    omega_m = np.array(emulator.design)[:, 0]
    between = float(omega_m.min()), float(omega_m.max())
    return Task(emulator, simulations_of(args, args.truths_from, emulator, between), look_of(args), args)


def main(given: list[str] | None = None) -> None:
    """Run the parts that are asked for."""
    args = parsed(given)
    try:
        args.work.mkdir(parents=True, exist_ok=True)
        task = task_of(args)
        parts = PARTS if args.part == "all" else (args.part,)
        if "truths" in parts:
            make_truths(task)
        if "table" in parts:
            make_table(task)
        if "posterior" in parts:
            find_posteriors(task)
        if "summary" in parts:
            summarise(task)
    except ValueError as error:
        sys.exit(f"infer.py: {error}")


if __name__ == "__main__":
    main()
