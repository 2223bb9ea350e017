"""What an ensemble of maps says of a statistic: bands, covariance, correlation, each with a standard error.

`values` are statistics of many maps, (maps, modes); `parents` names the map (or box) that each was cut from.
Crops of one parent are not independent, so every standard error comes from a bootstrap over parents: whole
parents are drawn with replacement. Float64 NumPy on the host.
"""

from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int, Shaped


class Estimate(NamedTuple):
    """A value and its standard error, alike in shape."""

    value: Float[np.ndarray, "..."]
    standard_error: Float[np.ndarray, "..."]


class Bands(NamedTuple):
    """Mean and standard deviation over maps of every mode."""

    mean: Estimate
    sigma: Estimate


def bands(
    values: Float[np.ndarray, "maps modes"],
    parents: Shaped[np.ndarray, " maps"],
    *,
    seed: int,
    num_resamples: int = 200,
) -> Bands:
    """mu and sigma of every mode; sigma with divisor N - 1.

    Raises:
      ValueError: values that are not (maps, modes) and finite, parents of another length, fewer than two
        parents, fewer than two resamples.
    """
    values, groups = checked(values, parents)

    def mean_and_sigma(weight):
        total = weight.sum()
        mean = weight @ values / total
        return np.stack([mean, np.sqrt(weight @ (values - mean) ** 2 / (total - 1))])

    found = _bootstrap(mean_and_sigma, groups, seed, num_resamples)
    return Bands(*(Estimate(found.value[i], found.standard_error[i]) for i in (0, 1)))


def covariance_matrix(
    values: Float[np.ndarray, "maps modes"],
    parents: Shaped[np.ndarray, " maps"],
    *,
    seed: int,
    num_resamples: int = 200,
) -> Estimate:
    """C_ij = sum (x_i - mu_i)(x_j - mu_j)/(N - 1) over maps, (modes, modes).

    Raises:
      ValueError: as `bands`.
    """
    values, groups = checked(values, parents)
    return _bootstrap(lambda weight: _covariance(values, weight), groups, seed, num_resamples)


def correlation_matrix(
    values: Float[np.ndarray, "maps modes"],
    parents: Shaped[np.ndarray, " maps"],
    *,
    seed: int,
    num_resamples: int = 200,
) -> Estimate:
    """R_ij = C_ij / sqrt(C_ii C_jj), (modes, modes).

    A mode that does not vary (an empty bin) has no correlation: its row and column are NaN. The textbook
    error (1 - r^2)/sqrt(N) is for independent, Gaussian maps; it is too small in the tails.

    Raises:
      ValueError: as `bands`.
    """
    values, groups = checked(values, parents)
    spread = values.std(0)
    # Standardised first: powers of 1e-12 and their products then keep their digits.
    scaled = (values - values.mean(0)) / np.where(spread > 0, spread, 1)
    scaled[:, ~_varies(values)] = np.nan
    return _bootstrap(lambda weight: _correlation(_covariance(scaled, weight)), groups, seed, num_resamples)


def effective_modes(values: Float[np.ndarray, "maps modes"]) -> float:
    """Number of independent modes: the participation ratio (sum lambda)^2 / sum lambda^2.

    lambda are the eigenvalues of the correlation matrix of the modes that vary, so this is n^2 / sum R_ij^2:
    n for independent modes, 1 for modes that all say the same. The noise of N maps adds about n(n-1)/N to the
    sum of R^2.

    Raises:
      ValueError: values that are not (maps, modes) and finite; no mode varies.
    """
    values = _finite(values)
    values = values[:, _varies(values)]
    if not values.shape[1]:
        raise ValueError("no mode varies over the maps")
    scaled = (values - values.mean(0)) / values.std(0)
    correlation = scaled.T @ scaled / len(scaled)
    return float(values.shape[1] ** 2 / (correlation**2).sum())


def resampling_weights(
    groups: Shaped[np.ndarray, " maps"], seed: int, num_resamples: int
) -> Iterator[Float[np.ndarray, " maps"]]:
    """How often each map counts in each resample: as often as its parent was drawn.

    groups number the parents from 0. The same seed gives the same resamples, whatever the statistic.
    """
    for drawn in parent_weights(int(groups.max()) + 1, seed, num_resamples):
        yield drawn[groups]


def lower_median(values: Float[np.ndarray, "maps modes"]) -> Float[np.ndarray, " modes"]:
    """The median of each mode, of two middle values the lower one: a value that a map has.

    Where half of the maps and more have the same value it is that one, and what differs from it can be counted.
    """
    return np.quantile(values, 0.5, axis=0, method="lower")


def one_of_each(units: Shaped[np.ndarray, " maps"], seed: int) -> Int[np.ndarray, " units"]:
    """One map of every unit, at random, in ascending order."""
    order = np.random.Generator(np.random.Philox(key=[seed, 0])).permutation(len(units))
    return np.sort(order[np.unique(units[order], return_index=True)[1]])


def parent_weights(
    num_parents: int, seed: int, num_resamples: int, stream: int = 0
) -> Iterator[Float[np.ndarray, " parents"]]:
    """How often each of the parents was drawn in each resample: multinomial, `num_parents` draws in all.

    Sets that are resampled independently of one another take different streams of one seed.
    """
    for index in range(num_resamples):
        # The stream is the counter's highest word: no draw of one stream is a draw of another.
        rng = np.random.Generator(np.random.Philox(key=[seed, index], counter=[0, 0, 0, stream]))
        drawn = np.bincount(rng.integers(0, num_parents, num_parents), minlength=num_parents)
        yield drawn.astype(np.float64)


def _bootstrap(
    statistic: Callable[[np.ndarray], np.ndarray], groups: np.ndarray, seed: int, num_resamples: int
) -> Estimate:
    if num_resamples < 2:
        raise ValueError(f"num_resamples={num_resamples} must be at least 2")
    value = statistic(np.ones(len(groups)))
    mean, square = np.zeros_like(value), np.zeros_like(value)
    for count, weight in enumerate(resampling_weights(groups, seed, num_resamples), start=1):
        # Welford: one pass, no list of matrices.
        found = statistic(weight)
        change = found - mean
        mean += change / count
        square += change * (found - mean)
    return Estimate(value, np.sqrt(square / (num_resamples - 1)))


def _covariance(values: np.ndarray, weight: np.ndarray) -> np.ndarray:
    total = weight.sum()
    centred = values - weight @ values / total
    return (centred * weight[:, None]).T @ centred / (total - 1)


def _correlation(covariance: np.ndarray) -> np.ndarray:
    sigma = np.sqrt(np.diag(covariance))
    return covariance / np.where(sigma > 0, sigma, np.nan) / np.where(sigma > 0, sigma, np.nan)[:, None]


def _varies(values: np.ndarray) -> np.ndarray:
    return np.ptp(values, axis=0) > 0


def _finite(values: np.ndarray) -> np.ndarray:
    values = np.asarray(values, np.float64)
    if values.ndim != 2 or len(values) < 2:
        raise ValueError(f"values.shape={values.shape} must be (maps, modes) with at least two maps")
    if not np.isfinite(values).all():
        map_, mode = np.argwhere(~np.isfinite(values))[0]
        raise ValueError(f"values[{map_}, {mode}]={values[map_, mode]} must be finite")
    return values


def checked(
    values: Float[np.ndarray, "maps modes"], parents: Shaped[np.ndarray, " maps"]
) -> tuple[Float[np.ndarray, "maps modes"], Int[np.ndarray, " maps"]]:
    """The values in float64, and the parents numbered from 0.

    Raises:
      ValueError: as `bands`, but for the resamples.
    """
    values, parents = _finite(values), np.asarray(parents)
    if parents.shape != values.shape[:1]:
        raise ValueError(f"parents.shape={parents.shape} must be ({len(values)},), one for each map")
    names, groups = np.unique(parents, return_inverse=True)
    if len(names) < 2:
        raise ValueError(f"{len(names)} parent is too few: a bootstrap over parents needs at least two")
    return values, groups
