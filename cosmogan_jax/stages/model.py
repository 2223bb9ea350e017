"""What train, select and generate share: the networks and checkpoints that the settings describe."""

from pathlib import Path
from typing import Any

import jax
import optax

from cosmogan_jax.emulators.dcgan.averaging import with_own_statistics
from cosmogan_jax.emulators.dcgan.networks import Architecture, Networks, build_networks
from cosmogan_jax.emulators.dcgan.state import GanState, NetState, adam, init_state
from cosmogan_jax.storage.best_generators import read_scores
from cosmogan_jax.storage.checkpoints import Checkpoints
from cosmogan_jax.storage.json_files import read_object
from cosmogan_jax.storage.run_directory import finished_record, stage_directory

_DENSE = {"weights": str, "score_maps": int, "score_l_bins": int}


def architecture(settings) -> Architecture:
    """That of train's settings, or of any object with its attributes.

    Raises:
      ValueError: sizes that no network can have, or a batch too small for batch norm.
    """
    if settings.batch_size < 2:
        raise ValueError(f"batch_size={settings.batch_size} must be at least 2: batch norm needs a variance")
    return Architecture(
        settings.crop_size,
        settings.num_layers,
        settings.num_filters,
        settings.latent_size,
        settings.convolution_form,
        settings.borders,
        settings.compute_dtype,
        settings.matmul_precision,
        settings.remat,
    )


def build(settings) -> tuple[Networks, optax.GradientTransformation, GanState]:
    """Networks, optimizer and fresh state from train's settings, or any object with its attributes.

    Raises:
      ValueError: a batch of one map, or sizes of which no networks can be made.
    """
    networks = build_networks(architecture(settings))
    optimizer = adam(settings.learning_rate, settings.adam_beta1)
    key, with_ema = jax.random.key(settings.seed), settings.ema_decay > 0
    return networks, optimizer, init_state(networks, optimizer, key, with_ema=with_ema)


def generator(networks: Networks, state: GanState, weights: str) -> NetState:
    """G as it is after the state's step (weights="last"), or its moving average ("ema").

    The average comes with batch statistics of its own, from the same z for every state.

    Raises:
      ValueError: the run kept no average.
    """
    found = _kept(state, weights)
    return found if weights == "last" else with_own_statistics(networks, found, jax.random.key(0))


def _kept(state: GanState, weights: str) -> NetState:
    if weights == "last":
        return state.gen
    if state.ema is None:
        raise ValueError(f"weights={weights}, but the training kept no average (ema_decay)")
    return state.ema


class _Recorded:
    def __init__(self, flags):
        self.__dict__.update(remat="none", **flags)  # neutral, so not recorded


def open_trained(workdir: Path) -> tuple[Networks, GanState, Checkpoints]:
    """The networks of a finished stage train, a state to restore into, and its checkpoints."""
    directory = stage_directory(workdir, "train")
    networks, _, state = build(_Recorded(finished_record(workdir, "train")["flags"]))
    return networks, state, Checkpoints(directory / "checkpoints")


class Generators:
    """The generators that a finished training left: of its checkpoints, and the best of its dense phase.

    Those of the dense phase count where they are the weights asked for (`--weights`).
    """

    def __init__(self, workdir: Path, weights: str):
        """Open a finished stage train.

        Raises:
          ValueError: it is not there, or kept no average.
        """
        self.networks, self._like, self._checkpoints = open_trained(workdir)
        like = _kept(self._like, weights)
        self._weights, self._best = weights, None
        self._like_best = {"params": like.params, "batch_stats": like.batch_stats}
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

    def restore(self, step: int) -> NetState:
        """G of a step.

        Raises:
          ValueError: no generator of that step, or one that cannot be read.
        """
        if self._best and step in self.best():
            found = self._best.restore(step, self._like_best)
            return NetState(found["params"], found["batch_stats"], ())
        return generator(self.networks, self._checkpoints.restore(step, self._like), self._weights)

    def close(self) -> None:
        """Free what is held."""
        for files in filter(None, (self._checkpoints, self._best)):
            files.close()
