"""Stage train: the adversarial game over the crops, with checkpoints, metrics and sample sheets."""

import json
import math
import time
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from tqdm import tqdm

from cosmogan_jax.gan.normalisation import Normalisation
from cosmogan_jax.gan.sampling import latents, sample
from cosmogan_jax.gan.train_step import make_train_step
from cosmogan_jax.stages.feeding import open_feed, random_orientations
from cosmogan_jax.stages.interruption import Paused, watch
from cosmogan_jax.stages.model import build
from cosmogan_jax.stages.settings import Train
from cosmogan_jax.storage.checkpoints import Checkpoints
from cosmogan_jax.storage.crop_table import open_crop_table
from cosmogan_jax.storage.run_directory import stage_directory

_SHEET_MAPS = 8


def has_grown(settings: Train, summary: dict[str, Any], workdir: Path) -> bool:
    """Whether more steps are asked for than are done.

    Raises:
      ValueError: fewer are asked for than are done.
    """
    steps = _num_steps(settings, summary["steps_per_epoch"])
    if steps < summary["steps"]:
        raise ValueError(
            f"num_steps={steps} is less than the {summary['steps']} steps already trained in {workdir}"
        )
    return steps > summary["steps"]


def run(settings: Train, workdir: Path, out: Path) -> dict[str, Any]:
    """Train from the last checkpoint in `out`, or from the start."""
    for name in ("checkpoint_every_steps", "log_every_steps"):
        if getattr(settings, name) < 1:
            raise ValueError(f"{name}={getattr(settings, name)} must be positive")
    if settings.sample_every_steps > 0:
        from cosmogan_jax.figures.sheets import write_sheet  # says which extra is missing before any work
    table = open_crop_table(stage_directory(workdir, "prepare"))
    crops = table.crops["train"]
    steps_per_epoch = len(crops) // settings.batch_size
    if steps_per_epoch < 1:
        raise ValueError(f"batch_size={settings.batch_size} is more than the {len(crops)} training crops")
    num_steps = _num_steps(settings, steps_per_epoch)
    networks, optimizer, state = build(settings)
    normalisation = Normalisation(**table.manifest["normalisation"])
    feed = open_feed(table, settings)
    train_step = make_train_step(
        networks,
        optimizer,
        label_flip_probability=settings.label_flip_probability,
        update_order=settings.update_order,
    )

    def step_on_crops(state, held, batch):
        kappa = feed.crops(held, batch)
        if settings.augment == "symmetries":
            kappa = random_orientations(order_key, state.step, kappa)
        return train_step(state, normalisation.forward(kappa))

    order_key = jax.random.key(settings.seed)
    step_on_crops = jax.jit(step_on_crops, donate_argnums=0)
    draw = jax.jit(lambda gen, z: normalisation.inverse(sample(networks, gen, z)))
    z = latents(jax.random.key(settings.seed + 1), jnp.arange(_SHEET_MAPS), settings.latent_size)

    checkpoints = Checkpoints(out / "checkpoints")
    metrics_path = out / "metrics.jsonl"
    done = checkpoints.steps()
    if done:
        state = checkpoints.restore(done[-1], state)
        print(f"train: goes on from step {done[-1]}", flush=True)
    first = done[-1] if done else 0
    _cut_metrics(metrics_path, first)
    with (
        open(metrics_path, "a") as log,
        tqdm(total=num_steps, initial=first, desc="train", unit="step", disable=None) as bar,
        watch(settings.max_minutes) as stop_reason,
    ):
        began = time.monotonic()
        for number, batch in enumerate(feed.batches(first, num_steps), first + 1):
            epoch = (number - 1) // steps_per_epoch
            state, metrics = step_on_crops(state, feed.held, batch)
            bar.update()
            last = number == num_steps
            if number % settings.log_every_steps == 0 or last:
                values = {name: float(value) for name, value in metrics.items()}
                if not all(map(math.isfinite, values.values())):
                    kept = checkpoints.steps()
                    raise ValueError(
                        f"step {number}: non-finite metrics {values}; "
                        f"last good checkpoint: {kept[-1] if kept else 'none'}"
                    )
                log.write(json.dumps({"step": number, "epoch": epoch, **values}) + "\n")
                log.flush()
                bar.set_postfix(D=f"{values['disc_loss']:.3f}", G=f"{values['gen_loss']:.3f}", refresh=False)
            if settings.sample_every_steps > 0 and (number % settings.sample_every_steps == 0 or last):
                (out / "samples").mkdir(exist_ok=True)
                real = table.cut(crops[:_SHEET_MAPS])
                write_sheet(
                    out / "samples" / f"step_{number:07d}.png",
                    real,
                    np.asarray(draw(state.gen, z)),
                    table.geometry.side_deg,
                    f"step {number}",
                )
            reason = None if last else stop_reason()
            at_rest = number % settings.checkpoint_every_steps == 0 or number % steps_per_epoch == 0
            if at_rest or last or reason:
                checkpoints.save(number, state)
            if reason:
                checkpoints.close()
                raise Paused(
                    f"train: stopped by {reason} after step {number} of {num_steps}, which is saved; the same "
                    f"command goes on from there, or --flagfile={workdir / 'flags.txt'}"
                )
    waited = feed.waited / max(time.monotonic() - began, 1e-9)
    checkpoints.close()
    return {
        "steps": num_steps,
        "steps_per_epoch": steps_per_epoch,
        "epochs": num_steps / steps_per_epoch,
        "feed": type(feed).__name__,
        "share_of_time_waited_for_maps": round(waited, 4),
    }


def _num_steps(settings: Train, steps_per_epoch: int) -> int:
    steps = settings.num_steps if settings.num_steps is not None else settings.num_epochs * steps_per_epoch
    if steps < 1:
        raise ValueError(f"num_steps={settings.num_steps}, num_epochs={settings.num_epochs}: nothing to train")
    return steps


def _cut_metrics(path: Path, step: int) -> None:
    """Drop what was logged after the checkpoint: those steps are trained again."""
    if path.exists():
        kept = [
            line
            for line in path.read_text().splitlines()
            if line.endswith("}") and json.loads(line)["step"] <= step
        ]
        path.write_text("".join(line + "\n" for line in kept))
