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
import functools
import sys
from pathlib import Path

import numpy as np

sys.path.append(str(Path(__file__).parent))
sys.path.append(str(Path(__file__).parents[1] / "024-inference"))

from boxes_at import (
    EmulatorAsBoxes,
    Look,
    Simulations,
    Theta,
    add_flags,
    look_of,
    simulations_of,
    source_redshift_of,
)
from stand_in import opened
from tables import NAMES, Comparison, covariance_table, power_table, smooth_part, statistics_table

from cosmogan_jax.compare.data_vectors import DataVector, data_vector
from cosmogan_jax.emulators.emulator import Emulator
from cosmogan_jax.emulators.parameter_response import EmulatorVectors
from cosmogan_jax.files.json_files import write_json
from cosmogan_jax.files.numpy_files import read_npz
from cosmogan_jax.files.whole_files import write_arrays

PARTS = ("boxes", "measure", "summary")
MATCHED_SEED, FIDUCIAL_SEED, HELD_OUT_SEED = 800_000, 700_000, 600_000  # of boxes
SLOPE_SEED, COVARIANCE_SEED, OTHER_SEED, REFERENCE_SEED = 11, 12, 13, 14  # of the emulator's maps


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

    def sets(self) -> dict[str, tuple[Theta, range]]:
        """Cosmology and seeds of all boxes, by what they are for."""
        of_sides = {
            f"{side}_{name}": (pair[number], seeds_from(MATCHED_SEED, self.args.matched_seeds))
            for name, pair in zip(NAMES, self.displaced)
            for number, side in enumerate(("lower", "upper"))
        }
        return {
            **of_sides,
            "fiducial": (self.fiducial, seeds_from(FIDUCIAL_SEED, self.args.covariance_seeds)),
            "held_out": (self.held_out, seeds_from(HELD_OUT_SEED, self.args.covariance_seeds)),
        }

    @functools.cached_property
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


def seeds_from(first: int, count: int) -> range:
    return range(first, first + count)


def make_boxes(task: Task) -> None:
    """Make this process's share of the boxes."""
    if isinstance(task.simulations, EmulatorAsBoxes):
        return
    share, shares = map(int, task.args.share.split("/"))
    boxes = [(theta, seed) for theta, seeds in task.sets().values() for seed in seeds]
    for number, (theta, seed) in enumerate(boxes[share::shares]):
        task.simulations.seen(theta, [seed], 1)
        if number % 20 == 0:
            print(f"boxes: {number} of {len(boxes[share::shares])}", flush=True)


def measure(task: Task) -> None:
    """Measure both sides: (boxes, patches, modes) of the simulations, (maps, ...) of the emulator."""
    vector, patches = task.vector, task.args.patches_per_box
    arrays = {}
    for name, (theta, seeds) in task.sets().items():
        kappa = task.simulations.seen(theta, seeds, patches)
        values = vector.of_maps(kappa.reshape(-1, *kappa.shape[2:]))
        arrays[f"simulated_{name}"] = values.reshape(len(seeds), patches, -1)
    slopes = task.vectors(vector.measure, SLOPE_SEED, task.args.num_maps)
    displaced = slopes.displaced(task.args.step, **task.fiducial)
    arrays |= {"emulated_lower": displaced.lower, "emulated_upper": displaced.upper}
    smooth = smooth_part(vector)
    if smooth.names and task.args.derivatives == "both":
        of_maps = task.vectors(smooth.measure, SLOPE_SEED, task.args.num_maps).differentiated(**task.fiducial)
        arrays |= {"emulated_values": of_maps.values, "emulated_slopes": of_maps.response.slopes}
    for name, theta, seed in (
        ("fiducial", task.fiducial, COVARIANCE_SEED),
        ("held_out", task.held_out, COVARIANCE_SEED),
        ("held_out_other", task.held_out, OTHER_SEED),
    ):
        arrays[f"emulated_{name}"] = task.vectors(vector.measure, seed, task.args.num_maps).at(**theta)
    write_arrays(task.work_file, arrays)


def summarise(task: Task) -> None:
    """Print the tables and write results.json."""
    args = task.args
    compared = Comparison(
        task.vector,
        read_npz(task.work_file),
        task.fiducial,
        args.step,
        source_redshift_of(args, task.emulator),
        args.smoothing_arcmin,
        task.emulator.card.get("derivatives_to_ell") or np.inf,
    )
    results = {"power": power_table(compared)} if "power_bands" in compared.vector.names else {}
    results |= {"statistics": statistics_table(compared), "covariance": covariance_table(compared)}
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
    return Task(emulator, simulations_of(args, args.simulations, emulator), look_of(args), args)


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
