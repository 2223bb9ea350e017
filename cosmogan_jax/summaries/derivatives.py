"""Derivatives of a periodic map per pixel, as LensTools takes them."""

import jax
from jax import numpy as jnp
from jaxtyping import Array, Bool, Float

# Rows and columns to the eight neighbours of a pixel.
AROUND = [(row, column) for row in (-1, 0, 1) for column in (-1, 0, 1) if (row, column) != (0, 0)]
_TOUCHED = [  # by derivatives
    (0, 1),
    (0, -1),
    (1, 0),
    (-1, 0),
    (0, 2),
    (0, -2),
    (2, 0),
    (-2, 0),
    (1, 1),
    (-1, -1),
    (-1, 1),
    (1, -1),
]


def derivatives(k: Float[Array, "*batch height width"]) -> tuple[Array, Array, Array, Array, Array]:
    """Compute gx, gy, hxx, hyy, hxy by central differences; x is the last axis; second ones with step 2."""
    at = shifted(k, 2)
    gx, gy = (at(0, 1) - at(0, -1)) / 2, (at(1, 0) - at(-1, 0)) / 2
    hxx, hyy = (at(0, 2) + at(0, -2) - 2 * k) / 4, (at(2, 0) + at(-2, 0) - 2 * k) / 4
    hxy = (at(1, 1) + at(-1, -1) - at(-1, 1) - at(1, -1)) / 4
    return gx, gy, hxx, hyy, hxy


def all_derivatives_valid(mask: Bool[Array, "*batch height width"]) -> Bool[Array, "*batch height width"]:
    """Say where a pixel and every pixel that its derivatives touch are valid."""
    at = shifted(mask, 2)
    valid = mask
    for row, column in _TOUCHED:
        valid = valid & at(row, column)
    return valid


def shifted(k: Array, reach: int):
    """Return at(row, column): a map with pixel (y + row, x + column) at (y, x), periodic, up to `reach`.

    Slices of one padded map, which the barrier keeps in memory: XLA's CPU code for rolls is three times slower,
    and without the barrier it computes the padding anew at every pixel of each slice, five times slower
    (experiments/benchmarks/every_statistic.py).
    """
    height, width = k.shape[-2:]
    padded = jnp.pad(k, [(0, 0)] * (k.ndim - 2) + [(reach, reach)] * 2, mode="wrap")
    padded = jax.lax.optimization_barrier(padded)

    def at(row: int, column: int) -> Array:
        return padded[..., reach + row : reach + row + height, reach + column : reach + column + width]

    return at
