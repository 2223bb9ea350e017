"""Stage train: an engine's steps over the crops, with checkpoints, metrics and sample sheets; of any kind."""

import itertools
import os
import time
from pathlib import Path
from typing import Any

import jax

from cosmogan_jax.emulators.kinds import kind
from cosmogan_jax.files.json_files import check_object
from cosmogan_jax.machine.consensus import stop_together
from cosmogan_jax.machine.interruption import Paused, watch
from cosmogan_jax.machine.progress import progress
from cosmogan_jax.settings import Train
from cosmogan_jax.stages.train.inputs import prepare_inputs
from cosmogan_jax.stages.train.monitoring import check_scores
from cosmogan_jax.stages.train.schedule import steps_asked_for
from cosmogan_jax.stages.train.training import Training, restore


def has_grown(settings: Train, summary: dict[str, Any], workdir: Path) -> bool:
    """Return whether more steps are asked for than are done and there.

    What --stop_when or --train_minutes ended is done for the same bounds, no more minutes, and the same number
    of steps.

    Raises:
      ValueError: fewer are asked for than are done.
    """
    check_object(summary, {"steps": int, "steps_per_epoch": int}, f"{workdir / 'train/stage.json'}, summary")
    steps = steps_asked_for(settings, summary["steps_per_epoch"])
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
    inputs, state = prepare_inputs(settings, workdir)
    training = restore(inputs, state, out)
    del state  # no second copy is held while the steps donate theirs
    began = time.monotonic()
    ended_by = _take_steps(training, workdir)
    return _record(training, ended_by, time.monotonic() - began)


def _take_steps(training: Training, workdir: Path) -> dict[str, Any]:
    """Take the steps that are left, with what is due after them; returns what ended them before the last.

    Raises:
      Paused: a signal or --max_minutes; the step that it came in is saved.
      ValueError: metrics that are not finite.
    """
    inputs, schedule = training.inputs, training.inputs.schedule
    num_steps = schedule.num_steps
    batches = inputs.feed.batches(training.step, num_steps)
    with (
        progress(total=num_steps, initial=training.step, desc="train", unit="step", shown=inputs.speaks) as bar,
        watch(inputs.settings.max_minutes) as interrupted,
        training.closing(),
    ):
        stop_reason = stop_together(lambda: interrupted() or training.time_is_up(), inputs.devices)
        ended_by = training.ended_before()
        for _, count in () if ended_by else schedule.chunks(training.step, inputs.dispatch.steps):
            training.dispatch(list(itertools.islice(batches, count)))
            bar.update(count)
            due = schedule.due(training.step)
            reason = None if training.step == num_steps else stop_reason()
            if reason and reason.startswith("train_minutes"):
                ended_by, reason, due = training.ended_by_time(), None, due | {"log"}
            if reason or due & {"log", "checkpoint", "rank"}:
                training.log.pending()  # finite, or nothing is written
            observed = training.observe(due)
            if "log" in due:
                ended_by = training.write_line(observed, bar) or ended_by
            if "checkpoint" in due or reason or ended_by:
                training.save()
            if ended_by:
                break
            if reason:
                words = (
                    f"train: stopped by {reason} after step {training.step} of {num_steps}, which is saved; "
                    f"the same command goes on from there, or --flagfile={workdir / 'flags.txt'}"
                )
                raise Paused(words if inputs.speaks else "", reason)
        training.drop_undue()
    return ended_by


def _record(training: Training, ended_by: dict[str, Any], seconds: float) -> dict[str, Any]:
    """Say how the training ended, and return what is recorded of it."""
    inputs, step = training.inputs, training.step
    if ended_by:
        minutes = ended_by.get("train_minutes")
        why = f"stop_when={inputs.settings.stop_when}" if minutes is None else f"train_minutes={minutes:g}"
        inputs.say(f"train: ended after step {step} of {inputs.schedule.num_steps} by {why}")
    inputs.say(f"train: {training.seconds_of_compilation:.1f} s of compilation")
    return {
        "steps": step,
        **ended_by,
        "steps_per_epoch": inputs.steps_per_epoch,
        "epochs": step / inputs.steps_per_epoch,
        "device": jax.devices()[0].device_kind,
        "devices": inputs.devices.mesh.size,
        "processes": inputs.group.count,
        "steps_per_dispatch": inputs.dispatch.steps,
        "seconds_of_compilation": round(training.seconds_of_compilation, 2),
        "feed": type(inputs.feed).__name__,
        "share_of_time_waited_for_maps": round(inputs.feed.waited / max(seconds, 1e-9), 4),
    }


def check(settings: Train) -> None:
    """Raise ValueError, before an earlier stage works for hours, for numbers that no training can have."""
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
    steps_asked_for(settings, 1)
    check_scores(settings, model)
    if settings.sample_every_steps > 0:
        from cosmogan_jax.figures import sheets  # noqa: F401  says which extra is missing before any work
