"""What train watches while it works: development scores, warnings, when to stop, the best generators.

Everything here follows from the state, the lines of metrics.jsonl and best/scores.jsonl: a training that was
cut off reads them again and goes on as if it had not been. Only development maps are looked at.
"""

import dataclasses
import functools
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from cosmogan_jax.compare.scores.generator_score import SCORES, not_shown
from cosmogan_jax.emulators.early_warnings import Episodes, observe
from cosmogan_jax.emulators.interface import Engine, Model, State
from cosmogan_jax.emulators.scoring import RANKINGS, Development, Scorers, check_maps
from cosmogan_jax.machine.processes import Group
from cosmogan_jax.runs.best_generators import BestGenerators, Ranking, ranking_file, read_ranking, write_ranking
from cosmogan_jax.runs.checkpoints import Checkpoints
from cosmogan_jax.settings import Train
from cosmogan_jax.stages.train.stopping import STOP_AFTER, in_bounds, parse_bounds


def check_scores(settings: Train, model: Model) -> None:
    """Check, before any work, what the flags say of scores.

    Raises:
      ValueError: a stopping rule without scores or one that cannot be read; numbers out of range.
    """
    for name in ("score_every_steps", "select_from_epoch"):
        if getattr(settings, name) < 0:
            raise ValueError(f"{name}={getattr(settings, name)} must not be negative")
    for name, least in (("keep_best", 1), ("score_l_bins", 0)):
        if getattr(settings, name) < least:
            raise ValueError(f"{name}={getattr(settings, name)} must be at least {least}")
    check_maps("score_maps", settings.score_maps)
    if settings.weights == "ema" and not settings.ema_decay:
        raise ValueError("weights=ema needs an average: ema_decay=0 keeps none")
    bounds = parse_bounds(settings.stop_when, SCORES)
    for bound in bounds:
        if bound.name in not_shown(model.upsamplings, model.limit):
            raise ValueError(
                f"stop_when={settings.stop_when!r}: {bound.name} has no meaning for "
                f"emulator={settings.emulator}, whose maps cannot show it"
            )
    if bounds and not settings.score_every_steps:
        raise ValueError(f"stop_when={settings.stop_when!r} needs scores: score_every_steps=0")


def score_interval(settings: Train, development: Development) -> int:
    """Return the steps between scores; 0 where the development maps are too few and nothing asks for scores.

    Raises:
      ValueError: the development maps are too few for what the flags ask.
    """
    count = len(development.crops)
    if count >= 2:
        if settings.select_from_epoch:
            development.check_bands(settings.select_by)
        return settings.score_every_steps
    for name in ("stop_when", "select_from_epoch"):
        if getattr(settings, name):
            raise ValueError(f"{name}={getattr(settings, name)} needs two development crops; there are {count}")
    if settings.score_every_steps:
        print(
            f"train: no development scores, they need two development crops and there are {count}", flush=True
        )
    return 0


def on_first_process(group: Group, make: Callable[[], Scorers]) -> Scorers:
    """Return scorers that process 0 makes, when the first score is due, and uses while the others wait."""
    cached = functools.cache(make)
    return Scorers(
        lambda variables: group.on_first(lambda: cached().all(variables)),
        lambda variables: group.on_first(lambda: cached().spectrum(variables)),
    )


class Monitor:
    """Observers of a training, and what its lines of metrics tell.

    Attributes:
      ended_by: what is recorded of a training that its scores end.
      is_over: whether they ended it already at the step that it goes on from.
    """

    def __init__(
        self,
        settings: Train,
        engine: Engine,
        scorers: Scorers,
        best: Path,
        first: int,
        num_steps: int,
        history: Sequence[Mapping[str, Any]],
        *,
        writes: bool = True,
    ):
        """Go on after step `first`, of which `history` holds the lines of metrics so far.

        best: where the best generators are kept. One of several processes writes; all must be given the same
        scores.

        Raises:
          ValueError: those that are there were ranked in another way.
        """
        self._weights, self._engine, self._scorers = settings.weights, engine, scorers
        self._bounds = parse_bounds(settings.stop_when, SCORES)
        self.ended_by = {"stopped_by": settings.stop_when, "stopped_before": num_steps}
        self._episodes: Episodes = {}
        self._in_a_row = 0
        self._ranking = Ranking.of_training(settings)
        self._best: BestGenerators | None = None
        self._best_path, self._first, self._writes = best, first, writes
        if settings.select_from_epoch:
            self._check_ranking()
        for line in history:
            self.warnings(line)
            self._in_a_row = in_bounds(self._bounds, self._in_a_row, line)
        last = history[-1] if history else {}
        # Cut off between the line that ended the training and the record of it.
        self.is_over = (
            bool(self._bounds) and last.get("step") == first and self.ended_by.items() <= last.items()
        )

    def score(self, state: State) -> Mapping[str, Any]:
        """Return development scores, with `stopped_by` where they end the training."""
        scores = self._scorers.all(self._engine.variables(state, self._weights))
        self._in_a_row = in_bounds(self._bounds, self._in_a_row, scores)
        return scores | (self.ended_by if self._bounds and self._in_a_row >= STOP_AFTER else {})

    def rank(self, step: int, state: State) -> Mapping[str, Any]:
        """Score a step's generator in the dense phase, and keep it if it is among the best."""
        if self._best is None:
            self._best = self._open_best()
        variables = self._engine.variables(state, self._weights)
        self._best.offer(step, self._scorers.spectrum(variables), variables)
        return {}

    def before_checkpoint(self, step: int, checkpoints: Checkpoints) -> None:
        """Bring the best generators to the disk before the checkpoint of a step is written."""
        if self._best is not None:
            whole = checkpoints.steps()
            self._best.write(step, whole[-1] if whole else 0)

    def warnings(self, line: Mapping[str, Any]) -> list[str]:
        """Return the warnings that a new line of metrics gives."""
        self._episodes, warnings = observe(self._episodes, line, self._engine.warnings)
        return warnings

    def close(self) -> None:
        """Free what is held."""
        if self._best is not None:
            self._best.close()

    def _check_ranking(self) -> None:
        """Raise ValueError, before the dense phase begins, for other scores than those that are there."""
        if not ranking_file(self._best_path).is_file():
            return
        now, before = map(dataclasses.asdict, (self._ranking, read_ranking(self._best_path)))
        if now != before:
            raise ValueError(
                f"{now} differs from {before}, with which the generators in {self._best_path} were ranked; ask "
                "for the same, or remove that directory"
            )

    def _open_best(self) -> BestGenerators:
        self._best_path.mkdir(exist_ok=True)
        if self._writes:
            write_ranking(self._best_path, self._ranking)
        keep, by = self._ranking.keep_best, RANKINGS[self._ranking.select_by]
        return BestGenerators(self._best_path, self._first, keep=keep, by=by, writes=self._writes)
