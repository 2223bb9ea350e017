"""The training of a lognormal GAN, as `interface.Engine`."""

import dataclasses
import functools
from collections.abc import Iterator

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float

from cosmogan_jax.emulators import bands, joint_bands, matching
from cosmogan_jax.emulators.conditioning import ONE
from cosmogan_jax.emulators.drawing import latents_of
from cosmogan_jax.emulators.interface import (
    Batch,
    Engine,
    Features,
    Kind,
    Metrics,
    TrainingMaps,
    Variables,
    Weights,
)
from cosmogan_jax.emulators.lognormal_gan.conditional_base import ConditionalBase
from cosmogan_jax.emulators.lognormal_gan.curves import shown
from cosmogan_jax.emulators.lognormal_gan.discriminator import Discriminator, Standard
from cosmogan_jax.emulators.lognormal_gan.model import LognormalGan, model_of
from cosmogan_jax.emulators.lognormal_gan.schedule import learning_rate
from cosmogan_jax.emulators.lognormal_gan.state import LognormalGanState, NetState
from cosmogan_jax.emulators.lognormal_gan.train_step import Parts, train_step
from cosmogan_jax.emulators.lognormal_gan.units import AnyBase, judged, num_sums, units
from cosmogan_jax.emulators.matched_statistics import AnyScale
from cosmogan_jax.emulators.measuring import scale_of, targets_of, unmeasured_scale
from cosmogan_jax.settings import Train


def make_model(settings: Train, num_bins: int = 1) -> LognormalGan:
    """Return the model of the settings, of maps of so many source bins.

    Raises:
      ValueError: sizes that no network can have, more fresh maps than a batch, a name that cannot be matched.
    """
    own = settings.of_kind
    matching.matcher(own)
    if own.fresh_maps > settings.batch_size:
        raise ValueError(f"fresh_maps={own.fresh_maps} must be at most batch_size={settings.batch_size}")
    if not own.disc_learning_rate > 0:
        raise ValueError(f"disc_learning_rate={own.disc_learning_rate} must be positive")
    if own.decay_to_step <= own.decay_from_step:
        raise ValueError(
            f"decay_to_step={own.decay_to_step} must be more than decay_from_step={own.decay_from_step}"
        )
    if own.base_blocks > settings.crop_size:
        raise ValueError(
            f"base_blocks={own.base_blocks} must be at most crop_size={settings.crop_size}, the side of a map"
        )
    if settings.crop_size % 2**own.disc_layers:
        raise ValueError(
            f"crop_size={settings.crop_size} must be divisible by 2**disc_layers={2**own.disc_layers}"
        )
    sizes = own.gen_layers, own.gen_channels, own.gen_octaves, own.base_power
    return LognormalGan(*sizes, tuple(settings.condition_on), own.theta_order, num_bins, own.base_modulated)


def make_engine(model: LognormalGan, settings: Train, batch_sharding: jax.sharding.Sharding | None) -> Engine:
    """Make the engine of the settings; each network has an Adam and a learning rate of its own."""
    own, size = settings.of_kind, settings.crop_size
    num_parameters, num_bins, sums = len(model.parameters), model.num_bins, num_sums(model.num_bins)
    matcher = matching.matcher(own, num_bins, sums)
    numbers = bands.num_bands(size) if num_bins == 1 else joint_bands.num_spectral_numbers(size, num_bins)
    disc = Discriminator(size, own.disc_layers, own.disc_filters, numbers, num_parameters, num_bins + sums)

    def adam(peak: float) -> optax.GradientTransformation:
        return optax.adam(learning_rate(peak, settings), b1=settings.adam_beta1, b2=own.adam_beta2)

    optimizers = adam(settings.learning_rate), adam(own.disc_learning_rate)
    parts = Parts(model, disc, settings, *optimizers, matcher, batch_sharding)

    def step(state: LognormalGanState, batch: Batch) -> tuple[LognormalGanState, Metrics]:
        with jax.default_matmul_precision("float32"):
            return train_step(parts, state, model.without_one_bin(batch.kappa), batch.theta)

    def variables(state: LognormalGanState, weights: Weights) -> Variables:
        if weights == "ema" and state.ema is None:
            raise ValueError(f"weights={weights}, but the training kept no average (ema_decay)")
        return {"base": state.base, "params": state.ema if weights == "ema" else state.gen.params}

    def pooled(state: LognormalGanState, x: Float[Array, "batch size size bins"]) -> Array:
        in_units = units(model.without_one_bin(x), model.base_of(state.base, ONE))
        return state.standard.standardised(disc.pooled(state.disc.params, in_units))

    # Of several cosmologies a feature is that of a map only beside its parameters, which novelty does not know.
    features = Features("discriminator", "rms difference per pooled feature", pooled)
    return Engine(
        functools.partial(_init, parts),
        step,
        variables,
        *shown(matched=matcher is not None),
        None if num_parameters or num_bins > 1 else features,
        "the features of a conditional emulator's discriminator depend on the cosmology too"
        if num_parameters
        else "the discriminator looks at all source bins together, and novelty at one",
        begin=functools.partial(_begin, parts),
    )


def _init(parts: Parts, key: Array) -> LognormalGanState:
    """Return the state of step 0, nothing measured yet."""
    own, size = parts.settings.of_kind, parts.settings.crop_size
    num_replayed = own.replayed_steps * own.fresh_maps
    gen_key, disc_key, run_key = jax.random.split(key, 3)
    gen, disc = parts.model.generator.init(gen_key), parts.disc.init(disc_key)
    count, num_slopes = parts.disc.num_features, parts.model.num_slopes
    bins = () if (num_bins := parts.model.num_bins) == 1 else (num_bins,)
    scale = unmeasured_scale(size, num_bins, num_slopes, parts.matcher)
    # One number that nobody looks at where nothing is matched: checkpoints hold no arrays without any.
    targets = matching.Targets(jnp.zeros(1), jnp.zeros(1), (jnp.zeros((1, 1)),))
    if parts.matcher is not None:
        targets = parts.matcher.unmeasured(size, scale, num_slopes)
    return LognormalGanState(
        step=jnp.zeros((), jnp.int32),
        key=run_key,
        base=parts.model.unmeasured(),
        scale=scale,
        targets=targets,
        gen=NetState(gen, parts.gen_optimizer.init(gen)),
        disc=NetState(disc, parts.disc_optimizer.init(disc)),
        standard=Standard(
            jnp.zeros(count), jnp.ones(count), jnp.zeros((num_slopes, count)) if num_slopes else None
        ),
        running=targets.reached(),
        replayed=jnp.zeros((num_replayed, size, size, *bins)),
        replayed_theta=jnp.zeros((num_replayed, len(parts.model.parameters))) if num_slopes else None,
        # A copy: a state that is donated must not hold the same memory twice.
        ema=jax.tree.map(jnp.copy, gen) if parts.settings.ema_decay > 0 else None,
    )


def _begin(
    parts: Parts, state: LognormalGanState, maps: TrainingMaps, wider: TrainingMaps
) -> LognormalGanState:
    """Measure base, bands and targets, and make the first maps to be replayed."""
    own, model, targets = parts.settings.of_kind, parts.model, state.targets
    base: AnyBase | ConditionalBase
    if model.parameters:
        base, scale, targets, theta = _measured_at_cosmologies(parts, state, maps, wider)
    else:
        own_base, theta = model.measured(lambda: map(model.without_one_bin, wider()), own.base_blocks), None
        base = own_base

        def in_units(x: Array) -> Array:
            return judged(units(x, own_base), own_base)

        scale = scale_of(maps, in_units, model.num_bins, matcher=parts.matcher)
        if parts.matcher is not None:
            targets = targets_of(maps, in_units, parts.matcher, scale)

    @jax.jit
    def first_maps(params, index, theta):
        key = jax.random.fold_in(state.key, 2**31 - 1)  # no step's
        latents = latents_of(model, 2 * (parts.settings.crop_size,), key, index)
        cosmologies = model.cosmologies(base, theta)
        fields = model.inputs(model.base_of(base, cosmologies), latents)
        return model.generator.apply(params, fields, cosmologies.t)

    numbers = np.arange(len(state.replayed), dtype=np.int32).reshape(own.replayed_steps, own.fresh_maps)
    made = [first_maps(state.gen.params, index, None if theta is None else theta[index]) for index in numbers]
    return dataclasses.replace(
        state,
        base=base,
        scale=scale,
        targets=targets,
        running=targets.reached(),
        replayed=jnp.concatenate(made),
        replayed_theta=theta,
    )


def _measured_at_cosmologies(
    parts: Parts, state: LognormalGanState, maps: TrainingMaps, wider: TrainingMaps
) -> tuple[ConditionalBase, AnyScale, matching.Targets, Array]:
    """Measure base, bands and targets as functions of the cosmology; draw parameters of the maps to replay."""
    model, theta = parts.model, jnp.asarray(maps.theta)
    base = model.measured_at(wider, parts.settings.of_kind.base_blocks)
    cosmologies = model.cosmologies(base, theta)
    phi = np.asarray(cosmologies.phi)

    def in_units() -> Iterator[np.ndarray]:
        start = 0
        for some_maps in maps():
            own = model.base_of(base, cosmologies.rows(slice(start, start + len(some_maps))))
            in_units = np.asarray(judged(units(model.without_one_bin(jnp.asarray(some_maps)), own), own))
            yield in_units[..., None] if model.num_bins == 1 else in_units
            start += len(some_maps)

    scale, targets = scale_of(in_units, lambda x: x, model.num_bins, phi, parts.matcher), state.targets
    if parts.matcher is not None:
        targets = targets_of(in_units, lambda x: x, parts.matcher, scale, phi=phi)
    key = jax.random.fold_in(state.key, 2**31 - 2)  # no step's, and not that of the latents
    chosen = jax.random.randint(key, (len(state.replayed),), 0, len(theta))
    return base, scale, targets, theta[chosen]


LOGNORMAL_GAN = Kind(make_model, make_engine, model_of, make_model)
