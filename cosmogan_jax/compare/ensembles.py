"""What an ensemble of maps says of a statistic: mean and scatter with standard errors, independent modes.

`values` are statistics of many maps, (maps, modes); `parents` names the map (or box) that each was cut from.
Crops of one parent are not independent, so every standard error comes from a bootstrap over parents: whole
parents are drawn with replacement. Float64 NumPy on the host.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int, Shaped

from cosmogan_jax.compare.parents import map_weights, numbered


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
    """Return mu and sigma of every mode; sigma with divisor N - 1.

    Raises:
      ValueError: values that are not (maps, modes) and finite, parents of another length, fewer than two
        parents, fewer than two resamples.
    """
    values, numbers = checked(values, parents)
    if num_resamples < 2:
        raise ValueError(f"num_resamples={num_resamples} must be at least 2")

    def mean_and_sigma(weight):
        total = weight.sum()
        mean = weight @ values / total
        return np.stack([mean, np.sqrt(weight @ (values - mean) ** 2 / (total - 1))])

    value = mean_and_sigma(np.ones(len(values)))
    average, square = np.zeros_like(value), np.zeros_like(value)
    for count, weight in enumerate(map_weights(numbers, seed, num_resamples), start=1):
        # Welford's one pass.
        resampled = mean_and_sigma(weight)
        change = resampled - average
        average += change / count
        square += change * (resampled - average)
    error = np.sqrt(square / (num_resamples - 1))
    return Bands(Estimate(value[0], error[0]), Estimate(value[1], error[1]))


def effective_modes(values: Float[np.ndarray, "maps modes"]) -> float:
    """Return the number of independent modes: the participation ratio (sum lambda)^2 / sum lambda^2.

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


def lower_median(values: Float[np.ndarray, "maps modes"]) -> Float[np.ndarray, " modes"]:
    """Return the median of each mode, of two middle values the lower one: a value that a map has.

    Where half of the maps and more have the same value it is that one, and what differs from it can be counted.
    """
    return np.quantile(values, 0.5, axis=0, method="lower")


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
    """Return the values in float64, and the parents numbered from 0.

    Raises:
      ValueError: as `bands`, but for the resamples.
    """
    values = _finite(values)
    return values, numbered(parents, len(values), fewest=2, purpose="a bootstrap over parents")[0]
