"""What a finished training left: its model, its engine, and the variables of its checkpoints."""

from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from cosmogan_jax import keys
from cosmogan_jax.emulators.emulator import Emulator
from cosmogan_jax.emulators.interface import Engine, Model, State, Variables, Weights
from cosmogan_jax.emulators.kinds import build
from cosmogan_jax.emulators.normalisation import Normalisation
from cosmogan_jax.maps.crop_table import CropTable, open_crop_table
from cosmogan_jax.runs.best_generators import Ranking, Scores, read_ranking, read_scores
from cosmogan_jax.runs.checkpoints import Checkpoints
from cosmogan_jax.runs.directory import finished_record, key_scheme, stage_directory
from cosmogan_jax.settings import Train
from cosmogan_jax.settings.kinds import train_from_record


class Trained(NamedTuple):
    """What a training was made of, as it recorded it; key_scheme: how its seeds become keys (`keys.py`)."""

    settings: Train
    model: Model
    engine: Engine
    key_scheme: int

    def emulator(self, name: str, variables: Variables, table: CropTable) -> Emulator:
        """Make the emulator of these variables, trained on the crops of a table.

        variables: None where every call of it is given its own.
        """
        normalisation = Normalisation.from_json(table.manifest.normalisation)
        names, scheme = self.settings.condition_on, self.key_scheme
        design: tuple[tuple[float, ...], ...] = ()
        if names:
            rows = np.unique(table.theta(table.crops["train"], names), axis=0)
            design = tuple(map(tuple, rows.tolist()))
        return Emulator(
            name, self.model, variables, normalisation, table.geometry, {}, names, scheme, design=design
        )


def open_trained(workdir: Path) -> tuple[Trained, State, Checkpoints]:
    """Open a finished stage train: what it was made of, a state to restore into, and its checkpoints.

    Raises:
      ValueError: there is none, or one of a kind that is not known.
    """
    directory = stage_directory(workdir, "train")
    settings = train_from_record(finished_record(workdir, "train").flags)
    num_bins = open_crop_table(stage_directory(workdir, "prepare")).store.num_bins
    model, engine = build(settings, num_bins=num_bins)
    scheme = key_scheme(workdir)
    state = engine.init(keys.key(settings.own_seed, "weights", scheme))
    return Trained(settings, model, engine, scheme), state, Checkpoints(directory / "checkpoints")


class Generators:
    """The generators that a finished training left: of its checkpoints, and the best of its dense phase.

    Those of the dense phase count where they are the weights asked for (`--weights`).

    Attributes:
      ranking: how the dense phase scored; None where it does not count.
      dense_scores: its scores by step.
    """

    def __init__(self, workdir: Path, weights: Weights):
        """Open a finished stage train.

        Raises:
          ValueError: it is not there, or kept no average.
        """
        self.trained, self._like, self._checkpoints = open_trained(workdir)
        self._weights = weights
        # Only the shapes are wanted, and that there are such weights: nothing is computed.
        like = jax.eval_shape(lambda state: self.trained.engine.variables(state, weights), self._like)
        self._like_best = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), like)
        self._best: Checkpoints | None = None
        self.ranking: Ranking | None = None
        self.dense_scores: dict[int, Scores] = {}
        best = stage_directory(workdir, "train") / "best"
        if best.is_dir() and (ranking := read_ranking(best)).weights == weights:
            self.ranking, self.dense_scores = ranking, read_scores(best)
            self._best = Checkpoints(best / "generators")

    def checkpoints(self) -> list[int]:
        """Return the steps of the checkpoints, ascending."""
        return list(self._checkpoints.steps())

    def best(self) -> list[int]:
        """Return the steps of the best generators of the dense phase, ascending; none where there was none."""
        return list(self._best.steps()) if self._best else []

    def restore(self, step: int) -> Variables:
        """Restore the variables of a step, ready to sample.

        Raises:
          ValueError: no generator of that step, or one that cannot be read.
        """
        if self._best and step in self.best():
            return self._best.restore(step, self._like_best)
        return self.trained.engine.variables(self._checkpoints.restore(step, self._like), self._weights)

    def close(self) -> None:
        """Free what is held."""
        for files in filter(None, (self._checkpoints, self._best)):
            files.close()
