"""One pure training step of the adversarial game.

`textbook_step.py` computes the same from two plain gradients, at a greater cost; a test holds the two equal.

Batch normalisation, a modelling choice made visible: every pass normalises by its own batch, and real and fake
batches are never mixed. D's running averages move with the real batch and then with the fake one (in the
sequential order once more, in the fresh pass), not with the passes of the objective's terms; G's move once a
step, in the pass that makes the fakes. Sampling uses G's running averages; D's serve evaluation only.
"""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float

from cosmogan_jax.emulators.conditioning import Cosmologies
from cosmogan_jax.emulators.dcgan.networks import Network, Networks, Variables
from cosmogan_jax.emulators.dcgan.objective import Objective, sum_of_terms
from cosmogan_jax.emulators.dcgan.state import GanState, NetState
from cosmogan_jax.emulators.dcgan.step_parts import (
    Parts,
    Step,
    StepSettings,
    in_precision,
    judge_of,
    metrics_of,
    with_average,
    with_matched,
)
from cosmogan_jax.emulators.interface import Metrics
from cosmogan_jax.emulators.matching import Matcher
from cosmogan_jax.emulators.optimizing import updated

Pullback = Callable[[Array], tuple[Any, ...]]  # from a gradient of an output to those of what it is made of


def make_train_step(
    networks: Networks,
    optimizer: optax.GradientTransformation,
    settings: StepSettings,
    *,
    matcher: Matcher | None = None,
    batch_sharding: jax.sharding.Sharding | None = None,
) -> Step:
    """Build `train_step(state, real, cosmologies) -> (state, metrics)`; pure, to be jitted, the state donated.

    `real` holds maps in the units in which the networks see them, `cosmologies` what they are conditioned on,
    by default nothing: fake n is made at that of real map n, and D judges both at it. z and the label flip come
    from fold_in(state.key, state.step), and so does what the objective's terms draw.

    Metrics: "disc_loss" and "gen_loss" are the losses' adversarial parts; each term ("r1", "gradient_penalty")
    stands beside them as it is added, its weight included. Accuracies count logits on their side of 0, which
    means nothing to Wasserstein's.

    Args:
      matcher: adds its gradient with respect to the fake maps to that of J(G) (`emulators/matching.py`), and
        its metrics; the state must hold targets. Terms of G count as adversarial: the cap is a share of both.
      batch_sharding: divides the batch axis of z and of `real` among devices. All sums over the batch, those
        of batch norm too, are over the whole batch, and z is what it is on one device.

    Raises:
      ValueError: as `StepSettings.objective`; from train_step: an average or targets are wanted, and the state
        holds none.
    """
    objective = settings.objective(networks.arch)
    parts = Parts(networks, optimizer, settings, objective, matcher, batch_sharding)
    return in_precision(networks, functools.partial(_train_step, parts))


def _train_step(
    parts: Parts, state: GanState, real: Array, cosmologies: Cosmologies
) -> tuple[GanState, Metrics]:
    networks, objective, t = parts.networks, parts.objective, cosmologies.t
    z, flipped, term_key = parts.draws(state, real)
    if parts.batch_sharding is not None:  # nothing else ties the fake batch's axis to the devices
        real, z, t = jax.lax.with_sharding_constraint((real, z, t), parts.batch_sharding)
    disc_key, gen_key = jax.random.split(term_key)

    def generate(params):
        return networks.gen.apply(params, state.gen.batch_stats, z, t, train=True)

    fake, gen_pullback, gen_stats = jax.vjp(generate, state.gen.params, has_aux=True)
    passes = _judged(networks.disc, state.disc, real, fake, t)
    disc_stats = passes.batch_stats

    def disc_terms(params):
        judge = judge_of(networks, params, disc_stats, t)
        return sum_of_terms(objective.disc_terms, judge, real, fake, disc_key)

    disc_loss, disc_grads = _disc_gradients(objective, passes, flipped)
    disc_grads, terms_of_disc = _with_terms(objective.disc_terms, disc_terms, disc_grads, state.disc.params)
    disc = updated(parts.optimizer, state.disc, disc_grads, batch_stats=disc_stats)

    if parts.settings.update_order == "joint":
        opponent, fake_logits, fake_pullback = state.disc.params, passes.fake_logits, passes.fake_pullback
    else:
        opponent = disc.params

        def judge_again(maps):
            return networks.disc.apply(opponent, disc_stats, maps, t, train=True)

        fake_logits, fake_pullback, fresh_stats = jax.vjp(judge_again, fake, has_aux=True)
        disc = dataclasses.replace(disc, batch_stats=fresh_stats)

    def gen_terms(maps):
        judge = judge_of(networks, opponent, disc_stats, t)
        return sum_of_terms(objective.gen_terms, judge, real, maps, gen_key)

    gen_loss, cotangent = jax.value_and_grad(objective.generator)(fake_logits)
    slope = fake_pullback(cotangent)[-1]
    slope, terms_of_gen = _with_terms(objective.gen_terms, gen_terms, slope, fake)
    slope, state, matching = with_matched(parts.matcher, state, fake, slope, cosmologies)
    gen_grads = gen_pullback(slope)[0]
    gen = updated(parts.optimizer, state.gen, gen_grads, batch_stats=gen_stats)

    logits = passes.real_logits, passes.fake_logits
    terms = terms_of_disc | terms_of_gen | matching
    metrics = metrics_of(disc_loss, gen_loss, *logits, disc_grads, gen_grads, terms)
    return with_average(state, gen, disc, parts.settings.ema_decay), metrics


class _Passes(NamedTuple):
    """D's passes over the real maps and then over the fake ones.

    That over the fakes is one pass, pulled back twice: to D's parameters by D's loss, to the maps by G's. What
    each pullback does not need (the gradient to the maps, to the parameters) is dead code to the compiler.
    """

    real_logits: Float[Array, " batch"]
    real_pullback: Pullback  # to D's parameters
    fake_logits: Float[Array, " batch"]
    fake_pullback: Pullback  # to D's parameters and the maps
    batch_stats: Variables


def _judged(disc: Network, net: NetState, real: Array, fake: Array, t: Array | None) -> _Passes:
    def judge_real(params):
        return disc.apply(params, net.batch_stats, real, t, train=True)

    real_logits, real_pullback, real_stats = jax.vjp(judge_real, net.params, has_aux=True)

    def judge_fake(params, maps):
        return disc.apply(params, real_stats, maps, t, train=True)

    fake_logits, fake_pullback, batch_stats = jax.vjp(judge_fake, net.params, fake, has_aux=True)
    return _Passes(real_logits, real_pullback, fake_logits, fake_pullback, batch_stats)


def _disc_gradients(objective: Objective, passes: _Passes, flipped: Array) -> tuple[Array, Variables]:
    """Compute the adversarial part of J(D), and its gradient with respect to D's parameters."""
    loss, (of_real, of_fake) = jax.value_and_grad(objective.discriminator, argnums=(0, 1))(
        passes.real_logits, passes.fake_logits, flipped
    )
    return loss, jax.tree.map(jnp.add, passes.real_pullback(of_real)[0], passes.fake_pullback(of_fake)[0])


def _with_terms(terms, sum_at: Callable[[Any], Any], gradient: Any, at: Any) -> tuple[Any, Metrics]:
    """Add the gradient of an objective's terms, whose sum is `sum_at`, to another; return it and each term."""
    if not terms:
        return gradient, {}
    more, values = jax.grad(sum_at, has_aux=True)(at)
    return jax.tree.map(jnp.add, gradient, more), values
