"""The published kind of agreement: two-sample tests between the heights of two histograms. Of little power.

Mustafa et al. (2019, Sect. 3.1) give "bootstrapped two-tailed" KS and Anderson-Darling p-values of each mode
(236 of 248 above 0.99, 205 with Anderson-Darling). Their definition is missing: the endnote that may hold it is
not in the text. What is here is one reading, after a co-author's public code, which hands histogram
counts to scipy.stats.ks_2samp: the 30 bin heights of one side are taken for a sample, and tested against
those of the other. Two histograms may have the same set of heights wherever they stand, so their places do not
count, and maps are resampled as if they were independent. `power_under_shift` shows what that means. Nothing
should be judged by it; `mode_tests.py` is the test with power.
"""

import functools
import math
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from cosmogan_jax.compare.parents import generator

NUM_BINS = 30
_NUM_SHUFFLES = 20000


class HeightTests(NamedTuple):
    """Median over bootstrap resamples of the p-value between heights, of every mode; large: alike."""

    ks_p: Float[np.ndarray, " modes"]
    anderson_darling_p: Float[np.ndarray, " modes"]

    def shares(self, above: float) -> tuple[float, float]:
        """Return the shares of modes with p > above among those that vary, of KS and of Anderson-Darling."""
        known = ~np.isnan(self.ks_p)
        ks, anderson_darling = (float((p[known] > above).mean()) for p in self)
        return ks, anderson_darling


class ShiftPower(NamedTuple):
    """Shares of modes with p > 0.99 and p > 0.95 after side two is moved by each shift; columns KS, AD."""

    shift_sigma: Float[np.ndarray, " shifts"]
    above_099: Float[np.ndarray, "shifts 2"]
    above_095: Float[np.ndarray, "shifts 2"]


def height_tests(
    one: Float[np.ndarray, "maps_one modes"],
    two: Float[np.ndarray, "maps_two modes"],
    *,
    seed: int,
    num_resamples: int = 100,
    num_bins: int = NUM_BINS,
) -> HeightTests:
    """Test by KS and Anderson-Darling between the histogram heights of two sides, bootstrapped over maps.

    Bins are equal, over the range of both sides. A resample draws each side's maps with replacement, so its
    counts are multinomial. KS: the exact p, as scipy.stats.ks_2samp's, between the 2 x num_bins heights (counts
    / maps). Anderson-Darling: A^2 of Scholz & Stephens (Eq. 6) between them; p as the share of 20,000 random
    divisions of 2 x num_bins distinct numbers with an A^2 as large (SciPy's own p is clipped to 0.001 to 0.25
    and cannot say 0.99). Ties between heights, in nearly empty bins above all, make that p too small where
    maps are few. NaN for modes that do not vary.

    Raises:
      ValueError: values that are not (maps, modes), finite and of equal modes; fewer than two bins; no
        resamples.
    """
    one, two = np.asarray(one, np.float64), np.asarray(two, np.float64)
    if one.ndim != 2 or two.ndim != 2 or one.shape[1:] != two.shape[1:] or not one.size or not two.size:
        raise ValueError(
            f"one.shape={one.shape} and two.shape={two.shape} must be (maps, modes) of equal modes"
        )
    if not (np.isfinite(one).all() and np.isfinite(two).all()):
        raise ValueError("values must be finite on both sides")
    if num_bins < 2 or num_resamples < 1:
        raise ValueError(f"num_bins={num_bins} must be at least 2, num_resamples={num_resamples} at least 1")
    ks_table = _ks_table(num_bins)
    square_table = _square_table(num_bins)
    p = np.full((2, one.shape[1]), np.nan)
    for mode in range(one.shape[1]):
        rng = generator(seed, mode)
        low = min(one[:, mode].min(), two[:, mode].min())
        high = max(one[:, mode].max(), two[:, mode].max())
        if not high > low:
            continue
        heights = []
        for side in (one[:, mode], two[:, mode]):
            # Scaled first: bins of powers of 1e-12 are otherwise lost in rounding.
            counts = np.histogram((side - low) / (high - low), num_bins, (0, 1))[0]
            heights.append(rng.multinomial(len(side), counts / len(side), num_resamples) / len(side))
        steps, square = _height_statistics(*heights)
        p[0, mode] = np.median(ks_table[steps])
        reached = len(square_table) - np.searchsorted(square_table, square * (1 - 1e-9))
        p[1, mode] = np.median((1 + reached) / (1 + len(square_table)))
    return HeightTests(*p)


def power_under_shift(
    one: Float[np.ndarray, "maps_one modes"],
    two: Float[np.ndarray, "maps_two modes"],
    *,
    seed: int,
    shifts_sigma: tuple[float, ...] = (0.0, 0.1, 0.25, 0.5, 1.0),
    num_resamples: int = 100,
    num_bins: int = NUM_BINS,
) -> ShiftPower:
    """Repeat `height_tests` with every mode of side two moved by so many of its sigma.

    A test with power would leave no mode above 0.95 at 0.5 sigma: a shift of 0.05 sigma is significant between
    6400 independent maps a side.

    Raises:
      ValueError: as `height_tests`.
    """
    two = np.asarray(two, np.float64)
    shares = []
    for shift in shifts_sigma:
        tests = height_tests(
            one, two + shift * two.std(0), seed=seed, num_resamples=num_resamples, num_bins=num_bins
        )
        shares.append([tests.shares(0.99), tests.shares(0.95)])
    above = np.array(shares)
    return ShiftPower(np.array(shifts_sigma, np.float64), above[:, 0], above[:, 1])


def _height_statistics(one: np.ndarray, two: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return num_bins * KS, an integer, and A^2 between rows of heights (resamples, num_bins), ties allowed."""
    bins = one.shape[1]
    both = np.concatenate([one, two], axis=1)
    order = np.argsort(both, axis=1, kind="stable")
    value = np.take_along_axis(both, order, 1)
    # Heights of sides of unequal size are equal where their counts' ratios are, up to rounding.
    last = np.ones(value.shape, bool)
    last[:, :-1] = value[:, 1:] - value[:, :-1] > 1e-12
    difference = np.cumsum(np.where(order < bins, 1, -1), axis=1)
    steps = np.where(last, np.abs(difference), 0).max(1)
    below = np.arange(1, 2 * bins + 1)
    previous = np.maximum.accumulate(np.where(last, below, 0), axis=1)
    equal = below - np.pad(previous[:, :-1], ((0, 0), (1, 0)))
    weight = np.where(last, equal, 0)[:, :-1] / (below * (2 * bins - below))[:-1]
    return steps, (weight * difference[:, :-1] ** 2).sum(1)


def _ks_table(num_bins: int) -> np.ndarray:
    """Return the exact p of KS between n and n distinct numbers, by n * KS (Gnedenko & Korolyuk 1951).

    P(n KS >= h) = 2 sum_{k >= 1} (-1)^(k + 1) binom(2n, n - k h) / binom(2n, n)
    """
    n = num_bins
    ways = [
        sum((-1) ** (k + 1) * math.comb(2 * n, n - k * step) for k in range(1, n // step + 1))
        for step in range(1, n + 1)
    ]
    return np.array([1.0] + [2 * way / math.comb(2 * n, n) for way in ways])


@functools.cache
def _square_table(num_bins: int) -> np.ndarray:
    """Return A^2 of random divisions of 2 * num_bins distinct numbers, sorted; made once, not to be changed."""
    rng = generator(0, num_bins)
    ranks = rng.permuted(np.tile(np.arange(2.0 * num_bins), (_NUM_SHUFFLES, 1)), axis=1)
    table = np.sort(_height_statistics(ranks[:, :num_bins], ranks[:, num_bins:])[1])
    table.flags.writeable = False  # it is every caller's
    return table
