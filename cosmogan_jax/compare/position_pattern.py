"""What is fixed in place: how strongly an ensemble's mean and scatter depend on the position in a map.

A sky has no preferred place, so the mean over maps m(x) and the scatter s(x) at every pixel are constant but
for noise. With the maps in G groups that are independent of one another, noise drops out of products of two:

    A^2 = mean over pairs a != b of mean_x d_a(x) d_b(x),    d = m/s - its mean    (mean by position)
    B^2 = the same with                                      d = (s^2/mean_x s^2 - 1)/2  (scatter by position)

so that A is the rms over the map of the fixed part of the mean, in units of a pixel's sigma, and B that of the
relative scatter. Pairs weigh as the products of the groups' numbers of maps. Limits come from leaving out one
group at a time (jackknife), with Student's quantile of G - 1 degrees of freedom. Float64 NumPy on the host.
"""

from typing import Any, Literal, NamedTuple

import numpy as np
from jaxtyping import Float
from scipy.stats import t as student_t

from cosmogan_jax.compare.position_moments import PositionMoments, merge

_LEVEL = 0.95
# With fewer the jackknife knows no error.
MIN_GROUPS = 4


class Pattern(NamedTuple):
    """A square, which noise may make negative, and its 95 % limits of each side."""

    square: float
    lower: float
    upper: float

    def outcome(self, margin: float) -> Literal["pass", "fail", "not resolvable"]:
        """Return pass where the upper limit is below margin^2, fail where the lower one is above it."""
        if self.lower > margin**2:
            return "fail"
        return "pass" if self.upper < margin**2 else "not resolvable"


class Patterns(NamedTuple):
    """Of the mean, in units of a pixel's sigma, and of the scatter, relative: see the module."""

    mean: Pattern
    sigma: Pattern


def patterns(groups: PositionMoments) -> Patterns:
    """Return both patterns from the moments at every pixel of groups of maps (along the leading axis).

    Raises:
      ValueError: fewer than four groups, or a group of fewer than two maps; maps that do not vary.
    """
    count = np.asarray(groups.count, np.float64)
    if len(count) < MIN_GROUPS or (count < 2).any():
        raise ValueError(
            f"{len(count)} groups of {count.astype(int).tolist()} maps: a pattern by position needs "
            f"{MIN_GROUPS} groups of two maps at least"
        )
    shape = (len(count), -1)
    mean = np.asarray(groups.mean, np.float64).reshape(shape)
    variance = np.asarray(groups.m2, np.float64).reshape(shape) / (count[:, None] - 1)
    level = np.average(variance.mean(1), weights=count)
    if not level > 0:
        raise ValueError("maps that do not vary have no pattern by position")
    shift = (mean - mean.mean(1, keepdims=True)) / np.sqrt(level)
    stretch = (variance / variance.mean(1, keepdims=True) - 1) / 2
    return Patterns(_pattern(shift, count), _pattern(stretch, count))


def fewer(groups: PositionMoments, most: int) -> PositionMoments:
    """Merge groups to at most so many: group n joins those whose number differs by a multiple of `most`."""
    count, mean, m2 = (np.asarray(x, np.float64) for x in groups)
    every: Any = (count[:, None, None], mean, m2)  # NumPy's on the host, where the moments are JAX's
    kept = PositionMoments(*(part[:most] for part in every))
    for start in range(most, len(count), most):
        more = PositionMoments(*(part[start : start + most] for part in every))
        size = len(more.mean)
        joined = merge(PositionMoments(*(part[:size] for part in kept)), more)
        parts: Any = (np.concatenate([new, part[size:]]) for new, part in zip(joined, kept))
        kept = PositionMoments(*parts)
    return kept._replace(count=kept.count[:, 0, 0])


def _pattern(deviation: Float[np.ndarray, "groups pixels"], count: Float[np.ndarray, " groups"]) -> Pattern:
    products = deviation @ deviation.T / deviation.shape[1]
    weights = np.outer(count, count)
    np.fill_diagonal(weights, 0.0)

    def weighted_mean(kept: np.ndarray) -> float:
        return float((weights * products)[np.ix_(kept, kept)].sum() / weights[np.ix_(kept, kept)].sum())

    size = len(count)
    value = weighted_mean(np.arange(size))
    left = np.array([weighted_mean(np.delete(np.arange(size), left_out)) for left_out in range(size)])
    error = np.sqrt((size - 1) / size * ((left - left.mean()) ** 2).sum())
    reach = student_t.ppf(_LEVEL, size - 1) * error
    return Pattern(value, value - reach, value + reach)
