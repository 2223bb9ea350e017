"""The working directory of a run: its lock, and which stages are whole with which settings.

    <workdir>/.lock                 held (flock) by the run that works here
    <workdir>/flags.txt             the project's flags of the last run, a flag file to go on with
    <workdir>/runs.jsonl            one line a run: time, command, versions, commit
    <workdir>/<stage>.partial/      a stage at work
    <workdir>/<stage>/stage.json    a whole stage: settings, inputs, versions, seconds

A stage works in `<stage>.partial` and is renamed to `<stage>` when whole; stage.json is written just
before, so a directory that carries the stage's name is whole.
"""

import contextlib
import fcntl
import importlib.metadata
import json
import os
import platform
import shutil
import subprocess
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from cosmogan_jax.storage.json_files import read_json, write_json

_PACKAGES = (
    "cosmogan_jax",
    "jax",
    "jaxlib",
    "flax",
    "optax",
    "orbax-checkpoint",
    "numpy",
    "scipy",
    "tensorstore",
)


@contextlib.contextmanager
def hold(workdir: Path) -> Iterator[None]:
    """Hold a working directory for the time of a run.

    Raises:
      ValueError: another process holds it; the system frees the lock when that process ends, however.
    """
    try:
        workdir.mkdir(parents=True, exist_ok=True)
        (workdir / ".lock").touch()
    except OSError as error:
        raise ValueError(f"workdir={workdir} cannot be written: {error.strerror}") from error
    with open(workdir / ".lock", "a+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            lock.seek(0)
            holder = lock.read().strip() or "unknown"
            raise ValueError(f"workdir={workdir} is held by another run ({holder})") from None
        lock.truncate(0)
        lock.write(f"process {os.getpid()} on {platform.node()} since {_now()}")
        lock.flush()
        yield


def stage_record(workdir: Path, stage: str) -> dict[str, Any] | None:
    """What a whole stage wrote of itself; None where the stage is not whole."""
    path = workdir / stage / "stage.json"
    return read_json(path) if path.is_file() else None


def finished_record(workdir: Path, stage: str) -> dict[str, Any]:
    """What a whole stage wrote of itself.

    Raises:
      ValueError: it is not there.
    """
    record = stage_record(workdir, stage)
    if record is None:
        raise ValueError(f"workdir={workdir} holds no finished stage {stage!r}; run --stages={stage} first")
    return record


def stage_directory(workdir: Path, stage: str) -> Path:
    """Where a whole stage lies.

    Raises:
      ValueError: it is not there.
    """
    finished_record(workdir, stage)
    return workdir / stage


def begin_stage(workdir: Path, stage: str, settings: dict[str, Any], *, resumable: bool) -> Path:
    """The directory a stage works in. What an earlier attempt left is kept only if it can be gone on with."""
    partial, whole = workdir / f"{stage}.partial", workdir / stage
    if resumable and whole.exists() and not partial.exists():
        (whole / "stage.json").unlink(missing_ok=True)  # no longer whole from here on
        whole.rename(partial)
    started = partial / "settings.json"
    if partial.exists() and not (resumable and started.is_file() and read_json(started) == settings):
        shutil.rmtree(partial)
    partial.mkdir(exist_ok=True)
    write_json(started, settings)
    return partial


def finish_stage(workdir: Path, stage: str, record: dict[str, Any]) -> None:
    """Make a stage whole: its record, then its name."""
    partial, whole = workdir / f"{stage}.partial", workdir / stage
    write_json(partial / "stage.json", {"result": uuid.uuid4().hex, "finished": _now(), **record, **versions()})
    if whole.exists():
        shutil.rmtree(whole)
    partial.rename(whole)


def record_run(workdir: Path, command: list[str], flags: str) -> None:
    """Keep the flags as a flag file and a line about this run."""
    (workdir / "flags.txt").write_text(flags)
    with open(workdir / "runs.jsonl", "a") as file:
        file.write(json.dumps({"started": _now(), "command": command, **versions()}) + "\n")


def versions() -> dict[str, Any]:
    """Versions of what makes the results, the commit of the code in a git checkout, and the machine."""
    found: dict[str, Any] = {"python": platform.python_version()}
    for name in _PACKAGES:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            found[name] = importlib.metadata.version(name)
    machine = {"processor": _processor(), "cores": len(os.sched_getaffinity(0))}
    return {"versions": found, "commit": _commit(), "machine": machine}


def _processor() -> str:
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _commit() -> str | None:
    root = Path(__file__).resolve().parents[2]
    if not (root / ".git").exists():
        return None

    def git(*arguments: str) -> str:
        done = subprocess.run(
            ["git", "-C", str(root), *arguments], capture_output=True, text=True, check=True, timeout=10
        )
        return done.stdout.strip()

    try:
        return git("rev-parse", "HEAD") + ("+changes" if git("status", "--porcelain", "-uno") else "")
    except (OSError, subprocess.SubprocessError):
        return None


def _now() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S%z")
