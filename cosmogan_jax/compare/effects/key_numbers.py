"""A few numbers that say how far generated maps are off: rms over a statistic's bands of the excess distance.

The verdict asks whether each band of each effect is within its margin, which takes many boxes to show. These
are point estimates with their limits instead, one a statistic, of `excess.py`'s squared distance beyond what
real maps show, averaged over bands: noise of single bands averages out, and has no mean. ROWS are of maps of
one source bin, PAIR_ROWS of what two bins have in common.
"""

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Self

import numpy as np

from cosmogan_jax.compare.effects.differences import (
    Measure,
    coherence_differences,
    mean_shifts,
    relative_means,
    relative_scatters,
)
from cosmogan_jax.compare.effects.excess import excess_distance
from cosmogan_jax.compare.effects.quantities import MapSet, Quantity
from cosmogan_jax.compare.effects.resampled import Resampled, resampled
from cosmogan_jax.settings.margins import Margins


class Row(NamedTuple):
    """A number: of which statistic it is, and by which effect and margin; logarithm: of the statistic's own."""

    title: str
    quantity: str
    measure: Measure
    margin: str
    logarithm: bool = False


# Number by name.
ROWS: Mapping[str, Row] = {
    "power": Row("mean power", "power_bands", relative_means, "mean"),
    "log_power_scatter": Row("sd of log power", "power_bands", relative_scatters, "scatter", logarithm=True),
    **{
        name: Row(title, name, mean_shifts, "mean_in_scatter")
        for name, title in (
            ("V0", "V0"), ("V1", "V1"), ("V2", "V2"), ("peaks", "peaks"), ("minima", "minima"),
            ("starlet_l1", "l1 norm"),
        )
    },
}  # fmt: skip
PAIR_ROWS: Mapping[str, Row] = {
    "cross_power": Row("mean cross power", "cross_power", relative_means, "mean"),
    "log_cross_power_scatter": Row(
        "sd of log cross power", "cross_power", relative_scatters, "scatter", logarithm=True
    ),
    "coherence": Row("r(ℓ)", "coherence", coherence_differences, "coherence"),
    "joint_roughness": Row("roughness by other's height", "joint_roughness", mean_shifts, "mean_in_scatter"),
}
# Of margins: what a number is told in where it is no relative one.
_UNITS = {"mean_in_scatter": "σ", "coherence": ""}


@dataclasses.dataclass(frozen=True)
class KeyNumber:
    """How far generated maps are off in one statistic, beyond what real maps are.

    Attributes:
      name, title: of the number.
      value: root of the mean excess square over bands; 0 where the estimate is below 0.
      lower, upper: 95 % limits, each of its side.
      worst: the largest of single bands, which is mostly noise where few boxes are judged; worst_band: which.
      margin: of one band.
      relative: whether numbers and margin are relative; else they are in `unit`.
      unit: one map's scatter, σ, or none, as of a correlation coefficient.
    """

    name: str
    title: str
    value: float | None
    lower: float | None
    upper: float | None
    worst: float | None
    worst_band: str
    margin: float
    relative: bool
    unit: str = "σ"

    @classmethod
    def from_json(cls, content: dict[str, Any]) -> Self:
        """Return the record of what `dataclasses.asdict` gave."""
        return cls(**content)

    @property
    def in_margins(self) -> float | None:
        """Return the value in units of the margin."""
        return None if self.value is None else self.value / self.margin

    @property
    def shown_unit(self) -> str:
        """Return what the number is shown in: %, where it is relative, σ, or nothing."""
        return "%" if self.relative else self.unit

    def told(self, unit: bool = False) -> str:
        """Return the value, its upper limit in brackets, relative ones in %; empty where it is not known."""
        if self.value is None:
            return ""
        scale, digits = (100, 1) if self.relative else (1, 2 if self.unit else 4)
        upper = "" if self.upper is None else f" ({scale * self.upper:.{digits}f})"
        return f"{scale * self.value:.{digits}f}{upper} {self.shown_unit if unit else ''}".rstrip()


def key_numbers(
    sets: dict[str, MapSet],
    quantities: Sequence[Quantity],
    margins: Margins,
    *,
    seed: int,
    num_resamples: int,
    rows: Mapping[str, Row] = ROWS,
) -> list[KeyNumber]:
    """Return the numbers of those statistics that are among the quantities.

    Args:
      sets: generated, validation, and auxiliary where there is one.
      rows: what numbers there are, by name.

    Raises:
      ValueError: as `verdict.judge`.
    """
    draws = resampled(
        sets["generated"], sets["validation"], sets.get("auxiliary"), seed=seed, num_resamples=num_resamples
    )
    by_name = {quantity.name: quantity for quantity in quantities}
    numbers = []
    for name, row in rows.items():
        quantity = by_name.get(row.quantity)
        if quantity is None or (row.measure is relative_means and quantity.mean_unit != "mean"):
            continue
        of_row = draws
        if row.logarithm:
            quantity, of_row = _of_logarithms(quantity, draws)
        if quantity.bands:
            numbers.append(_number(name, row, quantity, of_row, margins))
    return numbers


def _of_logarithms(quantity: Quantity, draws: Resampled) -> tuple[Quantity, Resampled]:
    """Return the quantity's logarithm, of the bands that are positive in every map."""
    values = {name: np.asarray(maps.values[quantity.name], np.float64) for name, maps in draws.sets.items()}
    positive = np.all([(bands > 0).all(0) for bands in values.values()], axis=0)
    sets = {
        name: MapSet({quantity.name: np.log(values[name][:, positive])}, maps.parents)
        for name, maps in draws.sets.items()
    }
    bands = tuple(np.array(quantity.bands)[positive].tolist())
    return quantity._replace(bands=bands), draws._replace(sets=sets)


def _number(name: str, row: Row, quantity: Quantity, draws: Resampled, margins: Margins) -> KeyNumber:
    sets, margin = draws.of(quantity), getattr(margins, row.margin)
    x, y = row.measure(sets.generated, sets.validation), row.measure(sets.first, sets.second)
    numbers = {"cap": margin**2, "num_parents": draws.num_parents}
    whole = excess_distance(x, y, [np.arange(len(x.value))], **numbers)
    single = excess_distance(x, y, None, **numbers).value
    worst = int(np.nanargmax(single)) if np.isfinite(single).any() else 0
    value, lower, upper = (_root(float(square[0])) for square in (whole.value, whole.lower, whole.upper))
    worst_value, band, unit = _root(float(single[worst])), quantity.bands[worst], _UNITS.get(row.margin)
    return KeyNumber(name, row.title, value, lower, upper, worst_value, band, margin, unit is None, unit or "")


def _root(square: float) -> float | None:
    return math.sqrt(max(square, 0.0)) if math.isfinite(square) else None
