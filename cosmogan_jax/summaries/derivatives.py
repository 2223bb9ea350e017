"""Derivatives of a periodic map per pixel, as LensTools takes them."""

from jax import numpy as jnp
from jaxtyping import Array, Float


def derivatives(k: Float[Array, "*batch height width"]) -> tuple[Array, Array, Array, Array, Array]:
    """gx, gy, hxx, hyy, hxy by central differences; x is the last axis; second ones with step 2."""

    def shift(rows, columns):
        return jnp.roll(k, (-rows, -columns), (-2, -1))

    gx, gy = (shift(0, 1) - shift(0, -1)) / 2, (shift(1, 0) - shift(-1, 0)) / 2
    hxx, hyy = (shift(0, 2) + shift(0, -2) - 2 * k) / 4, (shift(2, 0) + shift(-2, 0) - 2 * k) / 4
    hxy = (shift(1, 1) + shift(-1, -1) - shift(-1, 1) - shift(1, -1)) / 4
    return gx, gy, hxx, hyy, hxy
