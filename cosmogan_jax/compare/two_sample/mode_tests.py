"""Is a statistic distributed alike over two sets of maps? Kolmogorov-Smirnov and Anderson-Darling, by mode.

With F_1, F_2 the shares of maps at or below x, D = F_1 - F_2, over the distinct values x_j of all N = n_1 + n_2
maps, l_j of them equal to x_j and B_j at or below it (two-sided both):

    KS  = max_j |D_j|
    A^2 = n_1 n_2 sum_{j < L} l_j D_j^2 / (B_j (N - B_j))

the second is Scholz & Stephens' A^2_akN for two samples (1987, JASA 82, 918, Eq. 6), not normalised;
scipy.stats.ks_2samp and anderson_ksamp(variant="right") have the same statistics. Their p-values assume
independent maps (and SciPy's of A^2 is clipped to 0.001 to 0.25). Crops of one parent are not independent, so
here whole parents are resampled: by permutation where the parents of both sides are alike, otherwise by a
bootstrap.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import numpy as np
from jax import numpy as jnp
from jaxtyping import Array, Bool, Float, Int, Shaped

from cosmogan_jax.compare.two_sample import parent_resampling
from cosmogan_jax.compare.two_sample.family_wise import westfall_young
from cosmogan_jax.compare.two_sample.parent_resampling import Parents, Weights

# Weights of all maps in a block of resamples, in float32.
_BLOCK_BYTES = 64 * 2**20
# Modes that a CPU's program takes.
_MODES = 8


class ModeTests(NamedTuple):
    """One test at every mode, p and family_p of `family_wise.westfall_young`; NaN where none varies."""

    statistic: Float[np.ndarray, " modes"]
    p: Float[np.ndarray, " modes"]
    family_p: Float[np.ndarray, " modes"]


class TwoSampleTests(NamedTuple):
    """Both tests, which modes vary over the pooled maps, and what they rest on."""

    ks: ModeTests
    anderson_darling: ModeTests
    informative: Bool[np.ndarray, " modes"]
    num_parents: tuple[int, int]
    num_resamples: int


def permutation_tests(
    one: Float[np.ndarray, "maps_one modes"],
    two: Float[np.ndarray, "maps_two modes"],
    parents_one: Shaped[np.ndarray, " maps_one"],
    parents_two: Shaped[np.ndarray, " maps_two"],
    *,
    seed: int,
    num_permutations: int = 999,
) -> TwoSampleTests:
    """Test by permuting whole parents between the sides, as many on each as before.

    Exact in the sense of permutation tests (p <= alpha in a share alpha of the cases at most) where parents of
    both sides are exchangeable under the null: as many maps each, cut alike. For generated maps against crops
    that means one crop of each parent, or `clustered_tests`. It is a test of equal distributions: a difference
    of any kind, also of the dependence within parents, may make p small. Labels name parents within a side.

    Parents of different sizes on sides of different numbers are refused. True nulls rejected at nominal 5 %,
    KS (A^2), families of 30 independent modes, intraclass correlation 0.5, to +-1.5 %
    (experiments/009-two-sample-tests/sizes.py): 60 parents of 9 maps against 10 of 13: 3 (13) %; 10 of 9
    against 60 of 13: 7 (3) %; 30 of 9 against 30 of 13: 5 (4) %; 60 of 9 against 10 of 10: 4 (5) %.

    Raises:
      ValueError: values that are not (maps, modes), finite and of equal modes; no mode that varies; parents
        of another length, too few (7 and 7 for 999 permutations) or of unequal kind.
    """
    one, two = _checked("one", one), _checked("two", two)
    parents = parent_resampling.number_parents(parents_one, parents_two, (len(one), len(two)))
    parent_resampling.check_permutations(parents, num_permutations)
    return _tests(one, two, parents, parent_resampling.permutation_weights, seed, num_permutations)


def clustered_tests(
    one: Float[np.ndarray, "maps_one modes"],
    two: Float[np.ndarray, "maps_two modes"],
    parents_one: Shaped[np.ndarray, " maps_one"],
    parents_two: Shaped[np.ndarray, " maps_two"],
    *,
    seed: int,
    num_resamples: int = 999,
) -> TwoSampleTests:
    """Test where parents are of unequal kind: generated maps, each its own, against crops, many a parent.

    Parents are drawn with replacement on each side; the null distribution is that of the centred difference
    D* - D, in KS and A^2 in the place of D. Right in the limit of many parents on both sides, anti-conservative
    for few, most of all in the tails, where family_p looks. True nulls rejected at nominal 5 %, as many parents
    of 8 maps with an intraclass correlation of 0.5 on both sides (of 4 maps for the family of 60 independent
    modes), to +-0.7 % a mode and +-2 % of the family (experiments/009-two-sample-tests):

        parents                10           20           50         100
        one mode, KS (A^2)     6 (7) %      6 (5) %      6 (5) %    5 (5) %
        family, KS (A^2)       24 (21) %    13 (12) %    7 (7) %    6 (9) %

    Sides that differ in the size of their parents want 50 on each: of 400 single maps against 20 parents of 20
    maps 10 (12) % of the families are rejected, against 50 parents of 8 it is 6 (8) %.

    Raises:
      ValueError: as `permutation_tests`, but any parents will do, 20 on each side at least, 50 where those of
        one side have more than 1.5 times the maps of the other's.
    """
    one, two = _checked("one", one), _checked("two", two)
    parents = parent_resampling.number_parents(parents_one, parents_two, (len(one), len(two)))
    parent_resampling.check_bootstrap(parents, num_resamples)
    return _tests(one, two, parents, parent_resampling.bootstrap_weights, seed, num_resamples)


def _tests(
    one: np.ndarray,
    two: np.ndarray,
    parents: Parents,
    draw: Callable[[np.ndarray, int, int, range], Weights],
    seed: int,
    num_resamples: int,
) -> TwoSampleTests:
    if one.shape[1:] != two.shape[1:]:
        raise ValueError(f"one.shape={one.shape} and two.shape={two.shape} differ in their modes")
    values = np.concatenate([one, two])
    informative = np.ptp(values, axis=0) > 0
    if not informative.any():
        raise ValueError("no mode varies over the maps of both sides")
    ranked = _ranked(values[:, informative])
    sizes = np.bincount(parents.group).astype(np.float64)
    size_of_block = max(1, _BLOCK_BYTES // (4 * len(values)))
    blocks = []
    for first in range(0, 1 + num_resamples, size_of_block):
        resamples = range(first, min(first + size_of_block, 1 + num_resamples))
        weights = draw(sizes, parents.num_one, seed, resamples)
        by_map = jnp.asarray(weights.value[parents.group])
        ks, square = (part.astype(np.float64) for part in _statistics(by_map, ranked))
        blocks.append((ks, square * weights.size_product))
    tests: list[ModeTests] = []
    for statistic in (np.concatenate(parts, axis=1).T for parts in zip(*blocks, strict=True)):
        full = np.full((1 + num_resamples, len(informative)), np.nan)
        full[:, informative] = statistic
        tests.append(ModeTests(full[0], *westfall_young(full[0], full[1:])))
    of_ks, of_square = tests
    return TwoSampleTests(of_ks, of_square, informative, (parents.num_one, parents.num_two), num_resamples)


class _Ranked(NamedTuple):
    """For every mode and rank: the map there, whether it is the last of equal values, l / (B (N - B))."""

    order: Int[np.ndarray, "modes maps"]
    last: Bool[np.ndarray, "modes maps"]
    anderson: Float[np.ndarray, "modes maps"]


def _ranked(values: np.ndarray) -> _Ranked:
    # Sorted in the precision given: values that differ there are no ties.
    order = np.argsort(values.T, axis=1, kind="stable")
    value = np.take_along_axis(values.T, order, 1)
    maps = len(values)
    below = np.arange(1, maps + 1)
    last = np.ones(order.shape, bool)
    last[:, :-1] = value[:, 1:] != value[:, :-1]
    # B at the last of equal values, minus B at the last of the next smaller ones.
    previous = np.maximum.accumulate(np.where(last, below, 0), axis=1)
    equal = below - np.concatenate([np.zeros((len(order), 1), int), previous[:, :-1]], axis=1)
    share = np.where(last, equal / (below * np.maximum(maps - below, 1.0)), 0)
    share[:, -1] = 0
    return _Ranked(order.astype(np.int32), last, share.astype(np.float32))


def _statistics(weights: Float[Array, "maps resamples"], ranked: _Ranked) -> tuple[np.ndarray, np.ndarray]:
    """Return KS and A^2 / (n_1 n_2), each (modes, resamples).

    A CPU takes so many modes at a time, the last ones filled up with copies, that statistics of any number of
    modes share a compiled program; an accelerator takes all modes at once.
    """
    if jax.default_backend() != "cpu":
        ks, square = jax.device_get(_walk_all(weights, *ranked))
        return ks, square
    modes = len(ranked.order)
    chunks = []
    for first in range(0, modes, _MODES):
        rows = np.minimum(np.arange(first, first + _MODES), modes - 1)
        chunks.append(jax.device_get(_walk_in_turn(weights, *(part[rows] for part in ranked))))
    ks, square = (np.concatenate(parts)[:modes] for parts in zip(*chunks, strict=True))
    return ks, square


def _walk(
    weights: Float[Array, "maps resamples"],
    order: Int[Array, " maps"],
    last: Bool[Array, " maps"],
    anderson: Float[Array, " maps"],
) -> tuple[Float[Array, " resamples"], Float[Array, " resamples"]]:
    """Return KS and A^2 / (n_1 n_2) of a mode in every resample, by one walk over the sorted maps."""

    def step(sums, rank):
        difference, largest, square = sums
        map_, is_last, share = rank
        difference += jax.lax.dynamic_index_in_dim(weights, map_, keepdims=False)
        largest = jnp.where(is_last, jnp.maximum(largest, jnp.abs(difference)), largest)
        return (difference, largest, square + share * difference**2), None

    zero = jnp.zeros(weights.shape[1], weights.dtype)
    (_, largest, square), _ = jax.lax.scan(step, (zero, zero, zero), (order, last, anderson))
    return largest, square


_walk_all = jax.jit(jax.vmap(_walk, in_axes=(None, 0, 0, 0)))


@jax.jit
def _walk_in_turn(weights: Float[Array, "maps resamples"], *ranked: Array) -> tuple[Array, Array]:
    """Walk one mode after the other: a CPU keeps the running sums of its resamples in its nearest cache."""
    return jax.lax.map(lambda mode: _walk(weights, *mode), ranked)


def _checked(side: str, values: np.ndarray) -> np.ndarray:
    values = np.asarray(values)
    if values.ndim != 2 or not values.size or values.dtype.kind not in "fiu":
        raise ValueError(f"{side} of shape {values.shape} and dtype {values.dtype} must be real, (maps, modes)")
    if not np.isfinite(values).all():
        map_, mode = np.argwhere(~np.isfinite(values))[0]
        raise ValueError(f"{side}[{map_}, {mode}]={values[map_, mode]} must be finite")
    return values
