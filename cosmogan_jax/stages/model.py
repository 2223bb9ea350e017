"""What train, select and generate share: the networks and checkpoints that the settings describe."""

from pathlib import Path

import jax
import optax

from cosmogan_jax.gan.networks import Architecture, Networks, build_networks
from cosmogan_jax.gan.state import GanState, NetState, adam, init_state
from cosmogan_jax.storage.checkpoints import Checkpoints
from cosmogan_jax.storage.run_directory import stage_directory, stage_record


def build(settings) -> tuple[Networks, optax.GradientTransformation, GanState]:
    """Networks, optimizer and fresh state from train's settings, or any object with its attributes."""
    if settings.batch_size < 2:
        raise ValueError(f"batch_size={settings.batch_size} must be at least 2: batch norm needs a variance")
    networks = build_networks(
        Architecture(
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
    )
    optimizer = adam(settings.learning_rate, settings.adam_beta1)
    key, with_ema = jax.random.key(settings.seed), settings.ema_decay > 0
    return networks, optimizer, init_state(networks, optimizer, key, with_ema=with_ema)


def generator(state: GanState, weights: str) -> NetState:
    """G as it is after the state's step (weights="last"), or its moving average ("ema").

    Raises:
      ValueError: the run kept no average.
    """
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
    networks, _, state = build(_Recorded(stage_record(workdir, "train")["flags"]))
    return networks, state, Checkpoints(directory / "checkpoints")
