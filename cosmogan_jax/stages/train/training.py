"""A training under way: restored from its last checkpoint or begun, a step further with every dispatch."""

import contextlib
import dataclasses
import functools
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from cosmogan_jax import keys
from cosmogan_jax.emulators.curves import write_panels
from cosmogan_jax.emulators.interface import Model, State
from cosmogan_jax.emulators.scoring import RANKINGS, make_scorers
from cosmogan_jax.machine.profiling import Profiler
from cosmogan_jax.runs.best_generators import at_hand
from cosmogan_jax.runs.checkpoints import Checkpoints
from cosmogan_jax.stages.train.inputs import Inputs
from cosmogan_jax.stages.train.monitoring import Monitor, on_first_process
from cosmogan_jax.stages.train.sample_sheets import sheet_writer
from cosmogan_jax.stages.train.training_log import NonFinite, TrainingLog

# What is asked of the state after a step of the schedule's event of the observer's name; the numbers go into
# the line of metrics.jsonl, if that step has one.
Observer = Callable[[int, State], Mapping[str, Any]]


@dataclasses.dataclass
class Training:
    """The state after a step, and what follows it.

    Attributes:
      seconds_of_compilation: since the training went on.
    """

    inputs: Inputs
    step: int
    state: State
    log: TrainingLog
    monitor: Monitor
    checkpoints: Checkpoints
    observers: dict[str, Observer]
    profiler: Profiler
    seconds_of_compilation: float = 0.0

    def dispatch(self, batches: Sequence[Any]) -> None:
        """Take the steps of these batches."""
        feed = self.inputs.feed
        self.profiler.before_dispatch(self.state)
        self.state, metrics, seconds = self.inputs.dispatch(self.state, feed.held, batches)
        self.step += len(batches)
        if self.profiler.after_dispatch(self.state, len(batches), seconds):
            self.inputs.say(f"train: traced up to step {self.step}, see train/profile")
        self.seconds_of_compilation += seconds
        self.log.add(metrics, seconds)

    def observe(self, due: Collection[str]) -> dict[str, Any]:
        """Return what the observers whose events are due tell of the state."""
        observed: dict[str, Any] = {}
        began = time.monotonic()
        for event, observer in self.observers.items():
            if event in due:
                observed |= observer(self.step, self.state)
        self.log.leave_out(time.monotonic() - began)
        return observed

    def write_line(self, observed: Mapping[str, Any], bar: Any) -> dict[str, Any]:
        """Write the line of metrics of this step; returns what ends the training, where its scores do."""
        line = self.log.write(self.step, (self.step - 1) // self.inputs.steps_per_epoch, observed)
        curves = (curve for panel in self.inputs.engine.curves for curve in panel.curves if curve.on_bar)
        bar.set_postfix({curve.on_bar: f"{line[curve.name]:.3f}" for curve in curves}, refresh=False)
        for warning in self.monitor.warnings(line):
            if self.inputs.speaks:
                bar.write(warning)
        return self.monitor.ended_by if "stopped_by" in line else {}

    def save(self) -> None:
        """Begin to write the checkpoint of this step, with the metrics that no line holds yet."""
        self.monitor.before_checkpoint(self.step, self.checkpoints)
        self.checkpoints.save(self.step, self.state, self.log.pending())

    def drop_undue(self) -> None:
        """Remove what stops saved in between: an undisturbed training lacks it, and select would look at it."""
        for step in self.checkpoints.steps():
            if step < self.step and "checkpoint" not in self.inputs.schedule.due(step):
                self.checkpoints.delete(step)

    def time_is_up(self) -> str | None:
        """Return the reason to end where the minutes of --train_minutes are used up; None else."""
        limit = self.inputs.settings.train_minutes
        return f"train_minutes={limit:g}" if limit is not None and self.log.minutes() >= limit else None

    def ended_by_time(self) -> dict[str, Any]:
        """Return what is recorded of a training whose minutes are used up."""
        limit, num_steps = self.inputs.settings.train_minutes, self.inputs.schedule.num_steps
        return {"stopped_by": "train_minutes", "train_minutes": limit, "stopped_before": num_steps}

    def ended_before(self) -> dict[str, Any]:
        """Return what ended it before it went on: it was cut off before the record of its end."""
        if 0 < self.step < self.inputs.schedule.num_steps and self.inputs.group.on_first(self.time_is_up):
            return self.ended_by_time()
        return self.monitor.ended_by if self.monitor.is_over else {}

    @contextlib.contextmanager
    def closing(self) -> Iterator[None]:
        """Wait at the end of the block until all is on the disk, and free what is held.

        Raises:
          ValueError: a step is not finite; names the last checkpoint before it.
        """
        try:
            yield
        except NonFinite as error:
            saved = self.checkpoints.steps()
            raise ValueError(f"{error}; last good checkpoint: {saved[-1] if saved else 'none'}") from None
        finally:
            self.profiler.close(self.state)
            self.monitor.close()
            self.checkpoints.close()


def restore(inputs: Inputs, state: State, out: Path) -> Training:
    """Go on from the last checkpoint in `out`, or begin with the state of step 0.

    Raises:
      ValueError: a checkpoint that cannot be read, or best generators that were ranked in another way.
    """
    settings, engine = inputs.settings, inputs.engine
    observers = _sample_observer(inputs, out)
    checkpoints = Checkpoints(out / "checkpoints", writes=True)
    kept = functools.partial(at_hand, out / "best", keep=settings.keep_best, by=RANKINGS[settings.select_by])
    step, pending = 0, dict[str, Any]()
    if (last := checkpoints.last_good(state, kept)) is not None:
        step, state, pending = last
        inputs.say(f"train: goes on from step {step}")
    elif engine.begin is not None:
        maps, on_one = inputs.to_measure, inputs.devices.on_one(state)
        state = inputs.devices.replicate(engine.begin(on_one, maps, maps.wider()))
    if inputs.speaks:
        write_panels(out / "curves.json", engine.curves, _not_drawn(inputs.emulator.model))
    averaged = [curve.name for panel in engine.curves for curve in panel.curves if curve.averaged]
    log = TrainingLog(out / "metrics.jsonl" if inputs.speaks else None, step, pending, averaged)
    monitor = Monitor(
        settings,
        engine,
        on_first_process(inputs.group, lambda: make_scorers(inputs.development, inputs.emulator)),
        out / "best",
        step,
        inputs.schedule.num_steps,
        inputs.group.on_first(log.lines),
        writes=inputs.speaks,
    )
    observers |= {
        "score": lambda step, state: monitor.score(inputs.devices.on_one(state)),
        "rank": lambda step, state: monitor.rank(step, inputs.devices.on_one(state)),
    }
    profiler = Profiler(out / "profile", settings.profile_steps if inputs.speaks else 0)
    return Training(inputs, step, state, log, monitor, checkpoints, observers, profiler)


def _sample_observer(inputs: Inputs, out: Path) -> dict[str, Observer]:
    if not inputs.settings.sample_every_steps or not inputs.speaks:
        return {}
    key = keys.key(inputs.settings.own_seed, "samples", inputs.emulator.key_scheme)
    write, variables = (
        sheet_writer(inputs.emulator, inputs.crops, key, out / "samples"),
        inputs.engine.variables,
    )
    return {"sample": lambda step, state: write(step, variables(inputs.devices.on_one(state), "last"))}


def _not_drawn(model: Model) -> dict[str, str]:
    """Return the panels of the report that have no meaning for a model, with the reason."""
    if model.upsamplings:
        return {}
    return {"Upsampling's pattern": "this kind of emulator upsamples nowhere, and has no pattern of that"}
