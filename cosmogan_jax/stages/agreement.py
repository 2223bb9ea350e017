"""What stages build on, and whether a run directory agrees with what is asked of it."""

import hashlib
from pathlib import Path
from typing import Any

from cosmogan_jax.files.checksums import file_sha256
from cosmogan_jax.files.json_files import read_object
from cosmogan_jax.maps.formats import find_map_files
from cosmogan_jax.maps.source_changes import marked, quick_mark
from cosmogan_jax.runs import directory as run_directory
from cosmogan_jax.settings import GivenMaps, results_only
from cosmogan_jax.stages.stage import STAGES, AllSettings


def chain(stage: str, settings: AllSettings) -> dict[str, Any]:
    """Return the flags that change a stage's result: its own and those of all stages it builds on."""
    flags: dict[str, Any] = {}
    for earlier in STAGES[stage].needed(settings):
        flags |= chain(earlier, settings)
    return flags | results_only(settings[stage])


def inputs(workdir: Path, stage: str, settings: AllSettings) -> dict[str, str]:
    """Return the marks of what a stage reads: earlier stages' results, and files from elsewhere."""
    own, needed = settings[stage], STAGES[stage].needed(settings)
    # What is not needed is yet read where it is there, but not by stages that take what they are given.
    takes_given = isinstance(own, GivenMaps) or not needed
    marks = {
        earlier: record.result
        for earlier in (needed if takes_given else STAGES[stage].reads)
        if (record := run_directory.stage_record(workdir, earlier)) is not None
    }
    if stage == "export" and own.export_from:
        manifest = Path(own.export_from) / "manifest.json"
        marks["export_from"] = file_sha256(manifest) if manifest.is_file() else "none"
    if isinstance(own, GivenMaps):
        for name in ("generated", "reference", "auxiliary"):
            if patterns := getattr(own, name, ()):
                marks[name] = _files_mark(patterns, name, any_ending=bool(own.raw_shape))
    if stage == "evaluate" and own.reference and own.mask:
        marks["mask"] = _files_mark(own.mask, "mask")
    return marks


def _files_mark(patterns: tuple[str, ...], name: str, *, any_ending: bool = False) -> str:
    """Return a mark of the files' names, sizes and times of change: others are evaluated anew."""
    files = find_map_files(patterns, name, any_ending=any_ending)
    marks = [(marked(path).resolve(), quick_mark(path)) for path in files]
    lines = [f"{path} {mark['bytes']} {mark['mtime_ns']}" for path, mark in marks]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def check_flags(workdir: Path, chosen: list[str], settings: AllSettings, defaults: dict[str, Any]) -> None:
    """Check flags against those with which the chosen stages, and all they build on, were run.

    What a run did not record, because the setting came later, was its default.

    Raises:
      ValueError: the first that differs; a stage's own flags come before those of the stages it builds on.
    """
    concerned = set(chosen)
    for stage in reversed(STAGES):
        if stage in concerned:
            concerned |= set(STAGES[stage].needed(settings))
    for stage in STAGES:
        if stage in concerned:
            _check_stage(workdir, stage, settings, defaults)


def _check_stage(workdir: Path, stage: str, settings: AllSettings, defaults: dict[str, Any]) -> None:
    record = run_directory.stage_record(workdir, stage)
    started = workdir / f"{stage}.partial" / "settings.json"
    if record is not None:
        recorded, place = record.flags, workdir / stage
    elif stage == "train" and started.is_file():
        recorded, place = read_object(started, {}), started.parent
        for name in ("inputs", "keys"):
            recorded.pop(name, None)
    else:
        return
    own, now = results_only(settings[stage]), chain(stage, settings)
    # What a stage declares itself before what it inherits, which follows from it: --maps before --side_deg.
    inherited = own.keys() - type(settings[stage]).__annotations__.keys()
    ordered = sorted(own, key=inherited.__contains__)
    for name in (*ordered, *sorted((recorded.keys() | now.keys()) - own.keys())):
        old, new = recorded.get(name, defaults.get(name)), now.get(name)
        if _listed(old) != _listed(new):
            raise ValueError(
                f"{name}={_as_word(new)} differs from {name}={_as_word(old)}, with which stage {stage!r} was "
                f"run in {place}; choose another --workdir, remove that directory, or go on with "
                f"--flagfile={workdir / 'flags.txt'}"
            )


def _listed(value: Any) -> Any:
    """Return a number as the list of one that it is where a setting, once a number, became one of each bin."""
    return [value] if isinstance(value, (int, float)) and not isinstance(value, bool) else value


def check_trained_data(workdir: Path) -> None:
    """Check that a training that has begun goes on with the data that it began with.

    Raises:
      ValueError: stage prepare holds other maps or crops than those that were trained on.
    """
    prepared, trained = (run_directory.stage_record(workdir, stage) for stage in ("prepare", "train"))
    place, started = workdir / "train", workdir / "train.partial/settings.json"
    if trained is not None:
        trained_on = trained.inputs.get("prepare")
    elif started.is_file():
        trained_on = read_object(started, {}).get("inputs", {}).get("prepare")
        place = started.parent
    else:
        return
    if prepared is not None and prepared.result != trained_on:
        raise ValueError(
            f"{place} was trained on other data than {workdir / 'prepare'} now holds (maps or crops differ); "
            "choose another --workdir, or remove that directory to train anew"
        )


def _as_word(value: Any) -> str:
    return ",".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value)
