"""Maps of several source bins in tables, of source_bins.json: outcomes, verdicts on pairs, a classifier."""

import re
from collections.abc import Iterator, Sequence
from typing import Any

from cosmogan_jax.figures import findings, verdict
from cosmogan_jax.figures.page import Section, Table

# Of earlier versions, which judged the cross power of pairs alone.
_BEFORE = {"cross_power": {"title": "cross power", "trained_on": False}}


def outcomes(source_bins: dict[str, Any]) -> Section:
    """Give the outcome of every bin."""
    bins = source_bins["bins"]
    rows = [
        (str(b["number"]), "not known" if b["redshift"] is None else f"{b['redshift']:g}", b["outcome"])
        for b in bins
    ]
    text = (
        f"{len(bins)} source bins were judged, each by itself, every pair by what its maps have in common, and "
        "all at once by a classifier that sees them together; the outcome is of all of them. The rest of the "
        f"page is of bin {bins[0]['number']}, but for the others' verdicts further down.",
    )
    head = ("source bin", "redshift", "outcome")
    return Section("Source bins", text, tables=(Table(head, rows, verdict.marks(bins)),))


def pairs(source_bins: dict[str, Any]) -> Section:
    """Give the verdicts on every pair of bins."""
    return _of_pairs("Pairs of source bins", source_bins["cross"], source_bins)


def pairs_observed(source_bins: dict[str, Any]) -> Iterator[Section]:
    """Give the verdicts on the pairs as observers see them; earlier versions have none."""
    for label, cross in source_bins.get("observed", {}).items():
        yield _of_pairs(f"Verdict on pairs of source bins with {label}", cross, source_bins)


def _of_pairs(title: str, cross: dict[str, Any], source_bins: dict[str, Any]) -> Section:
    statistics = source_bins.get("statistics", _BEFORE)
    titles, judged = {}, []
    for effect in cross["judged"]:
        row = statistics[effect.get("statistic", "cross_power")]
        # Their redshifts stand in the table of bins: a line here has no room for two.
        name = f"{row['title']} of bins {re.sub(r' .redshift [^)]*.', '', effect['quantity'])}"
        titles[name] = {**row, "title": name, "mean_unit": effect.get("mean_unit", "scatter")}
        judged.append({**effect, "quantity": name})
    return verdict.as_seen(title, {"verdicts": {**cross, "judged": judged}}, titles)


def told_apart(source_bins: dict[str, Any]) -> Iterator[Section]:
    """Give what a classifier of all bins found, where one was trained."""
    if classifier := findings.classifier(source_bins):
        words = ("One classifier, trained from scratch on maps of all bins at once; 50 % is guessing.",)
        yield Section("All source bins told apart by a classifier", words, tables=(classifier,))


def others(source_bins: dict[str, Any], results: Sequence[dict[str, Any]]) -> Iterator[Section]:
    """Give the verdicts on the bins beyond the first, by results.json of each."""
    for b, of_bin in zip(source_bins["bins"][1:], results, strict=True):
        at = "" if b["redshift"] is None else f" (redshift {b['redshift']:g})"
        title = f"Verdict on source bin {b['number']}{at}"
        yield verdict.as_seen(title, of_bin["views"]["as it is"], of_bin["statistics"])
