"""All that is to be measured on a GPU, in one command that knows how long it has.

    python experiments/gpu/measure.py --part=measure --seconds=175 --out=$OUT   # steps, kernels, statistics
    python experiments/gpu/measure.py --part=build --seconds=540 --out=$OUT     # a box; a sky, other emulators
    python experiments/gpu/measure.py --part=fine --seconds=540 --out=$OUT      # the same at fine pixels
    python experiments/gpu/measure.py --part=paper --seconds=540 --out=$OUT     # a box; the paper's run
    python experiments/gpu/measure.py --record=<results.json that came back>    # into the repository's own

Tasks run in order of worth, each in a process of its own with a limit of its own, which ends it with what it
had told by then. A task that the record in the repository (--results) holds whole for this code and size is
left out. SIGTERM is passed on. What comes out: results.json; of the paper's run its report, results, metrics,
and the generator in halves of 16 bits; of other emulators an archive of the runs, and maps in 16 bits. At most
eight files of at most 16 MiB. --size=tiny rehearses it on a CPU (tests/test_gpu_measure.py).
"""

import argparse
import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
_MOST_FILES, _MOST_BYTES = 8, 16 * 2**20


class Task(NamedTuple):
    """A function of tasks.py or paper_run.py; seconds it is not begun without, and that it may take at most."""

    name: str
    script: str
    least: float
    most: float


# In order of worth.
PARTS = {
    "measure": (
        Task("card", "tasks.py", 5, 60),
        Task("step", "tasks.py", 20, 80),
        Task("convolutions", "tasks.py", 15, 50),
        Task("maps", "tasks.py", 15, 50),
        Task("equality", "tasks.py", 15, 60),
    ),
    "build": (
        Task("box", "paper_run.py", 20, 110),
        Task("coarse", "emulators_run.py", 60, 1e9),
    ),
    "fine": (Task("fine", "emulators_run.py", 60, 1e9),),
    "paper": (
        Task("box", "paper_run.py", 20, 110),
        Task("paper", "paper_run.py", 60, 1e9),
    ),
}
_stopped: list[int] = []


def code() -> str:
    """A mark of the package and of what measures it."""
    digest = hashlib.sha256()
    for path in sorted([*(ROOT / "cosmogan_jax").rglob("*.py"), *HERE.glob("*.py")]):
        digest.update(f"{os.path.relpath(path, ROOT)}\n".encode() + path.read_bytes())
    return digest.hexdigest()[:16]


def told(out: Path, task: str) -> list[dict]:
    """What a task has told so far; a line cut off by its end is left out."""
    path, rows = out / f"{task}.jsonl", []
    for line in path.read_text().splitlines() if path.is_file() else ():
        try:
            rows.append(json.loads(line))
        except ValueError:
            break
    return rows


def run_task(task: Task, out: Path, size: str, seconds: float) -> tuple[int | None, float]:
    """Exit code, None where its limit ended it, and seconds."""
    command = [sys.executable, str(HERE / task.script), task.name, f"--size={size}", f"--out={out}"]
    began = time.monotonic()
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    environment.setdefault("JAX_COMPILATION_CACHE_DIR", str(out / "programs"))
    limit = min(seconds, task.most)
    process = subprocess.Popen(
        [*command, f"--seconds={limit:.0f}"], env=environment, cwd=ROOT, start_new_session=True
    )
    ended: int | None = None
    while (ended := process.poll()) is None and not _stopped and time.monotonic() - began < limit:
        time.sleep(0.05)
    if ended is None:
        for number in (signal.SIGTERM, signal.SIGKILL):
            try:
                os.killpg(process.pid, number)
                process.wait(timeout=8)
                break
            except subprocess.TimeoutExpired:
                continue
            except ProcessLookupError:
                break
    return ended, time.monotonic() - began


def write(path: Path, results: dict) -> None:
    """Whole or not at all."""
    partial = path.with_suffix(".partial")
    partial.write_text(json.dumps(results, indent=1) + "\n")
    partial.replace(path)


def record(new: Path, results: Path) -> None:
    """Add what came back to what is kept; of another code or size it takes its place."""
    found = json.loads(new.read_text())
    kept = json.loads(results.read_text()) if results.is_file() else {}
    if all(kept.get(name) == found[name] for name in ("code", "size")):
        found["tasks"] = kept["tasks"] | found["tasks"]
    write(results, found)


def as_table(results: dict) -> str:
    """A line for each number that was told."""
    lines = [f"{results['date']}, code {results['code']}, size {results['size']}"]
    for name, task in results["tasks"].items():
        state = "whole" if task["whole"] else f"not whole ({task['ended']})"
        lines.append(f"{name}: {state}, {task['seconds']:.0f} s")
        for row in task["rows"]:
            said = ", ".join(f"{key} {value}" for key, value in row.items() if key != "what")
            lines.append(f"  {row['what']}: {said}")
    return "\n".join(lines)


def check_files(out: Path) -> list[str]:
    """What would not come back: complaints, none where all is well."""
    files = [path for path in out.iterdir() if path.is_file()]
    large = [
        f"{path.name} has {path.stat().st_size} bytes" for path in files if path.stat().st_size > _MOST_BYTES
    ]
    return large + [f"{len(files)} files are more than {_MOST_FILES}"] * (len(files) > _MOST_FILES)


def main() -> int:
    """Run what fits in; 0 if all tasks of the part are whole."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--part", choices=[*PARTS, "all"], default="all")
    parser.add_argument("--seconds", type=float, default=600.0, help="for all tasks together")
    parser.add_argument("--size", choices=("paper", "tiny"), default="paper")
    parser.add_argument("--out", type=Path, default=Path(os.environ.get("OUT", "runs/gpu")))
    parser.add_argument("--results", type=Path, default=HERE / "results.json", help="what was measured before")
    parser.add_argument("--record", type=Path, help="add these results to --results, and measure nothing")
    args = parser.parse_args()
    if args.record:
        record(args.record, args.results)
        return 0
    signal.signal(signal.SIGTERM, lambda number, _: _stopped.append(number))
    signal.signal(signal.SIGINT, lambda number, _: _stopped.append(number))
    began, mark = time.monotonic(), code()
    args.out.mkdir(parents=True, exist_ok=True)
    work = args.out.parent / f"{args.out.name}.work"  # what does not come back
    work.mkdir(exist_ok=True)
    path = args.out / "results.json"
    results = {"date": time.strftime("%Y-%m-%d %H:%M"), "code": mark, "size": args.size, "tasks": {}}
    for earlier in (args.results, path):
        found = json.loads(earlier.read_text()) if earlier.is_file() else {}
        if (found.get("code"), found.get("size")) == (mark, args.size):
            results["tasks"] |= {name: task for name, task in found["tasks"].items() if task["whole"]}
    chosen = {task.name: task for part, of in PARTS.items() if args.part in (part, "all") for task in of}
    tasks = list(chosen.values())
    for task in tasks:
        left = args.seconds - (time.monotonic() - began)
        if task.name in results["tasks"] or left < task.least or _stopped:
            continue
        print(f"{task.name}: begins, {left:.0f} s left", flush=True)
        ended, seconds = run_task(task, work, args.size, left)
        reason = {0: "by itself", None: "by SIGTERM" if _stopped else "by its limit"}.get(
            ended, f"with {ended}"
        )
        results["tasks"][task.name] = {
            "whole": ended == 0, "ended": reason, "seconds": round(seconds, 1), "rows": told(work, task.name),
        }  # fmt: skip
        write(path, results)
    for keep in sorted((work / "keep").glob("*")):
        (args.out / keep.name).write_bytes(keep.read_bytes())
    write(path, results)
    print(as_table(results))
    for complaint in check_files(args.out):
        print(f"measure: {complaint}", file=sys.stderr)
    return 0 if all(results["tasks"].get(task.name, {}).get("whole") for task in tasks) else 1


if __name__ == "__main__":
    sys.exit(main())
