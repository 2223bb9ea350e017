"""Rms differences between rows of features, by matrix products: the arithmetic of `nearest` and `birthday`.

    d^2_ij = mean_f (a_if - b_jf)^2 = (|a_i|^2 + |b_j|^2 - 2 a_i . b_j) / features

The product is fast, but it takes a small number from large ones: in float32 d^2 is good to about 1e-6 of
|a|^2 / features. Two measures keep that harmless. A vector common to all rows is taken away first: distances
stay, |a|^2 shrinks to what maps differ by. And distances that are reported of single pairs are computed again
from the differences, in float64 (`rms_difference`), so that two equal maps are at distance 0.

Whatever the rows are, distances are rms per feature: per pixel in units of kappa, per band in units of sigma.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import numpy as np
from jax import numpy as jnp
from jaxtyping import Array, Float, Int

# (start, stop) -> rows start to stop of a set of maps, (rows, ...); the trailing axes are the features.
Read = Callable[[int, int], Array | np.ndarray]

SMALLEST_SHARE = 1e-3


class Tile(NamedTuple):
    """Some rows, centred, filled up to a fixed number; labels of filling are -1."""

    rows: Float[Array, "tile features"]
    squares: Float[Array, " tile"]
    labels: Int[Array, " tile"]


def centre_of(rows: Float[Array | np.ndarray, "rows ..."]) -> Float[Array, " features"]:
    """Return the vector to take away from all rows: the mean of a few, values that are not finite as 0."""
    flat = jnp.asarray(rows, jnp.float32).reshape(len(rows), -1)
    return jnp.where(jnp.isfinite(flat), flat, 0).mean(0)


def make_tile(
    rows: Float[Array | np.ndarray, "rows ..."],
    labels: Int[np.ndarray, " rows"],
    centre: Float[Array, " features"],
    size: int,
) -> Tile:
    """Return rows as a tile of `size`; labels number what the rows were cut from, from 0.

    Raises:
      ValueError: a row that is not finite; its number counts from the tile's first.
    """
    flat = jnp.asarray(rows, jnp.float32).reshape(len(rows), -1)
    padding = size - len(flat)
    centred, squares = _centred(jnp.pad(flat, ((0, padding), (0, 0))), centre)
    tile = Tile(centred, squares, jnp.asarray(np.pad(labels, (0, padding), constant_values=-1), jnp.int32))
    finite = np.isfinite(np.asarray(tile.squares[: len(flat)]))
    if not finite.all():
        raise ValueError(f"row {int(np.argmin(finite))} holds non-finite values")
    return tile


@jax.jit
def _centred(flat: Array, centre: Array) -> tuple[Array, Array]:
    flat = flat - centre
    return flat, (flat**2).sum(1)


def squared_distances(a: Tile, b: Tile) -> Float[Array, "tile_a tile_b"]:
    """Return the module's d^2 of all pairs; infinite for filling and for rows with the same label."""
    product = jnp.matmul(a.rows, b.rows.T, precision="highest")
    square = jnp.maximum(a.squares[:, None] + b.squares - 2 * product, 0) / a.rows.shape[1]
    left, right = a.labels[:, None], b.labels
    return jnp.where((left == right) | (left < 0) | (right < 0), jnp.inf, square)


def rms_difference(a: Float[np.ndarray, "... features"], b: Float[np.ndarray, "... features"]) -> np.ndarray:
    """Return sqrt(mean (a - b)^2) over the last axis, in float64."""
    return np.sqrt(((np.asarray(a, np.float64) - np.asarray(b, np.float64)) ** 2).mean(-1))


def copy_distance(real: Float[np.ndarray, " maps"], fraction: float) -> float:
    """Return below which distance two maps count as one: a fraction of the smallest of real maps.

    The smallest is the 0.1 % quantile of real maps' distances to their nearest (with few maps the smallest
    itself): a data set with a few maps twice keeps its yardstick. 0 where more are twice, and then nothing
    counts as a copy. In a space of few dimensions q, chance alone brings pairs nearer than a fraction f of the
    smallest in f^q of cases: 2e-6 for half of it in 19 bands, much less in pixels.

    Raises:
      ValueError: a fraction outside (0, 1), or no distance.
    """
    if not 0 < fraction < 1:
        raise ValueError(f"fraction={fraction} must lie between 0 and 1")
    if not np.isfinite(real).any():
        raise ValueError("no real map has another to be compared with")
    return fraction * float(np.quantile(real[np.isfinite(real)], SMALLEST_SHARE))
