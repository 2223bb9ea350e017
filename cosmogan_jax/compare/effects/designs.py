"""What a design can resolve, before there are maps: units, crops of each, and the margins.

With G units of c crops each in both real sets, and generated maps that add little noise, the limit that equal
sets stay below in nine of ten trials, all bands together, is nearly

    reach^2 = (B + W/c)/G

(`compare/effects/needs.py`). B and W of each kind of effect were fitted to simulated verdicts
(experiments/018-designs: lognormal maps of 64x64 pixels in 12 bands; boxes that leave 5 % in every band power,
as boxes of 120 Mpc/h do). They depend on the sky and on the size of the maps, and tell what to expect to some
20 %; what a verdict `needs` is computed from its own maps.
"""

import math
from typing import NamedTuple

from cosmogan_jax.settings.margins import Margins


class Kind(NamedTuple):
    """A kind of effect: its margin's name, and B and W of reach^2 = (B + W/c)/G."""

    title: str
    margin: str
    between: float
    within: float


class Expected(NamedTuple):
    """What equal sets would reach, beside the margin."""

    title: str
    reach: float
    margin: float

    @property
    def resolvable(self) -> bool:
        """Tell whether equal sets pass in nine of ten trials."""
        return self.reach <= self.margin


# The worst of the required statistics in each; measured reaches are met to 11 %.
KINDS = (
    Kind("means of the power", "mean", 0.022, 7.2),
    Kind("standard deviations of the power", "scatter", 0.0, 20.7),
    Kind("correlations of the power", "correlation", 0.0008, 3.0),
    Kind("the slope of the power's covariance", "slope", 0.30, 29.8),
    Kind("means of pixel density, V0 to V2 and peaks", "mean_in_scatter", 1.63, 15.0),
    Kind("standard deviations of pixel density, V0 to V2 and peaks", "scatter", 0.88, 12.3),
)


def expected(units: int, crops: float, margins: Margins) -> list[Expected]:
    """Return what every kind of effect would reach at a design, in the unit of its margin.

    Raises:
      ValueError: fewer than one unit or crop.
    """
    if units < 1 or crops < 1:
        raise ValueError(f"units={units} and crops={crops:g} must be at least 1")
    return [
        Expected(
            kind.title, math.sqrt((kind.between + kind.within / crops) / units), getattr(margins, kind.margin)
        )
        for kind in KINDS
    ]


def forecast(units: int, crops: float, unit: str, margins: Margins, name: str) -> list[str]:
    """Say what a design can resolve at these margins, and what not, in lines."""
    limits = expected(units, crops, margins)
    able, unable = ([limit for limit in limits if limit.resolvable == wanted] for wanted in (True, False))
    head = f"a verdict on {units} {unit} of {crops:.4g} maps in the smallest real set, margins {name}"
    if not unable:
        return [f"{head}: expected to resolve all effects of what a pass needs"]
    lines = [f"{head}: expected to end incomplete"]
    if able:
        lines.append(f"  resolves {', '.join(limit.title for limit in able)}")
    for limit in unable:
        times = (limit.reach / limit.margin) ** 2
        lines.append(
            f"  does not resolve {limit.title}: within {limit.reach:.2g} where the margin is {limit.margin:g}; "
            f"needs about {math.ceil(units * times):,} {unit} with as many maps of each"
        )
    return lines
