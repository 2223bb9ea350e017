"""At which steps of a training the host must have the state, and the dispatches between them."""

import dataclasses
import math
from collections.abc import Iterator


@dataclasses.dataclass(frozen=True)
class Every:
    """An event after every `every` steps (0: never), from step `first` on; at_end: after the last step too."""

    event: str
    every: int
    first: int = 1
    at_end: bool = True

    def due(self, step: int) -> bool:
        """Whether the event follows this step; steps count from 1."""
        return self.every > 0 and step >= self.first and step % self.every == 0

    def following(self, step: int) -> int | None:
        """The first step after `step` that the event follows."""
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
        """Names of the events that follow a step."""
        last = step == self.num_steps
        return frozenset(e.event for e in self.events if e.due(step) or (last and e.at_end and e.every > 0))

    def steps_of_a_dispatch(self, most: int) -> int:
        """The most steps, up to `most`, that divide every interval: one program then serves all dispatches.

        Where the intervals have too little in common (less than half of `most`), it is `most`: a second
        program, of one step, then costs less than the waiting would.
        """
        common = math.gcd(self.num_steps, *(e.every for e in self.events if e.every > 0))
        largest = max(steps for steps in range(1, most + 1) if common % steps == 0)
        return largest if 2 * largest >= most else most

    def chunks(self, first: int, per_dispatch: int) -> Iterator[tuple[int, int]]:
        """(steps done before, number of steps) of every dispatch from step `first` on.

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
