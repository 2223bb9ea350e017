"""The working directory of a run: its lock, and which stages are whole with which settings.

    <workdir>/.lock                 held (flock) by the run that works here
    <workdir>/flags.txt             the project's flags of the last run, a flag file to go on with
    <workdir>/runs.jsonl            one line a run: time, command, versions, commit
    <workdir>/<stage>.partial/      a stage at work
    <workdir>/<stage>/stage.json    a whole stage: settings, inputs, versions, seconds
    <workdir>/<stage>.discarded/    what was given up and is being removed

A stage works in `<stage>.partial` and is renamed to `<stage>` when whole; stage.json is written just
before, so a directory that carries the stage's name is whole. What is given up loses its name before its
content, wherever a run is cut off.
"""

import contextlib
import fcntl
import importlib.metadata
import os
import platform
import shutil
import subprocess
import time
import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

from cosmogan_jax.files.json_files import append_json_lines, read_json, read_object, write_json
from cosmogan_jax.files.whole_files import write_text, write_whole, writing
from cosmogan_jax.runs.records import StageRecord
from cosmogan_jax.settings.key_schemes import SCHEME, recorded_scheme

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
Contents = dict[str, tuple[int, int]]  # of files, by their names


class Snapshot(NamedTuple):
    """A whole stage before it is begun again: the bytes of stage.json, and its files."""

    record: bytes
    contents: Contents


@contextlib.contextmanager
def hold(workdir: Path) -> Iterator[None]:
    """Hold a working directory for the time of a run.

    Raises:
      ValueError: another process holds it (the system frees the lock when that process ends, however), or it
        cannot be written.
    """
    try:
        workdir.mkdir(parents=True, exist_ok=True)
        lock = os.open(workdir / ".lock", os.O_RDWR | os.O_CREAT, 0o666)
    except OSError as error:
        reason = "it is a file" if isinstance(error, FileExistsError) else error.strerror
        raise ValueError(f"workdir={workdir} cannot be written: {reason}") from error
    try:
        _lock(lock, workdir)
        with writing(workdir):
            for discarded in workdir.glob("*.discarded"):
                shutil.rmtree(discarded)
        yield
    finally:
        os.close(lock)


def _lock(lock: int, workdir: Path) -> None:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        holder = os.pread(lock, 1000, 0).decode(errors="replace").strip() or "unknown"
        raise ValueError(f"workdir={workdir} is held by another run ({holder})") from None
    except OSError as error:  # some network file systems
        raise ValueError(f"workdir={workdir} cannot be locked: {error.strerror}") from error
    try:
        os.ftruncate(lock, 0)
        os.pwrite(lock, f"process {os.getpid()} on {platform.node()} since {_now()}".encode(), 0)
    except OSError as error:
        raise ValueError(f"workdir={workdir} cannot be written: {error.strerror}") from error


def stage_record(workdir: Path, stage: str) -> StageRecord | None:
    """Read the record of a whole stage; None where the stage is not whole.

    Raises:
      ValueError: names a record that is damaged.
    """
    path = workdir / stage / "stage.json"
    return StageRecord.from_json(read_json(path), path) if path.is_file() else None


def finished_record(workdir: Path, stage: str) -> StageRecord:
    """Read the record of a whole stage.

    Raises:
      ValueError: it is not there.
    """
    record = stage_record(workdir, stage)
    if record is None:
        raise ValueError(f"workdir={workdir} holds no finished stage {stage!r}; run --stages={stage} first")
    return record


def stage_directory(workdir: Path, stage: str) -> Path:
    """Return where a whole stage lies.

    Raises:
      ValueError: it is not there.
    """
    finished_record(workdir, stage)
    return workdir / stage


def key_scheme(workdir: Path) -> int:
    """Return how seeds become keys in this working directory (`keys.py`): as in its oldest stage, else as now.

    A stage of before the scheme was recorded means the first one.

    Raises:
      ValueError: a record that is damaged, or a scheme that this version does not know.
    """
    records = (*sorted(workdir.glob("*/stage.json")), *sorted(workdir.glob("*.partial/settings.json")))
    return min((recorded_scheme(read_object(record, {}), record) for record in records), default=SCHEME)


def begun_with(workdir: Path, stage: str) -> dict[str, Any] | None:
    """Read the flags that a stage was begun with, whole or not; None where it never was."""
    for folder in (f"{stage}.partial", stage):
        if (settings := workdir / folder / "settings.json").is_file():
            return read_object(settings, {})
    return None


def begin_stage(
    workdir: Path,
    stage: str,
    settings: dict[str, Any],
    *,
    resumable: bool,
    defaults: Mapping[str, Any] = MappingProxyType({}),
) -> Path:
    """Make the directory a stage works in; what an earlier attempt left stays only if it can be gone on with.

    defaults: what a setting meant to an attempt that did not know it.
    """

    def goes_on() -> bool:
        if not (resumable and started.is_file()):
            return False
        before = read_object(started, {})
        before.pop("keys", None)  # those of the directory, however it began
        return {name: defaults[name] for name in settings if name in defaults} | before == settings

    scheme = key_scheme(workdir)
    partial, whole = workdir / f"{stage}.partial", workdir / stage
    started = partial / "settings.json"
    with writing(partial):
        if resumable and whole.exists() and not partial.exists():
            whole.rename(partial)  # no longer whole from here on
        if partial.exists() and not goes_on():
            shutil.rmtree(_set_aside(partial))
        partial.mkdir(exist_ok=True)
        (partial / "stage.json").unlink(missing_ok=True)
    write_json(started, {**settings, "keys": scheme})
    return partial


def snapshot(workdir: Path, stage: str) -> Snapshot | None:
    """Note what a whole stage holds before it is begun again; None where the stage is not whole."""
    record = workdir / stage / "stage.json"
    return Snapshot(record.read_bytes(), _contents(workdir / stage)) if record.is_file() else None


def put_back(workdir: Path, stage: str, before: Snapshot) -> bool:
    """Give a stage that was begun again its name if nothing was done in it; return whether it was so."""
    partial, whole = workdir / f"{stage}.partial", workdir / stage
    if whole.exists() or _contents(partial) != before.contents:
        return False
    with write_whole(partial / "stage.json") as file:
        file.write(before.record)
    partial.rename(whole)
    return True


def _contents(directory: Path) -> Contents:
    """Return size and time of change of every file of a stage, but for those that say how it was run."""
    own = {"stage.json", "settings.json"}
    return {
        str(path.relative_to(directory)): (status.st_size, status.st_mtime_ns)
        for path in directory.rglob("*")
        if (status := path.lstat()) and path.is_file() and str(path.relative_to(directory)) not in own
    }


def finish_stage(workdir: Path, stage: str, record: dict[str, Any]) -> None:
    """Make a stage whole: its record, then its name."""
    partial, whole = workdir / f"{stage}.partial", workdir / stage
    own = {"result": uuid.uuid4().hex, "finished": _now(), "keys": key_scheme(workdir)}
    write_json(partial / "stage.json", {**own, **record, **versions()})
    with writing(whole):
        discarded = _set_aside(whole) if whole.exists() else None
        partial.rename(whole)
        if discarded is not None:
            shutil.rmtree(discarded)


def _set_aside(directory: Path) -> Path:
    """Take a directory its name, so that no half of it is ever taken for the whole."""
    discarded = directory.with_name(directory.name + ".discarded")
    if discarded.exists():
        shutil.rmtree(discarded)
    return directory.rename(discarded)


def record_run(workdir: Path, command: list[str], flags: str) -> None:
    """Write the flags as a flag file, and a line about this run."""
    write_text(workdir / "flags.txt", flags)
    append_json_lines(workdir / "runs.jsonl", [{"started": _now(), "command": command, **versions()}])


def versions() -> dict[str, Any]:
    """Return versions of what makes the results, the commit of the code in a git checkout, and the machine."""
    packages = {"python": platform.python_version()}
    for name in _PACKAGES:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            packages[name] = importlib.metadata.version(name)
    machine = {"processor": _processor(), "cores": len(os.sched_getaffinity(0))}
    return {"versions": packages, "commit": _commit(), "machine": machine}


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
