"""One pure training step of a lognormal GAN.

Both networks are updated once, from gradients at the old parameters. D sees a batch of real maps and as many
generated ones, of which `fresh_maps` are this step's and the others of the last steps: G cannot cycle through
what D has forgotten. D minimises softplus(-D(real)) + softplus(D(fake)), with R1 on the pixels and on the
bands; G minimises softplus(-D(fake)) (Goodfellow et al. 2014), and follows what is matched (`matching.py`).
"""

import dataclasses
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float

from cosmogan_jax.emulators.conditioning import Cosmologies
from cosmogan_jax.emulators.drawing import latents_of
from cosmogan_jax.emulators.interface import Metrics
from cosmogan_jax.emulators.joint_bands import spectral_numbers
from cosmogan_jax.emulators.lognormal_gan.base import Base
from cosmogan_jax.emulators.lognormal_gan.conditional_base import ConditionalBase
from cosmogan_jax.emulators.lognormal_gan.discriminator import Discriminator, Standard
from cosmogan_jax.emulators.lognormal_gan.following import POWER, followed, lacking_power
from cosmogan_jax.emulators.lognormal_gan.joint_base import JointBase
from cosmogan_jax.emulators.lognormal_gan.model import LognormalGan
from cosmogan_jax.emulators.lognormal_gan.schedule import learning_rate, matching_rate
from cosmogan_jax.emulators.lognormal_gan.state import LognormalGanState
from cosmogan_jax.emulators.lognormal_gan.units import judged, units
from cosmogan_jax.emulators.matching import Matcher
from cosmogan_jax.emulators.moving_average import moved
from cosmogan_jax.emulators.optimizing import updated
from cosmogan_jax.emulators.slopes import r1
from cosmogan_jax.layers.initialisation import Variables
from cosmogan_jax.settings import Train

_STANDARD_RATE = 0.03  # of the running mean and variance of D's pooled features


@dataclasses.dataclass(frozen=True)
class Parts:
    """All that a training is made of but its state."""

    model: LognormalGan
    disc: Discriminator
    settings: Train
    gen_optimizer: optax.GradientTransformation
    disc_optimizer: optax.GradientTransformation
    matcher: Matcher | None
    batch_sharding: jax.sharding.Sharding | None


def train_step(
    parts: Parts,
    state: LognormalGanState,
    real: Float[Array, "batch size size *bins"],
    theta: Float[Array, "batch parameters"],
) -> tuple[LognormalGanState, Metrics]:
    """Return the state after a step on real maps in network units, and its metrics; one bin has no axis.

    Maps are generated at the parameters of the batch's first ones.
    """
    own, model = parts.settings.of_kind, parts.model
    key = jax.random.fold_in(state.key, state.step)
    latent_key, choice_key = jax.random.split(key)
    cosmologies = model.cosmologies(state.base, theta)
    base = model.base_of(state.base, cosmologies)
    real = units(real, base)
    latents = latents_of(model, real.shape[1:3], latent_key, jnp.arange(own.fresh_maps))
    if parts.batch_sharding is not None:  # nothing else ties the generated maps' axis to the devices
        real, latents = jax.lax.with_sharding_constraint((real, latents), parts.batch_sharding)
    fresh = cosmologies.rows(slice(own.fresh_maps))
    fields = model.inputs(model.base_of(state.base, fresh), latents)
    fake, gen_pullback = jax.vjp(
        lambda params: model.generator.apply(params, fields, fresh.t), state.gen.params
    )
    rows = theta[: own.fresh_maps]
    fakes, of_fakes, state = _with_earlier(parts, state, (fake, fresh, rows), len(real), choice_key)
    disc_grads, judgement = _disc_gradients(parts, state, (real, cosmologies), (fakes, of_fakes))
    gen_loss, slope = jax.value_and_grad(lambda maps: _gen_loss(parts, state, maps, fresh, judgement.standard))(
        fake
    )
    running, base_after = state.running, state.base
    matching: Metrics = {}
    if parts.matcher is not None:
        rate = matching_rate(state.step, parts.settings)
        scale, seen = fresh.scale(state.scale), _seen(parts, state, fresh)
        slope, running, matching = parts.matcher.added(
            slope, fake, state.targets, running, scale, state.step, rate, seen, fresh.phi
        )
        base_after = _base_followed(parts, state, running)
    gen_grads = gen_pullback(slope)[0]

    gen = updated(parts.gen_optimizer, state.gen, gen_grads)
    step, decay = state.step + 1, parts.settings.ema_decay
    after = dataclasses.replace(
        state,
        step=step,
        base=base_after,
        gen=gen,
        disc=updated(parts.disc_optimizer, state.disc, disc_grads),
        standard=judgement.standard,
        running=running,
        ema=moved(state.ema, gen.params, step, decay) if decay > 0 else None,
    )
    return after, {
        "disc_loss": judgement.loss,
        "gen_loss": gen_loss,
        "disc_accuracy_real": jnp.mean(judgement.real_logits > 0),
        "disc_accuracy_fake": jnp.mean(judgement.fake_logits < 0),
        "disc_grad_norm": optax.tree.norm(disc_grads),
        "gen_grad_norm": optax.tree.norm(gen_grads),
        "r1": judgement.penalty,
        **matching,
    }


def _base_followed(
    parts: Parts, state: LognormalGanState, running: Float[Array, "*terms numbers"]
) -> Base | JointBase | ConditionalBase:
    """Return the base after the step, its fields moved towards the power that generated maps lack."""
    peak = parts.settings.of_kind.base_rate
    if parts.matcher is None or POWER not in parts.matcher.names or peak == 0:
        return state.base
    rate = learning_rate(peak, parts.settings)(state.step)
    size = state.replayed.shape[1]
    lacking = lacking_power(parts.matcher, size, state.scale, state.targets, running)
    return followed(state.base, lacking, rate)


def _seen(parts: Parts, state: LognormalGanState, cosmologies: Cosmologies) -> Callable[[Array], Array]:
    """Return what makes of maps of these cosmologies that which is judged: they, and bins as they are."""
    base = parts.model.base_of(state.base, cosmologies)
    return lambda maps: judged(maps, base)


class _Judgement(NamedTuple):
    """Loss and logits of D of a batch of real and generated maps; the loss is without the penalty."""

    loss: Float[Array, ""]
    penalty: Float[Array, ""]
    real_logits: Float[Array, " batch"]
    fake_logits: Float[Array, " batch"]
    standard: Standard


def _disc_gradients(
    parts: Parts,
    state: LognormalGanState,
    real_maps: tuple[Array, Cosmologies],
    fake_maps: tuple[Array, Cosmologies],
) -> tuple[Variables, _Judgement]:
    """Compute the gradients of D's loss and penalty with respect to its parameters."""
    own, disc = parts.settings.of_kind, parts.disc
    (real, of_real), (fake, of_fake) = real_maps, fake_maps
    both, of_both = jnp.concatenate([real, fake]), of_real.followed_by(of_fake)
    bands = of_both.scale(state.scale).whitened(spectral_numbers(both))
    seen, seen_of_real = _seen(parts, state, of_both)(both), _seen(parts, state, of_real)

    def objective(params):
        features = disc.pooled(params, seen)
        standard = _moved(state.standard, jax.lax.stop_gradient(features[: len(real)]), of_real, state.step)
        logits = disc.of_features(params, features, standard, of_both)
        logits += disc.of_bands(params, bands, of_both)
        real_logits, fake_logits = logits[: len(real)], logits[len(real) :]
        loss = jax.nn.softplus(-real_logits).mean() + jax.nn.softplus(fake_logits).mean()
        penalty = own.pixel_penalty * r1(
            lambda x: disc.of_pixels(params, seen_of_real(x), standard, of_real), real
        )
        penalty += own.band_penalty * r1(lambda b: disc.of_bands(params, b, of_real), bands[: len(real)])
        return loss + penalty, _Judgement(loss, penalty, real_logits, fake_logits, standard)

    return jax.grad(objective, has_aux=True)(state.disc.params)


def _gen_loss(
    parts: Parts, state: LognormalGanState, fake: Array, cosmologies: Cosmologies, standard: Standard
) -> Float[Array, ""]:
    """Return J(G) of its maps."""
    disc, params = parts.disc, state.disc.params
    bands = cosmologies.scale(state.scale).whitened(spectral_numbers(fake))
    logits = disc.of_pixels(params, _seen(parts, state, cosmologies)(fake), standard, cosmologies)
    logits += disc.of_bands(params, bands, cosmologies)
    return jax.nn.softplus(-logits).mean()


def _with_earlier(
    parts: Parts, state: LognormalGanState, fresh: tuple[Array, Cosmologies, Array], count: int, key: Array
) -> tuple[Array, Cosmologies, LognormalGanState]:
    """Fill a batch of `count` up with the last steps' maps; return the state that has this step's among these.

    Never turned, as real maps may be: D is to see where rows and columns of generated maps differ.

    Args:
      fresh: maps of this step, their cosmologies, and the parameters that these are of.
    """
    own, (fake, cosmologies, theta) = parts.settings.of_kind, fresh
    slot = (state.step % own.replayed_steps) * own.fresh_maps
    corner = (slot, *(0,) * (fake.ndim - 1))
    replayed, replayed_theta = jax.lax.dynamic_update_slice(state.replayed, fake, corner), None
    if state.replayed_theta is not None:
        replayed_theta = jax.lax.dynamic_update_slice(state.replayed_theta, theta, (slot, 0))
    state = dataclasses.replace(state, replayed=replayed, replayed_theta=replayed_theta)
    earlier = count - len(fake)
    if not earlier:
        return fake, cosmologies, state
    chosen = jax.random.randint(key, (earlier,), 0, len(replayed))
    if replayed_theta is not None:
        cosmologies = cosmologies.followed_by(parts.model.cosmologies(state.base, replayed_theta[chosen]))
    return jnp.concatenate([fake, replayed[chosen]]), cosmologies, state


def _moved(
    standard: Standard, features: Float[Array, "batch features"], cosmologies: Cosmologies, step: Array
) -> Standard:
    """Return the running mean and variance, moved towards those of a batch of real maps.

    Slopes of the mean follow what it errs by at the batch's cosmologies (least mean squares: the regressors are
    orthonormal, so that each slope learns by itself).
    """
    rate = jnp.maximum(_STANDARD_RATE, 1 / (step + 1.0))
    if standard.slopes is None or cosmologies.phi is None:
        mean = standard.mean + rate * (features.mean(0) - standard.mean)
        spread = ((features - mean) ** 2).mean(0)
        return Standard(mean, standard.variance + rate * (spread - standard.variance))
    off, phi = features - standard.expected(cosmologies.phi), cosmologies.phi[:, 1:]
    mean, slopes = standard.mean + rate * off.mean(0), standard.slopes + rate * phi.T @ off / len(off)
    moved_mean = Standard(mean, standard.variance, slopes)
    spread = ((features - moved_mean.expected(cosmologies.phi)) ** 2).mean(0)
    return moved_mean._replace(variance=standard.variance + rate * (spread - standard.variance))
