"""Speed of two states of the code, by the command line, in turn: training, generation, evaluation.

    python experiments/benchmarks/two_states.py --before=<checkout> --after=. --rounds=5

Medians over the rounds, and the median of the ratios within rounds. Compiled programs are kept between rounds;
the first round, which compiles, does not count.
"""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

RUN = (
    "--sky=lognormal", "--map_pixels=128", "--side_deg=1.75", "--num_train_maps=60", "--num_development_maps=8",
    "--num_validation_maps=40", "--num_auxiliary_maps=40", "--crop_size=64", "--crops_per_map=10",
    "--normalisation=linear", "--normalisation_scale=0.12", "--num_filters=16", "--batch_size=16",
    "--num_steps=200", "--checkpoint_every_steps=200", "--sample_every_steps=0", "--log_every_steps=100",
    "--score_every_steps=0", "--checkpoint=last", "--num_generated=2048", "--num_permutations=499",
    "--classifier_steps=0", "--stages=simulate,prepare,train,generate,evaluate",
)  # fmt: skip


def measured(code: Path, cache: str) -> dict[str, float]:
    """Seconds of each kind in one run."""
    with tempfile.TemporaryDirectory() as folder:
        environment = {**os.environ, "PYTHONPATH": str(code.resolve()), "JAX_COMPILATION_CACHE_DIR": cache}
        command = [sys.executable, "-m", "cosmogan_jax.main", *RUN, f"--workdir={folder}"]
        done = subprocess.run(command, env=environment, cwd=folder, capture_output=True, text=True)
        if done.returncode:
            raise SystemExit(done.stderr)
        run = Path(folder)
        last = json.loads((run / "train/metrics.jsonl").read_text().splitlines()[-1])
        records = {
            stage: json.loads((run / stage / "stage.json").read_text()) for stage in ("generate", "evaluate")
        }
        return {
            "train step": 1 / last["steps_per_second"],
            "1024 maps generated": records["generate"]["summary"]["seconds_of_1024_maps"],
            "evaluate": records["evaluate"]["seconds"],
        }


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--before", type=Path, required=True)
    parser.add_argument("--after", type=Path, default=Path("."))
    parser.add_argument("--rounds", type=int, default=5)
    args = parser.parse_args()
    codes = {"before": args.before, "after": args.after}
    with tempfile.TemporaryDirectory() as cache:
        rounds = []
        for number in range(args.rounds + 1):
            order = list(codes) if number % 2 else list(codes)[::-1]
            rounds.append({name: measured(codes[name], cache) for name in order})
    rounds = rounds[1:]
    print(f"{time.strftime('%Y-%m-%d')}, {len(os.sched_getaffinity(0))} cores, {platform.machine()}")
    print("| | before | after | after / before (range) |\n|---|---|---|---|")
    for what in rounds[0]["before"]:
        times = {name: [one[name][what] for one in rounds] for name in codes}
        ratios = [b / a for a, b in zip(times["before"], times["after"])]
        cells = " | ".join(f"{statistics.median(of):.4g} s" for of in times.values())
        print(
            f"| {what} | {cells} | {statistics.median(ratios):.3f} ({min(ratios):.3f} to {max(ratios):.3f}) |"
        )


if __name__ == "__main__":
    main()
