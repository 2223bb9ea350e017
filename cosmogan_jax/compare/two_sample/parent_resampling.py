"""Whole parents resampled on two sides: how each parent's maps (or pixels) weigh in a difference of two shares.

With x any threshold, C_g(x) the number of parent g's values at or below it and n_g of all its values, every
two-sample statistic here is made of

    D(x) = sum_g w_g C_g(x),

and a resample is another set of weights w. Values of one parent are never told apart, so their dependence,
whatever it is, stays in the null distribution. Labels name parents within a side: no parent is on both.
"""

import math
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int, Shaped

from cosmogan_jax.compare.parents import draw_counts, generator, numbered

# Permuting whole parents asks for parents of one kind: mean sizes within the first ratio, or, where the sides
# have as many parents but for that ratio, within the second (levels in `mode_tests.permutation_tests`).
_ALIKE, _SIZE_RATIO = 1.1, 1.5
# With fewer a bootstrap over parents rejects true nulls too often (levels in `mode_tests.clustered_tests`): at
# least, and where parents of one side are larger than the other's by more than _SIZE_RATIO.
MIN_BOOTSTRAP_PARENTS, MIN_UNLIKE_PARENTS = 20, 50


class Parents(NamedTuple):
    """The parent of every map of both sides, those of side one first, numbered from 0 through both sides."""

    group: Int[np.ndarray, " maps"]
    num_one: int
    num_two: int


class Weights(NamedTuple):
    """w of every resample, float32, and the product of the sides' sizes n_1 n_2."""

    value: Float[np.ndarray, "parents resamples"]
    size_product: Float[np.ndarray, " resamples"]


def number_parents(
    parents_one: Shaped[np.ndarray, " maps_one"],
    parents_two: Shaped[np.ndarray, " maps_two"],
    num_maps: tuple[int, int],
) -> Parents:
    """Return the parents of both sides, from any labels.

    Raises:
      ValueError: labels that are not one for each map.
    """
    sides = []
    for side, labels, maps in zip(("one", "two"), (parents_one, parents_two), num_maps, strict=True):
        sides.append(numbered(labels, maps, name=f"parents_{side}"))
    (one, num_one), (two, num_two) = sides
    return Parents(np.concatenate([one, two + num_one]), num_one, num_two)


def check_permutations(parents: Parents, num_permutations: int) -> None:
    """Check that whole parents can be permuted.

    Raises:
      ValueError: no permutations, fewer ways to share out the parents than permutations (the p-value could not
        be as small as they suggest), or parents of unequal kind: their mean numbers of maps differ by more
        than a factor 1.5, or by more than 1.1 while one side has more than 1.1 times the other's parents.
    """
    if num_permutations < 1:
        raise ValueError(f"num_permutations={num_permutations} must be positive")
    total = parents.num_one + parents.num_two
    if math.comb(total, parents.num_one) <= num_permutations:
        enough = next(n for n in range(1, 64) if math.comb(2 * n, n) > num_permutations)
        raise ValueError(
            f"{parents.num_one} and {parents.num_two} parents can be shared out in "
            f"{math.comb(total, parents.num_one)} ways, too few for num_permutations={num_permutations}: "
            f"{enough} parents on each side are enough"
        )
    one, two = _mean_sizes(parents)
    balanced = _ratio(parents.num_one, parents.num_two) <= _ALIKE
    if _ratio(one, two) > (_SIZE_RATIO if balanced else _ALIKE):
        raise ValueError(
            f"{parents.num_one} parents of {one:g} and {parents.num_two} of {two:g} maps on average are not "
            "exchangeable: take one map of each parent, or the clustered form"
        )


def _mean_sizes(parents: Parents) -> tuple[float, float]:
    """Return how many maps a parent has on either side, on average."""
    counts = np.bincount(parents.group)
    return float(counts[: parents.num_one].mean()), float(counts[parents.num_one :].mean())


def _ratio(one: float, two: float) -> float:
    return max(one, two) / min(one, two)


def check_bootstrap(parents: Parents, num_resamples: int) -> None:
    """Check that parents can be bootstrapped on each side.

    Raises:
      ValueError: no resamples, or fewer than 20 parents on a side; 50 where the parents of one side have more
        than 1.5 times the maps of the other's.
    """
    if num_resamples < 1:
        raise ValueError(f"num_resamples={num_resamples} must be positive")
    one, two = _mean_sizes(parents)
    unlike = _ratio(one, two) > _SIZE_RATIO
    least = MIN_UNLIKE_PARENTS if unlike else MIN_BOOTSTRAP_PARENTS
    why = f", of {one:g} and of {two:g} maps on average," if unlike else ""
    for side, count in (("one", parents.num_one), ("two", parents.num_two)):
        if count < least:
            raise ValueError(
                f"{count} parents on side {side} are too few: a bootstrap over parents{why} needs at least "
                f"{least} on each"
            )


def permutation_weights(
    sizes: Float[np.ndarray, " parents"], num_one: int, seed: int, resamples: range
) -> Weights:
    """Share parents out anew, num_one of them to side one: w = 1/n_1 there and -1/n_2 on the other.

    n_1 and n_2 are what the sides then hold. Resample 0 is the data as they are; resample i depends on the
    seed and i alone.
    """
    value = np.empty((len(resamples), len(sizes)), np.float32)
    product = np.empty(len(resamples))
    for row, index in enumerate(resamples):
        order = generator(seed, index).permutation(len(sizes)) if index else np.arange(len(sizes))
        n_one = sizes[order[:num_one]].sum()
        n_two = sizes[order[num_one:]].sum()
        value[row, order[:num_one]] = 1 / n_one
        value[row, order[num_one:]] = -1 / n_two
        product[row] = n_one * n_two
    return Weights(value.T, product)


def bootstrap_weights(
    sizes: Float[np.ndarray, " parents"], num_one: int, seed: int, resamples: range
) -> Weights:
    """Draw parents with replacement on each side; w is the change of their weight, so that D is centred:

        w_g = sqrt(G/(G - 1)) (m_g / n* - 1 / n) on side one, minus that on side two,

    m_g how often g was drawn, n* = sum m_g n_g, G the side's parents (the factor makes the variance of a mean
    unbiased). Resample 0 is the difference of the data as they are, not centred; resample i depends on the
    seed and i alone.
    """
    sides = (slice(0, num_one), slice(num_one, len(sizes)))
    value = np.empty((len(resamples), len(sizes)), np.float32)
    for row, index in enumerate(resamples):
        random = generator(seed, index)
        for sign, side in zip((1, -1), sides, strict=True):
            own = sizes[side]
            if not index:
                value[row, side] = sign / own.sum()
                continue
            drawn = draw_counts(random, len(own))
            scale = np.sqrt(len(own) / (len(own) - 1))
            value[row, side] = sign * scale * (drawn / (drawn @ own) - 1 / own.sum())
    product = sizes[sides[0]].sum() * sizes[sides[1]].sum()
    return Weights(value.T, np.full(len(resamples), product))
