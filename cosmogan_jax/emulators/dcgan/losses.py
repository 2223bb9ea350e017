"""Adversarial losses as functions of logits: the paper's, and others in its place.

Each pair is (J(D), J(G)) to be minimised, with D(x) a logit, positive where D takes x for real. What is a
function of the networks and not only of logits stands in `penalties.py`.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

Logits = Float[Array, " batch"]
Scalar = Float[Array, ""]


class Loss(NamedTuple):
    """The adversarial part of both networks' objectives.

    Attributes:
      discriminator: J(D) of (real logits, fake logits), and of `flipped` where the loss flips labels.
      generator: J(G) of the fake logits.
      flips_labels: whether `discriminator` takes `flipped`: 1 where the batch changes its labels, 0 elsewhere.
    """

    discriminator: Callable[..., Scalar]
    generator: Callable[[Logits], Scalar]
    flips_labels: bool = False


def binary_cross_entropy(logits: Logits, target: Scalar | float) -> Scalar:
    """Take the mean of -t log sigmoid(l) - (1-t) log(1 - sigmoid(l)), without overflow."""
    return jnp.mean(jax.nn.softplus(logits) - target * logits)


def non_saturating_discriminator(
    real_logits: Logits, fake_logits: Logits, flipped: Scalar | float = 0.0
) -> Scalar:
    """Return J(D) = -E log D(x) - E log(1 - D(G(z))), D the sigmoid of the logit (the paper's Eq. 2).

    Where flipped is 1 the whole batch changes its labels, real and fake together, as in the authors' code.
    """
    return binary_cross_entropy(real_logits, 1.0 - flipped) + binary_cross_entropy(fake_logits, flipped)


def non_saturating_generator(fake_logits: Logits) -> Scalar:
    """Return J(G) = -E log D(G(z)) (the paper's Eq. 3; Goodfellow et al. 2014, Sect. 3)."""
    return binary_cross_entropy(fake_logits, 1.0)


def hinge_discriminator(real_logits: Logits, fake_logits: Logits) -> Scalar:
    """Return J(D) = E max(0, 1 - D(x)) + E max(0, 1 + D(G(z))) (Lim & Ye 2017; Miyato et al. 2018, Eq. 16)."""
    return jnp.mean(jax.nn.relu(1.0 - real_logits)) + jnp.mean(jax.nn.relu(1.0 + fake_logits))


def least_squares_discriminator(real_logits: Logits, fake_logits: Logits) -> Scalar:
    """Return J(D) = E (D(x) - 1)^2 / 2 + E (D(G(z)) + 1)^2 / 2 (Mao et al. 2017, Eq. 2 with a = -1, b = 1).

    Their coding 0, 1 (Eq. 9) is this one with D's output halved and moved by 1/2: the middle lies at 0 here, as
    in the other losses.
    """
    return 0.5 * jnp.mean((real_logits - 1.0) ** 2) + 0.5 * jnp.mean((fake_logits + 1.0) ** 2)


def least_squares_generator(fake_logits: Logits) -> Scalar:
    """Return J(G) = E (D(G(z)) - 1)^2 / 2 (Mao et al. 2017, Eq. 2 with c = b = 1)."""
    return 0.5 * jnp.mean((fake_logits - 1.0) ** 2)


def wasserstein_discriminator(real_logits: Logits, fake_logits: Logits) -> Scalar:
    """Return J(D) = E D(G(z)) - E D(x) (Arjovsky et al. 2017, Eq. 2): minus the distance, for a D of slope 1.

    What holds the slope is the gradient penalty of `penalties.py`.
    """
    return jnp.mean(fake_logits) - jnp.mean(real_logits)


def raised_logits(fake_logits: Logits) -> Scalar:
    """Return J(G) = -E D(G(z)), of the hinge (Miyato et al. 2018, Eq. 17) and of Wasserstein's distance."""
    return -jnp.mean(fake_logits)


LOSSES = {
    "non_saturating": Loss(non_saturating_discriminator, non_saturating_generator, flips_labels=True),
    "hinge": Loss(hinge_discriminator, raised_logits),
    "least_squares": Loss(least_squares_discriminator, least_squares_generator),
    "wasserstein": Loss(wasserstein_discriminator, raised_logits),
}
