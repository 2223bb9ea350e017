"""Do other keys and initial weights change what a training reaches? Equal short runs by two states of the code.

    python experiments/015-keys/run.py --code=<checkout of dba0630> --label=before
    python experiments/015-keys/run.py --code=. --label=after

Cost: 70 s a seed on two cores. Expected: means of all scores within twice their error of each other.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

HERE = Path(__file__).parent
SCORES = ("pixel_ks", "spectrum_chi2", "worst_power_factor", "variance_ratio", "nearest_ratio")
FLAGS = (
    f"--flagfile={HERE.parent / 'quickstart/dcgan.flags'}", "--num_train_maps=100", "--num_validation_maps=8",
    "--num_steps=600", "--checkpoint_every_steps=600", "--sample_every_steps=0", "--score_every_steps=100",
    "--score_maps=640", "--stages=simulate,prepare,train",
)  # fmt: skip


def scores_of(code: Path, seed: int) -> dict[str, float]:
    """Means over the scores of the last 300 steps of a training of this seed."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "cosmogan_jax.main", *FLAGS, f"--workdir={folder}", f"--seed={seed}"]
        subprocess.run(command, check=True, env={**os.environ, "PYTHONPATH": str(code.resolve())}, cwd=folder)
        lines = [json.loads(line) for line in (Path(folder) / "train/metrics.jsonl").read_text().splitlines()]
    scored = [line for line in lines if "pixel_ks" in line and line["step"] > 300]
    return {name: float(np.mean([line[name] for line in scored])) for name in SCORES}


def table(results: dict[str, dict[str, dict[str, float]]]) -> str:
    """Mean and scatter over seeds, by score and state of the code; with two states, their difference too."""
    more = ["difference / its error"] if len(results) == 2 else []
    rows = ["| score | " + " | ".join([*results, *more]) + " |", "|---" * (1 + len(results) + len(more)) + "|"]
    for name in SCORES:
        values = [np.array([scores[name] for scores in of.values()]) for of in results.values()]
        cells = [f"{one.mean():.3g} ± {one.std(ddof=1):.2g}" for one in values]
        if more:
            error = np.sqrt(sum(one.var(ddof=1) / len(one) for one in values))
            cells.append(f"{(values[1].mean() - values[0].mean()) / error:+.1f}")
        rows.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(rows)


def main() -> None:
    """Run, keep the numbers, print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--code", type=Path, default=Path("."))
    parser.add_argument("--label", default="after")
    parser.add_argument("--seeds", type=int, default=4)
    args = parser.parse_args()
    path = HERE / "results.json"
    results = json.loads(path.read_text()) if path.is_file() else {}
    for seed in range(args.seeds):
        if str(seed) in results.get(args.label, {}):
            continue
        results.setdefault(args.label, {})[str(seed)] = scores_of(args.code, seed)
        path.write_text(json.dumps(results, indent=1) + "\n")
    print(table(results))


if __name__ == "__main__":
    main()
