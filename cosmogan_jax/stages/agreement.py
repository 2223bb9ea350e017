"""What stages build on, and whether a run directory agrees with what is asked of it."""

import hashlib
from pathlib import Path
from typing import Any

from cosmogan_jax.files.checksums import file_sha256
from cosmogan_jax.files.json_files import read_object
from cosmogan_jax.maps.formats import find_map_files
from cosmogan_jax.maps.source_changes import marked, quick_mark
from cosmogan_jax.runs import directory as run_directory
from cosmogan_jax.settings import results_only

# Each stage with the earlier stages whose directories it reads, in the one order they run in.
INPUTS: dict[str, tuple[str, ...]] = {
    "simulate": (),
    "prepare": ("simulate",),
    "train": ("prepare",),
    "select": ("prepare", "train"),
    "generate": ("prepare", "train", "select"),
    "evaluate": ("prepare", "generate"),
    "novelty": ("prepare", "train", "generate"),
    "export": ("generate", "evaluate"),
    "pack": ("prepare", "train", "generate", "evaluate"),
    "report": ("train", "select", "evaluate", "novelty"),
}
STAGES = tuple(INPUTS)


def needed(stage: str, settings: dict[str, Any]) -> tuple[str, ...]:
    """The stages that must be whole before this one can run."""
    if stage == "prepare" and settings["prepare"].maps:
        return ()
    if stage == "export":  # says in which range the maps were validated, where that is known
        return () if settings["export"].export_from else ("generate",)
    if stage == "generate" and settings["generate"].pretrained:
        return ()
    if stage == "evaluate":
        given = {"generate": settings["evaluate"].generated, "prepare": settings["evaluate"].reference}
        return tuple(earlier for earlier in INPUTS[stage] if not given[earlier])
    # A checkpoint given by number, or the last one, needs no selection.
    if stage == "generate" and settings["generate"].checkpoint != "selected":
        return ("prepare", "train")
    if stage == "novelty" and settings["novelty"].generated:
        return ("prepare",)
    if stage == "novelty" and settings["generate"].pretrained:  # comes without its discriminator
        return ("prepare", "generate")
    if stage == "pack" and settings["generate"].pretrained:  # again, with another verdict
        return ("generate", "evaluate")
    if stage == "report":  # shows training and selection where there are any
        return ("evaluate",)
    return INPUTS[stage]


def chain(stage: str, settings: dict[str, Any]) -> dict[str, Any]:
    """Flags that change a stage's result: its own and those of all stages it builds on."""
    flags: dict[str, Any] = {}
    for earlier in needed(stage, settings):
        flags |= chain(earlier, settings)
    return flags | results_only(settings[stage])


def inputs(workdir: Path, stage: str, settings: dict[str, Any]) -> dict[str, str]:
    """Which results a stage reads: the marks of earlier stages', the checksum of a map store from elsewhere."""
    # What is not needed is yet read where it is there, but not by stages that take what they are given.
    takes = stage in ("evaluate", "novelty") or not needed(stage, settings)
    reads = needed(stage, settings) if takes else INPUTS[stage]
    found = {
        earlier: record["result"]
        for earlier in reads
        if (record := run_directory.stage_record(workdir, earlier)) is not None
    }
    if stage == "export" and settings["export"].export_from:
        manifest = Path(settings["export"].export_from) / "manifest.json"
        found["export_from"] = file_sha256(manifest) if manifest.is_file() else "none"
    if stage in ("evaluate", "novelty"):
        for name in ("generated", "reference", "auxiliary"):
            if patterns := getattr(settings[stage], name, ()):
                found[name] = _files_mark(patterns, name, any_ending=bool(settings[stage].raw_shape))
        if stage == "evaluate" and settings[stage].reference and settings[stage].mask:
            found["mask"] = _files_mark(settings[stage].mask, "mask")
    return found


def _files_mark(patterns: tuple[str, ...], name: str, *, any_ending: bool = False) -> str:
    """Of the files' names, sizes and times of change: what is evaluated anew when they are others."""
    files = find_map_files(patterns, name, any_ending=any_ending)
    marks = [(marked(path).resolve(), quick_mark(path)) for path in files]
    said = [f"{path} {mark['bytes']} {mark['mtime_ns']}" for path, mark in marks]
    return hashlib.sha256("\n".join(said).encode()).hexdigest()


def check_flags(workdir: Path, chosen: list[str], settings: dict[str, Any], defaults: dict[str, Any]) -> None:
    """Flags against those with which the chosen stages, and all they build on, were run.

    What a run did not record, because the setting came later, was its default.

    Raises:
      ValueError: the first that differs; a stage's own flags come before those of the stages it builds on.
    """
    every = set(chosen)
    for stage in reversed(STAGES):
        if stage in every:
            every |= set(needed(stage, settings))
    for stage in STAGES:
        if stage in every:
            _check_stage(workdir, stage, settings, defaults)


def _check_stage(workdir: Path, stage: str, settings: dict[str, Any], defaults: dict[str, Any]) -> None:
    record = run_directory.stage_record(workdir, stage)
    started = workdir / f"{stage}.partial" / "settings.json"
    if record is not None:
        recorded, place = record["flags"], workdir / stage
    elif stage == "train" and started.is_file():
        recorded, place = read_object(started, {}), started.parent
        for name in ("inputs", "keys"):
            recorded.pop(name, None)
    else:
        return
    own, now = results_only(settings[stage]), chain(stage, settings)
    for name in (*own, *sorted((recorded.keys() | now.keys()) - own.keys())):
        old, new = recorded.get(name, defaults.get(name)), now.get(name)
        if old != new:
            raise ValueError(
                f"{name}={_said(new)} differs from {name}={_said(old)}, with which stage {stage!r} was run in "
                f"{place}; choose another --workdir, remove that directory, or go on with "
                f"--flagfile={workdir / 'flags.txt'}"
            )


def check_trained_data(workdir: Path) -> None:
    """A training that has begun goes on with the data it began with, and is never thrown away for others.

    Raises:
      ValueError: stage prepare holds other maps or crops than those that were trained on.
    """
    prepared, trained = (run_directory.stage_record(workdir, stage) for stage in ("prepare", "train"))
    place, started = workdir / "train", workdir / "train.partial/settings.json"
    if trained is not None:
        on = trained["inputs"].get("prepare")
    elif started.is_file():
        on, place = read_object(started, {}).get("inputs", {}).get("prepare"), started.parent
    else:
        return
    if prepared is not None and prepared["result"] != on:
        raise ValueError(
            f"{place} was trained on other data than {workdir / 'prepare'} now holds (maps or crops differ); "
            "choose another --workdir, or remove that directory to train anew"
        )


def _said(value: Any) -> str:
    return ",".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value)
