"""The eight symmetries of the square."""

from jax import numpy as jnp
from jaxtyping import Array, Float, Int


def orient(square: Float[Array, "size size *bins"], turn: Int[Array, ""]) -> Float[Array, "size size *bins"]:
    """One of the eight orientations, turn = 0 to 7: bit 0 transposes, bits 1 and 2 flip rows and columns.

    Axes after these two stay as they are.
    """
    square = jnp.where(turn & 1, jnp.swapaxes(square, 0, 1), square)
    square = jnp.where(turn & 2, square[::-1], square)
    return jnp.where(turn & 4, square[:, ::-1], square)
