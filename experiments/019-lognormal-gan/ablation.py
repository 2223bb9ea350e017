"""The recipe with each part left out, three seeds each: what pays?

    python -m cosmogan_jax.main --flagfile=experiments/019-lognormal-gan/run.flags --stages=simulate,prepare
    python experiments/019-lognormal-gan/ablation.py --run=runs/lognormal-gan --workdir=runs/ablation

Trainings share the run's maps and crops, --together of them are made at a time; what is there is not made
again. A row is the mean over seeds, and what it is more than with all parts, of the same seeds: power and the
standard deviation of its logarithm in 12 bands (rms of what they are off validation crops'), the area under
the curve of the classifier's linear rule on heights and of that on bands (taught by every other map), peaks
of the worst bin in one map's standard deviation. Auxiliary crops stand below as the control.
"""

import argparse
import concurrent.futures
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import jax
import numpy as np

from cosmogan_jax.compare.discrimination import classifier_features as features
from cosmogan_jax.geometry import log_l_edges
from cosmogan_jax.maps.crop_table import open_crop_table
from cosmogan_jax.maps.store import open_map_store
from cosmogan_jax.summaries import peak_counts, power_spectrum
from cosmogan_jax.summaries.batching import in_batches

ROOT = Path(__file__).resolve().parents[2]
MATCHED = ("power", "mean", "heights", "roughness", "covariance", "wavelets")
LAST_WEIGHTS = "last weights instead of their average"  # of the training with all parts
PEAK_EDGES = np.array([-1, 0, 1, 2, 3, 4, 5, 7, 10.0])  # of validation maps' sigma


def _without(name: str, instead: str = "") -> str:
    return "--match=" + ",".join(filter(None, (instead if m == name else m for m in MATCHED)))


VARIANTS: dict[str, tuple[str, ...]] = {
    "all": (),
    "nothing matched": ("--match=",),
    **{f"{name} not matched": (_without(name),) for name in MATCHED},
    "even heights (pdf)": (_without("heights", "pdf"),),
    "no replayed maps": ("--replayed_steps=1",),
    "no penalty on pixels": ("--pixel_penalty=0",),
    "no penalty on bands": ("--band_penalty=0",),
    "isotropic base": ("--base_power=isotropic",),
    "base that stays as measured": ("--base_rate=0",),
    "rates do not fall": (),  # from the last step but one on
    LAST_WEIGHTS: ("--weights=last",),
    "maps not turned": ("--augment=none",),
    "3 layers instead of 5": ("--gen_layers=3",),
}


def train(run: Path, workdir: Path, name: str, seed: int, steps: int, more: list[str]) -> None:
    """A training and its maps; stages that are whole are not run again."""
    folder = _folder(workdir, name, seed)
    folder.mkdir(parents=True, exist_ok=True)
    linked = {stage: run / stage for stage in ("simulate", "prepare")}
    if name == LAST_WEIGHTS:
        linked["train"] = _folder(workdir, "all", seed) / "train"
    for stage, there in linked.items():
        if there.is_dir() and not (folder / stage).exists():
            shutil.copytree(there, folder / stage, copy_function=os.link)
    fall_from = steps - 1 if name == "rates do not fall" else min(300, steps // 5)
    command = [
        sys.executable, "-m", "cosmogan_jax.main", f"--flagfile={run / 'flags.txt'}", f"--workdir={folder}",
        "--stages=train,generate", f"--train_seed={seed}", "--sample_every_steps=0", "--score_every_steps=0",
        f"--num_steps={steps}", f"--decay_from_step={fall_from}", f"--decay_to_step={steps}", *more,
        *VARIANTS[name],
    ]  # fmt: skip
    with open(folder / "log", "a") as log:
        subprocess.run(command, check=True, stdout=log, stderr=log, env={**os.environ, "PYTHONPATH": str(ROOT)})


class Measured:
    """Validation crops, and how far others are off them."""

    def __init__(self, run: Path, count: int):
        table = open_crop_table(run / "prepare")
        self.side_deg = table.geometry.side_deg
        self.sets = {
            split: table.cut(table.choose(split, min(count, len(table.crops[split]))))[..., 0]
            for split in ("validation", "auxiliary")
        }
        edges = log_l_edges(table.geometry, 12)
        self._power = jax.jit(lambda k: power_spectrum(k, edges, self.side_deg, mode_weights="full_plane"))
        self._sigma = self.sets["validation"].std()
        self._peaks = jax.jit(lambda k: peak_counts(k / self._sigma, PEAK_EDGES))
        self._real = self._of(self.sets["validation"])

    def _of(self, kappa: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        of = (self._power, self._peaks)
        return tuple(np.asarray(in_batches(one, kappa), np.float64) for one in of)

    def __call__(self, kappa: np.ndarray) -> dict[str, float]:
        """Numbers of a row."""
        real, count = self.sets["validation"], min(len(kappa), len(self.sets["validation"]))
        kappa, (power, peaks), (power_real, peaks_real) = kappa[:count], self._of(kappa[:count]), self._real
        means = np.log(power.mean(0) / power_real.mean(0))
        scatter = np.log(np.log(power).std(0) / np.log(power_real).std(0))
        reference = features.reference_of(kappa, real, self.side_deg)
        one, other = (features.features_of(maps, reference, self.side_deg) for maps in (kappa, real))
        off = (peaks.mean(0) - peaks_real.mean(0)) / np.maximum(peaks_real.std(0), 1e-12)
        return {
            "power, %": 100 * float(np.sqrt((means**2).mean())),
            "sd of log power, %": 100 * float(np.sqrt((scatter**2).mean())),
            "AUC of heights": _area(one.heights, other.heights),
            "AUC of bands": _area(one.spectrum, other.spectrum),
            "peaks": float(np.abs(off).max()),
        }


def _area(one: np.ndarray, other: np.ndarray) -> float:
    """Of the rule taught by every other map of each, on those between; both ways."""
    areas = []
    for taught in (0, 1):
        rule = features.linear_rule(one[taught::2], other[taught::2])
        scores, below = rule(one[1 - taught :: 2]), np.sort(rule(other[1 - taught :: 2]))
        areas.append(float(np.searchsorted(below, scores).mean() / len(below)))
    return float(np.mean(areas))


def main() -> None:
    """Train what is missing, then print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", type=Path, required=True)
    parser.add_argument("--workdir", type=Path, required=True)
    parser.add_argument("--variants", default=",".join(VARIANTS), help="names, with commas between")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument(
        "--steps", type=int, default=2000, help="of each training, at whose end rates have fallen"
    )
    parser.add_argument("--together", type=int, default=1, help="trainings at a time")
    parser.add_argument("--maps", type=int, default=4800, help="of each set")
    args, more = parser.parse_known_args()
    names = args.variants.split(",")
    if unknown := [name for name in names if name not in VARIANTS]:
        raise SystemExit(f"variants={unknown[0]!r} is none of: {', '.join(VARIANTS)}")
    jobs = [(name, seed) for seed in range(args.seeds) for name in names]
    more = [*more, f"--num_generated={args.maps}"]
    with concurrent.futures.ThreadPoolExecutor(args.together) as pool:
        running = [
            pool.submit(train, args.run, args.workdir, name, seed, args.steps, more) for name, seed in jobs
        ]
        for job in concurrent.futures.as_completed(running):
            job.result()
    measured, rows = Measured(args.run, args.maps), {}
    for name, seed in jobs:
        kappa = open_map_store(_folder(args.workdir, name, seed) / "generate/maps").read(0, args.maps)[..., 0]
        rows.setdefault(name, []).append(measured(kappa))
    rows["auxiliary crops (control)"] = [measured(measured.sets["auxiliary"])]
    (args.workdir / "ablation.json").write_text(json.dumps(rows, indent=1) + "\n")
    columns = list(rows["auxiliary crops (control)"][0])
    print(f"| left out | {' | '.join(columns)} |\n{'|---' * (len(columns) + 1)}|")
    for name, found in rows.items():
        beside = rows.get("all", []) if name in VARIANTS and name != "all" else []
        print(f"| {name} | {' | '.join(_cell(column, found, beside) for column in columns)} |")


def _cell(column: str, found: list[dict[str, float]], beside: list[dict[str, float]]) -> str:
    """The mean over seeds, and what it is more than the trainings of the same seeds beside, with its range."""
    values = np.array([row[column] for row in found])
    differences = values - [row[column] for row in beside] if beside else values
    span = f"{differences.min():+.2g} to {differences.max():+.2g}"
    more = f"{differences.mean():+.2g}, {span}" if beside else span.replace("+", "")
    return f"{values.mean():.3g} ({more})"


def _folder(workdir: Path, name: str, seed: int) -> Path:
    return workdir / f"{''.join(c if c.isalnum() else '-' for c in name)}-{seed}"


if __name__ == "__main__":
    main()
