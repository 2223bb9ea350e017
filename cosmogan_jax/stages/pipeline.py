"""Runs stages in their one order: skips what is whole, refuses what contradicts, records what was done."""

import contextlib
import importlib
import os
import sys
import time
from pathlib import Path
from typing import Any

from cosmogan_jax.stages import processes
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
    "export": ("generate", "evaluate"),
    "report": ("train", "select", "evaluate"),
}
STAGES = tuple(INPUTS)
# Stages that go on from what an interrupted run left. A training is never thrown away for other flags; the
# parts of a simulation or an evaluation are; they hold only for the very settings and maps they were made of.
_RESUMABLE = ("simulate", "train", "evaluate")


def run(run_settings: RunSettings, command: list[str], flags: str) -> None:
    """Run the stages asked for. All checks come before any work.

    Several processes may run stage train, and no other: simulations share their boxes by --boxes_dir, and what
    comes after the training is the work of minutes.

    Raises:
      ValueError: a missing earlier stage, settings that contradict what the run directory holds, a
        run directory that another run holds, or other stages than train for several processes.
    """
    workdir, settings = run_settings.workdir, run_settings.by_stage
    chosen = _chosen(run_settings)
    if run_settings.dry_run:
        _dry_run(workdir, chosen, settings)
        return
    count, _ = processes.expected(run_settings.processes, os.environ)
    if count > 1 and chosen != ["train"]:
        raise ValueError(
            f"stages={','.join(chosen)}: {count} processes run --stages=train only; run the others by one, or "
            f"with --distributed=off"
        )
    with processes.join(run_settings.processes) as group, contextlib.ExitStack() as held:

        def begin():
            held.enter_context(run_directory.hold(workdir))
            _check(workdir, chosen, settings)
            run_directory.record_run(workdir, command, flags)

        group.on_first(begin)
        for stage in chosen:
            _run_stage(workdir, stage, settings, group)


def _chosen(run_settings: RunSettings) -> list[str]:
    """The stages asked for, in order, without those that the settings leave nothing to do."""
    left_out = set()
    if run_settings.by_stage["prepare"].maps:
        left_out.add("simulate")
    if not run_settings.by_stage["export"].export:
        left_out.add("export")
    chosen = [stage for stage in STAGES if stage in run_settings.stages and stage not in left_out]
    if not chosen:
        reason = {"simulate": "--maps gives the maps", "export": "--export names no format"}
        only = run_settings.stages[0]
        raise ValueError(f"stages={','.join(run_settings.stages)}: nothing to do, {reason[only]}")
    return chosen


def _module(stage: str) -> Any:
    return importlib.import_module(f"cosmogan_jax.stages.{stage}")


def _check(workdir: Path, chosen: list[str], settings: dict[str, Any]) -> None:
    for stage in chosen:
        for earlier in _needed(stage, settings):
            if earlier not in chosen:
                run_directory.stage_directory(workdir, earlier)
    _check_sizes(chosen, settings)
    if "prepare" in chosen:
        _module("prepare").check(settings["prepare"])
    for stage in chosen:
        _check_agreement(workdir, stage, settings)


def _dry_run(workdir: Path, chosen: list[str], settings: dict[str, Any]) -> None:
    """Say what would be done; a stage that has something to show without working shows it."""
    _check(workdir, chosen, settings)
    stale = False
    for stage in chosen:
        module = _module(stage)
        stale = stale or not _is_finished(workdir, stage, settings, module)
        print(f"{stage}: would {'run' if stale else 'be skipped, finished'} in {workdir / stage}")
        shows = getattr(module, "dry_run", None)
        if stale and shows and all(run_directory.stage_record(workdir, e) for e in _needed(stage, settings)):
            shows(settings[stage], workdir)


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
    if stage == "prepare" and settings["prepare"].maps:
        return ()
    if stage == "export":  # says in which range the maps were validated, where that is known
        return () if settings["export"].export_from else ("generate",)
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


def _inputs(workdir: Path, stage: str, settings: dict[str, Any]) -> dict[str, str]:
    """Which results of earlier stages a stage reads, by the mark each result carries."""
    reads = INPUTS[stage] if _needed(stage, settings) else ()
    return {
        earlier: record["result"]
        for earlier in reads
        if (record := run_directory.stage_record(workdir, earlier)) is not None
    }


def _is_finished(workdir: Path, stage: str, settings: dict[str, Any], module: Any) -> bool:
    record = run_directory.stage_record(workdir, stage)
    if record is None or record["inputs"] != _inputs(workdir, stage, settings):
        return False
    grown = getattr(module, "has_grown", lambda *_: False)
    return not grown(settings[stage], record["summary"], workdir)


def _run_stage(workdir: Path, stage: str, settings: dict[str, Any], group: processes.Group) -> None:
    module, inputs, chain = _module(stage), _inputs(workdir, stage, settings), _chain(stage, settings)

    def begin() -> str | None:
        if _is_finished(workdir, stage, settings, module):
            finished = run_directory.stage_record(workdir, stage)["finished"]
            print(f"{stage}: finished {finished}, skipped", file=sys.stderr)
            return None
        print(f"{stage}: begins in {workdir / stage}", file=sys.stderr)
        started = chain if stage == "train" else {**chain, "inputs": inputs}
        return str(run_directory.begin_stage(workdir, stage, started, resumable=stage in _RESUMABLE))

    began = time.monotonic()
    out = group.on_first(begin)
    if out is None:
        return
    summary = module.run(settings[stage], workdir, Path(out))
    seconds = round(time.monotonic() - began, 2)
    record = {"stage": stage, "flags": chain, "inputs": inputs, "summary": summary, "seconds": seconds}
    group.meet(f"end of {stage}")
    group.on_first(lambda: run_directory.finish_stage(workdir, stage, record))
    if group.index == 0:
        print(f"{stage}: done in {seconds:.1f} s", file=sys.stderr)
