"""Stage train: the adversarial game over the crops, with checkpoints, metrics and sample sheets."""

import itertools
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from tqdm import tqdm

from cosmogan_jax.gan.networks import Networks
from cosmogan_jax.gan.normalisation import Normalisation
from cosmogan_jax.gan.sampling import latents, sample
from cosmogan_jax.gan.state import GanState
from cosmogan_jax.gan.train_step import TrainStep, make_train_step
from cosmogan_jax.stages.dispatch import Dispatcher, Step
from cosmogan_jax.stages.feeding import DeviceFeed, StreamFeed, open_feed, random_orientations
from cosmogan_jax.stages.interruption import Paused, watch
from cosmogan_jax.stages.model import build
from cosmogan_jax.stages.monitoring import Monitor, check_scores, make_scorers, scores_every
from cosmogan_jax.stages.schedule import Every, Schedule
from cosmogan_jax.stages.settings import Train
from cosmogan_jax.stages.training_log import NonFinite, TrainingLog
from cosmogan_jax.storage.checkpoints import Checkpoints
from cosmogan_jax.storage.crop_table import CropTable, open_crop_table
from cosmogan_jax.storage.run_directory import stage_directory

_SHEET_MAPS = 8

# What is asked of the state after a step of the schedule's event of the observer's name; the numbers go into
# the line of metrics.jsonl, if that step has one.
Observer = Callable[[int, GanState], Mapping[str, Any]]


def has_grown(settings: Train, summary: dict[str, Any], workdir: Path) -> bool:
    """Whether more steps are asked for than are done.

    What --stop_when ended is done for the same bounds and the same number of steps.

    Raises:
      ValueError: fewer are asked for than are done.
    """
    steps = _num_steps(settings, summary["steps_per_epoch"])
    if summary.get("stopped_by") == settings.stop_when and summary.get("stopped_before") == steps:
        return False
    if steps < summary["steps"]:
        raise ValueError(
            f"num_steps={steps} is less than the {summary['steps']} steps already trained in {workdir}"
        )
    return steps > summary["steps"]


def run(settings: Train, workdir: Path, out: Path) -> dict[str, Any]:
    """Train from the last checkpoint in `out`, or from the start."""
    _check(settings)
    table = open_crop_table(stage_directory(workdir, "prepare"))
    steps_per_epoch = len(table.crops["train"]) // settings.batch_size
    if steps_per_epoch < 1:
        raise ValueError(
            f"batch_size={settings.batch_size} is more than the {len(table.crops['train'])} training crops"
        )
    score_every = scores_every(settings, table)
    schedule = _schedule(settings, steps_per_epoch, score_every)
    num_steps = schedule.num_steps
    networks, optimizer, state = build(settings)
    normalisation = Normalisation(**table.manifest["normalisation"])
    feed = open_feed(table, settings)
    train_step = make_train_step(
        networks,
        optimizer,
        label_flip_probability=settings.label_flip_probability,
        update_order=settings.update_order,
        ema_decay=settings.ema_decay,
    )
    dispatch = Dispatcher(_on_crops(train_step, feed, normalisation, settings), settings.steps_per_dispatch)
    observers: dict[str, Observer] = {}
    if settings.sample_every_steps > 0:
        observers["sample"] = _sample_sheets(networks, normalisation, table, settings, out / "samples")

    checkpoints = Checkpoints(out / "checkpoints")
    done = checkpoints.steps()
    first, pending = 0, {}
    if done:
        first = done[-1]
        state, pending = checkpoints.restore(first, state), checkpoints.beside(first)
        print(f"train: goes on from step {first}", flush=True)
    log = TrainingLog(out / "metrics.jsonl", first, pending)
    monitor = Monitor(
        settings,
        lambda: make_scorers(settings, table, networks, normalisation),
        out,
        first,
        num_steps,
        log.lines(),
    )
    observers |= {"score": monitor.score, "rank": monitor.rank}
    step, over = first, monitor.is_over
    batches = feed.batches(first, num_steps)
    compiling, began = 0.0, time.monotonic()
    with (
        tqdm(total=num_steps, initial=first, desc="train", unit="step", disable=None) as bar,
        watch(settings.max_minutes) as stop_reason,
    ):
        try:
            for before, count in () if over else schedule.chunks(first, dispatch.steps):
                taken = list(itertools.islice(batches, count))
                state, metrics, seconds = dispatch(state, feed.held, taken)
                compiling += seconds
                log.add(metrics, seconds)
                bar.update(count)
                step = before + count
                due = schedule.due(step)
                reason = None if step == num_steps else stop_reason()
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
                    bar.set_postfix(D=f"{line['disc_loss']:.3f}", G=f"{line['gen_loss']:.3f}", refresh=False)
                    pending, over = {}, "stopped_by" in line
                    for warning in monitor.warnings(line):
                        bar.write(warning)
                if "checkpoint" in due or reason or over:
                    monitor.before_checkpoint(step, checkpoints)
                    checkpoints.save(step, state, pending)
                if over:
                    break
                if reason:
                    raise Paused(
                        f"train: stopped by {reason} after step {step} of {num_steps}, which is saved; the "
                        f"same command goes on from there, or --flagfile={workdir / 'flags.txt'}"
                    )
        except NonFinite as error:
            kept = checkpoints.steps()
            raise ValueError(f"{error}; last good checkpoint: {kept[-1] if kept else 'none'}") from None
        finally:
            monitor.close()
            checkpoints.close()
    if over:
        print(f"train: ended after step {step} of {num_steps} by stop_when={settings.stop_when}", flush=True)
    print(f"train: {compiling:.1f} s of compilation", flush=True)
    return {
        "steps": step,
        **(monitor.asked if over else {}),
        "steps_per_epoch": steps_per_epoch,
        "epochs": step / steps_per_epoch,
        "steps_per_dispatch": dispatch.steps,
        "seconds_of_compilation": round(compiling, 2),
        "feed": type(feed).__name__,
        "share_of_time_waited_for_maps": round(feed.waited / max(time.monotonic() - began, 1e-9), 4),
    }


def _check(settings: Train) -> None:
    for name in ("checkpoint_every_steps", "log_every_steps"):
        if getattr(settings, name) < 1:
            raise ValueError(f"{name}={getattr(settings, name)} must be positive")
    check_scores(settings)
    if settings.sample_every_steps > 0:
        from cosmogan_jax.figures import sheets  # noqa: F401  says which extra is missing before any work


def _num_steps(settings: Train, steps_per_epoch: int) -> int:
    steps = settings.num_steps if settings.num_steps is not None else settings.num_epochs * steps_per_epoch
    if steps < 1:
        raise ValueError(f"num_steps={settings.num_steps}, num_epochs={settings.num_epochs}: nothing to train")
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
    train_step: TrainStep, feed: DeviceFeed | StreamFeed, normalisation: Normalisation, settings: Train
) -> Step:
    """The train step on what the feed gives, turned where augmentation asks for it, in network units."""
    order_key = jax.random.key(settings.seed)

    def step(state, held, batch):
        kappa = feed.crops(held, batch)
        if settings.augment == "symmetries":
            kappa = random_orientations(order_key, state.step, kappa)
        return train_step(state, normalisation.forward(kappa))

    return step


def _sample_sheets(
    networks: Networks, normalisation: Normalisation, table: CropTable, settings: Train, folder: Path
) -> Observer:
    """Pictures of maps from the same z each time, beside training crops."""
    from cosmogan_jax.figures.sheets import write_sheet

    draw = jax.jit(lambda gen, z: normalisation.inverse(sample(networks, gen, z)))
    z = latents(jax.random.key(settings.seed + 1), jnp.arange(_SHEET_MAPS), settings.latent_size)

    def write(step: int, state: GanState) -> Mapping[str, Any]:
        folder.mkdir(exist_ok=True)
        real, fake = table.cut(table.crops["train"][:_SHEET_MAPS]), np.asarray(draw(state.gen, z))
        write_sheet(folder / f"step_{step:07d}.png", real, fake, table.geometry.side_deg, f"step {step}")
        return {}

    return write
