"""One pure training step of a lognormal GAN.

Both networks are updated once, from gradients at the old parameters. D sees a batch of real maps and as many
generated ones, of which `fresh_maps` are this step's and the others of the last steps: G cannot cycle through
what D has forgotten. D minimises softplus(-D(real)) + softplus(D(fake)), with R1 on the pixels and on the
bands; G minimises softplus(-D(fake)) (Goodfellow et al. 2014), and follows what is matched (`matching.py`).
"""

import dataclasses

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float

from cosmogan_jax.emulators.bands import log_band_power
from cosmogan_jax.emulators.interface import Metrics
from cosmogan_jax.emulators.lognormal_gan.discriminator import Discriminator, Standard
from cosmogan_jax.emulators.lognormal_gan.fields import inputs
from cosmogan_jax.emulators.lognormal_gan.model import LognormalGan, units
from cosmogan_jax.emulators.lognormal_gan.schedule import matching_rate
from cosmogan_jax.emulators.lognormal_gan.state import LognormalGanState
from cosmogan_jax.emulators.matching import Matcher
from cosmogan_jax.emulators.moving_average import moved
from cosmogan_jax.emulators.optimizing import updated
from cosmogan_jax.emulators.slopes import r1
from cosmogan_jax.settings import Train

_STANDARD_RATE = 0.03  # of the running mean and variance of D's pooled features


@dataclasses.dataclass(frozen=True)
class Parts:
    """All that a step is made of but its state."""

    model: LognormalGan
    disc: Discriminator
    settings: Train
    gen_optimizer: optax.GradientTransformation
    disc_optimizer: optax.GradientTransformation
    matcher: Matcher | None
    batch_sharding: jax.sharding.Sharding | None


def train_step(
    parts: Parts, state: LognormalGanState, real: Float[Array, "batch size size"]
) -> tuple[LognormalGanState, Metrics]:
    """The state after a step on real maps in network units, and its metrics."""
    own, disc = parts.settings.of_kind, parts.disc
    key = jax.random.fold_in(state.key, state.step)
    latent_key, choice_key = jax.random.split(key)
    real = units(real, state.base)

    numbers = jnp.arange(own.fresh_maps)
    latents = jax.vmap(lambda n: parts.model.latent(jax.random.fold_in(latent_key, n), real.shape[-1]))(numbers)
    if parts.batch_sharding is not None:  # nothing else ties the generated maps' axis to the devices
        real, latents = jax.lax.with_sharding_constraint((real, latents), parts.batch_sharding)
    given = inputs(state.base, latents, scales=parts.model.scales)
    fake, to_generator = jax.vjp(lambda params: parts.model.generator.apply(params, given), state.gen.params)
    slot = (state.step % own.replayed_steps) * own.fresh_maps
    replayed = jax.lax.dynamic_update_slice(state.replayed, fake, (slot, 0, 0))
    # Never turned, as real maps may be: D is to see where rows and columns of generated maps differ.
    seen = _with_earlier(fake, replayed, len(real), choice_key)

    both = jnp.concatenate([real, seen])
    bands = state.scale.whitened(log_band_power(both))

    def disc_loss(params):
        features = disc.pooled(params, both)
        standard = _moved(state.standard, jax.lax.stop_gradient(features[: len(real)]), state.step)
        logits = disc.of_features(params, features, standard) + disc.of_bands(params, bands)
        on_real, on_seen = logits[: len(real)], logits[len(real) :]
        loss = jax.nn.softplus(-on_real).mean() + jax.nn.softplus(on_seen).mean()
        penalty = own.pixel_penalty * r1(lambda x: disc.of_pixels(params, x, standard), real)
        penalty += own.band_penalty * r1(lambda b: disc.of_bands(params, b), bands[: len(real)])
        return loss + penalty, (loss, penalty, on_real, on_seen, standard)

    disc_grads, of_maps = jax.grad(disc_loss, has_aux=True)(state.disc.params)
    of_disc, penalty, on_real, on_seen, standard = of_maps

    def gen_loss(maps):
        bands = state.scale.whitened(log_band_power(maps))
        logits = disc.of_pixels(state.disc.params, maps, standard) + disc.of_bands(state.disc.params, bands)
        return jax.nn.softplus(-logits).mean()

    of_gen, slope = jax.value_and_grad(gen_loss)(fake)
    running = state.running
    matching: Metrics = {}
    if parts.matcher is not None:
        slope, running, matching = parts.matcher.added(
            slope,
            fake,
            state.targets,
            running,
            state.scale,
            state.step,
            matching_rate(state.step, parts.settings),
        )
    gen_grads = to_generator(slope)[0]

    gen = updated(parts.gen_optimizer, state.gen, gen_grads)
    step, decay = state.step + 1, parts.settings.ema_decay
    after = dataclasses.replace(
        state,
        step=step,
        gen=gen,
        disc=updated(parts.disc_optimizer, state.disc, disc_grads),
        standard=standard,
        running=running,
        replayed=replayed,
        ema=moved(state.ema, gen.params, step, decay) if decay > 0 else None,
    )
    return after, {
        "disc_loss": of_disc,
        "gen_loss": of_gen,
        "disc_accuracy_real": jnp.mean(on_real > 0),
        "disc_accuracy_fake": jnp.mean(on_seen < 0),
        "disc_grad_norm": optax.tree.norm(disc_grads),
        "gen_grad_norm": optax.tree.norm(gen_grads),
        "r1": penalty,
        **matching,
    }


def _with_earlier(fake: Array, replayed: Array, count: int, key: Array) -> Array:
    """This step's maps, and as many of the last steps' as make up a batch of `count`."""
    earlier = count - len(fake)
    if not earlier:
        return fake
    chosen = jax.random.randint(key, (earlier,), 0, len(replayed))
    return jnp.concatenate([fake, replayed[chosen]])


def _moved(standard: Standard, features: Float[Array, "batch features"], step: Array) -> Standard:
    rate = jnp.maximum(_STANDARD_RATE, 1 / (step + 1.0))
    mean = standard.mean + rate * (features.mean(0) - standard.mean)
    spread = ((features - mean) ** 2).mean(0)
    return Standard(mean, standard.variance + rate * (spread - standard.variance))
