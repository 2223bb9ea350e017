"""Resamples of a set of maps by parent, and its moments in all of them at once.

A resample draws whole parents with replacement (`compare/parents.py`), so a statistic that is made of sums
over maps follows from the sums of each parent: weights (resamples, parents) times sums (parents, statistics),
one matrix product for all resamples. Row 0 of everything here is the set itself, every parent once.
Sets that are compared are resampled independently, from different streams of one seed.
"""

import dataclasses
import functools
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int, Shaped

from cosmogan_jax.compare.ensembles import checked
from cosmogan_jax.compare.parents import numbered, parent_weights

NUM_RESAMPLES = 500
# Student's limits of five parents still cover what they should (tests/test_verdict.py).
MIN_PARENTS = 5
# A covariance of n modes is n(n + 1)/2 numbers of every parent and every resample.
MAX_COVARIANCE_MODES = 40


class Resampling(NamedTuple):
    """The parent of each map, how often each parent counts in each resample, and where the draws came from."""

    groups: Int[np.ndarray, " maps"]
    weights: Float[np.ndarray, "resamples parents"]
    streams: tuple[int, ...]

    @property
    def num_parents(self) -> int:
        """Return how many parents are drawn from."""
        return self.weights.shape[1]


class Moments(NamedTuple):
    """Mean and standard deviation (divisor N - 1) over maps, of the set (row 0) and of its resamples."""

    mean: Float[np.ndarray, "resamples modes"]
    scatter: Float[np.ndarray, "resamples modes"]


@dataclasses.dataclass(frozen=True, eq=False)
class Ensemble:
    """Statistics of the maps of a set and how the set is resampled; `name` is what errors call it."""

    name: str
    values: Float[np.ndarray, "maps modes"]
    resampling: Resampling

    @functools.cached_property
    def moments(self) -> Moments:
        """Return mean and scatter of every mode in all resamples; worked out once, several effects ask."""
        centre, unit, scaled = _scaled(self.values)
        total, mean, square = _sums(self.resampling, scaled, scaled**2)
        variance = (square - total * mean**2) / (total - 1)
        return Moments(centre + unit * mean, unit * np.sqrt(np.maximum(variance, 0)))

    def of_modes(self, modes: Int[np.ndarray, " some"]) -> "Ensemble":
        """Return the set with some of its modes."""
        if len(modes) == self.values.shape[1]:
            return self
        return dataclasses.replace(self, values=self.values[:, modes])


def resample(
    parents: Shaped[np.ndarray, " maps"], *, seed: int, stream: int, num_resamples: int = NUM_RESAMPLES
) -> Resampling:
    """Return the set itself and `num_resamples` draws of its parents.

    Raises:
      ValueError: fewer than five parents, or fewer than two resamples.
    """
    groups, count = numbered(parents, fewest=MIN_PARENTS, purpose="an interval")
    if num_resamples < 2:
        raise ValueError(f"num_resamples={num_resamples} must be at least 2")
    drawn = list(parent_weights(count, seed, num_resamples, stream))
    return Resampling(groups, np.stack([np.ones(count), *drawn]), (stream,))


def together(one: Resampling, two: Resampling) -> Resampling:
    """Return the resampling of two sets as one: maps of the first, then of the second, each as it was."""
    groups = np.concatenate([one.groups, two.groups + one.num_parents])
    return Resampling(groups, np.concatenate([one.weights, two.weights], 1), one.streams + two.streams)


def ensemble(name: str, values: Float[np.ndarray, "maps modes"], resampling: Resampling) -> Ensemble:
    """Return the set `name` with its statistics checked.

    Raises:
      ValueError: values that are not (maps, modes) or not finite, as many maps as the resampling does not
        have, modes that do not vary over the maps.
    """
    try:
        values, _ = checked(values, resampling.groups)
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from None
    constant = np.flatnonzero(np.ptp(values, axis=0) == 0)
    if constant.size:
        raise ValueError(f"{name}: modes {constant.tolist()} are constant over the maps: leave them out")
    return Ensemble(name, values, resampling)


def check_pair(one: Ensemble, two: Ensemble) -> None:
    """Check that two sets have the same modes and as many resamples, drawn independently."""
    if one.values.shape[1] != two.values.shape[1]:
        modes = f"{one.values.shape[1]} modes and {two.name} {two.values.shape[1]}"
        raise ValueError(f"{one.name} has {modes}: they must be the same")
    if len(one.resampling.weights) != len(two.resampling.weights):
        raise ValueError(f"{one.name} and {two.name} must have as many resamples")
    if set(one.resampling.streams) & set(two.resampling.streams):
        raise ValueError(f"{one.name} and {two.name} must be resampled from different streams")


def covariances(sample: Ensemble) -> Float[np.ndarray, "resamples modes modes"]:
    """Return the covariance (divisor N - 1) of the modes in all resamples.

    Raises:
      ValueError: more than 40 modes.
    """
    num_modes = sample.values.shape[1]
    if num_modes > MAX_COVARIANCE_MODES:
        raise ValueError(f"{sample.name}: {num_modes} modes are too many for a covariance: join them in bands, "
                         f"at most {MAX_COVARIANCE_MODES}")  # fmt: skip
    _, unit, scaled = _scaled(sample.values)
    row, column = np.triu_indices(num_modes)
    total, mean, product = _sums(sample.resampling, scaled, scaled[:, row] * scaled[:, column])
    pairs = (product - total * mean[:, row] * mean[:, column]) / (total - 1) * unit[row] * unit[column]
    full = np.empty((len(pairs), num_modes, num_modes))
    full[:, row, column] = full[:, column, row] = pairs
    return full


def _scaled(values: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    # Powers of 1e-12 and sums of their squares keep their digits when the values are standardised first.
    centre, unit = values.mean(0), values.std(0)
    return centre, unit, (values - centre) / unit


def _sums(resampling: Resampling, first: np.ndarray, second: np.ndarray):
    """Return weighted count (resamples, 1), mean of `first`, sum of `second`."""
    order = np.argsort(resampling.groups, kind="stable")
    starts = np.searchsorted(resampling.groups[order], np.arange(resampling.num_parents))
    weights, alone = resampling.weights, len(order) == resampling.num_parents

    def by_parent(values: np.ndarray) -> np.ndarray:
        return values[order] if alone else np.add.reduceat(values[order], starts)

    total = weights @ np.bincount(resampling.groups).astype(np.float64)[:, None]
    mean = weights @ by_parent(first) / total
    return total, mean, weights @ by_parent(second)
