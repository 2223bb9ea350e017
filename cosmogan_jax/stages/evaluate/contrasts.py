"""How far two sides of a comparison are apart in ways that the verdict does not judge: correlations and W1.

correlation   of the power in bands of ell, those that vary
  bands, difference, standard_error   R_1 - R_2 of all pairs of these, in the order of numpy.triu_indices(n, 1),
                           with its bootstrap error over units
  largest, pair            the largest |R_1 - R_2| and its bands
  largest_of_noise, noise_95   what equal ensembles of these sizes would show: mean and 95 % quantile
  low_high                 mean of R_1 - R_2 over pairs of one band below and one above the middle (the paper
                           found an excess of up to 10 %): value, lower and upper limit
distances     W1 of every mode in units of the second side's scatter: value, lower, upper, noise (what equal
              ensembles would show on average); null where a mode hardly varies
"""

from typing import Any

import numpy as np

from cosmogan_jax.compare.effects.differences import (
    correlation_differences,
    interval,
    largest_correlation_difference,
    mean_excess_correlation,
)
from cosmogan_jax.compare.effects.resamples import Ensemble, ensemble, resample
from cosmogan_jax.compare.effects.wasserstein import wasserstein
from cosmogan_jax.compare.ensembles import lower_median
from cosmogan_jax.compare.statistics import STATISTICS
from cosmogan_jax.files.json_files import as_json
from cosmogan_jax.stages.evaluate.summarising import Summaries

_SEED = 0


def correlation(one: Summaries, two: Summaries, num_resamples: int) -> dict[str, Any] | None:
    """Return the entry of the bands that vary on both sides.

    None of fewer than two, and of maps whose power is not measured.
    """
    if "power_bands" not in one:
        return None
    varies = _varying(one["power_bands"]) & _varying(two["power_bands"])
    if varies.sum() < 2:
        return None
    sides = _sides(one["power_bands"][:, varies], two["power_bands"][:, varies], num_resamples)
    difference = correlation_differences(*sides)
    largest = largest_correlation_difference(difference)
    low = np.arange(varies.sum()) < varies.sum() // 2
    across = interval(mean_excess_correlation(difference, low, ~low), min(len(side.values) for side in sides))
    return {
        "bands": np.flatnonzero(varies).tolist(),
        "difference": difference.value.tolist(),
        "standard_error": difference.draws.std(0, ddof=1).tolist(),
        "largest": largest.value,
        "pair": list(largest.pair),
        "largest_of_noise": largest.noise_mean,
        "noise_95": largest.noise_upper,
        "low_high": {name: float(value[0]) for name, value in across._asdict().items()},
    }


def distances(one: Summaries, two: Summaries, num_resamples: int) -> dict[str, Any]:
    """Return W1 of every mode of the judged statistics: what a mean and a scatter do not exhaust."""
    entry = {}
    for key in (row.name for row in STATISTICS.values() if row.judged and row.name in one):
        varies = _varying(one[key]) & _varying(two[key])
        found = {name: np.full(len(varies), np.nan) for name in ("value", "lower", "upper", "noise_mean")}
        if varies.any():
            apart = wasserstein(*_sides(one[key][:, varies], two[key][:, varies], num_resamples))
            for name, value in apart._asdict().items():
                found[name][varies] = value
        entry[key] = as_json({name.replace("noise_mean", "noise"): value for name, value in found.items()})
    return entry


def _sides(one: np.ndarray, two: np.ndarray, num_resamples: int) -> tuple[Ensemble, Ensemble]:
    """Return the ensembles of two sides, whose maps are of different units each."""
    sides = []
    for stream, (name, values) in enumerate((("one side", one), ("the other", two))):
        drawn = resample(np.arange(len(values)), seed=_SEED, stream=stream, num_resamples=num_resamples)
        sides.append(ensemble(name, values.astype(np.float64), drawn))
    return sides[0], sides[1]


def _varying(values: np.ndarray) -> np.ndarray:
    """Return which modes are not the same in nearly all maps: no resample finds them constant."""
    return (values != lower_median(values)).sum(0) >= min(24, len(values) - 1)
