"""Adversarial losses on logits: the non-saturating game of Eqs. 2 and 3."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float


def binary_cross_entropy(logits: Float[Array, " batch"], target: Float[Array, ""] | float) -> Float[Array, ""]:
    """Mean of -t log sigmoid(l) - (1-t) log(1 - sigmoid(l)), computed without overflow."""
    return jnp.mean(jax.nn.softplus(logits) - target * logits)


def discriminator_loss(
    real_logits: Float[Array, " batch"],
    fake_logits: Float[Array, " batch"],
    flipped: Float[Array, ""] | float = 0.0,
) -> Float[Array, ""]:
    """J(D) = -E log D(x) - E log(1 - D(G(z))) (Eq. 2).

    Where flipped is 1 the whole batch changes its labels, real and fake together, as in the authors' code.
    """
    return binary_cross_entropy(real_logits, 1.0 - flipped) + binary_cross_entropy(fake_logits, flipped)


def generator_loss(fake_logits: Float[Array, " batch"]) -> Float[Array, ""]:
    """J(G) = -E log D(G(z)) (Eq. 3)."""
    return binary_cross_entropy(fake_logits, 1.0)
