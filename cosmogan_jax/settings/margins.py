"""The one table of effects that are judged: in which unit, of what, and within which margin maps are to agree.

Adding an effect of statistics takes its row and its margin's field here, and its function in FUNCTIONS of
`compare/effects/differences.py`. The margins come in sets, by name, the same whatever the number of maps.
"""

from collections.abc import Iterator
from typing import Literal, NamedTuple, get_args

# What an effect is measured of: bands of a statistic, all or those that vary in most maps; blocks of pairs of
# bands, or all pairs together, of statistics whose covariance is judged; powers of two source bins, by band; or
# the maps, without a statistic.
Basis = Literal["bands", "common bands", "blocks", "pairs", "powers", "maps"]
# What a mean is told in: itself, or the scatter over maps; of two bins' powers their coherence alone is told.
MeanUnit = Literal["mean", "scatter", "coherence"]
Unit = Literal["relative", "sigma", "number"]


class Margins(NamedTuple):
    """How far apart generated and real maps may be, by the names of EFFECTS' margins."""

    mean: float
    mean_in_scatter: float
    scatter: float
    correlation: float
    slope: float
    coherence: float
    auc: float
    position_mean: float
    position_sigma: float


class EffectRow(NamedTuple):
    """An effect as it is judged and told.

    margin: the name of its margin. name: what results and reports call it. words: what its value is. basis:
    what it is measured of. unit: of its value. mean_unit: that of the statistics that it suits; None for any.
    """

    margin: str
    name: str
    words: str
    basis: Basis
    unit: Unit
    default: float
    tight: float
    mean_unit: MeanUnit | None = None


EFFECTS = (
    EffectRow("mean", "mean", "relative difference", "bands", "relative", 0.05, 0.01, mean_unit="mean"),
    EffectRow(
        "mean_in_scatter", "mean", "difference in units of the validation scatter over maps",
        "bands", "sigma", 0.2, 0.1, mean_unit="scatter",
    ),
    EffectRow("scatter", "scatter", "relative difference", "common bands", "relative", 0.10, 0.03),
    EffectRow(
        "correlation", "correlation", "rms difference over a block of bands", "blocks", "number", 0.05, 0.02
    ),
    EffectRow("slope", "covariance slope", "difference from 1", "pairs", "relative", 0.10, 0.05),
    EffectRow(
        "coherence", "coherence", "difference of the correlation coefficient r(ell) of two source bins",
        "powers", "number", 0.02, 0.01, mean_unit="coherence",
    ),
    EffectRow(
        "auc", "classifier", "area under its ROC curve above the larger of 1/2 and what real maps give",
        "maps", "number", 0.05, 0.02,
    ),
    EffectRow(
        "position_mean", "mean by position", "rms over the map of what is fixed in place, by a pixel's sigma",
        "maps", "sigma", 0.05, 0.02,
    ),
    EffectRow(
        "position_sigma", "sigma by position", "rms over the map of what is fixed in place",
        "maps", "relative", 0.05, 0.02,
    ),
)  # fmt: skip
SETS = {
    "default": Margins(**{row.margin: row.default for row in EFFECTS}),
    "tight": Margins(**{row.margin: row.tight for row in EFFECTS}),
}


def effects_of(mean_unit: str, covariance: bool) -> Iterator[EffectRow]:
    """Yield the effects by which a statistic is judged: its mean in its unit, and its covariance or not.

    Powers of two source bins are judged by their coherence alone: as powers they are judged where they are
    statistics of their own.

    Raises:
      ValueError: another unit of the mean.
    """
    if mean_unit not in get_args(MeanUnit):
        raise ValueError(f"mean_unit={mean_unit!r} must be mean or scatter, or coherence of two bins' powers")
    for row in EFFECTS:
        if mean_unit == "coherence":
            suits = row.basis == "powers"
        else:
            suits = row.basis in ("bands", "common bands") or (covariance and row.basis in ("blocks", "pairs"))
        if suits and row.mean_unit in (None, mean_unit):
            yield row


def effect_named(name: str, mean_unit: str) -> EffectRow:
    """Return the effect that results call by this name, of a statistic whose mean is in this unit.

    Raises:
      ValueError: there is none.
    """
    for row in EFFECTS:
        if row.name == name and row.mean_unit in (None, mean_unit):
            return row
    names = ", ".join(dict.fromkeys(row.name for row in EFFECTS))
    raise ValueError(f"effect {name!r} is not in the table of effects (settings/margins.py): {names}")


def parse(text: str) -> Margins:
    """Return the margins that `default`, `tight` or `<set>,<name>=<number>,...` names.

    Raises:
      ValueError: an unknown set or name, a number that is not positive and finite.
    """
    known = f"{' or '.join(SETS)}, and then <name>=<number> with a name of {', '.join(Margins._fields)}"
    first, *changes = [word.strip() for word in text.split(",")]
    if "=" in first:
        first, changes = "default", [first, *changes]
    if first not in SETS:
        raise ValueError(f"margins={text}: {first!r} is no set of margins; expected {known}")
    margins = SETS[first]
    for change in changes:
        name, _, number = change.partition("=")
        try:
            value = float(number)
        except ValueError:
            value = float("nan")
        if name not in Margins._fields or not 0 < value < float("inf"):
            raise ValueError(f"margins={text}: {change!r} names no margin; expected {known}")
        margins = margins._replace(**{name: value})
    return margins
