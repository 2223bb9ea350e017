"""Damaged files over every reader: each gives arrays, or says in a line what is wrong, in bounded time
and memory.

python experiments/013-fuzzing/run.py --inputs=12000 --out=experiments/013-fuzzing/results.json

A child process reads thousands of damaged files, each written by a seeded mutation; its address space is
limited (RLIMIT_AS), and a reader that takes longer than the time limit is a finding, as is any exception other
than ValueError and OSError, any message of several lines, and the end of the child itself. Input n of a target
is made again by --only=target --first=n --inputs=1.
"""

import argparse
import collections
import json
import os
import platform
import resource
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

SECONDS = 20  # for one input; the slowest readers take 0.3 s
MEMORY = 2 * 2**30  # of address space beyond what the imports and one good read take
GROWTH = 512 * 2**20  # of resident memory within one input
_SILENCE = 90  # seconds without a word of the child: it hangs where no signal reaches it


Job = tuple[str, int]  # a target and the number of an input


class TooLong(BaseException):
    """The time limit."""


def read_damaged(target, paths: list[Path], number: int, key: tuple[int, ...], folder: Path) -> dict:
    """Make input `number` of one of the whole files in the folder, read it, and say what came of it."""
    from mutations import generator, mutate

    rng = generator(*key, number)
    path = paths[rng.integers(len(paths))]
    path.write_bytes(mutate(path.read_bytes(), rng))
    target.amend(folder)
    before, began = _peak(), time.monotonic()
    signal.signal(signal.SIGALRM, _too_long)
    signal.setitimer(signal.ITIMER_REAL, SECONDS)
    try:
        target.read(folder)
        outcome, words = "arrays", ""
    except (ValueError, OSError) as error:
        outcome, words = "refused", str(error)
    except TooLong:
        outcome, words = "TIMEOUT", ""
    except BaseException as error:  # this is what is looked for
        outcome, words = f"FINDING {type(error).__name__}", str(error)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
    if outcome == "refused" and (len(words.splitlines()) != 1):
        outcome = "FINDING message"
    if _peak() - before > GROWTH:
        outcome = "FINDING memory"
    seconds = round(time.monotonic() - began, 3)
    return {"n": number, "outcome": outcome, "words": words[:200], "seconds": seconds, "file": path.name}


def _too_long(*_):
    raise TooLong


def _peak() -> int:
    return 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def child(jobs: list[Job], seed: int, minutes: float) -> None:
    """Read the inputs, a line for each, until all are done or the time is over."""
    from targets import TARGETS

    index = {name: number for number, name in enumerate(TARGETS)}
    home = Path(tempfile.mkdtemp())
    whole: dict[str, list[Path]] = {}
    for name in dict.fromkeys(name for name, _ in jobs):
        folder = home / str(index[name])
        folder.mkdir()
        whole[name] = [path.relative_to(folder) for path in TARGETS[name].make(folder)]
        TARGETS[name].read(folder)  # whole files are read; all imports are done
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + MEMORY, used + MEMORY))
    began = time.monotonic()
    for name, number in jobs:
        if time.monotonic() - began > 60 * minutes:
            print("over", flush=True)
            break
        folder = shutil.copytree(home / str(index[name]), home / "damaged")
        paths = [folder / path for path in whole[name]]
        said = read_damaged(TARGETS[name], paths, number, (seed, index[name]), folder)
        shutil.rmtree(folder)
        print("input " + json.dumps({"target": name, **said}), flush=True)
    shutil.rmtree(home)


def watched(jobs: list[Job], seed: int, minutes: float, show=lambda one: None) -> list[dict]:
    """What came of the inputs; a child that died or hangs is a finding, and another one goes on after it."""
    over, until = False, time.monotonic() + 60 * minutes
    found: list[dict] = []
    while len(found) < len(jobs) and not over:
        left = jobs[len(found) :]
        began = len(found)
        with tempfile.TemporaryFile("w+") as errors:
            command = [
                sys.executable,
                __file__,
                "--child",
                f"--seed={seed}",
                f"--minutes={(until - time.monotonic()) / 60}",
            ]
            pipe = subprocess.PIPE
            process = subprocess.Popen(command, text=True, stdin=pipe, stdout=pipe, stderr=errors)
            process.stdin.write(json.dumps(left))
            process.stdin.close()
            while select.select([process.stdout], [], [], _SILENCE)[0] and (line := process.stdout.readline()):
                if line.startswith("input "):
                    found.append(json.loads(line.removeprefix("input ")))
                    show(found[-1])
                over |= line.startswith("over")
            hangs = process.poll() is None and len(found) < len(jobs)
            if hangs:
                process.kill()
            code = process.wait()
            process.stdout.close()
            errors.seek(0)
            words = "hangs" if hangs else f"child ended with {code}: {errors.read()[-600:]}"
        if len(found) < len(jobs) and not over:
            if len(found) == began and not hangs and code == 1:
                raise RuntimeError(words)
            name, number = jobs[len(found)]
            found.append(
                {"target": name, "n": number, "outcome": "FINDING crash", "words": words, "seconds": 0.0}
            )
    return found


def tables(found: list[dict]) -> dict[str, dict]:
    """Counts of outcomes by target."""
    by_target: dict[str, list[dict]] = {}
    for one in found:
        by_target.setdefault(one["target"], []).append(one)
    return {
        name: {
            "inputs": len(of),
            **dict(sorted(collections.Counter(one["outcome"] for one in of).items())),
            "slowest_seconds": max(one["seconds"] for one in of),
        }
        for name, of in by_target.items()
    }


def main() -> None:
    """Run all targets, write the table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--inputs", type=int, default=12_000)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--minutes", type=float, default=1e6, help="end before all inputs are done")
    parser.add_argument("--only")
    parser.add_argument("--out", type=Path)
    parser.add_argument("--child", action="store_true")
    asked = parser.parse_args()
    if asked.child:
        child([tuple(job) for job in json.load(sys.stdin)], asked.seed, asked.minutes)
        return
    os.environ["JAX_PLATFORMS"] = "cpu"
    from targets import TARGETS

    names, began = [asked.only] if asked.only else list(TARGETS), time.monotonic()
    each = -(-asked.inputs // len(names))
    # All targets in turn, so that a run that is cut short has been everywhere.
    jobs = [(name, number) for number in range(asked.first, asked.first + each) for name in names]

    def show(one: dict) -> None:
        if one["outcome"] not in ("arrays", "refused") or asked.inputs == 1:
            print(json.dumps(one), flush=True)

    found = watched(jobs, asked.seed, asked.minutes, show)
    findings = [one for one in found if one["outcome"] not in ("arrays", "refused")]
    for name, counts in tables(found).items():
        print(f"{name}: {counts}")
    print(f"{len(found)} inputs, {len(findings)} findings, {time.monotonic() - began:.0f} s")
    if asked.out:
        said = {
            "inputs": len(found),
            "findings": findings,
            "seed": asked.seed,
            "limits": {"seconds": SECONDS, "address_space_bytes": MEMORY, "growth_bytes": GROWTH},
            "seconds": round(time.monotonic() - began),
            "date": time.strftime("%Y-%m-%d"),
            "machine": f"{platform.machine()}, {os.cpu_count()} CPU cores, Python {platform.python_version()}",
            "targets": tables(found),
        }
        asked.out.write_text(json.dumps(said, indent=1) + "\n")


if __name__ == "__main__":
    main()
