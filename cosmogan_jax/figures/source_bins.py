"""Maps of several source bins on a report's page: verdicts on each bin, and on every pair's cross power."""

from collections.abc import Iterator, Sequence
from typing import Any

from cosmogan_jax.figures import verdict
from cosmogan_jax.figures.page import Section, Table


def overview(source_bins: dict[str, Any]) -> Iterator[Section]:
    """Give the outcomes of all bins, and the pairs', of source_bins.json."""
    bins, cross = source_bins["bins"], source_bins["cross"]
    rows = [
        (str(b["number"]), "not known" if b["redshift"] is None else f"{b['redshift']:g}", b["outcome"])
        for b in bins
    ]
    text = (
        f"{len(bins)} source bins were judged, each by itself and every pair by its cross power; the outcome "
        f"is of all of them. The rest of the page is of bin {bins[0]['number']}, but for the others' verdicts "
        "further down.",
    )
    head = ("source bin", "redshift", "outcome")
    yield Section("Source bins", text, tables=(Table(head, rows, verdict.marks(bins)),))
    titles = {
        effect["quantity"]: {
            "title": f"bins {effect['quantity']}",
            "mean_unit": effect.get("mean_unit", "scatter"),
        }
        for effect in cross["judged"]
    }
    yield verdict.as_seen("Cross power of the source bins", {"verdicts": cross}, titles)


def others(source_bins: dict[str, Any], results: Sequence[dict[str, Any]]) -> Iterator[Section]:
    """Give the verdicts on the bins beyond the first, by results.json of each."""
    for b, of_bin in zip(source_bins["bins"][1:], results, strict=True):
        at = "" if b["redshift"] is None else f" (redshift {b['redshift']:g})"
        title = f"Verdict on source bin {b['number']}{at}"
        yield verdict.as_seen(title, of_bin["views"]["as it is"], of_bin["statistics"])
