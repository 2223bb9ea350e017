"""What it would take to resolve an effect: more generated maps, more crops of each unit, more units.

The limit that equal sets would give falls with the noise of the sets. With G units of c crops each in the real
sets the variance of a mean, and of any smooth function of means, is

    V(G, c) = (B + W/c)/G,

B between units and W within them: crops of a unit make W/c small and leave B, whatever their number. The noise
of generated maps, which are independent and cost nothing, can be made to vanish. `reach` measures the limit as
it is, without the generated maps' noise, and with every other crop left out; B and W follow from the latter
two, since a limit's square scales as the variance.
"""

import dataclasses
import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Int

from cosmogan_jax.compare.effects.differences import Measure
from cosmogan_jax.compare.effects.excess import Limits, excess_distance
from cosmogan_jax.compare.effects.quantities import Compared
from cosmogan_jax.compare.effects.resamples import Ensemble, Resampling
from cosmogan_jax.compare.parents import every_other

# Equal sets are to pass in so many trials, all bands together.
POWER = 0.9
# A prediction rests on some hundred resamples; a tenth on top of the limit keeps what it promises.
_SAFETY = 1.1
_MOST_CROPS = 100


class Reach(NamedTuple):
    """Limits that equal sets stay below in 90 % of trials, all bands together: see the module.

    half: with half of the crops and no noise of generated maps; None where units have a single crop.
    """

    now: float
    without_generated: float
    half: float | None


class Design(NamedTuple):
    """How many maps there are: generated ones, and units and crops of each in the smallest real set."""

    generated: int
    units: int
    crops: float


class Needs(NamedTuple):
    """What would resolve an effect; None where that alone never would, or is not known.

    generated: so many generated maps, the real ones as they are.
    units: so many units in each real set, with as many crops of each, and plenty of generated maps (five times
      the real ones leave nearly nothing of their noise).
    crops, of_units: or so many crops of each of so many units.
    """

    generated: int | None = None
    units: int | None = None
    crops: int | None = None
    of_units: int | None = None

    def in_words(self) -> str:
        """Say it in words."""
        if self.generated is not None:
            return f"{self.generated:,} generated maps"
        if self.units is None:
            return "more maps than can be told from these"
        parts = [f"{self.units:,} units"]
        if self.crops is not None:
            parts.append(f"{self.crops} crops of each of {self.of_units:,}")
        return ", or ".join(parts) + ", and plenty of generated maps"


def reach(limits: Limits) -> float:
    """Return the root of the limit that the worst band of equal sets stays below in 90 % of trials."""
    if np.isnan(limits.null).any():
        return math.nan
    return math.sqrt(max(0.0, float(np.quantile(limits.null.max(0), POWER))))


def needs(limits: Reach, margin: float, design: Design) -> Needs | None:
    """Return what it takes that equal sets pass at this margin in 90 % of trials; None where they do."""
    if not math.isfinite(limits.now):
        return Needs()
    if limits.now <= margin:
        return None
    allowed, least = (margin / _SAFETY) ** 2, limits.without_generated**2
    if least < 0.8 * allowed:
        factor = (limits.now**2 - least) / (allowed - least)
        return Needs(generated=_rounded(design.generated * max(factor, 1.0)))
    factor = max(1.0, least / allowed)
    units = _rounded(design.units * factor)
    if limits.half is None or design.crops < 2:
        return Needs(units=units)
    within = max(0.0, (limits.half**2 - least) * design.crops)
    between = max(0.0, least - within / design.crops)
    times = 1
    while times < factor:
        crops = within / (times * allowed - between) if times * allowed > between else math.inf
        if design.crops < crops <= _MOST_CROPS:
            return Needs(units=units, crops=math.ceil(crops), of_units=design.units * times)
        times *= 2
    return Needs(units=units)


def of_effect(
    measure: Measure,
    sets: Compared,
    blocks: Sequence[Int[np.ndarray, " effects"]] | None,
    margin: float,
    num_parents: int,
    now: float,
) -> Needs | None:
    """Return what would resolve an effect whose `reach` is `now`; measured only where that is too large."""

    def reached(fewer: Compared) -> float:
        try:
            pair = measure(fewer.generated, fewer.validation), measure(fewer.first, fewer.second)
        except ValueError:  # half of the crops may not vary
            return math.nan
        return reach(excess_distance(*pair, blocks, margin**2, num_parents=num_parents))

    crops = crops_of_each([sample.resampling for sample in (sets.first, sets.second)])
    design = Design(len(sets.generated.values), num_parents, crops)
    if not now > margin:
        return needs(Reach(now, math.nan, None), margin, design)
    known = sets._replace(generated=as_they_are(sets.generated))
    real = [every_other_crop(sample) for sample in known[1:]]
    halved = [sample for sample in real if sample is not None]
    half = reached(Compared(known.generated, *halved)) if len(halved) == len(real) else None
    return needs(Reach(now, reached(known), half), margin, design)


def as_they_are(sample: Ensemble) -> Ensemble:
    """Return the set with every unit once in every resample: known exactly."""
    resampling = sample.resampling
    return dataclasses.replace(sample, resampling=resampling._replace(weights=np.ones_like(resampling.weights)))


def every_other_crop(sample: Ensemble) -> Ensemble | None:
    """Return the set with half of the crops of each unit (the larger half); None of single crops."""
    groups = sample.resampling.groups
    kept = every_other(groups)
    if len(kept) == len(groups):
        return None
    return dataclasses.replace(
        sample, values=sample.values[kept], resampling=sample.resampling._replace(groups=groups[kept])
    )


def crops_of_each(resamplings: Sequence[Resampling]) -> float:
    """Return the crops of a unit on average, in the set that has the fewest."""
    return min(len(resampling.groups) / resampling.num_parents for resampling in resamplings)


def _rounded(number: float) -> int:
    """Round up to two digits."""
    unit = 10 ** max(0, math.floor(math.log10(max(number, 1))) - 1)
    return int(math.ceil(number / unit) * unit)
