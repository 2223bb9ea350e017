"""One pure training step of the adversarial game.

`textbook_step.py` says the same in ten lines, at a greater cost; a test holds the two equal.
"""

import dataclasses

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array

from cosmogan_jax.emulators.dcgan.networks import Networks
from cosmogan_jax.emulators.dcgan.objective import Objective, sum_of_terms
from cosmogan_jax.emulators.dcgan.state import GanState
from cosmogan_jax.emulators.dcgan.step_parts import (
    Metrics,
    Step,
    UpdateOrder,
    checked_objective,
    draws_of_a_step,
    in_precision,
    judge_of,
    metrics_of,
    with_average,
    with_matched,
)
from cosmogan_jax.emulators.matching import Matcher
from cosmogan_jax.emulators.optimizing import updated


def make_train_step(
    networks: Networks,
    optimizer: optax.GradientTransformation,
    *,
    label_flip_probability: float,
    loss: str | Objective = "non_saturating",
    r1_penalty: float = 0.0,
    gradient_penalty: float = 10.0,
    update_order: UpdateOrder = "joint",
    ema_decay: float = 0.0,
    matcher: Matcher | None = None,
    batch_sharding: jax.sharding.Sharding | None = None,
) -> Step:
    """Build `train_step(state, real) -> (state, metrics)`; pure, to be jitted with the state donated.

    `real` holds maps in the units in which the networks see them. z and the label flip come from
    fold_in(state.key, state.step), and so does what the objective's terms draw.

    loss names one of `losses.LOSSES` ("non_saturating" is the paper's), with the weights of its penalties: see
    `objective.make_objective`; or it is an Objective, which holds its terms itself. Label flips are the paper's
    loss's alone. Each network is updated once a step whatever the loss; Gulrajani et al. (2017) update
    Wasserstein's D five times as often as G. Metrics: "disc_loss" and "gen_loss" are the losses' adversarial
    parts, each term ("r1", "gradient_penalty") stands beside them as it is added, its weight included;
    accuracies count logits on their side of 0, which means nothing to Wasserstein's.

    update_order="joint" is the authors' code, where one session.run updates both networks: from one z and
    one pass of D over the fakes come both losses, and both gradients are taken at the old parameters.
    update_order="sequential" updates D first and then G by a fresh pass of the updated D over the same
    fakes: G answers to the D it will next meet. It costs one more forward pass of D.

    Batch normalisation, a modelling choice made visible. Every pass normalises by its own batch: real and fake
    batches are never mixed. D's running averages move with the real batch and then with the fake one (in the
    sequential order once more, in the fresh pass), not with the passes of the objective's terms; G's move once
    a step, in the pass that makes the fakes. Sampling uses G's running averages; D's serve evaluation only.

    matcher adds its gradient with respect to the fake maps to that of J(G) (`emulators/matching.py`), and its
    metrics; the state must hold targets. Terms of G count as adversarial: the cap is a share of both.
    ema_decay > 0 moves state.ema after G's update, see `averaging.py`; nothing else reads it.
    batch_sharding divides the batch axis of z and of `real` among devices. All sums over the batch, those of
    batch norm too, are over the whole batch, and z is what it is on one device.

    Raises:
      ValueError: label_flip_probability outside [0, 1], or not 0 with another loss than the paper's; an unknown
        loss or update_order; a negative penalty; wasserstein without its penalty or with batch norm in D;
        ema_decay outside [0, 1), or (from train_step) positive and a state without an average.
    """
    objective = checked_objective(
        networks,
        loss=loss,
        r1_penalty=r1_penalty,
        gradient_penalty=gradient_penalty,
        label_flip_probability=label_flip_probability,
        update_order=update_order,
        ema_decay=ema_decay,
    )

    def train_step(state: GanState, real: Array) -> tuple[GanState, Metrics]:
        z, flipped, term_key = draws_of_a_step(state, real, networks.arch.latent_size, label_flip_probability)
        if batch_sharding is not None:  # nothing else ties the fake batch's axis to the devices
            real, z = jax.lax.with_sharding_constraint((real, z), batch_sharding)
        disc_key, gen_key = jax.random.split(term_key)

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

        disc_loss, (real_cotangent, fake_cotangent) = jax.value_and_grad(
            objective.discriminator, argnums=(0, 1)
        )(real_logits, fake_logits, flipped)
        disc_grads = jax.tree.map(jnp.add, real_pullback(real_cotangent)[0], fake_pullback(fake_cotangent)[0])
        terms = {}
        if objective.disc_terms:

            def disc_terms(params):
                judge = judge_of(networks, params, disc_stats)
                return sum_of_terms(objective.disc_terms, judge, real, fake, disc_key)

            term_grads, terms = jax.grad(disc_terms, has_aux=True)(state.disc.params)
            disc_grads = jax.tree.map(jnp.add, disc_grads, term_grads)
        disc = updated(optimizer, state.disc, disc_grads, batch_stats=disc_stats)

        if update_order == "joint":
            judge_params = state.disc.params
            gen_loss, cotangent = jax.value_and_grad(objective.generator)(fake_logits)
            map_cotangent = fake_pullback(cotangent)[1]
        else:
            judge_params = disc.params

            def judge_again(maps):
                return networks.disc.apply(disc.params, disc_stats, maps, train=True)

            fresh_logits, fresh_pullback, fresh_stats = jax.vjp(judge_again, fake, has_aux=True)
            gen_loss, cotangent = jax.value_and_grad(objective.generator)(fresh_logits)
            map_cotangent = fresh_pullback(cotangent)[0]
            disc = dataclasses.replace(disc, batch_stats=fresh_stats)
        if objective.gen_terms:
            judge = judge_of(networks, judge_params, disc_stats)

            def gen_terms(maps):
                return sum_of_terms(objective.gen_terms, judge, real, maps, gen_key)

            term_cotangent, more = jax.grad(gen_terms, has_aux=True)(fake)
            map_cotangent, terms = map_cotangent + term_cotangent, terms | more
        map_cotangent, state, of_matching = with_matched(matcher, state, fake, map_cotangent)
        terms = terms | of_matching
        gen_grads = gen_pullback(map_cotangent)[0]
        gen = updated(optimizer, state.gen, gen_grads, batch_stats=gen_stats)

        metrics = metrics_of(disc_loss, gen_loss, real_logits, fake_logits, disc_grads, gen_grads, terms)
        return with_average(state, gen, disc, ema_decay), metrics

    return in_precision(networks, train_step)
