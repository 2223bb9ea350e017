"""The square's eight orientations, by number: bit 0 transposes, then bits 1 and 2 flip rows and columns."""

import numpy as np
from jax import numpy as jnp
from jaxtyping import Array, Float, Int


def orient(square: Float[Array, "size size *bins"], turn: Int[Array, ""]) -> Float[Array, "size size *bins"]:
    """Return one map in orientation 0 to 7, which may be traced; axes after the first two stay as they are."""
    square = jnp.where(turn & 1, jnp.swapaxes(square, 0, 1), square)
    square = jnp.where(turn & 2, square[::-1], square)
    return jnp.where(turn & 4, square[:, ::-1], square)


def turned(maps: Float[np.ndarray, "maps size size"], turn: int) -> Float[np.ndarray, "maps size size"]:
    """Return a view of NumPy's maps, all in one orientation."""
    maps = maps.swapaxes(-2, -1) if turn & 1 else maps
    maps = maps[..., ::-1, :] if turn & 2 else maps
    return maps[..., ::-1] if turn & 4 else maps


def turned_back(maps: Float[np.ndarray, "maps size size"], turn: int) -> Float[np.ndarray, "maps size size"]:
    """Undo `turned`: a quarter turn is undone by the other quarter turn, every other orientation by itself."""
    return turned(maps, {3: 5, 5: 3}.get(turn, turn))
