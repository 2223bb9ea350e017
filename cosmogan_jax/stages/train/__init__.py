"""Stage train: an engine's steps over the crops, with checkpoints, metrics and sample sheets; of any kind."""

import functools
import itertools
import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import jax
from jaxtyping import Array

from cosmogan_jax import keys
from cosmogan_jax.emulators.curves import write_panels
from cosmogan_jax.emulators.interface import Batch, Engine, Model, State
from cosmogan_jax.emulators.kinds import build, kind
from cosmogan_jax.emulators.normalisation import Normalisation
from cosmogan_jax.emulators.scoring import RANKINGS, Scorers, make_scorers
from cosmogan_jax.emulators.trained import Trained
from cosmogan_jax.files.json_files import check_object
from cosmogan_jax.machine.consensus import stop_together
from cosmogan_jax.machine.devices import Devices, choose_devices
from cosmogan_jax.machine.interruption import Paused, watch
from cosmogan_jax.machine.processes import Group
from cosmogan_jax.machine.profiling import Profiler
from cosmogan_jax.machine.progress import progress
from cosmogan_jax.maps.crop_table import open_crop_table
from cosmogan_jax.runs.best_generators import at_hand
from cosmogan_jax.runs.checkpoints import Checkpoints
from cosmogan_jax.runs.directory import key_scheme, stage_directory
from cosmogan_jax.settings import Train
from cosmogan_jax.stages.train.beginning import TrainingCrops
from cosmogan_jax.stages.train.dispatch import Dispatcher, Step
from cosmogan_jax.stages.train.feeding import DeviceFeed, StreamFeed, open_feed, random_orientations
from cosmogan_jax.stages.train.monitoring import Monitor, check_scores, scored, scores_every
from cosmogan_jax.stages.train.sample_sheets import sheet_writer
from cosmogan_jax.stages.train.schedule import Every, Schedule
from cosmogan_jax.stages.train.stopping import ended_by_time, time_is_up
from cosmogan_jax.stages.train.training_log import NonFinite, TrainingLog

# What is asked of the state after a step of the schedule's event of the observer's name; the numbers go into
# the line of metrics.jsonl, if that step has one.
Observer = Callable[[int, State], Mapping[str, Any]]


def has_grown(settings: Train, summary: dict[str, Any], workdir: Path) -> bool:
    """Whether more steps are asked for than are done and there.

    What --stop_when or --train_minutes ended is done for the same bounds, no more minutes, and the same number
    of steps.

    Raises:
      ValueError: fewer are asked for than are done.
    """
    check_object(summary, {"steps": int, "steps_per_epoch": int}, f"{workdir / 'train/stage.json'}, summary")
    steps = _num_steps(settings, summary["steps_per_epoch"])
    # A last checkpoint that was damaged and removed is trained again; not one that cannot be looked at.
    checkpoints = workdir / "train/checkpoints"
    gone = not checkpoints.exists() or str(summary["steps"]) not in os.listdir(checkpoints)
    if not gone and summary.get("stopped_before") == steps:
        if summary["stopped_by"] == settings.stop_when:
            return False
        if settings.train_minutes is not None and settings.train_minutes <= summary.get("train_minutes", 0):
            return False
    if steps < summary["steps"]:
        raise ValueError(
            f"num_steps={steps} is less than the {summary['steps']} steps already trained in {workdir}"
        )
    return gone or steps > summary["steps"]


def run(settings: Train, workdir: Path, out: Path) -> dict[str, Any]:
    """Train from the last checkpoint in `out`, or from the start.

    Where several processes run this, all take every step together, and process 0 alone writes and speaks.
    """
    check(settings)
    group, devices = Group.joined(), choose_devices(settings.num_devices, settings.batch_size)
    speaks = group.index == 0

    def say(words: str) -> None:
        if speaks:
            print(words, flush=True)

    table = open_crop_table(stage_directory(workdir, "prepare"))
    normalisation = Normalisation.from_json(table.manifest.normalisation)
    steps_per_epoch = len(table.crops["train"]) // settings.batch_size
    if steps_per_epoch < 1:
        raise ValueError(
            f"batch_size={settings.batch_size} is more than the {len(table.crops['train'])} training crops"
        )
    score_every = group.on_first(lambda: scores_every(settings, table))
    schedule = _schedule(settings, steps_per_epoch, score_every)
    num_steps = schedule.num_steps
    model, engine = build(settings, devices.by_rows)
    scheme = key_scheme(workdir)
    made = Trained(settings, model, engine, scheme)
    emulator = made.emulator(str(workdir), None, normalisation, table.geometry)
    state = devices.replicate(engine.init(keys.key(settings.own_seed, "weights", scheme)))
    feed = open_feed(table, settings, devices, scheme)
    turns = keys.key(settings.own_seed, "turns", scheme) if settings.augment == "symmetries" else None
    on_crops = _on_crops(engine, feed, normalisation, turns, devices)
    dispatch = Dispatcher(on_crops, settings.steps_per_dispatch, schedule)
    observers: dict[str, Observer] = {}
    if settings.sample_every_steps > 0 and speaks:
        of_samples = keys.key(settings.own_seed, "samples", scheme)
        write = sheet_writer(emulator, table, of_samples, out / "samples")
        observers["sample"] = lambda step, state: write(step, engine.variables(devices.on_one(state), "last"))

    checkpoints = Checkpoints(out / "checkpoints", writes=True)
    first = 0
    pending: dict[str, Any] = {}
    kept = functools.partial(at_hand, out / "best", keep=settings.keep_best, by=RANKINGS[settings.select_by])
    if (last := checkpoints.last_good(state, kept)) is not None:
        first, state, pending = last
        say(f"train: goes on from step {first}")
    elif engine.begin is not None:
        # Of the fresh state no second copy is held while the steps donate theirs.
        crops = TrainingCrops(table, normalisation)
        state = devices.replicate(engine.begin(devices.on_one(state), crops, crops.wider()))
    curves = [curve for panel in engine.curves for curve in panel.curves]
    if speaks:
        write_panels(out / "curves.json", engine.curves, _not_drawn(model))
    averaged = [curve.name for curve in curves if curve.averaged]
    log = TrainingLog(out / "metrics.jsonl" if speaks else Path(os.devnull), first, pending, averaged)
    monitor = Monitor(
        settings,
        engine,
        _on_first(group, lambda: make_scorers(table, emulator, scored(settings, scheme))),
        out,
        first,
        num_steps,
        group.on_first(log.lines),
        writes=speaks,
    )
    observers |= {
        "score": lambda step, state: monitor.score(step, devices.on_one(state)),
        "rank": lambda step, state: monitor.rank(step, devices.on_one(state)),
    }
    profiler = Profiler(out / "profile", settings.profile_steps if speaks else 0)
    step = first
    batches = feed.batches(first, num_steps)
    compiling, began = 0.0, time.monotonic()
    with (
        progress(total=num_steps, initial=first, desc="train", unit="step", shown=speaks) as bar,
        watch(settings.max_minutes) as own_reason,
    ):
        time_up = functools.partial(time_is_up, settings.train_minutes, log.minutes)
        stop_reason = stop_together(lambda: own_reason() or time_up(), devices)
        # Cut off between the last steps that fitted in and the record of it.
        ended_by = monitor.asked if monitor.is_over else {}
        if 0 < first < num_steps and group.on_first(time_up):
            ended_by = ended_by_time(settings.train_minutes, num_steps)
        try:
            for before, count in () if ended_by else schedule.chunks(first, dispatch.steps):
                taken = list(itertools.islice(batches, count))
                profiler.before_dispatch(state)
                state, metrics, seconds = dispatch(state, feed.held, taken)
                if profiler.after_dispatch(state, count, seconds):
                    say(f"train: traced up to step {before + count}, see train/profile")
                compiling += seconds
                log.add(metrics, seconds)
                bar.update(count)
                step = before + count
                due = schedule.due(step)
                reason = None if step == num_steps else stop_reason()
                if reason and reason.startswith("train_minutes"):
                    ended_by = ended_by_time(settings.train_minutes, num_steps)
                    reason, due = None, due | {"log"}
                if reason or due & {"log", "checkpoint", "rank"}:
                    pending = log.pending()  # finite, or nothing is written
                observed: dict[str, Any] = {}
                watching = time.monotonic()
                for event, observe in observers.items():
                    if event in due:
                        observed |= observe(step, state)
                log.leave_out(time.monotonic() - watching)
                if "log" in due:
                    line = log.write(step, (step - 1) // steps_per_epoch, observed)
                    shown = {c.on_bar: f"{line[c.name]:.3f}" for c in curves if c.on_bar}
                    bar.set_postfix(shown, refresh=False)
                    pending = {}
                    if "stopped_by" in line:
                        ended_by = monitor.asked
                    for warning in monitor.warnings(line):
                        if speaks:
                            bar.write(warning)
                if "checkpoint" in due or reason or ended_by:
                    monitor.before_checkpoint(step, checkpoints)
                    checkpoints.save(step, state, pending)
                if ended_by:
                    break
                if reason:
                    words = (
                        f"train: stopped by {reason} after step {step} of {num_steps}, which is saved; the "
                        f"same command goes on from there, or --flagfile={workdir / 'flags.txt'}"
                    )
                    raise Paused(words if speaks else "", reason)
            _drop_undue(checkpoints, schedule, step)
        except NonFinite as error:
            saved = checkpoints.steps()
            raise ValueError(f"{error}; last good checkpoint: {saved[-1] if saved else 'none'}") from None
        finally:
            profiler.close(state)
            monitor.close()
            checkpoints.close()
    if ended_by:
        minutes = ended_by.get("train_minutes")
        why = f"stop_when={settings.stop_when}" if minutes is None else f"train_minutes={minutes:g}"
        say(f"train: ended after step {step} of {num_steps} by {why}")
    say(f"train: {compiling:.1f} s of compilation")
    return {
        "steps": step,
        **ended_by,
        "steps_per_epoch": steps_per_epoch,
        "epochs": step / steps_per_epoch,
        "device": jax.devices()[0].device_kind,
        "devices": devices.mesh.size,
        "processes": group.count,
        "steps_per_dispatch": dispatch.steps,
        "seconds_of_compilation": round(compiling, 2),
        "feed": type(feed).__name__,
        "share_of_time_waited_for_maps": round(feed.waited / max(time.monotonic() - began, 1e-9), 4),
    }


def _drop_undue(checkpoints: Checkpoints, schedule: Schedule, last: int) -> None:
    """Remove what stops saved in between: an undisturbed training lacks it, and select would look at it."""
    for step in checkpoints.steps():
        if step < last and "checkpoint" not in schedule.due(step):
            checkpoints.delete(step)


def check(settings: Train) -> None:
    """ValueError, before an earlier stage works for hours, for numbers that no training can have."""
    model = kind(settings.emulator).model(settings)
    for name in ("checkpoint_every_steps", "log_every_steps"):
        if getattr(settings, name) < 1:
            raise ValueError(f"{name}={getattr(settings, name)} must be positive")
    if settings.sample_every_steps < 0:
        raise ValueError(f"sample_every_steps={settings.sample_every_steps} must not be negative")
    if not settings.learning_rate > 0:
        raise ValueError(f"learning_rate={settings.learning_rate} must be positive")
    if not 0 <= settings.adam_beta1 < 1:
        raise ValueError(f"adam_beta1={settings.adam_beta1} must lie in [0, 1)")
    # Without num_steps, which takes its place, the number of epochs counts.
    _num_steps(settings, 1)
    check_scores(settings, model)
    if settings.sample_every_steps > 0:
        from cosmogan_jax.figures import sheets  # noqa: F401  says which extra is missing before any work


def _num_steps(settings: Train, steps_per_epoch: int) -> int:
    steps = settings.num_steps if settings.num_steps is not None else settings.num_epochs * steps_per_epoch
    if steps < 1:
        name = "num_epochs" if settings.num_steps is None else "num_steps"
        raise ValueError(f"{name}={getattr(settings, name)} must be positive: nothing to train")
    return steps


def _schedule(settings: Train, steps_per_epoch: int, score_every: int) -> Schedule:
    dense_from = settings.select_from_epoch * steps_per_epoch + 1
    events = (
        Every("log", settings.log_every_steps),
        Every("sample", settings.sample_every_steps),
        Every("checkpoint", settings.checkpoint_every_steps),
        Every("checkpoint", steps_per_epoch),
        Every("score", score_every, at_end=False),
        Every("log", score_every, at_end=False),  # scores stand in a line of their step
        Every("rank", int(settings.select_from_epoch > 0), first=dense_from, at_end=False),
    )
    return Schedule(_num_steps(settings, steps_per_epoch), events)


def _on_crops(
    engine: Engine,
    feed: DeviceFeed | StreamFeed,
    normalisation: Normalisation,
    turns: Array | None,
    devices: Devices,
) -> Step:
    """The engine's step on what the feed gives, turned where augmentation asks for it, in network units."""

    def step(state, held, batch):
        kappa, theta = feed.crops(held, batch)
        if turns is not None:
            kappa = random_orientations(turns, state.step, kappa)
        in_units = Batch(normalisation.forward(kappa), theta)
        return jax.lax.with_sharding_constraint(engine.step(state, in_units), devices.whole)

    return step


def _on_first(group: Group, make: Callable[[], Scorers]) -> Scorers:
    """Scorers that process 0 alone makes, when the first score is due, and uses while the others wait."""
    made = functools.cache(make)
    return Scorers(
        lambda variables: group.on_first(lambda: made().all(variables)),
        lambda variables: group.on_first(lambda: made().spectrum(variables)),
    )


def _not_drawn(model: Model) -> dict[str, str]:
    """Panels of the report that have no meaning for a model, with the reason."""
    if model.upsamplings:
        return {}
    return {"Upsampling's pattern": "this kind of emulator upsamples nowhere, and has no pattern of that"}
