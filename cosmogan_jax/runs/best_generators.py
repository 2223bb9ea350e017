"""The best generators of a training's dense phase, where every step's is scored: files of the best few.

    best/settings.json  how they are scored and how many are kept
    best/scores.jsonl   a line for every step scored
    best/generators/    the best ones' parameters and batch statistics, numbered by step

Which ones are best at a step follows from the scores up to it alone. Files are written just before a
checkpoint, and what the last whole checkpoint needs stays until a later one is whole: wherever a training is
cut off, it goes on from a checkpoint with exactly the generators it had there.
"""

import dataclasses
import math
from pathlib import Path
from typing import Any, Self

import jax
import numpy as np

from cosmogan_jax.files.json_files import (
    append_json_lines,
    check_object,
    read_json,
    read_json_lines,
    write_json,
    write_json_lines,
)
from cosmogan_jax.runs.checkpoints import Checkpoints
from cosmogan_jax.settings import Train

Scores = dict[str, float | None]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Ranking:
    """How a training scores every step's generator: settings of stage train, by their names."""

    score_maps: int
    score_l_bins: int
    select_by: str = "histograms"  # as long as there was no other
    keep_best: int
    weights: str

    @classmethod
    def of_training(cls, settings: Train) -> Self:
        """Take it from the settings of stage train."""
        return cls(**{field.name: getattr(settings, field.name) for field in dataclasses.fields(cls)})

    @classmethod
    def from_json(cls, content: Any, where: Any) -> Self:
        """Make it of what settings.json holds; ValueError names a field that is missing or of another type."""
        check_object(content, {"score_maps": int, "score_l_bins": int, "keep_best": int, "weights": str}, where)
        content = check_object({"select_by": cls.select_by} | content, {"select_by": str}, where)
        return cls(**{field.name: content[field.name] for field in dataclasses.fields(cls)})


def ranking_file(directory: Path) -> Path:
    """Return where the ranking of a directory's best generators stands."""
    return directory / "settings.json"


def read_ranking(directory: Path) -> Ranking:
    """Read how the best generators of a directory were scored; ValueError where that is not said."""
    path = ranking_file(directory)
    return Ranking.from_json(read_json(path), path)


def write_ranking(directory: Path, ranking: Ranking) -> None:
    """Write how the best generators of a directory are scored, before the first is."""
    write_json(ranking_file(directory), dataclasses.asdict(ranking))


class BestGenerators:
    """Keeps the `keep` generators with the smallest `by`; ties go to the earlier step, None is worst."""

    def __init__(self, directory: Path, first: int, *, keep: int, by: str, writes: bool = True):
        """Go on after step `first`: later scores and files are dropped, for those steps are scored again.

        Of several processes one writes the scores; the generators' files are Orbax's, with the help of all.
        """
        directory.mkdir(exist_ok=True)
        self._path, self._keep, self._by, self._writes = directory / "scores.jsonl", keep, by, writes
        self._scores = read_scores(directory, until=first)
        self._unwritten: dict[int, Scores] = {}
        self._held: dict[int, Any] = {}  # best ones not yet written, on the host
        self._files = Checkpoints(directory / "generators", writes=True)
        for step in self._files.steps():
            if step > first:
                self._files.delete(step)
        if writes:
            write_json_lines(self._path, _lines(self._scores))

    def offer(self, step: int, scores: Scores, generator: Any) -> None:
        """Note a step's scores; the generator (a pytree of arrays) is copied if it is among the best."""
        self._scores[step] = self._unwritten[step] = scores
        best = self.best(step)
        if step in best:
            # np.array copies: on a CPU the array itself may be the memory that the next step overwrites.
            self._held[step] = jax.tree.map(np.array, generator)
        self._held = {held: value for held, value in self._held.items() if held in best}

    def best(self, until: int) -> list[int]:
        """Return the steps of the best generators among the steps up to `until`, best first."""
        return best_steps({s: v for s, v in self._scores.items() if s <= until}, self._by)[: self._keep]

    def write(self, step: int, last_whole: int) -> None:
        """Bring all to the disk before the checkpoint of `step` begins; the last whole one is of last_whole."""
        if self._writes:
            append_json_lines(self._path, _lines(self._unwritten))
        self._unwritten = {}
        for held, generator in self._held.items():
            self._files.save(held, generator)
        self._held = {}
        needed = {*self.best(step), *self.best(last_whole)}
        for held in self._files.steps():  # waits for what is being written
            if held not in needed:
                self._files.delete(held)

    def close(self) -> None:
        """Free what the files' manager holds. What `write` has not seen is lost, as the steps it came from."""
        self._files.close()


def read_scores(directory: Path, *, until: float = math.inf) -> dict[int, Scores]:
    """Read the scores of all steps up to one, in their order; none where there are no best generators."""
    path = directory / "scores.jsonl"
    if not path.is_file():
        return {}
    # A line cut off in the middle is of a step after the last checkpoint.
    lines = read_json_lines(path, {"step": int}, cut_off=True)
    return {line.pop("step"): line for line in lines if line["step"] <= until}


def at_hand(directory: Path, step: int, *, keep: int, by: str) -> bool:
    """Return whether the generators that were the best at a step, if any, are still there."""
    best = best_steps(read_scores(directory, until=step), by)[:keep]
    return all((directory / "generators" / str(step)).is_dir() for step in best)


def best_steps(scores: dict[int, Scores], by: str) -> list[int]:
    """Sort steps by a score, the smallest first; ties by step, None last."""

    def rank(step: int) -> tuple[float, int]:
        value = scores[step][by]
        return (math.inf if value is None else value, step)

    return sorted(scores, key=rank)


def _lines(scores: dict[int, Scores]) -> list[dict[str, Any]]:
    return [{"step": step, **values} for step, values in scores.items()]
