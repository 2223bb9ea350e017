"""Maps of several source bins on a report's page: verdicts on each bin, and on every pair's cross power."""

from collections.abc import Iterator, Sequence
from typing import Any

from cosmogan_jax.figures import verdict
from cosmogan_jax.figures.page import Section, Table


def overview(told: dict[str, Any]) -> Iterator[Section]:
    """Outcomes of all bins, and the pairs'; told: source_bins.json."""
    bins, cross = told["bins"], told["cross"]
    rows = [
        (str(of["number"]), "not known" if of["redshift"] is None else f"{of['redshift']:g}", of["outcome"])
        for of in bins
    ]
    text = (
        f"{len(bins)} source bins were judged, each by itself and every pair by its cross power; the outcome "
        f"is of all of them. The rest of the page is of bin {bins[0]['number']}, but for the others' verdicts "
        "further down.",
    )
    head = ("source bin", "redshift", "outcome")
    yield Section("Source bins", text, tables=(Table(head, rows, verdict.marks(bins)),))
    titles = {
        of["quantity"]: {"title": f"bins {of['quantity']}", "mean_unit": of.get("mean_unit", "scatter")}
        for of in cross["judged"]
    }
    yield verdict.as_seen("Cross power of the source bins", {"verdicts": cross}, titles)


def others(told: dict[str, Any], results: Sequence[dict[str, Any]]) -> Iterator[Section]:
    """Verdicts on the bins beyond the first, by results.json of each."""
    for of, found in zip(told["bins"][1:], results, strict=True):
        at = "" if of["redshift"] is None else f" (redshift {of['redshift']:g})"
        title = f"Verdict on source bin {of['number']}{at}"
        yield verdict.as_seen(title, found["views"]["as it is"], found["statistics"])
