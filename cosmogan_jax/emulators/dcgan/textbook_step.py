"""The training step as a textbook writes it: two objectives, two gradients, two updates.

It is what `train_step.py` computes and costs more: every objective makes its own maps and passes of D, which
the fused step shares. It is there to be read, to be changed first, and to test the other against.
"""

import dataclasses

import jax
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


def make_textbook_step(
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
) -> Step:
    """Build the step of `make_train_step` from the gradients of both objectives.

    Raises:
      ValueError: as `make_train_step`.
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
        disc_key, gen_key = jax.random.split(term_key)

        def generate(params):
            return networks.gen.apply(params, state.gen.batch_stats, z, train=True)

        def judge(params, stats, maps):
            return networks.disc.apply(params, stats, maps, train=True)

        def disc_objective(params):
            """J(D), to be differentiated with respect to D's parameters."""
            fake, _ = generate(state.gen.params)
            real_logits, stats = judge(params, state.disc.batch_stats, real)
            fake_logits, stats = judge(params, stats, fake)
            adversarial = objective.discriminator(real_logits, fake_logits, flipped)
            as_judge = judge_of(networks, params, stats)
            penalty, terms = sum_of_terms(objective.disc_terms, as_judge, real, fake, disc_key)
            return adversarial + penalty, (adversarial, terms, real_logits, fake_logits, stats)

        def of_fakes(fake, disc_params, disc_stats):
            """J(G) of its maps."""
            fake_logits, moved_stats = judge(disc_params, disc_stats, fake)
            adversarial = objective.generator(fake_logits)
            as_judge = judge_of(networks, disc_params, disc_stats)
            penalty, terms = sum_of_terms(objective.gen_terms, as_judge, real, fake, gen_key)
            return adversarial + penalty, (adversarial, terms, moved_stats)

        def gen_objective(params, disc_params, disc_stats, towards):
            """J(G), to be differentiated with respect to G's parameters; towards: the slope of the matching."""
            fake, stats = generate(params)
            value, (adversarial, terms, moved_stats) = of_fakes(fake, disc_params, disc_stats)
            if towards is not None:
                value += (towards * fake).sum()
            return value, (adversarial, terms, stats, moved_stats)

        disc_grads, disc_found = jax.grad(disc_objective, has_aux=True)(state.disc.params)
        disc_loss, disc_terms, real_logits, fake_logits, disc_stats = disc_found
        disc = updated(optimizer, state.disc, disc_grads, batch_stats=disc_stats)
        meets = state.disc.params if update_order == "joint" else disc.params
        towards = None
        of_matching: Metrics = {}
        if matcher is not None:
            fake, _ = generate(state.gen.params)
            slope, _ = jax.grad(of_fakes, has_aux=True)(fake, meets, disc_stats)
            both, state, of_matching = with_matched(matcher, state, fake, slope)
            towards = both - slope
        gen_grads, gen_found = jax.grad(gen_objective, has_aux=True)(
            state.gen.params, meets, disc_stats, towards
        )
        gen_loss, gen_terms, gen_stats, moved_stats = gen_found
        gen = updated(optimizer, state.gen, gen_grads, batch_stats=gen_stats)
        if update_order == "sequential":
            disc = dataclasses.replace(disc, batch_stats=moved_stats)

        terms = disc_terms | gen_terms | of_matching
        metrics = metrics_of(disc_loss, gen_loss, real_logits, fake_logits, disc_grads, gen_grads, terms)
        return with_average(state, gen, disc, ema_decay), metrics

    return in_precision(networks, train_step)
