"""The best generators of a training's dense phase, where every step's is scored: files of the best few.

    best/scores.jsonl   a line for every step scored
    best/generators/    the best ones' parameters and batch statistics, numbered by step

Which ones are best at a step follows from the scores up to it alone. Files are written just before a
checkpoint, and what the last whole checkpoint needs stays until a later one is whole: wherever a training is
cut off, it goes on from a checkpoint with exactly the generators it had there.
"""

import json
import math
from pathlib import Path
from typing import Any

import jax
import numpy as np

from cosmogan_jax.files.json_files import read_json_lines
from cosmogan_jax.files.whole_files import append_lines, write_text
from cosmogan_jax.runs.checkpoints import Checkpoints

Scores = dict[str, float | None]


class BestGenerators:
    """Keeps the `keep` generators with the smallest `by`; ties go to the earlier step, None is worst."""

    def __init__(self, directory: Path, first: int, *, keep: int, by: str, writes: bool = True):
        """Go on after step `first`: later scores and files are dropped, for those steps are scored again.

        Of several processes one writes the scores; the generators' files are Orbax's, with the help of all.
        """
        directory.mkdir(exist_ok=True)
        self._path, self._keep, self._by, self._writes = directory / "scores.jsonl", keep, by, writes
        self._scores = {line.pop("step"): line for line in read_scores(directory) if line["step"] <= first}
        self._unwritten: list[str] = []
        self._held: dict[int, Any] = {}  # best ones not yet written, on the host
        self._files = Checkpoints(directory / "generators", writes=True)
        for step in self._files.steps():
            if step > first:
                self._files.delete(step)
        if writes:
            write_text(self._path, "".join(_line(step, scores) for step, scores in self._scores.items()))

    def offer(self, step: int, scores: Scores, generator: Any) -> None:
        """Note a step's scores; the generator (a pytree of arrays) is copied if it is among the best."""
        self._scores[step] = scores
        self._unwritten.append(_line(step, scores))
        best = self.best(step)
        if step in best:
            # np.array copies: on a CPU the array itself may be the memory that the next step overwrites.
            self._held[step] = jax.tree.map(np.array, generator)
        self._held = {held: value for held, value in self._held.items() if held in best}

    def best(self, until: int) -> list[int]:
        """Steps of the best generators among the steps up to `until`, best first."""
        return best_steps({s: v for s, v in self._scores.items() if s <= until}, self._by)[: self._keep]

    def write(self, step: int, last_whole: int) -> None:
        """All on the disk, before the checkpoint of `step` begins; last_whole is the last whole one's step."""
        if self._writes:
            append_lines(self._path, "".join(self._unwritten))
        self._unwritten = []
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


def read_scores(directory: Path) -> list[dict[str, Any]]:
    """Scores of all steps, in their order; none where there are no best generators."""
    path = directory / "scores.jsonl"
    if not path.is_file():
        return []
    # A line cut off in the middle is of a step after the last checkpoint.
    return read_json_lines(path, {"step": int}, cut_off=True)


def at_hand(directory: Path, step: int, *, keep: int, by: str) -> bool:
    """Whether the generators that were the best at a step, if any, are still there."""
    scores = {line.pop("step"): line for line in read_scores(directory) if line["step"] <= step}
    return all((directory / "generators" / str(best)).is_dir() for best in best_steps(scores, by)[:keep])


def best_steps(scores: dict[int, Scores], by: str) -> list[int]:
    """Steps in the order of a score, the smallest first; ties by step, None last."""

    def rank(step: int) -> tuple[float, int]:
        value = scores[step][by]
        return (math.inf if value is None else value, step)

    return sorted(scores, key=rank)


def _line(step: int, scores: Scores) -> str:
    return json.dumps({"step": step, **scores}, allow_nan=False) + "\n"
