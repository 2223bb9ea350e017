"""The objectives of both networks: an adversarial loss of logits, and terms that see the networks."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

import jax
from jaxtyping import Array, Float

from cosmogan_jax.emulators.dcgan.architecture import Architecture
from cosmogan_jax.emulators.dcgan.losses import LOSSES, Loss
from cosmogan_jax.emulators.dcgan.penalties import Judge, Term, weighted_gradient_penalty, weighted_r1


class Objective(NamedTuple):
    """J(D) and J(G): the loss of the logits plus the sum of each network's terms.

    A new term is one function (`penalties.Term`) under the name of its metric; no step knows what terms there
    are.
    """

    loss: Loss
    disc_terms: Mapping[str, Term] = MappingProxyType({})
    gen_terms: Mapping[str, Term] = MappingProxyType({})

    def discriminator(self, real_logits: Array, fake_logits: Array, flipped: Array) -> Float[Array, ""]:
        """Return the adversarial part of J(D)."""
        if self.loss.flips_labels:
            return self.loss.discriminator(real_logits, fake_logits, flipped)
        return self.loss.discriminator(real_logits, fake_logits)

    def generator(self, fake_logits: Array) -> Float[Array, ""]:
        """Return the adversarial part of J(G)."""
        return self.loss.generator(fake_logits)


def make_objective(
    arch: Architecture, loss: str, *, r1_penalty: float = 0.0, gradient_penalty: float = 10.0
) -> Objective:
    """Make the objective of a loss in LOSSES and its penalties' weights.

    r1_penalty > 0 adds gamma E |dD/dx|^2 / 2 over the real maps to J(D) of any loss. gradient_penalty is the
    weight lambda of Wasserstein's own penalty and means nothing to the other losses.

    Raises:
      ValueError: an unknown loss; a negative weight; wasserstein without its penalty, or with batch norm in D.
    """
    if loss not in LOSSES:
        raise ValueError(f"loss={loss!r} must be one of {', '.join(LOSSES)}")
    for name, weight in (("r1_penalty", r1_penalty), ("gradient_penalty", gradient_penalty)):
        if not 0.0 <= weight < float("inf"):
            raise ValueError(f"{name}={weight} must not be negative, and finite")
    terms = {}
    if loss == "wasserstein":
        if gradient_penalty == 0:
            raise ValueError(f"gradient_penalty={gradient_penalty} must be positive with loss=wasserstein")
        if arch.disc_norm != "none":
            raise ValueError(
                f"disc_norm={arch.disc_norm!r} must be 'none' with loss=wasserstein and its gradient penalty"
            )
        terms["gradient_penalty"] = weighted_gradient_penalty(gradient_penalty)
    if r1_penalty > 0:
        terms["r1"] = weighted_r1(r1_penalty)
    return Objective(LOSSES[loss], terms)


def sum_of_terms(
    terms: Mapping[str, Term], judge: Judge, real: Array, fake: Array, key: Array
) -> tuple[Float[Array, ""] | float, dict[str, Float[Array, ""]]]:
    """Return the sum of the terms and each by its name; term n draws from fold_in(key, n)."""
    values = {
        name: term(judge, real, fake, jax.random.fold_in(key, n))
        for n, (name, term) in enumerate(terms.items())
    }
    return sum(values.values()), values
