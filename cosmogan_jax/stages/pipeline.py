"""Runs stages in their one order: skips what is whole, refuses what contradicts, records what was done."""

import contextlib
import importlib
import os
import sys
import time
from pathlib import Path
from typing import Any

from cosmogan_jax.machine import computing, processes
from cosmogan_jax.machine.compilation import keep_programs
from cosmogan_jax.runs import directory as run_directory
from cosmogan_jax.stages.agreement import chain, check_flags, check_trained_data, inputs
from cosmogan_jax.stages.stage import STAGES, AllSettings, RunSettings


def run(run_settings: RunSettings, command: list[str], flags: str) -> None:
    """Run the stages asked for. All checks come before any work.

    Several processes may run stage train, and no other: simulations share their boxes by --boxes_dir, and what
    comes after the training is the work of minutes.

    Raises:
      ValueError: a missing earlier stage, settings that contradict what the run directory holds, a
        run directory that another run holds, or other stages than train for several processes.
    """
    workdir = run_settings.workdir
    chosen = _chosen(run_settings)
    computes = any(STAGES[stage].needs_jax for stage in chosen)
    if run_settings.dry_run:
        with computing.settled(says=False) if computes else contextlib.nullcontext():
            _dry_run(chosen, run_settings)
        return
    if run_settings.require and "evaluate" not in chosen:
        run_directory.finished_record(workdir, "evaluate")  # an error now, and not after hours
    count, index = processes.expected(run_settings.processes, os.environ)
    if count > 1 and chosen != ["train"]:
        raise ValueError(
            f"stages={','.join(chosen)}: {count} processes run --stages=train only; run the others by one, or "
            f"with --distributed=off"
        )
    if computes:
        keep_programs(run_settings.compilation_cache_dir)
    with contextlib.ExitStack() as held:
        if computes:
            held.enter_context(computing.settled(says=index == 0))
        group = held.enter_context(processes.join(run_settings.processes))
        if computes:
            computing.device_in_words()  # an error where there is none, before anything is done

        def begin():
            held.enter_context(run_directory.hold(workdir))
            _check(chosen, run_settings)
            run_directory.record_run(workdir, command, flags)

        group.on_first(begin)
        for stage in chosen:
            _run_stage(stage, run_settings, group)
    if run_settings.require:
        _check_required(workdir, run_settings.require)


def _check_required(workdir: Path, required: str) -> None:
    """Raise a ValueError where the maps were judged, and found to be less than what is required."""
    outcome = run_directory.finished_record(workdir, "evaluate").summary.get("outcome", "not known")
    if outcome != required:
        raise ValueError(f"require={required}, and the outcome of stage evaluate in {workdir} is {outcome}")


def _chosen(run_settings: RunSettings) -> list[str]:
    """Return the stages asked for, in order, without those that the settings leave nothing to do."""
    settings = run_settings.by_stage
    asked_for = run_settings.stages if run_settings.stages_given else _default_stages(run_settings)
    in_order = [stage for stage in STAGES if stage in asked_for]
    left_out = {stage: reason for stage in in_order if (reason := STAGES[stage].idle(settings))}
    chosen = [stage for stage in in_order if stage not in left_out]
    if not chosen:
        raise ValueError(f"stages={','.join(asked_for)}: nothing to do, {', '.join(left_out.values())}")
    if run_settings.stages_given:
        for stage, reason in left_out.items():
            print(f"{stage}: left out, {reason}", file=sys.stderr)
    return chosen


def _default_stages(run_settings: RunSettings) -> tuple[str, ...]:
    """Return the stages that are meant where --stages does not say: what the other flags make sense of."""
    settings = run_settings.by_stage
    if settings["export"].export_from:
        return ("export",)
    if settings["evaluate"].generated:
        if settings["evaluate"].reference:
            return ("evaluate", "report")
        return ("simulate", "prepare", "evaluate", "novelty", "report")
    if settings["generate"].pretrained:
        return ("generate", "export")
    return run_settings.stages


def _module(stage: str) -> Any:
    return importlib.import_module(f"cosmogan_jax.stages.{stage}")


def _check(chosen: list[str], run_settings: RunSettings) -> None:
    workdir, settings = run_settings.workdir, run_settings.by_stage
    if settings["generate"].pretrained:
        _check_pretrained(chosen, settings["generate"].pretrained)
    _check_sizes(chosen, settings)
    _check_judged(chosen, settings)
    # What can never be meant comes before what is not what an earlier run had.
    for stage in chosen:
        if STAGES[stage].has_check:
            _module(stage).check(settings[stage])
    if {"train", "generate"} <= set(chosen):
        _module("generate").check_with_training(settings["generate"], settings["train"])
    check_flags(workdir, chosen, settings, run_settings.defaults)
    for stage in chosen:
        for earlier in STAGES[stage].needed(settings):
            if earlier not in chosen:
                run_directory.stage_directory(workdir, earlier)
    if "prepare" in chosen and _is_finished(workdir, "prepare", settings):
        _module("prepare").check_unchanged(settings["prepare"], workdir)
        if "train" in chosen:
            check_trained_data(workdir)


def _check_pretrained(chosen: list[str], name: str) -> None:
    for stage in ("train", "select"):
        if stage in chosen:
            raise ValueError(
                f"pretrained={name} goes without stage {stage!r}; name the stages, as in --stages=generate"
            )


def _dry_run(chosen: list[str], run_settings: RunSettings) -> None:
    """Print what would be done; a stage that has something to show without working shows it."""
    workdir, settings = run_settings.workdir, run_settings.by_stage
    _check(chosen, run_settings)
    stale = False
    for stage in chosen:
        stale = stale or not _is_finished(workdir, stage, settings)
        print(f"{stage}: would {'run' if stale else 'be skipped, finished'} in {workdir / stage}")
        shows = getattr(_module(stage), "dry_run", None)
        needed = STAGES[stage].needed(settings)
        if stale and shows and all(run_directory.stage_record(workdir, earlier) for earlier in needed):
            shows(settings[stage], workdir)


def _check_sizes(chosen: list[str], settings: AllSettings) -> None:
    """Check what would stop a later stage before an earlier one works for hours."""
    crop_size, map_pixels = settings["prepare"].crop_size, settings["simulate"].map_pixels
    if "simulate" in chosen and map_pixels < 1:
        raise ValueError(f"map_pixels={map_pixels} must be positive")
    if crop_size < 1:
        raise ValueError(f"crop_size={crop_size} must be positive")
    if "simulate" in chosen and "prepare" in chosen and crop_size > map_pixels:
        raise ValueError(f"crop_size={crop_size} is larger than map_pixels={map_pixels}")
    if "simulate" in chosen and "prepare" in chosen:
        _module("simulate").check_channel(settings["simulate"], settings["prepare"].channel)
        _check_galaxies(chosen, settings)
    weights, decay = settings["generate"].weights, settings["train"].ema_decay
    if "train" in chosen and {"select", "generate"} & set(chosen) and weights == "ema" and not decay:
        raise ValueError(f"weights={weights}, but ema_decay={decay:g} keeps no average")


def _check_galaxies(chosen: list[str], settings: AllSettings) -> None:
    """Check that galaxies are told of as many source bins as the maps that are to be simulated will have."""
    generate, evaluate, channel = settings["generate"], settings["evaluate"], settings["prepare"].channel
    bins = 1 if channel is not None else len(_module("simulate").source_bins(settings["simulate"]))
    told = {
        "generate_noise": (generate.generate_noise[:-1], "generate" in chosen and not generate.pretrained),
        "galaxies_per_arcmin2": (
            evaluate.galaxies_per_arcmin2,
            "evaluate" in chosen and not (evaluate.generated and evaluate.reference),
        ),
    }
    for name, (galaxies, is_used) in told.items():
        if is_used and len(galaxies) > 1 and len(galaxies) != bins:
            values = ",".join(f"{of:g}" for of in galaxies)
            raise ValueError(
                f"{name}={values}: galaxies of {len(galaxies)} source bins, and maps have {bins}; give one "
                "number for all, or one of each"
            )


def _check_judged(chosen: list[str], settings: AllSettings) -> None:
    """Check that the maps that are to be generated are such that the stages asked for can look at them."""
    generate = settings["generate"]
    pixels = generate.generate_pixels
    observed = [name for name in ("generate_noise", "generate_smoothing_arcmin") if getattr(generate, name)]
    for stage in ("evaluate", "novelty"):
        if "generate" not in chosen or stage not in chosen or settings[stage].generated:
            continue
        if observed:
            raise ValueError(
                f"{observed[0]}: stage {stage} compares convergence, not maps as they are observed; generate "
                "those in a --workdir of their own, as by --stages=generate,export"
            )
        if len(set(pixels)) > 1:
            raise ValueError(
                f"generate_pixels={','.join(map(str, pixels))}: stage {stage} compares square maps; generate "
                "these in a --workdir of their own, as by --stages=generate,export"
            )


def _is_finished(workdir: Path, stage: str, settings: AllSettings) -> bool:
    record = run_directory.stage_record(workdir, stage)
    if record is None or record.inputs != inputs(workdir, stage, settings):
        return False
    has_grown = getattr(_module(stage), "has_grown", lambda *_: False)
    return not has_grown(settings[stage], record.summary, workdir)


def _on_device(stage: str, settings: AllSettings) -> str:
    """Return what a stage computes on, in words; "" where it does not, or (pack) hardly does."""
    if stage == "pack" or not STAGES[stage].needs_jax:
        return ""
    return f" on {computing.device_in_words(settings['train'].num_devices if stage == 'train' else 1)}"


def _run_stage(stage: str, run_settings: RunSettings, group: processes.Group) -> None:
    module, settings, workdir = _module(stage), run_settings.by_stage, run_settings.workdir
    resumable = STAGES[stage].resumable
    marks, flags = inputs(workdir, stage, settings), chain(stage, settings)
    start, before = time.monotonic(), list[run_directory.Snapshot]()  # of a whole stage begun again

    def begin() -> str | None:
        if stage == "train":
            check_trained_data(workdir)
        if _is_finished(workdir, stage, settings):
            finished = run_directory.finished_record(workdir, stage).finished
            print(f"{stage}: finished {finished}, skipped", file=sys.stderr)
            return None
        if resumable and (snapshot := run_directory.snapshot(workdir, stage)) is not None:
            before.append(snapshot)
        print(f"{stage}: begins in {workdir / stage}{_on_device(stage, settings)}", file=sys.stderr)
        started, defaults = {**flags, "inputs": marks}, run_settings.defaults
        return str(run_directory.begin_stage(workdir, stage, started, resumable=resumable, defaults=defaults))

    out = group.on_first(begin)
    if out is None:
        return
    try:
        summary = module.run(settings[stage], workdir, Path(out))
    except OSError as error:
        # The system's words, as of a full disk, name neither stage nor directory.
        reason = f"{error.filename or out}: {error.strerror or error}"
        raise ValueError(f"stage {stage}: {reason}; the same command goes on from what is whole") from error
    except Exception as error:
        # What was whole is so still, where nothing was done: as with a checkpoint that cannot be read.
        if before and run_directory.put_back(workdir, stage, *before) and isinstance(error, ValueError):
            raise ValueError(str(error).replace(f"{stage}.partial", stage)) from error
        raise
    seconds = round(time.monotonic() - start, 2)
    record = {"stage": stage, "flags": flags, "inputs": marks, "summary": summary, "seconds": seconds}
    # Where a stage can say what its result is by content, the same result made again is the same.
    if hasattr(module, "result_mark"):
        record["result"] = module.result_mark(Path(out))
    group.meet(f"end of {stage}")
    group.on_first(lambda: run_directory.finish_stage(workdir, stage, record))
    if group.index == 0:
        print(f"{stage}: done in {seconds:.1f} s", file=sys.stderr)
