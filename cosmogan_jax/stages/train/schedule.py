"""At which steps of a training the host must have the state, and the dispatches between them."""

import dataclasses
import math
from collections.abc import Iterator

from cosmogan_jax.settings import Train


@dataclasses.dataclass(frozen=True)
class Every:
    """An event after every `every` steps (0: never), from step `first` on; at_end: after the last step too."""

    event: str
    every: int
    first: int = 1
    at_end: bool = True

    def due(self, step: int) -> bool:
        """Return whether the event follows this step; steps count from 1."""
        return self.every > 0 and step >= self.first and step % self.every == 0

    def following(self, step: int) -> int | None:
        """Return the first step after `step` that the event follows."""
        if self.every <= 0:
            return None
        after = max(step + 1, self.first)
        return -(-after // self.every) * self.every


@dataclasses.dataclass(frozen=True)
class Schedule:
    """Events of a training of num_steps steps; those with every > 0 follow the last step too, if at_end.

    One event may be named several times: checkpoints come every so many steps and after every epoch.
    """

    num_steps: int
    events: tuple[Every, ...]

    def due(self, step: int) -> frozenset[str]:
        """Return the names of the events that follow a step."""
        last = step == self.num_steps
        return frozenset(e.event for e in self.events if e.due(step) or (last and e.at_end and e.every > 0))

    def steps_of_a_dispatch(self, most: int) -> int:
        """Return the most steps, up to `most`, that divide every interval.

        One program then serves all dispatches. Where the intervals have too little in common (less than half of
        `most`), it is `most`: a second program, of one step, then costs less than the waiting would.
        """
        common = math.gcd(self.num_steps, *(e.every for e in self.events if e.every > 0))
        largest = max(steps for steps in range(1, most + 1) if common % steps == 0)
        return largest if 2 * largest >= most else most

    def chunks(self, first: int, per_dispatch: int) -> Iterator[tuple[int, int]]:
        """Return (steps done before, number of steps) of every dispatch from step `first` on.

        Between two events come dispatches of per_dispatch steps, then single steps: two programs to compile,
        whatever the intervals, and one where per_dispatch divides them. A training that stopped after any
        dispatch goes on with the very dispatches that it would have had.
        """
        step = first
        while step < self.num_steps:
            following = (e.following(step) for e in self.events)
            until = min([self.num_steps, *(f for f in following if f is not None)])
            while step < until:
                count = per_dispatch if until - step >= per_dispatch else 1
                yield step, count
                step += count


def steps_asked_for(settings: Train, steps_per_epoch: int) -> int:
    """Return the number of steps that num_steps or num_epochs asks for; ValueError where there are none."""
    name = "num_epochs" if settings.num_steps is None else "num_steps"
    steps = settings.num_epochs * steps_per_epoch if settings.num_steps is None else settings.num_steps
    if steps < 1:
        raise ValueError(f"{name}={getattr(settings, name)} must be positive: nothing to train")
    return steps


def training_schedule(settings: Train, steps_per_epoch: int, score_every: int) -> Schedule:
    """Return when a training logs, scores, ranks, draws samples and saves."""
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
    return Schedule(steps_asked_for(settings, steps_per_epoch), events)
