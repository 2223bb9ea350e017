"""What a training works with: maps opened, networks built, and when what is due, before its first step."""

from pathlib import Path
from typing import NamedTuple

import jax
from jaxtyping import Array

from cosmogan_jax import keys
from cosmogan_jax.emulators.emulator import Emulator
from cosmogan_jax.emulators.interface import Batch, Engine, State
from cosmogan_jax.emulators.kinds import build
from cosmogan_jax.emulators.normalisation import Normalisation
from cosmogan_jax.emulators.scoring import Development, first_pass
from cosmogan_jax.emulators.trained import Trained
from cosmogan_jax.machine.devices import Devices, choose_devices
from cosmogan_jax.machine.processes import Group
from cosmogan_jax.maps.crop_table import open_crop_table
from cosmogan_jax.maps.table_crops import Crops
from cosmogan_jax.runs.directory import key_scheme, stage_directory
from cosmogan_jax.settings import Train
from cosmogan_jax.stages.train.beginning import TrainingCrops
from cosmogan_jax.stages.train.dispatch import Dispatcher, Step
from cosmogan_jax.stages.train.feeding import Feed, open_feed, random_orientations
from cosmogan_jax.stages.train.monitoring import score_interval
from cosmogan_jax.stages.train.schedule import Schedule, training_schedule


class Inputs(NamedTuple):
    """What a training works with.

    Attributes:
      crops: those that are trained on; development: those that scores compare with.
      to_measure: the same training crops in network units, for what is measured before the first step.
      emulator: without variables, which every call of it is given.
      dispatch: takes the steps, on what the feed gives.
    """

    settings: Train
    group: Group
    devices: Devices
    crops: Crops
    development: Development
    to_measure: TrainingCrops
    steps_per_epoch: int
    schedule: Schedule
    engine: Engine
    emulator: Emulator
    feed: Feed
    dispatch: Dispatcher

    @property
    def speaks(self) -> bool:
        """Return whether this process is the one that writes and speaks."""
        return self.group.index == 0

    def say(self, words: str) -> None:
        """Print a line, once for all processes."""
        if self.speaks:
            print(words, flush=True)


def prepare_inputs(settings: Train, workdir: Path) -> tuple[Inputs, State]:
    """Open what stage prepare left, and build what trains on it; also the state of step 0.

    Raises:
      ValueError: settings that contradict the maps, or that no training can have.
    """
    group, devices = Group.joined(), choose_devices(settings.num_devices, settings.batch_size)
    table, scheme = open_crop_table(stage_directory(workdir, "prepare")), key_scheme(workdir)
    crops = Crops(table, table.crops["train"])
    steps_per_epoch = len(crops) // settings.batch_size
    if steps_per_epoch < 1:
        raise ValueError(f"batch_size={settings.batch_size} is more than the {len(crops)} training crops")
    scoring = first_pass(settings.score_maps, settings.score_l_bins, settings.seed, scheme)
    development = Development.choose(table, scoring)
    score_every = group.on_first(lambda: score_interval(settings, development))
    schedule = training_schedule(settings, steps_per_epoch, score_every)
    model, engine = build(settings, devices.by_rows, table.store.num_bins)
    emulator = Trained(settings, model, engine, scheme).emulator(str(workdir), None, table)
    # Before the feed asks how much memory is free.
    state = devices.replicate(engine.init(keys.key(settings.own_seed, "weights", scheme)))
    feed = open_feed(crops, settings, devices, scheme)
    turns = keys.key(settings.own_seed, "turns", scheme) if settings.augment == "symmetries" else None
    step = _step_on_crops(engine, feed, emulator.normalisation, turns, devices)
    inputs = Inputs(
        settings,
        group,
        devices,
        crops,
        development,
        TrainingCrops(table, emulator.normalisation, settings.condition_on),
        steps_per_epoch,
        schedule,
        engine,
        emulator,
        feed,
        Dispatcher(step, settings.steps_per_dispatch, schedule),
    )
    return inputs, state


def _step_on_crops(
    engine: Engine, feed: Feed, normalisation: Normalisation, turns: Array | None, devices: Devices
) -> Step:
    """Return the engine's step on what the feed gives: in network units, turned at random where asked for."""

    def step(state, held, batch):
        kappa, theta = feed.crops(held, batch)
        if turns is not None:
            kappa = random_orientations(turns, state.step, kappa)
        in_units = Batch(normalisation.forward(kappa), theta)
        return jax.lax.with_sharding_constraint(engine.step(state, in_units), devices.whole)

    return step
