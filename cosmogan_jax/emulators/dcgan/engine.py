"""The training of a DCGAN, as `interface.Engine`."""

import dataclasses

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from cosmogan_jax import keys
from cosmogan_jax.emulators import matching
from cosmogan_jax.emulators.dcgan.averaging import with_own_statistics
from cosmogan_jax.emulators.dcgan.curves import shown
from cosmogan_jax.emulators.dcgan.model import Dcgan, make_model, model_of
from cosmogan_jax.emulators.dcgan.networks import Variables
from cosmogan_jax.emulators.dcgan.state import GanState, MatchingState, NetState, adam, init_state
from cosmogan_jax.emulators.dcgan.step_parts import StepSettings
from cosmogan_jax.emulators.dcgan.train_step import make_train_step
from cosmogan_jax.emulators.interface import Batch, Engine, Features, Kind, Metrics, TrainingMaps, Weights
from cosmogan_jax.emulators.measuring import mean_and_sigma, scale_of, targets_of
from cosmogan_jax.settings import Train

# Of numbers of order one. A generator that begins at noise has pixels where no training map has any.
_LEAST_DEVIATION = 1e-6


def make_engine(model: Dcgan, settings: Train, batch_sharding: jax.sharding.Sharding | None) -> Engine:
    """Make the engine of the settings; both networks have an Adam of their own."""
    networks, optimizer = model.networks, adam(settings.learning_rate, settings.adam_beta1)
    matcher = matching.matcher(settings.of_kind)
    train_step = make_train_step(
        networks, optimizer, StepSettings.of_training(settings), matcher=matcher, batch_sharding=batch_sharding
    )

    def init(key: Array) -> GanState:
        return init_state(networks, optimizer, key, with_ema=settings.ema_decay > 0, matcher=matcher)

    def begin(state: GanState, maps: TrainingMaps, wider: TrainingMaps) -> GanState:
        """Measure what is matched: the maps' scale, and targets."""
        assert matcher is not None
        assert isinstance(state, MatchingState)
        assert state.matched is not None
        mean, sigma = mean_and_sigma(maps)
        matched = state.matched._replace(mean=jnp.float32(mean), sigma=jnp.float32(sigma))
        scale = scale_of(maps, matched.units)
        targets = targets_of(maps, matched.units, matcher, scale, _LEAST_DEVIATION)
        matched = matched._replace(scale=scale, targets=targets, running=jnp.copy(targets.mean))
        return dataclasses.replace(state, matched=matched)

    def step(state: GanState, batch: Batch) -> tuple[GanState, Metrics]:
        return train_step(state, batch.kappa[..., 0])

    def variables(state: GanState, weights: Weights) -> Variables:
        """Return the generator; an average gets batch statistics of its own, of the same z for every state."""
        gen = state.gen
        if weights == "ema":
            if state.ema is None:
                raise ValueError(f"weights={weights}, but the training kept no average (ema_decay)")
            gen = with_own_statistics(networks, state.ema, keys.key(0, "statistics", 1))
        return as_variables(gen)

    def last_convolution(state: GanState, x: Float[Array, "batch size size 1"]) -> Array:
        return networks.disc.last_convolution(state.disc.params, state.disc.batch_stats, x[..., 0])

    features = Features("discriminator", "rms difference per feature", last_convolution)
    return Engine(
        init,
        step,
        variables,
        *shown(settings.of_kind.loss, matched=matcher is not None),
        features,
        begin=None if matcher is None else begin,
    )


def as_variables(gen: NetState) -> Variables:
    """Return what is shipped of a generator."""
    return {"params": gen.params, "batch_stats": gen.batch_stats}


DCGAN = Kind(make_model, make_engine, model_of)
