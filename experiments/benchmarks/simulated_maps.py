"""Time of the quick start's maps through boxes that are there, by two states of the code in turn.

    python experiments/benchmarks/simulated_maps.py --before=<checkout> --after=. --boxes=/tmp/boxes --rounds=5

Stage simulate by the command line, with its start. Medians over the rounds, the median of the ratios within
rounds, and whether the maps are the same to the bit. The first round, which makes boxes and compiles, does not
count.
"""

import argparse
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

FLAGS = Path(__file__).resolve().parents[1] / "quickstart/run.flags"


def measured(code: Path, boxes: Path, cache: str) -> tuple[dict[str, float], str]:
    """Return the seconds of stage simulate by one state of the code, and the mark of its maps."""
    with tempfile.TemporaryDirectory() as folder:
        environment = {**os.environ, "PYTHONPATH": str(code.resolve()), "JAX_COMPILATION_CACHE_DIR": cache}
        command = [sys.executable, "-m", "cosmogan_jax.main", f"--flagfile={FLAGS}", "--stages=simulate",
                   f"--workdir={folder}", f"--boxes_dir={boxes.resolve()}"]  # fmt: skip
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run(command, env=environment, cwd=folder, capture_output=True, check=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        cost = json.loads((Path(folder) / "simulate/cost.json").read_text())
        manifest = (Path(folder) / "simulate/maps/manifest.json").read_bytes()
    processor = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {"clock": cost["total"], "processor": processor}, json.dumps(json.loads(manifest)["sha256"])


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--before", type=Path, required=True)
    parser.add_argument("--after", type=Path, default=Path("."))
    parser.add_argument("--boxes", type=Path, required=True)
    parser.add_argument("--rounds", type=int, default=5)
    args = parser.parse_args()
    codes = {"before": args.before, "after": args.after}
    rounds, marks = [], set()
    with tempfile.TemporaryDirectory() as cache:
        for number in range(args.rounds + 1):
            order = list(codes) if number % 2 else list(codes)[::-1]
            results = {name: measured(codes[name], args.boxes, cache) for name in order}
            marks |= {mark for _, mark in results.values()}
            rounds.append({name: seconds for name, (seconds, _) in results.items()})
            print(f"round {number}: {rounds[-1]}", file=sys.stderr, flush=True)
    cores, load = len(os.sched_getaffinity(0)), os.getloadavg()[1]
    print(f"{time.strftime('%Y-%m-%d')}, {cores} cores, load {load:.0f}, {platform.machine()}, "
          f"maps {'the same' if len(marks) == 1 else 'different'}")  # fmt: skip
    print("| | before | after | after / before (range) |\n|---|---|---|---|")
    for kind in ("clock", "processor"):
        times = {name: [seconds[name][kind] for seconds in rounds[1:]] for name in codes}
        ratios = [after / before for before, after in zip(times["before"], times["after"])]
        cells = " | ".join(f"{statistics.median(seconds):.1f} s" for seconds in times.values())
        spread = f"{min(ratios):.2f} to {max(ratios):.2f}"
        print(f"| {kind} | {cells} | {statistics.median(ratios):.2f} ({spread}) |")


if __name__ == "__main__":
    main()
