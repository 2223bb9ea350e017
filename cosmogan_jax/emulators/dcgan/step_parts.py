"""What a step is made of beside its gradients, the same for both ways of writing it."""

import dataclasses
from collections.abc import Callable
from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float

from cosmogan_jax.emulators.dcgan.averaging import averaged
from cosmogan_jax.emulators.dcgan.networks import Networks, Variables
from cosmogan_jax.emulators.dcgan.objective import Objective, make_objective
from cosmogan_jax.emulators.dcgan.penalties import Judge
from cosmogan_jax.emulators.dcgan.state import GanState, MatchingState, NetState
from cosmogan_jax.emulators.matching import Matcher

UpdateOrder = Literal["joint", "sequential"]
Metrics = dict[str, Float[Array, ""]]
Step = Callable[[GanState, Float[Array, "batch size size"]], tuple[GanState, Metrics]]


class Draws(NamedTuple):
    """The randomness of one step."""

    z: Float[Array, "batch latent"]
    flipped: Float[Array, ""]  # 1 where the batch changes its labels, 0 elsewhere
    term_key: Array


def draws_of_a_step(
    state: GanState, real: Float[Array, "batch size size"], latent_size: int, label_flip_probability: float
) -> Draws:
    """Draw z, the label flip and the key of the objective's terms from fold_in(state.key, state.step)."""
    key = jax.random.fold_in(state.key, state.step)
    z_key, flip_key = jax.random.split(key)
    z = jax.random.normal(z_key, (real.shape[0], latent_size), real.dtype)
    flipped = jax.random.bernoulli(flip_key, jnp.float32(label_flip_probability)).astype(real.dtype)
    return Draws(z, flipped, jax.random.fold_in(key, 2))  # split's two keys are fold_in's 0 and 1


def checked_objective(
    networks: Networks,
    *,
    loss: str | Objective,
    r1_penalty: float,
    gradient_penalty: float,
    label_flip_probability: float,
    update_order: str,
    ema_decay: float,
) -> Objective:
    """Check a step's choices and return its objective.

    Raises:
      ValueError: as `make_train_step`.
    """
    if not 0.0 <= label_flip_probability <= 1.0:
        raise ValueError(f"label_flip_probability={label_flip_probability} must lie in [0, 1]")
    if not 0.0 <= ema_decay < 1.0:
        raise ValueError(f"ema_decay={ema_decay} must lie in [0, 1)")
    if update_order not in ("joint", "sequential"):
        raise ValueError(f"update_order={update_order!r} must be 'joint' or 'sequential'")
    objective = loss
    if isinstance(objective, str):
        objective = make_objective(
            networks.arch, objective, r1_penalty=r1_penalty, gradient_penalty=gradient_penalty
        )
    if label_flip_probability > 0 and not objective.loss.flips_labels:
        raise ValueError(
            f"label_flip_probability={label_flip_probability} must be 0 with a loss other than non_saturating"
        )
    return objective


def with_matched(
    matcher: Matcher | None, state: GanState, fake: Array, map_cotangent: Array
) -> tuple[Array, GanState, Metrics]:
    """J(G)'s gradient with respect to the fake maps, with that of what is matched; the state after; metrics.

    In float32 products: what is matched are means of thousands of modes, whatever the networks round to.

    Raises:
      ValueError: something is matched, and the state holds no targets.
    """
    if matcher is None:
        return map_cotangent, state, {}
    if not isinstance(state, MatchingState) or state.matched is None:
        raise ValueError("something is to be matched, but the state holds no targets")
    of = state.matched
    with jax.default_matmul_precision("float32"):
        map_cotangent, running, metrics = matcher.added(
            map_cotangent, fake, of.targets, of.running, of.scale, state.step, units=of.units
        )
    return map_cotangent, dataclasses.replace(state, matched=of._replace(running=running)), metrics


def judge_of(networks: Networks, params: Variables, batch_stats: Variables) -> Judge:
    """D in training mode as a function of maps alone, for the objective's terms."""
    return lambda maps: networks.disc.apply(params, batch_stats, maps, train=True)[0]


def with_average(state: GanState, gen: NetState, disc: NetState, ema_decay: float) -> GanState:
    """The state after a step that left these networks, its moving average moved.

    Raises:
      ValueError: ema_decay > 0 and a state without an average.
    """
    if ema_decay > 0 and state.ema is None:
        raise ValueError(f"ema_decay={ema_decay}, but the state holds no average")
    step = state.step + 1
    ema = state.ema
    if ema is not None and ema_decay > 0:
        ema = averaged(ema, gen, step, ema_decay)
    return dataclasses.replace(state, step=step, gen=gen, disc=disc, ema=ema)


def in_precision(networks: Networks, step: Step) -> Step:
    """The step with its float32 products as the architecture says.

    Gradients of the convolutions are traced in it, outside of the networks' own calls.
    """

    def precise(state: GanState, real: Array) -> tuple[GanState, Metrics]:
        with jax.default_matmul_precision(networks.arch.matmul_precision):
            return step(state, real)

    return precise


def metrics_of(
    disc_loss: Array,
    gen_loss: Array,
    real_logits: Array,
    fake_logits: Array,
    disc_grads,
    gen_grads,
    terms: Metrics,
) -> Metrics:
    """The metrics of a step: adversarial losses, D's guesses, the gradients' norms, and each term."""
    return {
        "disc_loss": disc_loss,
        "gen_loss": gen_loss,
        "disc_accuracy_real": jnp.mean(real_logits > 0),
        "disc_accuracy_fake": jnp.mean(fake_logits < 0),
        "disc_grad_norm": optax.tree.norm(disc_grads),
        "gen_grad_norm": optax.tree.norm(gen_grads),
        **terms,
    }
