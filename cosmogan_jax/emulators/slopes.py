"""Slopes of a discriminator at maps, and R1, for any kind of emulator."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

# Logits of maps, or of what is made of them.
Judge = Callable[[Float[Array, "batch ..."]], Float[Array, " batch"]]


def squared_slopes(judge: Judge, x: Float[Array, "batch ..."]) -> Float[Array, " batch"]:
    """Return |dD/dx|^2 of each map, of the summed logits: D's own slope where it judges each map alone."""
    slopes = jax.grad(lambda maps: judge(maps).sum())(x)
    return jnp.sum(slopes**2, axis=tuple(range(1, x.ndim)))


def r1(judge: Judge, real: Float[Array, "batch ..."]) -> Float[Array, ""]:
    """Return E |dD/dx|^2 / 2 over real maps (Mescheder, Geiger & Nowozin 2018, Eq. 9 without its gamma)."""
    return 0.5 * jnp.mean(squared_slopes(judge, real))
