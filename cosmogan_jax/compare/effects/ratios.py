"""Ratios of mean power at two cosmologies, of generated and of simulated maps, with matched seeds.

    R = <P(theta)> / <P(theta_0)>

Boxes of one seed at both cosmologies have the same waves: what they happen to have more or less of cancels in
R, and so does the emulator's where its maps at both come from the same latents. Errors come from a bootstrap
that draws whole units (seeds), with all of their maps at both cosmologies; units that have maps at one of them
only are drawn among themselves. What errors would be without that, draws of the two cosmologies that do not
know of each other, stands beside them.
"""

import dataclasses
from typing import Any, NamedTuple, Self

import numpy as np
from jaxtyping import Float, Int
from scipy.stats import t as student_t

from cosmogan_jax.compare.effects.resamples import MIN_PARENTS
from cosmogan_jax.compare.parents import draw_counts, generator, numbered

# Within how much the emulator's ratio is to be the simulations', in every band.
GOAL = 0.03
_TWO_SIDED = 0.975
Values = tuple[float | None, ...]


class PowerSet(NamedTuple):
    """Power of maps in bands, the number of each one's cosmology, and what it counts with as one."""

    power: Float[np.ndarray, "maps bands"]
    cosmology: Int[np.ndarray, " maps"]
    units: Int[np.ndarray, " maps"]


class Ratio(NamedTuple):
    """A ratio of means, its resamples, and those of draws that do not match seeds; how many units made it."""

    value: Float[np.ndarray, " bands"]
    draws: Float[np.ndarray, "resamples bands"]
    unmatched: Float[np.ndarray, "resamples bands"]
    units: int


@dataclasses.dataclass(frozen=True)
class RatioToFiducial:
    """Ratios of power to that at the fiducial cosmology, by bands; None in bands without modes.

    Attributes:
      generated, simulated: the ratios; errors are standard errors. simulated: of all real maps.
      simulated_unmatched_error: what the error would be if the seeds were not the same.
      difference: generated / simulated - 1, with its error and two-sided 95 % interval.
    """

    generated: Values
    generated_error: Values
    simulated: Values
    simulated_error: Values
    simulated_unmatched_error: Values
    difference: Values
    difference_error: Values
    lower: Values
    upper: Values

    @classmethod
    def from_json(cls, content: dict[str, Any]) -> Self:
        """Return the record of what `dataclasses.asdict` gave."""
        return cls(**{name: tuple(values) for name, values in content.items()})

    @property
    def worst(self) -> int:
        """Return the band of the largest difference."""
        return int(np.argmax([0.0 if value is None else abs(value) for value in self.difference]))

    @property
    def within_goal(self) -> bool:
        """Tell whether the difference is within the goal in every band, by its estimate."""
        return abs(self.difference[self.worst] or 0.0) <= GOAL


def ratio_to_fiducial(
    generated: PowerSet, simulated: PowerSet, number: int, fiducial: int, *, seed: int, num_resamples: int
) -> RatioToFiducial | None:
    """Return the ratios of cosmology `number` to cosmology `fiducial`; None of fewer than five units.

    Raises:
      ValueError: a set that has no maps at one of the two.
    """
    ours, theirs = (
        ratio(sample, number, fiducial, seed=seed, stream=stream, num_resamples=num_resamples)
        for stream, sample in enumerate((generated, simulated))
    )
    units = min(ours.units, theirs.units)
    if units < MIN_PARENTS:
        return None
    with np.errstate(divide="ignore", invalid="ignore"):  # bands without modes
        difference, draws = ours.value / theirs.value - 1, ours.draws / theirs.draws - 1
    error = draws.std(0, ddof=1)
    reach = student_t.ppf(_TWO_SIDED, units - 1) * error
    columns = (
        ours.value, ours.draws.std(0, ddof=1), theirs.value, theirs.draws.std(0, ddof=1),
        theirs.unmatched.std(0, ddof=1), difference, error, difference - reach, difference + reach,
    )  # fmt: skip
    return RatioToFiducial(*(tuple(v if np.isfinite(v) else None for v in c.tolist()) for c in columns))


def ratio(sample: PowerSet, number: int, fiducial: int, *, seed: int, stream: int, num_resamples: int) -> Ratio:
    """Return the ratio of mean power at cosmology `number` to that at `fiducial`, of one set of maps.

    Raises:
      ValueError: no maps at one of the two.
    """
    units, count = numbered(sample.units)
    sums, maps = [], []
    for which in (number, fiducial):
        here = sample.cosmology == which
        if not here.any():
            raise ValueError(f"no maps of cosmology {which}: there is no ratio of {number} to {fiducial}")
        total = np.zeros((count, sample.power.shape[1]))
        np.add.at(total, units[here], sample.power[here].astype(np.float64))
        sums.append(total)
        maps.append(np.bincount(units[here], minlength=count).astype(np.float64))
    has = np.stack([of_units > 0 for of_units in maps])
    # Units of both cosmologies, and of one of them only: drawn among their own kind.
    kinds = [kind for kind in (has[0] & has[1], has[0] & ~has[1], ~has[0] & has[1]) if kind.any()]
    first, second = (_draws(kinds, count, seed, 2 * stream + at, num_resamples) for at in (0, 1))

    def mean(weights: np.ndarray, which: int) -> np.ndarray:
        return weights @ sums[which] / (weights @ maps[which])[:, None]

    once = np.ones((1, count))
    with np.errstate(divide="ignore", invalid="ignore"):  # bands without modes
        return Ratio(
            (mean(once, 0) / mean(once, 1))[0],
            mean(first, 0) / mean(first, 1),
            mean(first, 0) / mean(second, 1),
            int(has.sum(1).min()),
        )


def _draws(
    kinds: list[np.ndarray], count: int, seed: int, stream: int, num_resamples: int
) -> Float[np.ndarray, "resamples units"]:
    """Return how often each unit counts in each resample."""
    weights = np.zeros((num_resamples, count))
    for index in range(num_resamples):
        random = generator(seed, index, stream)
        for kind in kinds:
            weights[index, kind] = draw_counts(random, int(kind.sum()))
    return weights
