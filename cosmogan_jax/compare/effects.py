"""By how much two ensembles of maps differ: effect sizes with intervals from a bootstrap over parents.

Every effect of a `generated` set against `validation` is a `Difference`: its value, 0 for equal ensembles, and
its values in resamples of both sets. `interval` gives 95 % limits of each side. A p-value says whether maps can
be told apart, which with enough of them they always can; an effect says whether it matters.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy.stats import t as student_t

from cosmogan_jax.compare.resamples import Ensemble, check_pair, covariances, moments

_LEVEL = 0.95
# A mean within so many standard errors of 0 is no unit of a relative difference.
_LEAST_SIGNIFICANCE = 5.0
_LONG_TAIL = 10.0
# Maps that must count in a scatter (`relative_scatters`).
_FEWEST_COUNTING = 50
_BLOCK = 6
Run = tuple[int, int]
# Resamples from which the noise of a W1 distance is read: its 95 % quantile rests on the ten largest.
_W1_DRAWS = 200


class Difference(NamedTuple):
    """Effects that are 0 for equal ensembles, and their values in every resample."""

    value: Float[np.ndarray, " effects"]
    draws: Float[np.ndarray, "resamples effects"]


class Effect(NamedTuple):
    """A value with a lower and an upper limit, each at 95 % (together a 90 % interval)."""

    value: Float[np.ndarray, " effects"]
    lower: Float[np.ndarray, " effects"]
    upper: Float[np.ndarray, " effects"]


class Largest(NamedTuple):
    """The largest |R_g - R_v|, its pair of modes, and what noise alone gives: mean and 95 % quantile."""

    value: float
    pair: tuple[int, int]
    noise_mean: float
    noise_upper: float


class Distances(NamedTuple):
    """W1 distances with 95 % limits, and what noise alone gives on average."""

    value: Float[np.ndarray, " modes"]
    lower: Float[np.ndarray, " modes"]
    upper: Float[np.ndarray, " modes"]
    noise_mean: Float[np.ndarray, " modes"]


def interval(difference: Difference, num_parents: int) -> Effect:
    """value -+ t s: s over resamples, t Student's 95 % quantile at (parents of the smaller set) - 1."""
    reach = student_t.ppf(_LEVEL, num_parents - 1) * difference.draws.std(0, ddof=1)
    return Effect(difference.value, difference.value - reach, difference.value + reach)


def relative_means(generated: Ensemble, validation: Ensemble) -> Difference:
    """mu_g/mu_v - 1 of every mode.

    Raises:
      ValueError: other modes; a validation mean within five standard errors of 0 (`mean_shifts` serves there).
    """
    check_pair(generated, validation)
    mean = moments(validation).mean
    faint = np.abs(mean[0]) < _LEAST_SIGNIFICANCE * mean[1:].std(0)
    if faint.any():
        raise ValueError(f"{validation.name}: modes {np.flatnonzero(faint).tolist()} have means within "
                         f"{_LEAST_SIGNIFICANCE:g} standard errors of 0: no relative difference")  # fmt: skip
    return _difference(moments(generated).mean / mean - 1)


def mean_shifts(generated: Ensemble, validation: Ensemble) -> Difference:
    """(mu_g - mu_v)/sigma_v of every mode: for statistics of either sign.

    Raises:
      ValueError: other modes; modes that hardly vary.
    """
    check_pair(generated, validation)
    of_validation = moments(validation)
    shift = moments(generated).mean - of_validation.mean
    return _difference(shift / _varying(validation.name, of_validation.scatter))


def relative_scatters(generated: Ensemble, validation: Ensemble) -> Difference:
    """sigma_g/sigma_v - 1 of every mode; NaN where too few maps make up a scatter.

    The scatter of a statistic with a long tail rests on its few largest maps, and resamples of these know
    nothing of the larger ones that other maps would have had. With d a map's deviation from the mean,
    (sum d^2)^2/sum d^4 maps count, N over the kurtosis. Where fewer than 50 do, on either side, the scatter is
    not known. Modes of `long_tailed` are better left out: no affordable number of maps knows theirs.

    Raises:
      ValueError: other modes; modes that hardly vary.
    """
    check_pair(generated, validation)
    scatter = _varying(validation.name, moments(validation).scatter)
    ratio = moments(generated).scatter / scatter
    counting = np.minimum(_counting(generated.values), _counting(validation.values))
    return _difference(np.where(counting < _FEWEST_COUNTING, np.nan, ratio) - 1)


def long_tailed(validation: Ensemble) -> Bool[np.ndarray, " modes"]:
    """Modes whose kurtosis over maps is above 10: what is rare in a map, as the tallest peaks or K3.

    Their scatter is known to sqrt((kurtosis - 1)/4N) from N maps, to 2 % from 5000 and more.
    """
    return len(validation.values) / _counting(validation.values) > _LONG_TAIL


def covariance_slope(generated: Ensemble, validation: Ensemble) -> Difference:
    """Slope - 1 of generated on validation off-diagonal covariance, through the origin, as one effect:

        slope = sum w C_g C_v / (sum w C_v^2 - B),    w_ij = 1/(C_v,ii C_v,jj)

    over pairs i < j. The weights, which take both covariances in units of the validation scatter, keep modes
    of much power from deciding alone. Noise in C_v adds to sum C_v^2 and would draw the slope to 0 for equal
    ensembles too (regression dilution); B = E* sum w* C_v* (C_v* - C_v) over resamples is that addition, the
    weights' own noise included. The median of the slope is then right; its mean lies above by its relative
    variance, as any ratio's does. NaN where B is more than a third of the sum: there the covariance is noise.

    Raises:
      ValueError: other modes, fewer than two or more than 40 of them; modes that hardly vary.
    """
    row, column = _pairs(generated, validation)
    of_validation = covariances(validation)
    power = _varying(validation.name, np.diagonal(of_validation, axis1=1, axis2=2))
    weight = 1 / (power[:, row] * power[:, column])
    c_g, c_v = covariances(generated)[:, row, column], of_validation[:, row, column]
    square = (weight * c_v**2).sum(1)
    addition = (weight * c_v * (c_v - c_v[0]))[1:].sum(1).mean()
    if addition > square[0] / 3:
        return Difference(np.full(1, np.nan), np.full((len(square) - 1, 1), np.nan))
    # A resample's C_v* holds the noise twice: its own, and that of the set it is drawn from.
    additions = addition * np.where(np.arange(len(square)) == 0, 1, 2)
    return _difference(((weight * c_g * c_v).sum(1) / (square - additions) - 1)[:, None])


def correlation_differences(generated: Ensemble, validation: Ensemble) -> Difference:
    """R_g - R_v of all pairs of modes i < j, in the order of `numpy.triu_indices(modes, 1)`.

    Raises:
      ValueError: other modes, fewer than two or more than 40 of them; modes that hardly vary.
    """
    row, column = _pairs(generated, validation)
    return _difference(_correlations(generated, row, column) - _correlations(validation, row, column))


def correlation_blocks(
    num_modes: int, size: int = _BLOCK
) -> dict[tuple[Run, Run], Int[np.ndarray, " effects"]]:
    """Which pairs (positions in `correlation_differences`) lie in each block of `size` by `size` modes.

    Keys are the block's modes, ((first row, end), (first column, end)), rows <= columns; pairs i < j only, so a
    block on the diagonal holds size (size - 1)/2 of them. A last run of a single mode joins the run before it.

    Raises:
      ValueError: fewer than two modes, or size below 2.
    """
    if num_modes < 2 or size < 2:
        raise ValueError(f"num_modes={num_modes} and size={size} must be at least 2")
    starts = list(range(0, num_modes, size))
    if len(starts) > 1 and num_modes - starts[-1] == 1:
        starts.pop()
    runs = list(zip(starts, [*starts[1:], num_modes], strict=True))
    run = np.searchsorted(starts, np.arange(num_modes), side="right") - 1
    row, column = np.triu_indices(num_modes, 1)
    return {
        (rows, columns): np.flatnonzero((run[row] == i) & (run[column] == j))
        for i, rows in enumerate(runs)
        for j, columns in enumerate(runs)
        if i <= j
    }


def mean_excess_correlation(
    difference: Difference, low: Bool[np.ndarray, " modes"], high: Bool[np.ndarray, " modes"]
) -> Difference:
    """Signed mean of R_g - R_v over the pairs of a low and a high mode, as one effect.

    Raises:
      ValueError: modes that are both low and high, or none of either.
    """
    low, high = np.asarray(low, bool), np.asarray(high, bool)
    if (low & high).any() or not (low.any() and high.any()):
        raise ValueError("low and high modes must be some and have none in common")
    row, column = np.triu_indices(len(low), 1)
    across = (low[row] & high[column]) | (high[row] & low[column])
    return Difference(
        difference.value[across].mean(keepdims=True), difference.draws[:, across].mean(1)[:, None]
    )


def largest_correlation_difference(difference: Difference) -> Largest:
    """max |R_g - R_v| beside max |(R_g - R_v)* - (R_g - R_v)| over resamples, which is noise alone."""
    num_modes = round((1 + np.sqrt(1 + 8 * len(difference.value))) / 2)
    row, column = np.triu_indices(num_modes, 1)
    worst = int(np.argmax(np.abs(difference.value)))
    noise = np.abs(difference.draws - difference.value).max(1)
    return Largest(
        float(np.abs(difference.value[worst])),
        (int(row[worst]), int(column[worst])),
        float(noise.mean()),
        float(np.quantile(noise, _LEVEL)),
    )


def wasserstein(generated: Ensemble, validation: Ensemble) -> Distances:
    """W1 = integral |F_g - F_v| dx of every mode, in units of the validation scatter.

    A distance is never negative and noise adds to it, so its own bootstrap says little near 0. The limits are
    W1 -+ q with q the 95 % quantile of N = integral |(F_g* - F_g) - (F_v* - F_v)| dx: by the triangle
    inequality |W1 - true W1| is at most the real sample's N. Safe for every shape, and wide. The mean of N
    is what two equal ensembles of these sizes would show.

    Raises:
      ValueError: other modes.
    """
    check_pair(generated, validation)
    weights = []
    for sample, sign in ((generated, 1.0), (validation, -1.0)):
        of_map = sample.resampling.weights[: 1 + _W1_DRAWS, sample.resampling.groups]
        weights.append(sign * of_map / of_map.sum(1, keepdims=True))
    # Maps first: the sort by value then moves whole rows. float32 keeps sums of 1e4 shares to 1e-6.
    signed = np.ascontiguousarray(np.concatenate(weights, 1).T, np.float32)
    found = np.empty((4, generated.values.shape[1]))
    for mode in range(found.shape[1]):
        values = np.concatenate([generated.values[:, mode], validation.values[:, mode]])
        order = np.argsort(values)
        steps = np.diff(values[order]) / validation.values[:, mode].std(ddof=1)
        apart = np.cumsum(signed[order[:-1]], axis=0)
        value = float(steps @ np.abs(apart[:, 0]))
        apart -= apart[:, :1].copy()
        noise = steps.astype(np.float32) @ np.abs(apart[:, 1:], out=apart[:, 1:])
        reach = float(np.quantile(noise, _LEVEL))
        found[:, mode] = value, max(value - reach, 0), value + reach, noise.mean()
    return Distances(*found)


def _counting(values: Float[np.ndarray, "maps modes"]) -> Float[np.ndarray, " modes"]:
    """How many maps make up the scatter: see `relative_scatters`."""
    square = (values - values.mean(0)) ** 2
    square = square / square.max(0)
    return square.sum(0) ** 2 / (square**2).sum(0)


def _difference(rows: Float[np.ndarray, "resamples effects"]) -> Difference:
    return Difference(rows[0], rows[1:])


def _pairs(generated: Ensemble, validation: Ensemble) -> tuple[np.ndarray, np.ndarray]:
    check_pair(generated, validation)
    if validation.values.shape[1] < 2:
        raise ValueError(f"{validation.name}: a single mode has no covariance with another")
    return np.triu_indices(validation.values.shape[1], 1)


def _correlations(sample: Ensemble, row: np.ndarray, column: np.ndarray) -> np.ndarray:
    found = covariances(sample)
    power = _varying(sample.name, np.diagonal(found, axis1=1, axis2=2))
    return found[:, row, column] / np.sqrt(power[:, row] * power[:, column])


def _varying(name: str, scatter: Float[np.ndarray, "resamples modes"]) -> Float[np.ndarray, "resamples modes"]:
    # In a resample without the few parents that differ, such a mode is constant.
    still = (scatter <= 1e-9 * scatter[0]).any(0)
    if still.any():
        raise ValueError(
            f"{name}: modes {np.flatnonzero(still).tolist()} vary in too few parents: leave them out"
        )
    return scatter
