"""Which choices make the training unstable? One factor at a time, scored at several steps against maps apart.

    python experiments/007-instability/run.py --lens_planes <folder of lens planes>

Every run changes one flag of run.flags. results.json gains one entry as each run ends; a rerun goes on where
the last was cut off. --rescore measures the checkpoints that are there again.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import jax
import numpy as np
from score import Scorer

from cosmogan_jax.files.json_files import read_json, write_json
from cosmogan_jax.runs.directory import stage_record, versions

HERE, WORK = Path(__file__).parent, Path("runs/instability")
STEPS = (500, 750, 1000, 1250, 1500)
FACTORS = {
    "base": (),
    "learning_rate=1e-4": ("--learning_rate=1e-4",),
    "learning_rate=4e-4": ("--learning_rate=4e-4",),
    "update_order=sequential": ("--update_order=sequential",),
    "borders=canvas": ("--borders=canvas",),
    "normalisation=none": ("--normalisation=none",),
    "normalisation=arcsinh": (
        "--normalisation=arcsinh",
        "--normalisation_scale=0.018",
    ),  # twice the maps' sigma
}
# (factor, seed, steps) in the order in which they are run: every factor once, then further and again.
PLAN = [
    ("base", 1, 1000),
    ("normalisation=arcsinh", 1, 1000),
    ("learning_rate=4e-4", 1, 1000),
    ("normalisation=none", 1, 1000),
    ("learning_rate=1e-4", 1, 1000),
    ("borders=canvas", 1, 1000),
    ("update_order=sequential", 1, 1000),
    ("base", 2, 1000),
    ("normalisation=arcsinh", 2, 1000),
    ("borders=canvas", 2, 1000),
    ("update_order=sequential", 2, 1000),
    ("base", 3, 1000),
    ("normalisation=arcsinh", 3, 1000),
    ("base", 1, 1500),
    ("normalisation=arcsinh", 1, 1500),
]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lens_planes", type=Path, required=True)
    parser.add_argument("--rescore", action="store_true")
    parser.add_argument("--max_minutes", type=float, default=1e9, help="no run is begun after so long")
    given = parser.parse_args()
    began = time.monotonic()
    cosmogan(f"--flagfile={HERE}/sky.flags", f"--workdir={WORK}/sky", f"--lens_planes={given.lens_planes}")
    path = HERE / "results.json"
    results = read_json(path) if path.exists() else {"runs": []}
    for factor, seed, steps in PLAN:
        old = next((r for r in results["runs"] if (r["factor"], r["seed"]) == (factor, seed)), None)
        workdir = WORK / f"{factor.replace('=', '-')}-{seed}"
        done = old["steps"] if old else 0
        if done >= steps and not (given.rescore and workdir.exists()):
            continue
        if (time.monotonic() - began) / 60 > given.max_minutes:
            break
        steps = max(steps, done)
        entry = old or {"factor": factor, "seed": seed, "train_seconds": 0}
        if steps > done:
            if not workdir.exists():  # from the start again
                entry["train_seconds"] = 0
            train(workdir, factor, seed, steps)
            entry["train_seconds"] += stage_record(workdir, "train").seconds
        scorer = Scorer(workdir)
        entry |= {"steps": steps, "scores": measure(workdir, scorer, steps)}
        entry["commit"] = stage_record(workdir, "train").commit
        results.setdefault("training_maps", scorer.floor())
        scorer.close()
        results["runs"] = [r for r in results["runs"] if r is not old] + [entry]
        results |= {
            "command": "python experiments/007-instability/run.py --lens_planes <folder>",
            "date": time.strftime("%Y-%m-%d"),
            "hardware": f"{os.cpu_count()} cores, {jax.devices()[0].device_kind}",
            **versions(),
        }
        write_json(path, results)
        print(factor, seed, json.dumps(entry["scores"][str(steps)]), flush=True)


def cosmogan(*flags):
    subprocess.run([sys.executable, "-m", "cosmogan_jax.main", *flags], check=True)


def train(workdir, factor, seed, steps):
    cosmogan(
        f"--flagfile={HERE}/run.flags", *FACTORS[factor], f"--seed={seed}", f"--num_steps={steps}",
        f"--workdir={workdir}", f"--maps={WORK}/sky/simulate/maps",
    )  # fmt: skip


def measure(workdir, scorer, steps):
    """Scores of the checkpoints, and what the discriminator did up to each of them."""
    reached = [step for step in STEPS if step <= steps]
    scores = {str(step): {} for step in reached}
    for step in reached:
        for weights in ("last", "ema") if scorer.like.ema is not None else ("last",):
            for refresh in (False, True):
                name = weights + " refreshed" * refresh
                scores[str(step)][name] = scorer.score(step, weights, refresh)
    lines = [json.loads(line) for line in (workdir / "train/metrics.jsonl").read_text().splitlines()]
    for step in reached:
        window = [line for line in lines if step - 250 < line["step"] <= step]
        scores[str(step)]["disc_accuracy"] = {
            kind: round(float(np.mean([line[f"disc_accuracy_{kind}"] for line in window])), 3)
            for kind in ("real", "fake")
        }
        scores[str(step)]["gen_loss"] = round(float(np.mean([line["gen_loss"] for line in window])), 2)
    return scores


if __name__ == "__main__":
    main()
