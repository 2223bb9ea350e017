"""Plants bugs one at a time in a copy of the repository, and says which of them the tests find.

    python experiments/016-planted-bugs/plant.py --out=experiments/016-planted-bugs/results.json
    python experiments/016-planted-bugs/plant.py --only=skew,flip_squared

`bugs.py` holds the table. For each bug the test files that concern it run, until one test fails. First the test
files run once without any bug: what fails then says nothing, and ends the script. The exit code is 1 if a bug
survived or did not apply.
"""

import argparse
import datetime
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from bugs import BUGS, Bug

ROOT = Path(__file__).resolve().parents[2]
# What tests read beside the package; neither results of runs nor environments.
COPIED = (
    "cosmogan_jax",
    "tests",
    "experiments",
    "setup.cfg",
    "pyproject.toml",
    "README.md",
    "BUILD.md",
    "LICENSE",
)
LIMIT_SECONDS = 900
OUTCOMES = {0: "survived", 1: "caught", 2: "caught"}  # 2: not even collected


def planted(source: str, bug: Bug) -> str:
    """The text of the bug's file with the bug in it.

    Raises:
      ValueError: the old text does not stand there exactly once.
    """
    count = source.count(bug.old)
    if count != 1:
        raise ValueError(f"{bug.name}: its old text stands {count} times in {bug.file}, not once")
    return source.replace(bug.old, bug.new)


def copy_of(root: Path, to: Path) -> Path:
    """The parts of the repository that tests need, and a link to what lies beside it."""
    copy = to / "repository"
    for name in COPIED:
        if (root / name).is_dir():
            shutil.copytree(root / name, copy / name, ignore=shutil.ignore_patterns("__pycache__", "*.pyc"))
        elif (root / name).exists():
            copy.mkdir(exist_ok=True)
            shutil.copy(root / name, copy / name)
    if (root.parent / "shared").is_dir():
        (to / "shared").symlink_to(root.parent / "shared")
    return copy


def run_tests(
    copy: Path, files: tuple[str, ...], cache: Path, limit_seconds: float | None = None
) -> tuple[str, float, str]:
    """Outcome, seconds, and the first failure, of test files up to the first test that fails."""
    environ = {
        **os.environ,
        "PYTHONPATH": str(copy),
        "JAX_PLATFORMS": "cpu",
        "JAX_COMPILATION_CACHE_DIR": str(cache),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
        "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1",
    }
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", "-m", "not slow", *files]
    began = time.monotonic()
    try:
        done = subprocess.run(
            command, cwd=copy, env=environ, capture_output=True, text=True, timeout=limit_seconds, check=False
        )
    except subprocess.TimeoutExpired:
        return "timed out", time.monotonic() - began, ""
    failed = re.findall(r"^(?:FAILED|ERROR) (\S+)", done.stdout, re.MULTILINE)
    outcome = OUTCOMES.get(done.returncode, f"pytest ended with {done.returncode}")
    return outcome, time.monotonic() - began, failed[0] if failed else ""


def run(bug: Bug, copy: Path, cache: Path, limit_seconds: float = LIMIT_SECONDS) -> dict[str, Any]:
    """Plant a bug in the copy, run its tests, and take it out again."""
    path = copy / bug.file
    source = path.read_text()
    try:
        path.write_text(planted(source, bug))
    except ValueError as error:
        return {"name": bug.name, "outcome": "does not apply", "why": str(error)}
    try:
        _forget_compiled(path)
        outcome, seconds, by = run_tests(copy, bug.tests, cache, limit_seconds)
    finally:
        path.write_text(source)
        _forget_compiled(path)
    return {"name": bug.name, "file": bug.file, "outcome": outcome, "by": by, "seconds": round(seconds, 1)}


def _forget_compiled(path: Path) -> None:
    """Python takes a file of the same size and second for the one that it has compiled."""
    for compiled in (path.parent / "__pycache__").glob(f"{path.stem}.*.pyc"):
        compiled.unlink()


def table(results: list[dict[str, Any]]) -> str:
    """A Markdown table."""
    lines = ["| bug | planted in | outcome | by |", "|---|---|---|---|"]
    for one in results:
        file = one.get("file", "").removeprefix("cosmogan_jax/")
        by = one.get("by", one.get("why", "")).removeprefix("tests/")
        lines.append(f"| {one['name']} | {file} | {one['outcome']} | {by} |")
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", default="", help="names of bugs, by commas, in their order; all if none")
    parser.add_argument("--out", type=Path, help="a JSON file for the outcomes")
    parser.add_argument(
        "--unplanted", choices=("yes", "no"), default="yes", help="run the tests without bugs first"
    )
    asked = parser.parse_args()
    names = [name for name in asked.only.split(",") if name]
    known = {bug.name: bug for bug in BUGS}
    if unknown := set(names) - known.keys():
        parser.error(f"no bugs {', '.join(sorted(unknown))}")
    chosen = [known[name] for name in names or known]
    results = []
    with tempfile.TemporaryDirectory(prefix="planted-bugs-") as folder:
        copy, cache = copy_of(ROOT, Path(folder)), Path(folder) / "programs"
        if asked.unplanted == "yes":
            files = tuple(sorted({file for bug in chosen for file in bug.tests}))
            outcome, seconds, by = run_tests(copy, files, cache)
            print(f"{len(files)} test files without a bug: {seconds:.0f} s", flush=True)
            if outcome != "survived":
                print(f"error: {outcome}, {by or 'no test'} fails without a bug", file=sys.stderr)
                return 2
        for bug in chosen:
            results.append(run(bug, copy, cache))
            print(f"{results[-1]['outcome']:15} {bug.name}  {results[-1].get('by', '')}", flush=True)
            if asked.out:
                said = {"date": datetime.date.today().isoformat(), "bugs": results}
                asked.out.write_text(json.dumps(said, indent=1) + "\n")
    print(f"\n{table(results)}\n")
    caught = sum(one["outcome"] in ("caught", "timed out") for one in results)
    print(f"{caught} of {len(results)} caught")
    return 0 if caught == len(results) else 1


if __name__ == "__main__":
    sys.exit(main())
