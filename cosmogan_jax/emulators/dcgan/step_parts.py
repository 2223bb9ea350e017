"""Parts of a step beside its gradients, the same for both ways of writing it."""

import dataclasses
from collections.abc import Callable
from typing import Literal, NamedTuple, Protocol

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float

from cosmogan_jax.emulators.conditioning import ONE, Cosmologies
from cosmogan_jax.emulators.dcgan.architecture import Architecture
from cosmogan_jax.emulators.dcgan.averaging import averaged
from cosmogan_jax.emulators.dcgan.networks import Networks, Variables
from cosmogan_jax.emulators.dcgan.objective import Objective, make_objective
from cosmogan_jax.emulators.dcgan.penalties import Judge
from cosmogan_jax.emulators.dcgan.state import GanState, MatchingState, NetState
from cosmogan_jax.emulators.interface import Metrics
from cosmogan_jax.emulators.matching import Matcher
from cosmogan_jax.settings import Train

UpdateOrder = Literal["joint", "sequential"]


class Step(Protocol):
    """A step on real maps, and what they are conditioned on: by default on nothing."""

    def __call__(
        self, state: GanState, real: Float[Array, "batch size size *bins"], cosmologies: Cosmologies = ONE, /
    ) -> tuple[GanState, Metrics]:
        """Return the state after it, and its metrics."""
        ...


@dataclasses.dataclass(frozen=True)
class StepSettings:
    """Choices of a step: what it minimises, and in which order.

    Attributes:
      label_flip_probability: that a batch changes its labels, real and fake together; the paper's loss alone.
      loss: one of `losses.LOSSES` ("non_saturating" is the paper's), with the weights of its penalties: see
        `objective.make_objective`; or an Objective, which holds its terms itself. Each network is updated once
        a step whatever the loss; Gulrajani et al. (2017) update Wasserstein's D five times as often as G.
      r1_penalty, gradient_penalty: weights, as in `objective.make_objective`.
      update_order: "joint" is the authors' code, where one session.run updates both networks: from one z and
        one pass of D over the fakes come both losses, and both gradients are taken at the old parameters.
        "sequential" updates D first and then G by a fresh pass of the updated D over the same fakes: G answers
        to the D it will next meet. It costs one more forward pass of D.
      ema_decay: above 0 state.ema moves after G's update, see `averaging.py`; nothing else reads it.
    """

    label_flip_probability: float
    loss: str | Objective = "non_saturating"
    r1_penalty: float = 0.0
    gradient_penalty: float = 10.0
    update_order: UpdateOrder = "joint"
    ema_decay: float = 0.0

    @classmethod
    def of_training(cls, settings: Train) -> "StepSettings":
        """Read them from the settings of a training of this kind."""
        own = settings.of_kind
        return cls(
            own.label_flip_probability,
            own.loss,
            own.r1_penalty,
            own.gradient_penalty,
            own.update_order,
            settings.ema_decay,
        )

    def objective(self, arch: Architecture) -> Objective:
        """Check the settings and return the objective.

        Raises:
          ValueError: label_flip_probability outside [0, 1], or not 0 with another loss than the paper's; an
            unknown update_order; ema_decay outside [0, 1); as `objective.make_objective`.
        """
        flips = self.label_flip_probability
        if not 0.0 <= flips <= 1.0:
            raise ValueError(f"label_flip_probability={flips} must lie in [0, 1]")
        if not 0.0 <= self.ema_decay < 1.0:
            raise ValueError(f"ema_decay={self.ema_decay} must lie in [0, 1)")
        if self.update_order not in ("joint", "sequential"):
            raise ValueError(f"update_order={self.update_order!r} must be 'joint' or 'sequential'")
        objective = self.loss
        if isinstance(objective, str):
            weights = {"r1_penalty": self.r1_penalty, "gradient_penalty": self.gradient_penalty}
            objective = make_objective(arch, objective, **weights)
        if flips > 0 and not objective.loss.flips_labels:
            raise ValueError(f"label_flip_probability={flips} must be 0 with a loss other than non_saturating")
        return objective


@dataclasses.dataclass(frozen=True)
class Parts:
    """All that a step is made of but its state."""

    networks: Networks
    optimizer: optax.GradientTransformation
    settings: StepSettings
    objective: Objective
    matcher: Matcher | None = None
    batch_sharding: jax.sharding.Sharding | None = None

    def draws(self, state: GanState, real: Float[Array, "batch size size *bins"]) -> "Draws":
        """Draw what is random in the step from this state."""
        return draws_of_a_step(
            state, real, self.networks.arch.latent_size, self.settings.label_flip_probability
        )


class Draws(NamedTuple):
    """The randomness of one step."""

    z: Float[Array, "batch latent"]
    flipped: Float[Array, ""]  # 1 where the batch changes its labels, 0 elsewhere
    term_key: Array


def draws_of_a_step(
    state: GanState,
    real: Float[Array, "batch size size *bins"],
    latent_size: int,
    label_flip_probability: float,
) -> Draws:
    """Draw z, the label flip and the key of the objective's terms from fold_in(state.key, state.step)."""
    key = jax.random.fold_in(state.key, state.step)
    z_key, flip_key = jax.random.split(key)
    z = jax.random.normal(z_key, (real.shape[0], latent_size), real.dtype)
    flipped = jax.random.bernoulli(flip_key, jnp.float32(label_flip_probability)).astype(real.dtype)
    return Draws(z, flipped, jax.random.fold_in(key, 2))  # split's two keys are fold_in's 0 and 1


def with_matched(
    matcher: Matcher | None, state: GanState, fake: Array, slope: Array, cosmologies: Cosmologies
) -> tuple[Array, GanState, Metrics]:
    """Add the gradient of what is matched to J(G)'s with respect to the fake maps; the state after; metrics.

    In float32 products: what is matched are means of thousands of modes, whatever the networks round to.

    Raises:
      ValueError: something is matched, and the state holds no targets.
    """
    if matcher is None:
        return slope, state, {}
    if not isinstance(state, MatchingState) or state.matched is None:
        raise ValueError("something is to be matched, but the state holds no targets")
    matched = state.matched
    with jax.default_matmul_precision("float32"):
        slope, running, metrics = matcher.added(
            slope,
            fake,
            matched.targets,
            matched.running,
            cosmologies.scale(matched.scale),
            state.step,
            units=matched.units,
            phi=cosmologies.phi,
        )
    return slope, dataclasses.replace(state, matched=matched._replace(running=running)), metrics


def judge_of(
    networks: Networks,
    params: Variables,
    batch_stats: Variables,
    t: Float[Array, "batch parameters"] | None = None,
) -> Judge:
    """Return D in training mode as a function of maps alone, at parameters t, for the objective's terms."""
    return lambda maps: networks.disc.apply(params, batch_stats, maps, t, train=True)[0]


def with_average(state: GanState, gen: NetState, disc: NetState, ema_decay: float) -> GanState:
    """Return the state after a step that left these networks, its moving average moved.

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


def in_precision(
    networks: Networks, step: Callable[[GanState, Array, Cosmologies], tuple[GanState, Metrics]]
) -> Step:
    """Return the step with its float32 products as the architecture says.

    Gradients of the convolutions are traced in it, outside of the networks' own calls.
    """

    def precise(state: GanState, real: Array, cosmologies: Cosmologies = ONE, /) -> tuple[GanState, Metrics]:
        with jax.default_matmul_precision(networks.arch.matmul_precision):
            return step(state, real, cosmologies)

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
    """Return the metrics of a step: adversarial losses, D's guesses, the gradients' norms, and each term."""
    return {
        "disc_loss": disc_loss,
        "gen_loss": gen_loss,
        "disc_accuracy_real": jnp.mean(real_logits > 0),
        "disc_accuracy_fake": jnp.mean(fake_logits < 0),
        "disc_grad_norm": optax.tree.norm(disc_grads),
        "gen_grad_norm": optax.tree.norm(gen_grads),
        **terms,
    }
