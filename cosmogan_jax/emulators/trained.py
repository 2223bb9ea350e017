"""What a finished training left: its model, its engine, and the variables of its checkpoints."""

from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from cosmogan_jax import keys
from cosmogan_jax.emulators.emulator import Emulator
from cosmogan_jax.emulators.interface import Engine, Model, State, Variables, Weights
from cosmogan_jax.emulators.kinds import build
from cosmogan_jax.emulators.normalisation import Normalisation
from cosmogan_jax.files.json_files import read_object
from cosmogan_jax.geometry import MapGeometry
from cosmogan_jax.runs.best_generators import read_scores
from cosmogan_jax.runs.checkpoints import Checkpoints
from cosmogan_jax.runs.directory import finished_record, key_scheme, stage_directory
from cosmogan_jax.settings import Train
from cosmogan_jax.settings.kinds import train_from_record

_DENSE = {"weights": str, "score_maps": int, "score_l_bins": int}


class Trained(NamedTuple):
    """What a training was made of, as it recorded it; key_scheme: how its seeds become keys (`keys.py`)."""

    settings: Train
    model: Model
    engine: Engine
    key_scheme: int

    def emulator(
        self, name: str, variables: Variables, normalisation: Normalisation, geometry: MapGeometry
    ) -> Emulator:
        """The emulator of these variables; None where every call of it is given its own."""
        names, scheme = self.settings.condition_on, self.key_scheme
        return Emulator(name, self.model, variables, normalisation, geometry, {}, names, scheme)


def open_trained(workdir: Path) -> tuple[Trained, State, Checkpoints]:
    """The making of a finished stage train, a state to restore into, and its checkpoints.

    Raises:
      ValueError: there is none, or one of a kind that is not known.
    """
    directory = stage_directory(workdir, "train")
    settings = train_from_record(finished_record(workdir, "train")["flags"])
    model, engine = build(settings)
    scheme = key_scheme(workdir)
    state = engine.init(keys.key(settings.own_seed, "weights", scheme))
    return Trained(settings, model, engine, scheme), state, Checkpoints(directory / "checkpoints")


class Generators:
    """The generators that a finished training left: of its checkpoints, and the best of its dense phase.

    Those of the dense phase count where they are the weights asked for (`--weights`).
    """

    def __init__(self, workdir: Path, weights: Weights):
        """Open a finished stage train.

        Raises:
          ValueError: it is not there, or kept no average.
        """
        self.trained, self._like, self._checkpoints = open_trained(workdir)
        self._weights, self._best = weights, None
        # Only the shapes are wanted, and that there are such weights: nothing is computed.
        like = jax.eval_shape(lambda state: self.trained.engine.variables(state, weights), self._like)
        self._like_best = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), like)
        # How the dense phase scored, and what came of it.
        self.dense: dict[str, Any] | None = None
        self.dense_scores: list[dict[str, Any]] = []
        best = stage_directory(workdir, "train") / "best"
        if best.is_dir() and (asked := read_object(best / "settings.json", _DENSE))["weights"] == weights:
            self.dense = asked
            self._best = Checkpoints(best / "generators")
            self.dense_scores = read_scores(best)

    def checkpoints(self) -> list[int]:
        """Steps of the checkpoints, ascending."""
        return list(self._checkpoints.steps())

    def best(self) -> list[int]:
        """Steps of the best generators of the dense phase, ascending; none where there was none."""
        return list(self._best.steps()) if self._best else []

    def restore(self, step: int) -> Variables:
        """The variables of a step, ready to sample.

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
