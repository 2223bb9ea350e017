"""How far generated maps are off in a few numbers, on a report's page (`compare/effects/key_numbers.py`)."""

from collections.abc import Mapping, Sequence
from typing import Any

from cosmogan_jax.compare.effects.key_numbers import KeyNumber
from cosmogan_jax.figures.page import Section, Table

_WORDS = (
    "Root mean squares over a statistic's bands of the difference of generated from validation maps, beyond "
    "what real maps show among themselves and free of noise in the mean; in brackets 95 % upper limits. σ: "
    "scatter of one map. They are told; the verdict decides by single bands and their limits."
)
_TITLE = "How far off, in a few numbers"


def section(content: Sequence[dict[str, Any]]) -> Section | None:
    """Return the numbers of maps of one kind; None where none were measured."""
    numbers = [KeyNumber.from_json(entry) for entry in content]
    rows = [
        (number.title, number.told(unit=True), _margin(number), number.worst_band if number.worst else "")
        for number in numbers
        if number.value is not None
    ]
    if not rows:
        return None
    head = ("statistic", "off by (limit)", "margin of a band", "worst band")
    return Section(_TITLE, (_WORDS,), tables=(Table(head, rows),))


def of_bins(
    bins: Sequence[dict[str, Any]],
    of_each: Sequence[Sequence[dict[str, Any]]],
    of_pairs: Mapping[str, Sequence[dict[str, Any]]],
) -> Section | None:
    """Return a table of all source bins and one of all pairs; None where neither was measured.

    Args:
      bins: their entries in source_bins.json.
      of_each: numbers of every bin.
      of_pairs: numbers of every pair, by what it is called.
    """
    tables = (
        _side_by_side("source bin", {str(b["number"]): of for b, of in zip(bins, of_each, strict=True)}),
        _side_by_side("pair of bins", of_pairs),
    )
    measured = tuple(table for table in tables if table is not None)
    return Section(_TITLE, (_WORDS,), tables=measured) if measured else None


def _side_by_side(what: str, content: Mapping[str, Sequence[dict[str, Any]]]) -> Table | None:
    """Return a row for each bin or pair, a column for each number."""
    each = {name: {n["title"]: KeyNumber.from_json(n) for n in of} for name, of in content.items()}
    columns = {title: number for of in each.values() for title, number in of.items()}
    if not columns:
        return None
    head = (what, *(f"{title} [{n.shown_unit}]" if n.shown_unit else title for title, n in columns.items()))
    rows = [
        (name, *(of[title].told() if title in of else "" for title in columns)) for name, of in each.items()
    ]
    return Table(head, rows)


def _margin(number: KeyNumber) -> str:
    return f"{(100 if number.relative else 1) * number.margin:g} {number.shown_unit}".rstrip()
