"""p-value for the distance between the pooled pixel distributions of two sets of maps.

    KS = max over edges |F_1 - F_2|,    F_s the share of all pixels of side s below the edge

from the maps' histograms in common bins. Pixels of one map are far from independent, so whole parents are
resampled, never pixels: a parent's pixels go wherever its maps go, and all resamples are a matrix product of
signs with the parents' cumulative histograms.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Int, Shaped

from cosmogan_jax.compare.two_sample import parent_resampling
from cosmogan_jax.compare.two_sample.family_wise import westfall_young

# Bins taken at once: cumulative histograms of 10^4 parents are then 40 MB.
_BINS_AT_ONCE = 1024


class PixelTest(NamedTuple):
    """The KS distance at the bins' edges (`pixel_distance.histogram_ks` bounds it within them), and its p."""

    distance: float
    p: float
    num_parents: tuple[int, int]
    num_permutations: int


def permutation_pixel_test(
    one: Int[np.ndarray, "maps_one bins"],
    two: Int[np.ndarray, "maps_two bins"],
    parents_one: Shaped[np.ndarray, " maps_one"],
    parents_two: Shaped[np.ndarray, " maps_two"],
    *,
    seed: int,
    num_permutations: int = 999,
) -> PixelTest:
    """Test by permuting whole parents between the sides, from counts of pixels in bins that all maps share.

    The first and last bin should be open, so that every pixel is counted. The conditions are those of
    `mode_tests.permutation_tests`.

    Raises:
      ValueError: counts that are not (maps, bins) of equal bins, not integers or negative; a map without
        pixels; all pixels in one bin; parents of another length, too few or of unequal kind.
    """
    one, two = _checked("one", one), _checked("two", two)
    parents = parent_resampling.number_parents(parents_one, parents_two, (len(one), len(two)))
    parent_resampling.check_permutations(parents, num_permutations)
    if one.shape[1:] != two.shape[1:]:
        raise ValueError(f"one.shape={one.shape} and two.shape={two.shape} differ in their bins")
    pooled = one.sum(0, dtype=np.int64) + two.sum(0, dtype=np.int64)
    if (pooled > 0).sum() < 2:
        raise ValueError("all pixels of both sides lie in one bin")
    sizes = np.bincount(parents.group, np.concatenate([one.sum(1), two.sum(1)]))
    resamples = range(1 + num_permutations)
    weights = parent_resampling.permutation_weights(sizes, parents.num_one, seed, resamples).value
    # Weights of the order of one whatever the number of pixels, for float32.
    scaled = (weights * np.float32(sizes.mean())).T
    share_below = np.cumsum(pooled) / pooled.sum()
    below = np.zeros(len(sizes))
    largest = np.zeros(len(resamples), np.float32)
    for first in range(0, one.shape[1], _BINS_AT_ONCE):
        part = slice(first, first + _BINS_AT_ONCE)
        counts = np.zeros((len(sizes), len(pooled[part])))
        np.add.at(counts, parents.group, np.concatenate([one[:, part], two[:, part]]))
        cumulative = below[:, None] + np.cumsum(counts, axis=1)
        below = cumulative[:, -1]
        # Each parent against the pool: weights times sizes sum to zero, so this takes nothing off the
        # difference, and float32 then rounds small numbers.
        centred = (cumulative - sizes[:, None] * share_below[part]) / sizes.mean()
        np.maximum(largest, np.abs(scaled @ centred.astype(np.float32)).max(1), out=largest)
    p = westfall_young(largest[:1], largest[1:, None]).p[0]
    return PixelTest(float(largest[0]), float(p), (parents.num_one, parents.num_two), num_permutations)


def _checked(side: str, counts: np.ndarray) -> np.ndarray:
    counts = np.asarray(counts)
    if counts.ndim != 2 or not counts.size or counts.dtype.kind not in "iu":
        raise ValueError(
            f"{side} of shape {counts.shape} and dtype {counts.dtype} must be counts, (maps, bins)"
        )
    if counts.dtype.kind == "i" and counts.min() < 0:
        raise ValueError(f"{side} holds the count {counts.min()}: counts must not be negative")
    empty = np.flatnonzero(counts.sum(1) == 0)
    if len(empty):
        raise ValueError(f"{side}[{empty[0]}] counts no pixels")
    return counts
