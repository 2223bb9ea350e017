"""Within which margins maps are to agree: sets by name, the same whatever the number of maps."""

from typing import NamedTuple


class Margins(NamedTuple):
    """How far apart generated and real maps may be, in each kind of effect.

    mean: of a mean, relative; mean_in_scatter: of a mean, in units of the scatter of one real map; scatter: of
    a standard deviation over maps, relative; correlation: rms over a block of bands; slope: of the covariance,
    from 1; auc: area under a classifier's ROC curve, above the larger of 1/2 and what real maps give;
    position_mean, position_sigma: rms over the map of what is fixed in place, in units of a pixel's sigma and
    relative.
    """

    mean: float
    mean_in_scatter: float
    scatter: float
    correlation: float
    slope: float
    auc: float
    position_mean: float
    position_sigma: float


SETS = {
    "default": Margins(0.05, 0.2, 0.10, 0.05, 0.10, 0.05, 0.05, 0.05),
    "tight": Margins(0.01, 0.1, 0.03, 0.02, 0.05, 0.02, 0.02, 0.02),
}


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
