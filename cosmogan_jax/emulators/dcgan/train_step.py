"""One pure training step of the adversarial game."""

import dataclasses
from collections.abc import Callable
from typing import Literal

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float

from cosmogan_jax.emulators.dcgan.averaging import averaged
from cosmogan_jax.emulators.dcgan.losses import discriminator_loss, generator_loss
from cosmogan_jax.emulators.dcgan.networks import Networks
from cosmogan_jax.emulators.dcgan.state import GanState, NetState

UpdateOrder = Literal["joint", "sequential"]
Metrics = dict[str, Float[Array, ""]]
TrainStep = Callable[[GanState, Float[Array, "batch size size"]], tuple[GanState, Metrics]]


def make_train_step(
    networks: Networks,
    optimizer: optax.GradientTransformation,
    *,
    label_flip_probability: float,
    update_order: UpdateOrder = "joint",
    ema_decay: float = 0.0,
    batch_sharding: jax.sharding.Sharding | None = None,
) -> TrainStep:
    """Build `train_step(state, real) -> (state, metrics)`; pure, to be jitted with the state donated.

    `real` holds maps in the units in which the networks see them. z and the label flip come from
    fold_in(state.key, state.step).

    update_order="joint" is the authors' code, where one session.run updates both networks: from one z and
    one pass of D over the fakes come both losses, and both gradients are taken at the old parameters.
    update_order="sequential" updates D first and then G by a fresh pass of the updated D over the same
    fakes: G answers to the D it will next meet. It costs one more forward pass of D.

    Batch normalisation, a modelling choice made visible. Every pass normalises by its own batch: real and
    fake batches are never mixed. D's running averages move with the real batch and then with the fake one
    (in the sequential order once more, in the fresh pass); G's move once a step, in the pass that makes
    the fakes. Sampling uses G's running averages; D's serve evaluation only.

    ema_decay > 0 moves state.ema after G's update, see `averaging.py`; nothing else reads it.
    batch_sharding divides the batch axis of z and of `real` among devices. All sums over the batch, those of
    batch norm too, are over the whole batch, and z is what it is on one device.

    Raises:
      ValueError: label_flip_probability outside [0, 1], ema_decay outside [0, 1), an unknown update_order, or
        (from train_step) ema_decay > 0 and a state without an average.
    """
    if not 0.0 <= label_flip_probability <= 1.0:
        raise ValueError(f"label_flip_probability={label_flip_probability} must lie in [0, 1]")
    if not 0.0 <= ema_decay < 1.0:
        raise ValueError(f"ema_decay={ema_decay} must lie in [0, 1)")
    if update_order not in ("joint", "sequential"):
        raise ValueError(f"update_order={update_order!r} must be 'joint' or 'sequential'")

    def train_step(state: GanState, real: Array) -> tuple[GanState, Metrics]:
        if ema_decay > 0 and state.ema is None:
            raise ValueError(f"ema_decay={ema_decay}, but the state holds no average")
        z_key, flip_key = jax.random.split(jax.random.fold_in(state.key, state.step))
        z = jax.random.normal(z_key, (real.shape[0], networks.arch.latent_size), real.dtype)
        if batch_sharding is not None:  # nothing else ties the fake batch's axis to the devices
            real, z = jax.lax.with_sharding_constraint((real, z), batch_sharding)
        flipped = jax.random.bernoulli(flip_key, label_flip_probability).astype(real.dtype)

        def generate(params):
            return networks.gen.apply(params, state.gen.batch_stats, z, train=True)

        fake, gen_pullback, gen_stats = jax.vjp(generate, state.gen.params, has_aux=True)

        def judge_real(params):
            return networks.disc.apply(params, state.disc.batch_stats, real, train=True)

        real_logits, real_pullback, real_stats = jax.vjp(judge_real, state.disc.params, has_aux=True)

        def judge_fake(params, maps):
            return networks.disc.apply(params, real_stats, maps, train=True)

        # One forward pass, pulled back twice: once to D's parameters by D's loss, once to the fake maps
        # by G's. What each pullback does not need (the gradient to the maps, to the parameters) is dead
        # code to the compiler.
        fake_logits, fake_pullback, disc_stats = jax.vjp(judge_fake, state.disc.params, fake, has_aux=True)

        disc_loss, (real_cotangent, fake_cotangent) = jax.value_and_grad(discriminator_loss, argnums=(0, 1))(
            real_logits, fake_logits, flipped
        )
        disc_grads = jax.tree.map(jnp.add, real_pullback(real_cotangent)[0], fake_pullback(fake_cotangent)[0])
        disc = _update(optimizer, state.disc, disc_grads, disc_stats)

        if update_order == "joint":
            gen_loss, cotangent = jax.value_and_grad(generator_loss)(fake_logits)
            map_cotangent = fake_pullback(cotangent)[1]
        else:

            def judge_again(maps):
                return networks.disc.apply(disc.params, disc_stats, maps, train=True)

            fresh_logits, fresh_pullback, fresh_stats = jax.vjp(judge_again, fake, has_aux=True)
            gen_loss, cotangent = jax.value_and_grad(generator_loss)(fresh_logits)
            map_cotangent = fresh_pullback(cotangent)[0]
            disc = dataclasses.replace(disc, batch_stats=fresh_stats)
        gen_grads = gen_pullback(map_cotangent)[0]
        gen = _update(optimizer, state.gen, gen_grads, gen_stats)

        metrics = {
            "disc_loss": disc_loss,
            "gen_loss": gen_loss,
            "disc_accuracy_real": jnp.mean(real_logits > 0),
            "disc_accuracy_fake": jnp.mean(fake_logits < 0),
            "disc_grad_norm": optax.tree.norm(disc_grads),
            "gen_grad_norm": optax.tree.norm(gen_grads),
        }
        step = state.step + 1
        ema = state.ema
        if ema is not None and ema_decay > 0:
            ema = averaged(ema, gen, step, ema_decay)
        return GanState(step=step, key=state.key, gen=gen, disc=disc, ema=ema), metrics

    def in_precision(state, real):
        # Gradients of the convolutions are traced here, outside of the networks' own calls.
        with jax.default_matmul_precision(networks.arch.matmul_precision):
            return train_step(state, real)

    return in_precision


def _update(optimizer, net: NetState, grads, batch_stats) -> NetState:
    updates, opt_state = optimizer.update(grads, net.opt_state, net.params)
    return NetState(optax.apply_updates(net.params, updates), batch_stats, opt_state)
