"""What train watches while it works: development scores, warnings, when to stop, the best generators.

Everything here follows from the state, the lines of metrics.jsonl and best/scores.jsonl: a training that was
cut off reads them again and goes on as if it had not been. Only development maps are looked at.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from cosmogan_jax.compare.generator_score import SCORES, not_shown
from cosmogan_jax.emulators.early_warnings import Episodes, observe
from cosmogan_jax.emulators.interface import Engine, Model, State
from cosmogan_jax.emulators.scoring import RANKINGS, Pass, Scorers, check_bands, check_maps, first_pass
from cosmogan_jax.files.json_files import read_object, write_json
from cosmogan_jax.maps.crop_table import CropTable
from cosmogan_jax.runs.best_generators import BestGenerators
from cosmogan_jax.runs.checkpoints import Checkpoints
from cosmogan_jax.settings import Train
from cosmogan_jax.settings.key_schemes import SCHEME
from cosmogan_jax.stages.train.stopping import STOP_AFTER, in_bounds, parse_bounds


def check_scores(settings: Train, model: Model) -> None:
    """What the flags say is checked before any work.

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


def scored(settings: Train, scheme: int = SCHEME) -> Pass:
    """How this training scores: against the first half of the development parents."""
    return first_pass(settings.score_maps, settings.score_l_bins, settings.seed, scheme)


def scores_every(settings: Train, table: CropTable) -> int:
    """Steps between scores; 0 where the development maps are too few and nothing asks for scores.

    Raises:
      ValueError: the development maps are too few for what the flags ask.
    """
    count = len(scored(settings).crops(table))
    if count >= 2:
        if settings.select_from_epoch:
            check_bands(table, scored(settings), settings.select_by)
        return settings.score_every_steps
    for name in ("stop_when", "select_from_epoch"):
        if getattr(settings, name):
            raise ValueError(f"{name}={getattr(settings, name)} needs two development crops; there are {count}")
    if settings.score_every_steps:
        print(
            f"train: no development scores, they need two development crops and there are {count}", flush=True
        )
    return 0


class Monitor:
    """Observers of a training, and what its lines of metrics tell."""

    def __init__(
        self,
        settings: Train,
        engine: Engine,
        scorers: Scorers,
        out: Path,
        first: int,
        num_steps: int,
        history: Sequence[Mapping[str, Any]],
        *,
        writes: bool = True,
    ):
        """Go on after step `first`, of which `history` holds the lines of metrics so far.

        One of several processes writes; all must be given the same scores.
        """
        self._settings, self._engine, self._scorers = settings, engine, scorers
        self._bounds = parse_bounds(settings.stop_when, SCORES)
        self.asked = {"stopped_by": settings.stop_when, "stopped_before": num_steps}
        self._episodes: Episodes = {}
        self._row = 0
        self._best: BestGenerators | None = None
        self._best_path, self._first, self._writes = out / "best", first, writes
        if settings.select_from_epoch:
            self._check_best()
        for line in history:
            self.warnings(line)
            self._row = in_bounds(self._bounds, self._row, line)
        last = history[-1] if history else {}
        # Cut off between the line that ended the training and the record of it.
        self.is_over = bool(self._bounds) and last.get("step") == first and self.asked.items() <= last.items()

    def score(self, step: int, state: State) -> Mapping[str, Any]:
        """Development scores, with `stopped_by` where they end the training."""
        scores = self._scorers.all(self._engine.variables(state, self._settings.weights))
        self._row = in_bounds(self._bounds, self._row, scores)
        return scores | (self.asked if self._bounds and self._row >= STOP_AFTER else {})

    def rank(self, step: int, state: State) -> Mapping[str, Any]:
        """Score a step's generator in the dense phase, and keep it if it is among the best."""
        if self._best is None:
            self._best = self._open_best()
        variables = self._engine.variables(state, self._settings.weights)
        self._best.offer(step, self._scorers.spectrum(variables), variables)
        return {}

    def before_checkpoint(self, step: int, checkpoints: Checkpoints) -> None:
        """Bring the best generators to the disk before the checkpoint of a step is written."""
        if self._best is not None:
            whole = checkpoints.steps()
            self._best.write(step, whole[-1] if whole else 0)

    def warnings(self, line: Mapping[str, Any]) -> list[str]:
        """Warnings that a new line of metrics gives."""
        self._episodes, found = observe(self._episodes, line, self._engine.warnings)
        return found

    def close(self) -> None:
        """Free what is held."""
        if self._best is not None:
            self._best.close()

    def _check_best(self) -> None:
        """Scores of one ranking are made alike; said at the start, not when the dense phase begins."""
        path, asked = self._best_path / "settings.json", _ranking(self._settings)
        if path.is_file() and (before := {"select_by": "histograms"} | read_object(path, {})) != asked:
            raise ValueError(
                f"{asked} differs from {before}, with which the generators in {self._best_path} were "
                f"ranked; ask for the same, or remove that directory"
            )

    def _open_best(self) -> BestGenerators:
        self._best_path.mkdir(exist_ok=True)
        if self._writes:
            write_json(self._best_path / "settings.json", _ranking(self._settings))
        keep, by = self._settings.keep_best, RANKINGS[self._settings.select_by]
        return BestGenerators(self._best_path, self._first, keep=keep, by=by, writes=self._writes)


def _ranking(settings: Train) -> dict[str, Any]:
    names = ("score_maps", "score_l_bins", "select_by", "keep_best", "weights")
    return {name: getattr(settings, name) for name in names}
