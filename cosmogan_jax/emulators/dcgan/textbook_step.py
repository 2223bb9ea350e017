"""The training step as a textbook writes it: two objectives, two gradients, two updates.

It is what `train_step.py` computes and costs more: every objective makes its own maps and passes of D, which
the fused step shares. It is there to be read, to be changed first, and to test the other against.
"""

import dataclasses
import functools

import jax
import optax
from jaxtyping import Array

from cosmogan_jax.emulators.conditioning import Cosmologies
from cosmogan_jax.emulators.dcgan.networks import Networks
from cosmogan_jax.emulators.dcgan.objective import sum_of_terms
from cosmogan_jax.emulators.dcgan.state import GanState
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


def make_textbook_step(
    networks: Networks,
    optimizer: optax.GradientTransformation,
    settings: StepSettings,
    *,
    matcher: Matcher | None = None,
) -> Step:
    """Build the step of `make_train_step` from the gradients of both objectives.

    Raises:
      ValueError: as `make_train_step`.
    """
    parts = Parts(networks, optimizer, settings, settings.objective(networks.arch), matcher)
    return in_precision(networks, functools.partial(_textbook_step, parts))


def _textbook_step(
    parts: Parts, state: GanState, real: Array, cosmologies: Cosmologies
) -> tuple[GanState, Metrics]:
    networks, objective, t = parts.networks, parts.objective, cosmologies.t
    z, flipped, term_key = parts.draws(state, real)
    disc_key, gen_key = jax.random.split(term_key)

    def generate(params):
        return networks.gen.apply(params, state.gen.batch_stats, z, t, train=True)

    def disc_objective(params):
        """Return J(D), to be differentiated with respect to D's parameters."""
        fake, _ = generate(state.gen.params)
        real_logits, stats = networks.disc.apply(params, state.disc.batch_stats, real, t, train=True)
        fake_logits, stats = networks.disc.apply(params, stats, fake, t, train=True)
        adversarial = objective.discriminator(real_logits, fake_logits, flipped)
        judge = judge_of(networks, params, stats, t)
        penalty, terms = sum_of_terms(objective.disc_terms, judge, real, fake, disc_key)
        return adversarial + penalty, (adversarial, terms, real_logits, fake_logits, stats)

    disc_grads, of_disc = jax.grad(disc_objective, has_aux=True)(state.disc.params)
    disc_loss, disc_terms, real_logits, fake_logits, disc_stats = of_disc
    disc = updated(parts.optimizer, state.disc, disc_grads, batch_stats=disc_stats)
    opponent = state.disc.params if parts.settings.update_order == "joint" else disc.params

    def objective_of_maps(fake):
        """Return J(G) of its maps."""
        fake_logits, moved_stats = networks.disc.apply(opponent, disc_stats, fake, t, train=True)
        adversarial = objective.generator(fake_logits)
        judge = judge_of(networks, opponent, disc_stats, t)
        penalty, terms = sum_of_terms(objective.gen_terms, judge, real, fake, gen_key)
        return adversarial + penalty, (adversarial, terms, moved_stats)

    matched_slope: Array | None = None
    matching: Metrics = {}
    if parts.matcher is not None:
        fake, _ = generate(state.gen.params)
        slope, _ = jax.grad(objective_of_maps, has_aux=True)(fake)
        both, state, matching = with_matched(parts.matcher, state, fake, slope, cosmologies)
        matched_slope = both - slope

    def gen_objective(params):
        """Return J(G), to be differentiated with respect to G's parameters, with the matching's slope."""
        fake, stats = generate(params)
        value, of_maps = objective_of_maps(fake)
        if matched_slope is not None:
            value += (matched_slope * fake).sum()
        return value, (*of_maps, stats)

    gen_grads, of_gen = jax.grad(gen_objective, has_aux=True)(state.gen.params)
    gen_loss, gen_terms, moved_stats, gen_stats = of_gen
    gen = updated(parts.optimizer, state.gen, gen_grads, batch_stats=gen_stats)
    if parts.settings.update_order == "sequential":
        disc = dataclasses.replace(disc, batch_stats=moved_stats)

    terms = disc_terms | gen_terms | matching
    metrics = metrics_of(disc_loss, gen_loss, real_logits, fake_logits, disc_grads, gen_grads, terms)
    return with_average(state, gen, disc, parts.settings.ema_decay), metrics
