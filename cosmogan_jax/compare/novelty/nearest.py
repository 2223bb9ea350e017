"""The nearest of many reference rows to each query: training crops nearest to generated maps.

The reference streams by in blocks and is never held; memory is one block and the queries.
`distances.py` has the arithmetic. As a yardstick the same is asked of validation crops: a generator
that copies shows distances far below theirs, one that only knows the distribution shows the same.
"""

from collections.abc import Callable, Iterable
from typing import NamedTuple

import jax
import numpy as np
from jax import numpy as jnp
from jaxtyping import Array, Float, Int

from cosmogan_jax.compare.novelty.distances import (
    centre_of,
    copy_distance,
    make_tile,
    rms_difference,
    squared_distances,
)
from cosmogan_jax.symmetries import turned

_CANDIDATES = 4  # whose distances are computed exactly, for each query
_QUERY_TILE = 512


class Nearest(NamedTuple):
    """For each query the number of the nearest reference row, and the rms difference."""

    index: Int[np.ndarray, " queries"]  # type: ignore[assignment]  # hides tuple's own, which is of no use here
    distance: Float[np.ndarray, " queries"]


class NearestTurned(NamedTuple):
    """As Nearest; the reference is nearest to `symmetries.turned(query, turn)`."""

    index: Int[np.ndarray, " queries"]  # type: ignore[assignment]  # hides tuple's own, which is of no use here
    distance: Float[np.ndarray, " queries"]
    turn: Int[np.ndarray, " queries"]


class CopyVerdict(NamedTuple):
    """Distances of generated maps against those of validation maps, both to training maps.

    threshold: below it a map counts as a copy. copies: generated maps below it. ratio: of the medians.
    below_smallest: share of generated maps nearer than the nearest 1 % of validation maps; 0.01 is expected.
    """

    threshold: float
    copies: int
    ratio: float
    below_smallest: float


def nearest(
    queries: Float[np.ndarray, "queries ..."],
    blocks: Iterable[Float[Array | np.ndarray, "block ..."]],
    fetch: Callable[[Int[np.ndarray, " rows"]], Float[np.ndarray, "rows ..."]],
    *,
    query_parents: Int[np.ndarray, " queries"] | None = None,
    parents: Int[np.ndarray, " reference"] | None = None,
) -> Nearest:
    """Find the nearest reference row of every query.

    Args:
      queries: any trailing axes; held in memory.
      blocks: the reference in order, in blocks that are equal but for the last.
      fetch: the reference rows of given numbers; asked for the few nearest of each query, to compute their
        distances exactly.
      query_parents, parents: numbers, not negative, of what each was cut from; a pair with the same parent is
        left out.

    Raises:
      ValueError: no query or no reference, parents of one side only, a query without a reference of another
        parent, rows that are not finite.
    """
    queries = np.asarray(queries, np.float32).reshape(len(queries), -1)
    if not len(queries):
        raise ValueError("no map to find the nearest of")
    if (parents is None) != (query_parents is None):
        raise ValueError("query_parents and parents are given together, or neither is")
    # Labels that no pair shares, where parents do not count.
    query_labels = np.full(len(queries), np.iinfo(np.int32).max) if query_parents is None else query_parents
    centre = centre_of(queries)
    starts = range(0, len(queries), _QUERY_TILE)
    size = min(_QUERY_TILE, len(queries))
    tiles = [make_tile(queries[s : s + size], query_labels[s : s + size], centre, size) for s in starts]
    best = [(jnp.full((size, _CANDIDATES), jnp.inf), jnp.full((size, _CANDIDATES), -1)) for _ in tiles]
    first, block_size = 0, 0
    for block in blocks:
        block_size = block_size or len(block)
        labels = np.zeros(len(block), np.int32) if parents is None else parents[first : first + len(block)]
        tile = make_tile(block, labels, centre, block_size)
        best = [_better(queries_, tile, first, *so_far) for queries_, so_far in zip(tiles, best)]
        first += len(block)
    squared, index = (np.concatenate([np.asarray(b[i]) for b in best])[: len(queries)] for i in (0, 1))
    if not np.isfinite(squared[:, 0]).all():
        lost = int(np.argmax(~np.isfinite(squared[:, 0])))
        raise ValueError(f"query {lost} finds none of another parent among {first} reference maps")
    return _exact(queries, squared, index, fetch)


@jax.jit
def _better(queries, tile, first, squared, index):
    """Return the candidates so far, with those of a tile of the reference."""
    distances = squared_distances(queries, tile)
    count = min(_CANDIDATES, distances.shape[1])
    negative, where = jax.lax.top_k(-distances, count)
    every = jnp.concatenate([squared, -negative], axis=1)
    numbers = jnp.concatenate([index, first + where], axis=1)
    negative, order = jax.lax.top_k(-every, _CANDIDATES)
    return -negative, jnp.take_along_axis(numbers, order, axis=1)


def _exact(queries: np.ndarray, squared: np.ndarray, index: np.ndarray, fetch) -> Nearest:
    nearest_row, distance = np.empty(len(queries), np.int64), np.empty(len(queries))
    step = 64  # so that few reference rows are in memory
    for start in range(0, len(queries), step):
        part = slice(start, start + step)
        usable = np.isfinite(squared[part])
        names, place = np.unique(np.where(usable, index[part], index[part, :1]), return_inverse=True)
        rows = np.asarray(fetch(names)).reshape(len(names), -1)
        place = place.reshape(usable.shape)
        exact = np.stack([rms_difference(queries[part], rows[place[:, c]]) for c in range(_CANDIDATES)], axis=1)
        best = exact.argmin(1)[:, None]
        nearest_row[part] = np.take_along_axis(names[place], best, axis=1)[:, 0]
        distance[part] = np.take_along_axis(exact, best, axis=1)[:, 0]
    return Nearest(nearest_row, distance)


def nearest_turned(
    queries: Float[np.ndarray, "queries size size"],
    blocks: Iterable[Float[Array | np.ndarray, "block size size"]],
    fetch: Callable[[Int[np.ndarray, " rows"]], Float[np.ndarray, "rows size size"]],
    *,
    query_parents: Int[np.ndarray, " queries"] | None = None,
    parents: Int[np.ndarray, " reference"] | None = None,
    symmetries: bool,
) -> NearestTurned:
    """Find the `nearest` of every query in the square's eight orientations, or (symmetries=False) as it is."""
    turns = 8 if symmetries else 1
    oriented = np.concatenate([turned(queries, turn) for turn in range(turns)])
    labels = None if query_parents is None else np.tile(query_parents, turns)
    by_turn = nearest(oriented, blocks, fetch, query_parents=labels, parents=parents)
    index, distance = (np.reshape(values, (turns, len(queries))) for values in by_turn)
    turn = distance.argmin(0)
    column = np.arange(len(queries))
    return NearestTurned(index[turn, column], distance[turn, column], turn)


def judge_copies(
    generated: Float[np.ndarray, " maps"], validation: Float[np.ndarray, " crops"], fraction: float
) -> CopyVerdict:
    """Judge whether generated maps are nearer to training maps than validation maps are.

    Raises:
      ValueError: a fraction outside (0, 1), or no distances.
    """
    threshold = copy_distance(validation, fraction)
    typical = float(np.median(validation))
    return CopyVerdict(
        threshold,
        int((generated < threshold).sum()),
        float(np.median(generated)) / typical if typical > 0 else float("nan"),
        float((generated < np.quantile(validation, 0.01)).mean()),
    )
