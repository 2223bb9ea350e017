"""By how much two ensembles of maps differ: effect sizes with intervals from a bootstrap over parents.

Every effect of a `generated` set against `validation` is a `Difference`: its value, 0 for equal ensembles, and
its values in resamples of both sets. `interval` gives 95 % limits of each side. A p-value says whether maps can
be told apart, which with enough of them they always can; an effect says whether it matters.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy.stats import t as student_t

from cosmogan_jax.compare.effects.resamples import Ensemble, check_pair, covariances

_LEVEL = 0.95
# A mean within so many standard errors of 0 is no unit of a relative difference.
_LEAST_SIGNIFICANCE = 5.0
_LONG_TAIL = 10.0
# Maps that must count in a scatter (`relative_scatters`).
_FEWEST_COUNTING = 50
_BLOCK = 6
Run = tuple[int, int]


class Difference(NamedTuple):
    """Effects that are 0 for equal ensembles, and their values in every resample."""

    value: Float[np.ndarray, " effects"]
    draws: Float[np.ndarray, "resamples effects"]


# An effect of one set against another.
Measure = Callable[[Ensemble, Ensemble], Difference]


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


def interval(difference: Difference, num_parents: int) -> Effect:
    """Return value -+ t s: s over resamples, t Student's 95 % quantile at parents of the smaller set - 1."""
    reach = student_t.ppf(_LEVEL, num_parents - 1) * difference.draws.std(0, ddof=1)
    return Effect(difference.value, difference.value - reach, difference.value + reach)


def relative_means(generated: Ensemble, validation: Ensemble) -> Difference:
    """Return mu_g/mu_v - 1 of every mode.

    Raises:
      ValueError: other modes; a validation mean within five standard errors of 0 (`mean_shifts` serves there).
    """
    check_pair(generated, validation)
    mean = validation.moments.mean
    faint = np.abs(mean[0]) < _LEAST_SIGNIFICANCE * mean[1:].std(0)
    if faint.any():
        raise ValueError(f"{validation.name}: modes {np.flatnonzero(faint).tolist()} have means within "
                         f"{_LEAST_SIGNIFICANCE:g} standard errors of 0: no relative difference")  # fmt: skip
    return _difference(generated.moments.mean / mean - 1)


def mean_shifts(generated: Ensemble, validation: Ensemble) -> Difference:
    """Return (mu_g - mu_v)/sigma_v of every mode: for statistics of either sign.

    Raises:
      ValueError: other modes; modes that hardly vary.
    """
    check_pair(generated, validation)
    of_validation = validation.moments
    shift = generated.moments.mean - of_validation.mean
    return _difference(shift / _varying(validation.name, of_validation.scatter))


def relative_scatters(generated: Ensemble, validation: Ensemble) -> Difference:
    """Return sigma_g/sigma_v - 1 of every mode; NaN where too few maps make up a scatter.

    The scatter of a statistic with a long tail rests on its few largest maps, and resamples of these know
    nothing of the larger ones that other maps would have had. With d a map's deviation from the mean,
    (sum d^2)^2/sum d^4 maps count, N over the kurtosis. Where fewer than 50 do, on either side, the scatter is
    not known. Modes of `long_tailed` are better left out: no affordable number of maps knows theirs.

    Raises:
      ValueError: other modes; modes that hardly vary.
    """
    check_pair(generated, validation)
    scatter = _varying(validation.name, validation.moments.scatter)
    ratio = generated.moments.scatter / scatter
    counting = np.minimum(_counting(generated.values), _counting(validation.values))
    return _difference(np.where(counting < _FEWEST_COUNTING, np.nan, ratio) - 1)


def long_tailed(validation: Ensemble) -> Bool[np.ndarray, " modes"]:
    """Return which modes have a kurtosis over maps above 10: what is rare in a map, as the tallest peaks.

    Their scatter is known to sqrt((kurtosis - 1)/4N) from N maps, to 2 % from 5000 and more.
    """
    return len(validation.values) / _counting(validation.values) > _LONG_TAIL


def covariance_slope(generated: Ensemble, validation: Ensemble) -> Difference:
    """Return slope - 1 of generated on validation off-diagonal covariance, through the origin, as one effect:

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
    """Return R_g - R_v of all pairs of modes i < j, in the order of `numpy.triu_indices(modes, 1)`.

    Raises:
      ValueError: other modes, fewer than two or more than 40 of them; modes that hardly vary.
    """
    row, column = _pairs(generated, validation)
    return _difference(_correlations(generated, row, column) - _correlations(validation, row, column))


def correlation_blocks(
    num_modes: int, size: int = _BLOCK
) -> dict[tuple[Run, Run], Int[np.ndarray, " effects"]]:
    """Return which pairs (places in `correlation_differences`) lie in each block of `size` by `size` modes.

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
    """Return the signed mean of R_g - R_v over the pairs of a low and a high mode, as one effect.

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
    """Return max |R_g - R_v| beside max |(R_g - R_v)* - (R_g - R_v)| over resamples, which is noise alone."""
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


def coherence_differences(generated: Ensemble, validation: Ensemble) -> Difference:
    """Return r_g - r_v of every band, r = <P_ij> / sqrt(<P_ii> <P_jj>) of the means of each set or resample.

    Modes are P_ij in all bands, then P_ii, then P_jj. Why it is the ratio of means: `compare/coherence.py`.

    Raises:
      ValueError: other modes, or a number that is none of three times as many bands; a bin without power.
    """
    check_pair(generated, validation)
    if generated.values.shape[1] % 3:
        raise ValueError(f"{generated.name}: {generated.values.shape[1]} modes are not three powers a band")
    return _difference(_coherences(generated) - _coherences(validation))


FUNCTIONS: dict[str, Measure] = {
    "mean": relative_means,
    "mean_in_scatter": mean_shifts,
    "scatter": relative_scatters,
    "correlation": correlation_differences,
    "slope": covariance_slope,
    "coherence": coherence_differences,
}


def function_of(margin: str) -> Measure:
    """Return the function of an effect, by its margin's name in the table of effects.

    Raises:
      ValueError: it has none.
    """
    if margin not in FUNCTIONS:
        raise ValueError(
            f"the effect of margin {margin!r} has no function in FUNCTIONS of compare/effects/differences.py"
        )
    return FUNCTIONS[margin]


def _counting(values: Float[np.ndarray, "maps modes"]) -> Float[np.ndarray, " modes"]:
    """Return how many maps make up the scatter: see `relative_scatters`."""
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
    covariance = covariances(sample)
    power = _varying(sample.name, np.diagonal(covariance, axis1=1, axis2=2))
    return covariance[:, row, column] / np.sqrt(power[:, row] * power[:, column])


def _coherences(sample: Ensemble) -> Float[np.ndarray, "resamples bands"]:
    cross, first, second = np.split(sample.moments.mean, 3, axis=1)
    if not ((first > 0) & (second > 0)).all():
        raise ValueError(f"{sample.name}: a bin has no power in some band, and no coherence with another")
    return cross / np.sqrt(first * second)


def _varying(name: str, scatter: Float[np.ndarray, "resamples modes"]) -> Float[np.ndarray, "resamples modes"]:
    # In a resample without the few parents that differ, such a mode is constant.
    still = (scatter <= 1e-9 * scatter[0]).any(0)
    if still.any():
        raise ValueError(
            f"{name}: modes {np.flatnonzero(still).tolist()} vary in too few parents: leave them out"
        )
    return scatter
