"""The training of a DCGAN, as `interface.Engine`."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Array, Float

from cosmogan_jax import keys
from cosmogan_jax.emulators import conditioning, matching
from cosmogan_jax.emulators.conditioning import ONE, Cosmologies, Standardisation
from cosmogan_jax.emulators.dcgan.averaging import with_own_statistics
from cosmogan_jax.emulators.dcgan.curves import shown
from cosmogan_jax.emulators.dcgan.model import Dcgan, make_model, model_of
from cosmogan_jax.emulators.dcgan.networks import Variables
from cosmogan_jax.emulators.dcgan.state import (
    AVERAGED_OVER,
    ConditionalState,
    Conditioned,
    GanState,
    MatchingState,
    NetState,
    adam,
    init_state,
)
from cosmogan_jax.emulators.dcgan.step_parts import StepSettings
from cosmogan_jax.emulators.dcgan.train_step import make_train_step
from cosmogan_jax.emulators.interface import Batch, Engine, Features, Kind, Metrics, TrainingMaps, Weights
from cosmogan_jax.emulators.matching import Matcher
from cosmogan_jax.emulators.measuring import mean_and_sigma, of_each_bin, scale_of, targets_of
from cosmogan_jax.settings import Train

# Of numbers of order one. A generator that begins at noise has pixels where no training map has any.
_LEAST_DEVIATION = 1e-6


def make_engine(model: Dcgan, settings: Train, batch_sharding: jax.sharding.Sharding | None) -> Engine:
    """Make the engine of the settings; both networks have an Adam of their own."""
    networks, optimizer = model.networks, adam(settings.learning_rate, settings.adam_beta1)
    matcher, order = matching.matcher(settings.of_kind, model.num_bins), settings.of_kind.theta_order
    train_step = make_train_step(
        networks, optimizer, StepSettings.of_training(settings), matcher=matcher, batch_sharding=batch_sharding
    )

    def init(key: Array) -> GanState:
        with_ema = settings.ema_decay > 0
        return init_state(networks, optimizer, key, with_ema=with_ema, matcher=matcher, theta_order=order)

    def begin(state: GanState, maps: TrainingMaps, wider: TrainingMaps) -> GanState:
        """Measure what is conditioned on, and what is matched."""
        if model.parameters:
            assert isinstance(state, ConditionalState)
            state = _with_conditioned(model, state, maps.theta, None if matcher is None else order)
        if matcher is None:
            return state
        phi = np.asarray(_cosmologies(model, state, maps.theta, order).phi) if model.parameters else None
        return _with_targets(matcher, state, maps, phi)

    def step(state: GanState, batch: Batch) -> tuple[GanState, Metrics]:
        real = model.without_one_bin(batch.kappa)
        return train_step(state, real, _cosmologies(model, state, batch.theta, order))

    def variables(state: GanState, weights: Weights) -> Variables:
        """Return the generator; an average gets batch statistics of its own, of the same z for every state."""
        gen, conditioned = state.gen, _conditioned(state)
        if weights == "ema":
            if state.ema is None:
                raise ValueError(f"weights={weights}, but the training kept no average (ema_decay)")
            t = None if conditioned is None else conditioned.t
            gen = with_own_statistics(networks, state.ema, keys.key(0, "statistics", 1), t)
        return as_variables(gen, None if conditioned is None else conditioned.standardisation)

    def last_convolution(state: GanState, x: Float[Array, "batch size size 1"]) -> Array:
        return networks.disc.last_convolution(state.disc.params, state.disc.batch_stats, x[..., 0])

    features = Features("discriminator", "rms difference per feature", last_convolution)
    return Engine(
        init,
        step,
        variables,
        *shown(settings.of_kind.loss, matched=matcher is not None),
        None if model.num_bins > 1 else features,
        "the discriminator looks at all source bins together, and novelty at one",
        begin=None if matcher is None and not model.parameters else begin,
    )


def as_variables(gen: NetState, standardisation: Standardisation | None = None) -> Variables:
    """Return what is shipped of a generator; what standardises its parameters, where it has any."""
    shipped = {"params": gen.params, "batch_stats": gen.batch_stats}
    return shipped if standardisation is None else {**shipped, "standardisation": standardisation}


def _conditioned(state: GanState) -> Conditioned | None:
    """Return what was measured of the training maps' parameters; None where they are not looked at."""
    return state.conditioned if isinstance(state, ConditionalState) else None


def _cosmologies(model: Dcgan, state: GanState, theta: ArrayLike, order: int) -> Cosmologies:
    """Return what maps of these parameters are conditioned on; phi where something is matched."""
    conditioned = _conditioned(state)
    if conditioned is None:
        return ONE
    t = model.standardised(conditioned.standardisation, jnp.asarray(theta, jnp.float32))
    basis = conditioned.basis
    return Cosmologies(t, None if basis is None else conditioning.regressors_of(t, basis, order))


def _with_conditioned(
    model: Dcgan, state: ConditionalState, theta: Float[np.ndarray, "maps parameters"], order: int | None
) -> ConditionalState:
    """Return the state with the training maps' parameters measured; order: of regressors, None for none.

    Raises:
      ValueError: as `conditioning.standardisation_of`, and with an order as `conditioning.measured`.
    """
    names, basis = model.parameters, None
    standardisation = conditioning.standardisation_of(theta, names)
    if order is not None:
        basis = conditioning.measured(theta, names, order).basis
    key = jax.random.fold_in(state.key, 2**31 - 1)  # no step's
    chosen = np.asarray(jax.random.randint(key, (AVERAGED_OVER,), 0, len(theta)))
    t = model.standardised(standardisation, jnp.asarray(theta[chosen], jnp.float32))
    return dataclasses.replace(state, conditioned=Conditioned(standardisation, t, basis))


def _with_targets(
    matcher: Matcher, state: GanState, maps: TrainingMaps, phi: Float[np.ndarray, "maps terms"] | None
) -> GanState:
    """Return the state with what is matched measured: their scale, and targets, which follow phi."""
    assert isinstance(state, MatchingState)
    assert state.matched is not None
    num_bins = matcher.num_bins
    mean, sigma = mean_and_sigma(maps) if num_bins == 1 else of_each_bin(maps, num_bins)
    matched = state.matched._replace(mean=jnp.float32(mean), sigma=jnp.float32(sigma))
    scale = scale_of(maps, matched.units, num_bins, phi, matcher)
    targets = targets_of(maps, matched.units, matcher, scale, _LEAST_DEVIATION, phi)
    matched = matched._replace(scale=scale, targets=targets, running=targets.reached())
    return dataclasses.replace(state, matched=matched)


DCGAN = Kind(make_model, make_engine, model_of, make_model)
