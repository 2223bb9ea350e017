"""Runs stages in their one order: skips what is whole, refuses what contradicts, records what was done."""

import importlib
import sys
import time
from pathlib import Path
from typing import Any

from cosmogan_jax.stages.settings import RunSettings, results_only
from cosmogan_jax.storage import run_directory
from cosmogan_jax.storage.json_files import read_json

# Each stage with the earlier stages whose directories it reads, in the one order they run in.
INPUTS: dict[str, tuple[str, ...]] = {
    "simulate": (),
    "prepare": ("simulate",),
    "train": ("prepare",),
    "select": ("prepare", "train"),
    "generate": ("prepare", "train", "select"),
    "evaluate": ("prepare", "generate"),
    "report": ("train", "select", "evaluate"),
}
STAGES = tuple(INPUTS)
# Stages that go on from what an interrupted run left. A training is never thrown away for other flags; the
# parts of a simulation or an evaluation are; they hold only for the very settings and maps they were made of.
_RESUMABLE = ("simulate", "train", "evaluate")


def run(run_settings: RunSettings, command: list[str], flags: str) -> None:
    """Run the stages asked for. All checks come before any work.

    Raises:
      ValueError: a missing earlier stage, settings that contradict what the run directory holds, or a
        run directory that another run holds.
    """
    workdir, settings = run_settings.workdir, run_settings.by_stage
    chosen = [stage for stage in STAGES if stage in run_settings.stages]
    with run_directory.hold(workdir):
        for stage in chosen:
            for earlier in _needed(stage, settings):
                if earlier not in chosen:
                    run_directory.stage_directory(workdir, earlier)
        _check_sizes(chosen, settings)
        for stage in chosen:
            _check_agreement(workdir, stage, settings)
        run_directory.record_run(workdir, command, flags)
        for stage in chosen:
            _run_stage(workdir, stage, settings)


def _check_sizes(chosen: list[str], settings: dict[str, Any]) -> None:
    """What would stop a later stage is told before an earlier one works for hours."""
    crop_size, map_pixels = settings["prepare"].crop_size, settings["simulate"].map_pixels
    if crop_size < 1:
        raise ValueError(f"crop_size={crop_size} must be positive")
    if "simulate" in chosen and "prepare" in chosen and crop_size > map_pixels:
        raise ValueError(f"crop_size={crop_size} is larger than map_pixels={map_pixels}")
    layers = settings["train"].num_layers
    if "train" in chosen and layers > 0 and crop_size % 2**layers:
        raise ValueError(f"crop_size={crop_size} must be divisible by 2**num_layers={2**layers}")


def _needed(stage: str, settings: dict[str, Any]) -> tuple[str, ...]:
    # A checkpoint given by number, or the last one, needs no selection.
    if stage == "generate" and settings["generate"].checkpoint != "selected":
        return ("prepare", "train")
    if stage == "report":  # shows a selection where there is one
        return ("train", "evaluate")
    return INPUTS[stage]


def _chain(stage: str, settings: dict[str, Any]) -> dict[str, Any]:
    """Flags that change a stage's result: its own and those of all stages it builds on."""
    flags: dict[str, Any] = {}
    for earlier in _needed(stage, settings):
        flags |= _chain(earlier, settings)
    return flags | results_only(settings[stage])


def _check_agreement(workdir: Path, stage: str, settings: dict[str, Any]) -> None:
    record = run_directory.stage_record(workdir, stage)
    started = workdir / f"{stage}.partial" / "settings.json"
    if record is not None:
        recorded, place = record["flags"], workdir / stage
    elif stage == "train" and started.is_file():
        recorded, place = read_json(started), started.parent
    else:
        return
    now = _chain(stage, settings)
    for name in sorted(recorded.keys() | now.keys()):
        old, new = recorded.get(name), now.get(name)
        if old != new:
            raise ValueError(
                f"{name}={new} differs from {name}={old}, with which stage {stage!r} was run in {place}; "
                f"choose another --workdir, remove that directory, or go on with "
                f"--flagfile={workdir / 'flags.txt'}"
            )


def _run_stage(workdir: Path, stage: str, settings: dict[str, Any]) -> None:
    inputs = {
        earlier: record["result"]
        for earlier in INPUTS[stage]
        if (record := run_directory.stage_record(workdir, earlier)) is not None
    }
    module = importlib.import_module(f"cosmogan_jax.stages.{stage}")
    record = run_directory.stage_record(workdir, stage)
    grown = getattr(module, "has_grown", lambda *_: False)
    fresh = record is not None and record["inputs"] == inputs
    if fresh and not grown(settings[stage], record["summary"], workdir):
        print(f"{stage}: finished {record['finished']}, skipped", file=sys.stderr)
        return
    print(f"{stage}: begins in {workdir / stage}", file=sys.stderr)
    began = time.monotonic()
    chain = _chain(stage, settings)
    started = chain if stage == "train" else {**chain, "inputs": inputs}
    out = run_directory.begin_stage(workdir, stage, started, resumable=stage in _RESUMABLE)
    summary = module.run(settings[stage], workdir, out)
    seconds = round(time.monotonic() - began, 2)
    run_directory.finish_stage(
        workdir,
        stage,
        {"stage": stage, "flags": chain, "inputs": inputs, "summary": summary, "seconds": seconds},
    )
    print(f"{stage}: done in {seconds:.1f} s", file=sys.stderr)
