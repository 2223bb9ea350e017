"""The birthday paradox: among n maps of a generator with N outputs, about n^2 / 2N pairs are the same map.

    P(no pair the same) = exp(-n^2 / 2N) at most,    so no pair among n: N > n^2 / (2 ln 20) = n^2 / 6 at 95 %

The probability is largest where all N outputs are equally likely, so the bound holds for any distribution
(Arora & Zhang 2017, "Do GANs actually learn the distribution?"). Batches add: no pair in b batches of n gives
b n^2 / 6, 1.8e8 for one batch of 32,768 maps and 1e9 for six. With k pairs the bound is the number of pairs
over the Poisson upper limit on k.

Which pairs are the same map is a matter of the space in which they are compared and of a yardstick there: the
distances of real crops of different parents, as many of them (`distances.py`, copy_distance). Crops of
one parent may overlap and are not compared.

All pairs are compared by matrix products of tiles, never n x n at once. The maps are asked for in tiles and may
be made anew each time: as many as fit into `hold_bytes` are held, the others stream past them.
"""

import itertools
import math
from typing import Literal, NamedTuple

import jax
import numpy as np
from jax import numpy as jnp
from jaxtyping import Float, Int
from scipy import stats

from cosmogan_jax.compare.novelty.distances import (
    Read,
    Tile,
    centre_of,
    copy_distance,
    make_tile,
    rms_difference,
    squared_distances,
)
from cosmogan_jax.compare.parents import numbered

Status = Literal["none", "collisions", "as real", "no yardstick"]


class Neighbours(NamedTuple):
    """What all pairs of n maps say.

    distance, other: of each map the nearest other one, in the products' precision (infinite where there is
    none). pairs: how many were compared; within: how many of them are nearer than asked. closest: the closest
    pairs (of maps that are each other's nearest, or nearly), and their distances, exactly, ascending.
    """

    distance: Float[np.ndarray, " maps"]
    other: Int[np.ndarray, " maps"]
    pairs: int
    within: int
    closest: Int[np.ndarray, "closest 2"]
    closest_distance: Float[np.ndarray, " closest"]


class BirthdayVerdict(NamedTuple):
    """Collisions of generated maps beside those of real crops.

    status: "none"; "collisions": more than real crops show by chance (exact binomial test at 1 %); "as real":
    no more than those do, the space cannot tell; "no yardstick": real crops are twice in the data.
    support_above: 95 % lower limit on the number of distinct maps, None without a yardstick.
    nearest_ratio: median distance to the nearest map, generated over real; below 1 for maps that cluster.
    None where the batches are not as large as the real set, because distances to the nearest fall with n.
    """

    threshold: float
    collisions: int
    pairs: int
    real_collisions: int
    real_pairs: int
    status: Status
    support_above: float | None
    nearest_ratio: float | None


def nearest_others(
    read: Read,
    count: int,
    *,
    parents: Int[np.ndarray, " maps"] | None = None,
    within: float = 0.0,
    num_closest: int = 16,
    tile_size: int = 1024,
    hold_bytes: float = 2.0**30,
) -> Neighbours:
    """Find every map's nearest other map, and the closest pairs of all.

    Args:
      read: (start, stop) -> maps or features of maps; the same each time it is asked.
      parents: what each map was cut from, from 0; without it each is its own. A pair of the same parent is
        left out.
      within: distance below which pairs are counted.
      hold_bytes: of memory for maps; 3 tiles are held in any case, beside one tile of distances.

    Raises:
      ValueError: fewer than two maps or parents, or maps that are not finite.
    """
    parents = np.arange(count) if parents is None else numbered(parents)[0]
    if count < 2 or parents.max() < 1:
        raise ValueError(f"{count} maps of {parents.max(initial=-1) + 1} parents hold no pair: two are needed")
    tile_size = min(tile_size, count)
    starts = range(0, count, tile_size)
    centre = centre_of(read(0, tile_size))

    def fetch(start: int) -> Tile:
        stop = min(start + tile_size, count)
        try:
            return make_tile(read(start, stop), parents[start:stop], centre, tile_size)
        except ValueError as error:
            raise ValueError(f"maps from {start}: {error}") from error

    search = _Search(count, tile_size, within)
    held = max(1, int(hold_bytes // (4 * tile_size * centre.size)))
    for first in range(0, len(starts), held):
        outer = [(start, fetch(start)) for start in starts[first : first + held]]
        for (at, a), (bt, b) in itertools.combinations_with_replacement(outer, 2):
            search.compare(at, a, bt, b)
        for bt in starts[first + held :]:
            b = fetch(bt)
            for at, a in outer:
                search.compare(at, a, bt, b)
    shared = np.bincount(parents)
    pairs = math.comb(count, 2) - int((shared * (shared - 1) // 2).sum())
    closest, exact = _closest(read, tile_size, count, search.squared, search.other, num_closest)
    return Neighbours(np.sqrt(search.squared), search.other, pairs, search.num_within, closest, exact)


class _Search:
    """The nearest other map of each so far, and how many pairs are nearer than `within`."""

    def __init__(self, count: int, tile_size: int, within: float):
        self.squared, self.other, self.num_within = np.full(count, np.inf), np.full(count, -1, np.int64), 0
        self._tile_size, self._within = tile_size, within

    def compare(self, at: int, a: Tile, bt: int, b: Tile) -> None:
        """Take all pairs of two tiles, which begin at maps `at` and `bt`, into account."""
        rows, columns, close = jax.device_get(_compare(a, b, jnp.float32(self._within) ** 2))
        self.num_within += int(close) // (2 if at == bt else 1)  # a tile with itself holds every pair twice
        for start, others, (least, where) in ((at, bt, rows), (bt, at, columns)):
            part = slice(start, min(start + self._tile_size, len(self.squared)))
            num_rows = part.stop - start
            nearer = least[:num_rows] < self.squared[part]
            self.squared[part][nearer] = least[:num_rows][nearer]
            self.other[part][nearer] = others + where[:num_rows][nearer]


@jax.jit
def _compare(a: Tile, b: Tile, within_squared):
    squared = squared_distances(a, b)
    rows, columns = ((squared.min(axis), squared.argmin(axis)) for axis in (1, 0))
    return rows, columns, (squared < within_squared).sum()


def _closest(
    read: Read, tile_size: int, count: int, squared: np.ndarray, other: np.ndarray, num_closest: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return the closest of the pairs (map, its nearest), each once, with exact distances."""
    order = np.argsort(squared, kind="stable")[: 4 * num_closest]
    order = order[np.isfinite(squared[order])]
    pairs = np.unique(np.sort(np.stack([order, other[order]], axis=1), axis=1), axis=0)
    rows: dict[int, np.ndarray] = {}
    for start in range(0, count, tile_size):  # whole tiles: what makes maps may be compiled for that number
        inside = np.unique(pairs[(pairs >= start) & (pairs < start + tile_size)])
        if len(inside):
            tile = read(start, min(start + tile_size, count))
            rows |= {int(i): np.asarray(tile[int(i) - start]).ravel() for i in inside}
    exact = np.array([rms_difference(rows[i], rows[j]) for i, j in pairs.tolist()])
    best = np.argsort(exact, kind="stable")[:num_closest]
    return pairs[best], exact[best]


def support_limit(pairs: int, collisions: int, confidence: float = 0.95) -> float:
    """Return the lower limit on the number of distinct maps, pairs / mu.

    mu is the Poisson upper limit on the collisions,
    mu = chi2^-1(confidence; 2 k + 2) / 2; for k = 0 this is ln(1 / (1 - confidence)), 2.996 at 95 %. Where
    many maps are the same one the pairs are not independent, and the limit is a rough one.
    """
    return pairs / (stats.chi2.ppf(confidence, 2 * collisions + 2) / 2)


def colliding_pairs(neighbours: Neighbours, threshold: float) -> int:
    """Count the pairs (map, its nearest) below a threshold that was not known when they were counted."""
    near = np.flatnonzero(neighbours.distance < threshold)
    return len(np.unique(np.sort(np.stack([near, neighbours.other[near]], axis=1), axis=1), axis=0))


def judge_birthday(real: Neighbours, batches: list[Neighbours], fraction: float) -> BirthdayVerdict:
    """Judge batches of generated maps, searched `within` copy_distance(real.distance, fraction), by real crops.

    Raises:
      ValueError: a fraction outside (0, 1), or real maps without any pair.
    """
    threshold = copy_distance(real.distance, fraction)
    collisions, pairs = sum(batch.within for batch in batches), sum(batch.pairs for batch in batches)
    real_collisions = colliding_pairs(real, threshold)
    as_real = real_collisions and (
        stats.binomtest(
            collisions, collisions + real_collisions, pairs / (pairs + real.pairs), alternative="greater"
        ).pvalue
        > 0.01
    )
    status: Status = "none"
    if threshold == 0:
        status = "no yardstick"
    elif collisions:
        status = "as real" if as_real else "collisions"
    same_size = all(len(batch.distance) == len(real.distance) for batch in batches)
    finite = real.distance[np.isfinite(real.distance)]
    typical = float(np.median(finite))
    return BirthdayVerdict(
        threshold,
        collisions,
        pairs,
        real_collisions,
        real.pairs,
        status,
        support_limit(pairs, collisions) if threshold > 0 else None,
        float(np.median(np.concatenate([batch.distance for batch in batches]))) / typical
        if same_size and typical > 0
        else None,
    )
