"""The nearest window of whole maps to each query, over all shifts and the square's symmetries.

A generator could return a window of a training map that no crop of the table shows. For a map P larger than
the query g, all windows are compared at once by valid cross-correlation:

    d^2(y, x) = [ sum_w P^2 (y, x) + |g|^2 - 2 (P * g)(y, x) ] / pixels
    (P * g)(y, x) = sum_ij P_(y+i, x+j) g_ij

sum_w is over the window at (y, x), by cumulative sums in float64; the correlation by FFT in float32. A map of
the query's own size has one window; there the shifts are cyclic, though a sky is not. The winner's distance
is computed again from its pixels. Cost: one FFT of the map's size for each map, query and orientation.
"""

from collections.abc import Iterable
from typing import NamedTuple

import jax
import numpy as np
from jax import numpy as jnp
from jaxtyping import Float, Int

from cosmogan_jax.compare.novelty.distances import rms_difference
from cosmogan_jax.symmetries import turned

_AT_ONCE = 8  # queries: their transforms have the size of the map


class NearestWindow(NamedTuple):
    """For each query the map (its number in the iterable), row, column and turn, and the rms difference.

    The window that begins at (row, column), cyclic for maps of the query's size, is nearest to
    `turned(query, turn)`.
    """

    map: Int[np.ndarray, " queries"]
    row: Int[np.ndarray, " queries"]
    column: Int[np.ndarray, " queries"]
    turn: Int[np.ndarray, " queries"]
    distance: Float[np.ndarray, " queries"]


def nearest_window(
    queries: Float[np.ndarray, "queries size size"],
    maps: Iterable[Float[np.ndarray, "height width"]],
    *,
    query_parents: Int[np.ndarray, " queries"] | None = None,
    parents: Int[np.ndarray, " maps"] | None = None,
    symmetries: bool,
) -> NearestWindow:
    """Find the nearest window of every query; one map is in memory at a time.

    Windows that hold an invalid pixel (NaN) are left out, and so are maps with the query's parent.

    Raises:
      ValueError: no query, a map smaller than the queries, or a query that finds no window.
    """
    queries = np.asarray(queries, np.float32)
    if not len(queries):
        raise ValueError("no map to find the nearest window of")
    num, size = len(queries), queries.shape[-1]
    turns = 8 if symmetries else 1
    oriented = np.concatenate([turned(queries, turn) for turn in range(turns)])
    query_of = np.tile(np.arange(num), turns)
    distance = np.full(num, np.inf)
    place = np.zeros((num, 4), np.int64)
    offset = queries.mean(dtype=np.float64)
    for number, kappa in enumerate(maps):
        if (side := min(kappa.shape)) < size:
            raise ValueError(f"map {number} of {side} pixels is smaller than the queries' {size}")
        allowed = np.ones(num, bool) if parents is None else query_parents != parents[number]
        sums = window_squares(kappa - offset, size)
        if not (allowed.any() and np.isfinite(sums).any()):
            continue
        centred = jnp.asarray(np.nan_to_num(kappa - offset), jnp.float32)
        for start in range(0, len(oriented), _AT_ONCE):
            part = oriented[start : start + _AT_ONCE] - np.float32(offset)
            filled = np.pad(part, ((0, _AT_ONCE - len(part)), (0, 0), (0, 0)))
            where, squared = map(np.asarray, _search(centred, jnp.asarray(sums, jnp.float32), filled))
            for i in range(len(part)):
                query = query_of[start + i]
                # Rounding must not hide a window that is nearer: 1e-4 of the maps' scale is left open.
                slack = 1e-4 * float((part[i] ** 2).mean())
                if not allowed[query] or squared[i] > distance[query] ** 2 + slack:
                    continue
                row, column = divmod(int(where[i]), sums.shape[1])
                exact = rms_difference(window(kappa, row, column, size).ravel(), oriented[start + i].ravel())
                if exact < distance[query]:
                    distance[query] = exact
                    place[query] = number, row, column, (start + i) // num
    if not np.isfinite(distance).all():
        raise ValueError(f"query {int(np.argmax(~np.isfinite(distance)))} finds no window of another parent")
    map_, row, column, turn = place.T
    return NearestWindow(map_, row, column, turn, distance)


def window(
    kappa: Float[np.ndarray, "height width"], row: int, column: int, size: int
) -> Float[np.ndarray, "size size"]:
    """Return the window that begins at (row, column); of a map of its size, the map shifted cyclically."""
    if kappa.shape == (size, size):
        return np.roll(kappa, (-row, -column), (0, 1))
    return kappa[row : row + size, column : column + size]


def window_squares(kappa: Float[np.ndarray, "height width"], size: int) -> Float[np.ndarray, "rows columns"]:
    """Return the sum of squares in the window at every position; infinite where it holds an invalid pixel.

    For a map of the window's size the same number for each of its cyclic shifts.
    """
    kappa = np.asarray(kappa, np.float64)
    invalid = ~np.isfinite(kappa)
    squares = np.where(invalid, 0, kappa) ** 2
    if kappa.shape == (size, size):
        return np.full(kappa.shape, np.inf if invalid.any() else squares.sum())

    def over_windows(values):
        sums = np.pad(values.cumsum(0).cumsum(1), ((1, 0), (1, 0)))
        return sums[size:, size:] - sums[:-size, size:] - sums[size:, :-size] + sums[:-size, :-size]

    return np.where(over_windows(invalid.astype(np.int64)) > 0, np.inf, over_windows(squares))


@jax.jit
def _search(kappa, sums, queries):
    """Return for each query the best position (row-major in `sums`) and its d^2."""
    size = queries.shape[-1]
    of_map = jnp.fft.rfft2(kappa)
    of_queries = jnp.fft.rfft2(queries, s=kappa.shape)
    # Positions up to a side less size see no wrap.
    products = jnp.fft.irfft2(of_map * of_queries.conj(), s=kappa.shape)[:, : sums.shape[0], : sums.shape[1]]
    squared = (sums + (queries**2).sum((1, 2))[:, None, None] - 2 * products) / size**2
    flat = squared.reshape(len(queries), -1)
    return flat.argmin(1), flat.min(1)
