"""Terms of an objective that see the networks: functions of D (maps to logits), real and fake maps, and a key.

A term is one function. D's are differentiated with respect to D's parameters, which `judge` holds; G's with
respect to the fake maps, and on through G to its parameters. `judge` is D in training mode, its running
averages left as they are: with batch norm it normalises what it is given by that batch's own moments, so that
the slope at one map holds terms of the others. Slopes are then those of the summed logits, as in common use; a
gradient penalty asks for the slope of D at each map alone and goes with an Architecture of disc_norm="none"
(Gulrajani et al. 2017, Sect. 4).
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from cosmogan_jax.emulators.slopes import Judge, r1, squared_slopes

Term = Callable[
    [Judge, Float[Array, "batch size size *bins"], Float[Array, "batch size size *bins"], Array],
    Float[Array, ""],
]


def gradient_penalty(
    judge: Judge,
    real: Float[Array, "batch size size *bins"],
    fake: Float[Array, "batch size size *bins"],
    key: Array,
) -> Float[Array, ""]:
    """Return E (|dD/dx| - 1)^2 at x = u real + (1 - u) fake, u uniform in [0, 1) for each pair of maps.

    Gulrajani et al. 2017, Eq. 3 without its lambda, and their algorithm 1.
    """
    share = jax.random.uniform(key, (real.shape[0], *(1,) * (real.ndim - 1)), real.dtype)
    squared = squared_slopes(judge, share * real + (1 - share) * fake)
    # The square root's own slope at 0 is infinite, and 0 times that no number: there it is taken as 0.
    slope = jnp.where(squared > 0, jnp.sqrt(jnp.where(squared > 0, squared, 1)), 0)
    return jnp.mean((slope - 1) ** 2)


def weighted_r1(weight: float) -> Term:
    """Make the term weight * `slopes.r1`; the weight is gamma."""
    return lambda judge, real, fake, key: weight * r1(judge, real)


def weighted_gradient_penalty(weight: float) -> Term:
    """Make the term weight * `gradient_penalty`; the weight is lambda."""
    return lambda judge, real, fake, key: weight * gradient_penalty(judge, real, fake, key)
