"""Bounds on the development scores that end a training before its last step.

The paper stopped when maps passed by eye and by a Kolmogorov-Smirnov test of their pixels (Sect. 2.3). Here
bounds such as "pixel_ks<0.02,spectrum_chi2<0.1" (--stop_when) must all hold at STOP_AFTER scores in a row.
"""

import math
import re
from collections.abc import Collection, Mapping
from typing import Any, NamedTuple

# One score in bounds may be chance: the training oscillates, and each score has its own noise.
STOP_AFTER = 3

_BOUND = re.compile(r"\s*(\w+)\s*([<>])\s*(\S+)\s*")


class Bound(NamedTuple):
    """A score and the side of a value on which it must lie."""

    name: str
    side: str
    value: float

    def holds(self, scores: Mapping[str, Any]) -> bool:
        """Return whether a score lies strictly on its side; one that is missing or None does not."""
        score = scores.get(self.name)
        if score is None:
            return False
        return score < self.value if self.side == "<" else score > self.value


def parse_bounds(expression: str, names: Collection[str]) -> tuple[Bound, ...]:
    """Parse bounds such as "name<value,name>value"; there are none in an empty expression.

    Raises:
      ValueError: what is not a bound, a name that is not among `names`, a value that is not a number.
    """
    bounds = []
    for words in expression.split(",") if expression.strip() else ():
        match = _BOUND.fullmatch(words)
        if not match:
            raise ValueError(
                f"stop_when={expression!r}: {words.strip()!r} is not of the form name<value or name>value"
            )
        name, side, text = match.groups()
        if name not in names:
            raise ValueError(
                f"stop_when={expression!r}: unknown score {name!r}; there are {', '.join(sorted(names))}"
            )
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if math.isnan(value):
            raise ValueError(f"stop_when={expression!r}: {text!r} is not a number")
        bounds.append(Bound(name, side, value))
    return tuple(bounds)


def in_bounds(bounds: tuple[Bound, ...], row: int, line: Mapping[str, Any]) -> int:
    """Return how many scores in a row were in bounds, with one line of metrics added to `row` of them.

    A line without scores changes nothing. A line that ended a training (`stopped_by`) begins a new count:
    who asks for more steps or other bounds then wants to go on.
    """
    if not bounds or line.get("stopped_by"):
        return 0
    if not any(bound.name in line for bound in bounds):
        return row
    return row + 1 if all(bound.holds(line) for bound in bounds) else 0
