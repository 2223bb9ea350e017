"""Derivatives, covariance and Fisher matrices of an emulator of several cosmologies beside simulations'.

    compare.py --emulator=<name or folder> --work=<folder>                      # all parts
    compare.py --emulator=... --work=... --part=boxes --share=0/2               # half of the boxes, on one core
    compare.py --emulator=stand-in --simulations=stand-in --work=...            # rehearsal: nothing may differ

Parts: boxes (matched seeds at the fiducial cosmology with omega_m and sigma8 smaller and larger by --step;
other seeds at the fiducial and at the held-out cosmology; what is there is not made again), measure (data
vectors of both sides, measured.npz), summary (the tables, results.json).
"""

import argparse
import dataclasses
import sys
from pathlib import Path

import numpy as np
from scipy import stats

sys.path.append(str(Path(__file__).parent))
sys.path.append(str(Path(__file__).parents[1] / "024-inference"))

from boxes_at import EmulatorAsBoxes, Look, Simulations, Theta, add_flags, boxes_of, cosmology_at, look_of
from stand_in import opened

from cosmogan_jax.compare.covariance import compare_covariances, independent_columns
from cosmogan_jax.compare.data_vectors import DataVector, data_vector
from cosmogan_jax.compare.estimated_covariance import chi_squared, hartlap_factor, hotelling_p_values
from cosmogan_jax.compare.fisher import independent_maps
from cosmogan_jax.compare.noisy_fisher import NoisyFisher, noisy_fisher
from cosmogan_jax.compare.parameter_response import (
    ParameterResponse,
    difference_of_responses,
    logarithmic_differences,
    logarithmic_slopes,
    matched_differences,
)
from cosmogan_jax.emulators.emulator import Emulator
from cosmogan_jax.emulators.parameter_response import EmulatorVectors
from cosmogan_jax.files.json_files import write_json
from cosmogan_jax.files.numpy_files import read_npz
from cosmogan_jax.files.whole_files import write_arrays
from cosmogan_jax.sky.response import band_response

PARTS = ("boxes", "measure", "summary")
NAMES = ("omega_m", "sigma8")
MATCHED_SEED, FIDUCIAL_SEED, HELD_OUT_SEED = 800_000, 700_000, 600_000  # of boxes
SLOPE_SEED, COVARIANCE_SEED, OTHER_SEED, REFERENCE_SEED = 11, 12, 13, 14  # of the emulator's maps
POWER_GOAL = 0.1  # of d ln P / d ln theta, in every band


@dataclasses.dataclass(frozen=True)
class Task:
    """What is compared."""

    emulator: Emulator
    simulations: Simulations
    look: Look
    args: argparse.Namespace

    @property
    def fiducial(self) -> Theta:
        return point(self.args.fiducial, "fiducial")

    @property
    def held_out(self) -> Theta:
        return point(self.args.held_out, "held_out")

    @property
    def displaced(self) -> list[tuple[Theta, Theta]]:
        """Both sides of the fiducial, for each parameter."""
        step = self.args.step
        return [
            tuple({**self.fiducial, name: self.fiducial[name] * (1 + sign * step)} for sign in (-1, 1))
            for name in NAMES
        ]

    def sets(self) -> dict[str, list[tuple[Theta, int]]]:
        """Cosmology and seed of all boxes, by what they are for."""
        matched, other = range(self.args.matched_seeds), range(self.args.covariance_seeds)
        of_sides = {
            f"{side}_{name}": [(pair[number], MATCHED_SEED + seed) for seed in matched]
            for name, pair in zip(NAMES, self.displaced)
            for number, side in enumerate(("lower", "upper"))
        }
        return {
            **of_sides,
            "fiducial": [(self.fiducial, FIDUCIAL_SEED + seed) for seed in other],
            "held_out": [(self.held_out, HELD_OUT_SEED + seed) for seed in other],
        }

    def vector(self) -> DataVector:
        """The data vector, its bins set by the emulator's maps at the fiducial."""
        kappa = self.emulator.sample(
            REFERENCE_SEED, self.args.reference_maps, noise=self.look.noise,
            smoothing_arcmin=self.look.smoothing_arcmin, **self.fiducial,
        )  # fmt: skip
        names = self.args.statistics.split(",")
        return data_vector(names, np.asarray(kappa), self.emulator.geometry, self.args.num_bands)

    @property
    def work_file(self) -> Path:
        return self.args.work / "measured.npz"

    def vectors(self, measure, seed: int, num_maps: int) -> EmulatorVectors:
        look = self.look
        return EmulatorVectors(self.emulator, measure, seed, num_maps, look.noise, look.smoothing_arcmin)


def point(text: str, flag: str) -> Theta:
    """A cosmology of omega_m=...,sigma8=...; ValueError where it is none."""
    values = dict(word.split("=") for word in text.split(",") if word.count("=") == 1)
    if tuple(values) != NAMES:
        raise ValueError(f"{flag}={text} must be omega_m=<number>,sigma8=<number>")
    return {name: float(value) for name, value in values.items()}


def make_boxes(task: Task) -> None:
    """Make this process's share of the boxes."""
    if isinstance(task.simulations, EmulatorAsBoxes):
        return
    share, shares = map(int, task.args.share.split("/"))
    boxes = sorted(
        (pair for pairs in task.sets().values() for pair in pairs), key=lambda p: (tuple(p[0].values()), p[1])
    )
    for number, (theta, seed) in enumerate(boxes[share::shares]):
        task.simulations.seen(theta, seed, 1)
        if number % 20 == 0:
            print(f"boxes: {number} of {len(boxes[share::shares])}", flush=True)


def measure(task: Task) -> None:
    """Measure both sides: (boxes, patches, modes) of the simulations, (maps, ...) of the emulator."""
    vector, patches = task.vector(), task.args.patches_per_box
    arrays = {}
    for name, boxes in task.sets().items():
        values = [vector.of_maps(task.simulations.seen(theta, seed, patches)) for theta, seed in boxes]
        arrays[f"simulated_{name}"] = np.stack(values)
    slopes = task.vectors(vector.measure, SLOPE_SEED, task.args.num_maps)
    displaced = slopes.displaced(task.args.step, **task.fiducial)
    arrays |= {"emulated_lower": displaced.lower, "emulated_upper": displaced.upper}
    smooth = tuple(name for name in vector.names if DataVector((name,), *of(vector)).differentiable)
    if smooth and task.args.derivatives == "both":
        of_smooth = DataVector(smooth, *of(vector))
        result = task.vectors(of_smooth.measure, SLOPE_SEED, task.args.num_maps).differentiated(**task.fiducial)
        arrays |= {"emulated_values": result.values, "emulated_slopes": result.response.slopes}
    for name, theta, seed in (
        ("fiducial", task.fiducial, COVARIANCE_SEED),
        ("held_out", task.held_out, COVARIANCE_SEED),
        ("held_out_other", task.held_out, OTHER_SEED),
    ):
        arrays[f"emulated_{name}"] = task.vectors(vector.measure, seed, task.args.num_maps).at(**theta)
    write_arrays(task.work_file, arrays)


def of(vector: DataVector):
    return vector.scales, vector.geometry


def power_table(task: Task, vector: DataVector, arrays: dict[str, np.ndarray]) -> dict:
    """d ln P / d ln theta by band: simulations, the emulator by differences and derivatives, halofit."""
    columns = vector.columns("power_bands")
    log_distance = np.full(2, np.log((1 + task.args.step) / (1 - task.args.step)))
    simulated = logarithmic_differences(NAMES, *(side[..., columns] for side in sides(arrays)), log_distance)
    emulated = logarithmic_differences(
        NAMES, *(arrays[f"emulated_{side}"][..., columns] for side in ("lower", "upper")), log_distance
    )
    apart = difference_of_responses(emulated, simulated)
    theta = np.array(list(task.fiducial.values()))
    derivatives = None
    if "emulated_slopes" in arrays:
        smooth = [name for name in vector.names if DataVector((name,), *of(vector)).differentiable]
        own = DataVector(tuple(smooth), *of(vector)).columns("power_bands")
        response = ParameterResponse(NAMES, arrays["emulated_slopes"][..., own])
        derivatives = logarithmic_slopes(response, arrays["emulated_values"][:, own], theta).estimate
    edges = vector.scales.l_edges
    try:
        theory = band_response(
            edges, task.emulator.geometry, cosmology_at(task.fiducial), task.args.source_redshift,
            smoothing_arcmin=task.args.smoothing_arcmin, step=task.args.step,
        ).logarithmic.T * theta[:, None]  # fmt: skip
    except ModuleNotFoundError as error:
        print(f"without halofit: {error}")
        theory = np.full(apart.value.shape, np.nan)
    rows = {}
    for number, name in enumerate(NAMES):
        lines = {
            f"d ln P/d ln {name}: simulations": simulated.estimate.value[number],
            "its error": simulated.estimate.standard_error[number],
            "emulator, differences": emulated.estimate.value[number],
            "its error ": emulated.estimate.standard_error[number],
            **({} if derivatives is None else {"emulator, derivatives": derivatives.value[number]}),
            "halofit": theory[number],
            "emulator less simulations": apart.value[number],
            "error of that": apart.standard_error[number],
        }
        print_bands(edges, lines)
        worst = int(np.argmax(np.abs(apart.value[number])))
        print(f"largest: {apart.value[number, worst]:+.3f} ± {apart.standard_error[number, worst]:.3f}\n")
        rows[name] = {key.strip(): np.asarray(value).tolist() for key, value in lines.items()}
        rows[name]["within_goal"] = bool((np.abs(apart.value[number]) <= POWER_GOAL).all())
    return rows


def print_bands(edges: np.ndarray, lines: dict[str, np.ndarray]) -> None:
    centre = np.sqrt(edges[1:] * edges[:-1])
    print(f"| at ell | {' | '.join(f'{ell:.0f}' for ell in centre)} |\n|---{'|---' * len(centre)}|")
    for name, values in lines.items():
        print(f"| {name} | {' | '.join(f'{value:.3f}' for value in values)} |")


def sides(arrays: dict[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Means of every matched box, (boxes, parameters, modes), where parameters are smaller and larger."""
    lower, upper = (
        np.stack([arrays[f"simulated_{side}_{name}"].mean(1) for name in NAMES], 1)
        for side in ("lower", "upper")
    )
    return lower, upper


def statistics_table(task: Task, vector: DataVector, arrays: dict[str, np.ndarray]) -> dict:
    """Slopes and Fisher matrices of every statistic; slopes in standard deviations of one map for 10 %."""
    distance = 2 * task.args.step * np.array(list(task.fiducial.values()))
    simulated = matched_differences(NAMES, *sides(arrays), distance)
    emulated = matched_differences(NAMES, arrays["emulated_lower"], arrays["emulated_upper"], distance)
    boxes, patches, modes = arrays["simulated_fiducial"].shape
    maps, labels = arrays["simulated_fiducial"].reshape(-1, modes), np.repeat(np.arange(boxes), patches)
    print(
        "| statistic | modes | slope apart, rms (its size) | chi2 a mode | sigma omega_m, sigma8 of one map: "
        "simulations | emulator | without the correction | ratio |\n|---|---|---|---|---|---|---|---|"
    )
    rows = {}
    for name in vector.names:
        columns = np.arange(modes)[vector.columns(name)]
        columns = columns[independent_columns(maps[:, columns], 0.01)]
        apart = difference_of_responses(emulated.of_modes(columns), simulated.of_modes(columns))
        scatter = maps[:, columns].std(0)
        tenth = 0.1 * np.array(list(task.fiducial.values()))[:, None]
        rms, size = (
            np.sqrt(((tenth * v / scatter) ** 2).mean())
            for v in (apart.value, simulated.of_modes(columns).estimate.value)
        )
        chi2 = ((apart.value / np.maximum(apart.standard_error, 1e-300)) ** 2).mean()
        worth = independent_maps(maps[:, columns], labels)
        pair = [
            noisy_fisher(simulated.of_modes(columns), maps[:, columns], worth),
            noisy_fisher(emulated.of_modes(columns), arrays["emulated_fiducial"][:, columns]),
        ]
        ratio = pair[1].sigma.value / pair[0].sigma.value
        error = ratio * np.hypot(*(each.sigma.standard_error / each.sigma.value for each in pair))
        naive = " ".join(f"{value:.3f}" for value in pair[0].naive_sigma)
        print(
            f"| {name} | {len(columns)} | {rms:.3f} ({size:.3f}) | {chi2:.2f} | {in_words(pair[0])} | "
            f"{in_words(pair[1])} | {naive} | {ratio[0]:.2f} ± {error[0]:.2f}, "
            f"{ratio[1]:.2f} ± {error[1]:.2f} |"
        )
        rows[name] = {
            "modes": columns.tolist(), "slope_apart": rms, "slope_size": size, "chi2_a_mode": chi2,
            "sigma_ratio": ratio.tolist(), "sigma_ratio_error": error.tolist(),
            **{
                of: {"fisher": f.corrected.value.tolist(), "error": f.corrected.standard_error.tolist(),
                     "noise_subtracted": f.noise.tolist(), "sigma": f.sigma.value.tolist()}
                for of, f in zip(("simulations", "emulator"), pair)
            },
        }  # fmt: skip
    return rows


def in_words(fisher: NoisyFisher) -> str:
    return ", ".join(f"{v:.3f} ± {e:.3f}" for v, e in zip(fisher.sigma.value, fisher.sigma.standard_error))


def covariance_table(task: Task, vector: DataVector, arrays: dict[str, np.ndarray]) -> dict:
    """Covariances at the held-out cosmology: elements, eigenvalues, and chi^2 of the simulated maps."""
    boxes, patches, modes = arrays["simulated_held_out"].shape
    simulated, labels = arrays["simulated_held_out"].reshape(-1, modes), np.repeat(np.arange(boxes), patches)
    emulated, other = arrays["emulated_held_out"], arrays["emulated_held_out_other"]
    print(
        "\n| statistic | elements apart: rms (error) | beyond 3 errors | eigenvalues (equal ones: to) | "
        "chi2 a mode of simulated, emulated maps (Hartlap) | p of uniform p-values: simulated, emulated |"
        "\n|---|---|---|---|---|---|"
    )
    rows = {}
    for name in vector.names:
        columns = np.arange(modes)[vector.columns(name)]
        columns = columns[independent_columns(simulated[:, columns], 0.01)]
        a, b = emulated[:, columns], simulated[:, columns]
        try:
            result = compare_covariances(a, b, np.arange(len(a)), labels, seed=0)
        except ValueError as error:
            print(f"| {name} | {error} | | | | |")
            continue
        upper = np.triu_indices(len(columns))
        value, error = (array[upper] for array in result.difference)
        beyond = int((np.abs(value) > 3 * error).sum())
        mean, covariance = a.mean(0), np.cov(a.T)
        # One patch of each box: independent of each other.
        t_squared = [chi_squared(maps, mean, covariance) for maps in (b[::patches], other[:, columns])]
        p_values = [hotelling_p_values(t, len(columns), len(a), mean_maps=len(a)) for t in t_squared]
        uniform = [float(stats.kstest(p, "uniform").pvalue) for p in p_values]
        scaled = [float(hartlap_factor(len(a), len(columns)) * t.mean() / len(columns)) for t in t_squared]
        low, high = result.eigenvalues.value[[0, -1]]
        print(
            f"| {name} | {np.sqrt((value**2).mean()):.3f} ({np.sqrt((error**2).mean()):.3f}) | {beyond} of "
            f"{len(value)} | {low:.2f} to {high:.2f} ({result.equal_range[0, 0]:.2f} to "
            f"{result.equal_range[1, -1]:.2f}) | {scaled[0]:.3f}, {scaled[1]:.3f} | {uniform[0]:.3g}, "
            f"{uniform[1]:.3g} |"
        )
        rows[name] = {
            "modes": columns.tolist(), "difference": result.difference.value.tolist(),
            "difference_error": result.difference.standard_error.tolist(), "errors": result.errors,
            "eigenvalues": result.eigenvalues.value.tolist(),
            "eigenvalues_error": result.eigenvalues.standard_error.tolist(),
            "equal_range": result.equal_range.tolist(), "chi2_a_mode": scaled, "uniform_p": uniform,
            "independent_maps": [result.maps_generated, result.maps_validation],
        }  # fmt: skip
    return rows


def summarise(task: Task) -> None:
    """Print the tables and write results.json."""
    arrays, vector = read_npz(task.work_file), task.vector()
    results = {}
    if "power_bands" in vector.names:
        results["power"] = power_table(task, vector, arrays)
    results["statistics"] = statistics_table(task, vector, arrays)
    results["covariance"] = covariance_table(task, vector, arrays)
    write_json(task.args.work / "results.json", results)


def parsed(given: list[str] | None = None) -> argparse.Namespace:
    """Flags."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--emulator", required=True, help="name, folder, or stand-in[:answer]")
    parser.add_argument(
        "--simulations", default="boxes", help="boxes, or an emulator whose maps take their place"
    )
    parser.add_argument("--work", type=Path, required=True, help="folder of all that is made")
    parser.add_argument("--part", choices=("all", *PARTS), default="all")
    parser.add_argument(
        "--share", default="0/1", help="of the boxes: this process's number/number of processes"
    )
    parser.add_argument("--fiducial", default="omega_m=0.3,sigma8=0.8", help="where derivatives are compared")
    parser.add_argument("--held_out", default="omega_m=0.27,sigma8=0.87", help="where covariances are compared")
    parser.add_argument("--statistics", default="power_bands,pdf,peaks,V0,V1,V2,starlet_l1")
    parser.add_argument("--step", type=float, default=0.05, help="of a parameter, relative, up and down (0.05)")
    words = "of the emulator; a dcgan that forward mode does not go through has differences"
    parser.add_argument("--derivatives", choices=("both", "differences"), default="both", help=words)
    for name, default, words in (
        ("num_bands", 12, "of ell"),
        ("matched_seeds", 20, "boxes on either side of each parameter"),
        ("covariance_seeds", 20, "boxes at the fiducial, and as many at the held-out cosmology"),
        ("patches_per_box", 48, "maps of each box"),
        ("num_maps", 2000, "of the emulator, everywhere"),
        ("reference_maps", 256, "that bins are set by"),
        ("num_pixels", 64, "of a stand-in"),
    ):
        parser.add_argument(f"--{name}", type=int, default=default, help=f"{words} ({default})")
    add_flags(parser, noise=0.0, smoothing=0.0)
    return parser.parse_args(given)


def task_of(args: argparse.Namespace) -> Task:
    """What the flags ask for; ValueError: an emulator of other parameters."""
    emulator = opened(args.emulator, args.num_pixels)
    if emulator.parameters != NAMES:
        raise ValueError(
            f"emulator={args.emulator} must be conditioned on {', '.join(NAMES)}, and is on "
            f"{', '.join(emulator.parameters) or 'nothing'}"
        )
    if args.simulations == "boxes":
        simulations = boxes_of(args, args.work / "boxes", emulator.geometry, args.patches_per_box)
    else:
        simulations = EmulatorAsBoxes(opened(args.simulations, args.num_pixels), look_of(args))
    return Task(emulator, simulations, look_of(args), args)


def main(given: list[str] | None = None) -> None:
    """Run the parts that are asked for."""
    args = parsed(given)
    try:
        args.work.mkdir(parents=True, exist_ok=True)
        task = task_of(args)
        for name, run in zip(PARTS, (make_boxes, measure, summarise)):
            if args.part in ("all", name):
                run(task)
    except ValueError as error:
        sys.exit(f"compare.py: {error}")


if __name__ == "__main__":
    main()
