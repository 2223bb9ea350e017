"""One outcome of all that evaluate judged: results.json's `overall`.

  outcome, said         pass, incomplete or fail, and the line that the terminal and the report begin with
  margins               the flag and its numbers (`settings/margins.py`)
  agrees, fails         names of what passed and failed; "(trained on)" is said of what a loss matched
  open                  what could not be told: name, why, whether a pass needs it, and what would settle it

Judged are the maps as they are; what an observer sees of them (`views`) is told beside it.

Of several cosmologies each has an outcome of its own, of its effects and its classifier (`cosmologies.py` says
how many of them are judged as one), and all maps together have theirs. The whole passes only where every
cosmology does too: one that fails makes it fail, and one that is open leaves it incomplete.
"""

from collections.abc import Sequence
from typing import Any

from cosmogan_jax.compare.design_verdict import AucAtPoint, JudgedDesign, outcome_names
from cosmogan_jax.compare.effects.overall import Finding, overall
from cosmogan_jax.compare.statistics import STATISTICS
from cosmogan_jax.settings.margins import effects_of, parse

_CLASSIFIER = "a classifier that is trained to tell them apart"


def judge(results: dict[str, Any], margins: str, design: JudgedDesign | None = None) -> dict[str, Any]:
    """Return the entry, from all others; design: the cosmologies by themselves, where there are several."""
    view = results["views"]["as it is"]
    findings = [*_effects(view["verdicts"], results["statistics"], results.get("left_out", {}))]
    findings.append(Finding("no more duplicates than among real maps", results["duplicates"]["outcome"]))
    findings += _positions(results["position"])
    findings.append(classifier(results["classifier"]))
    if design is not None:
        findings = [*_cosmologies(design), *findings]
    return entry(findings, margins)


def of_cosmology(
    verdicts: dict[str, Any], auc: AucAtPoint | None, results: dict[str, Any], margins: str
) -> dict[str, Any]:
    """Return the entry of one cosmology, from its own verdicts; results: what is known of all maps."""
    findings = _effects(verdicts, results["statistics"], results.get("left_out", {}))
    if auc is not None:
        findings.append(Finding(_CLASSIFIER, auc.outcome, required=False, needs="more boxes, or more maps"))
    return entry(findings, margins)


def _cosmologies(design: JudgedDesign) -> list[Finding]:
    needs = "each one's own entry says what"
    return [
        Finding(outcome_names(design.cosmologies, outcome), outcome, needs=needs)
        for outcome, count in design.outcomes.items()
        if count
    ]


def entry(findings: Sequence[Finding], margins: str) -> dict[str, Any]:
    """Return the entry that findings make."""
    numbers, whole = parse(margins), overall(findings)
    return {
        "outcome": whole.outcome,
        "said": f"{whole.outcome} (margins: {margins}): {whole.in_words()}",
        "margins": {"set": margins, **numbers._asdict()},
        "agrees": list(whole.agrees),
        "fails": list(whole.fails),
        "open": [
            {"name": open_.name, "why": open_.outcome, "required": open_.required, "needs": open_.needs}
            for open_ in whole.open
        ],
    }


def _effects(verdicts: dict[str, Any], statistics: dict[str, Any], left_out: dict[str, str]) -> list[Finding]:
    judged = {(entry["quantity"], entry["name"]): entry for entry in verdicts["judged"]}
    findings = []
    for row in STATISTICS.values():
        if not row.judged:
            continue
        for effect in effects_of(row.mean_unit, row.covariance):
            verdict = judged.get((row.name, effect.name))
            if verdict is not None:
                outcome, needs = verdict["outcome"], verdict["needs"]
            elif row.required:
                why = verdicts["refused"] or "does not vary enough to be judged"
                outcome, needs = left_out.get(row.name, why), None
            else:
                continue
            matched = " (trained on)" if statistics[row.name].get("trained_on") else ""
            findings.append(Finding(f"{row.title}: {effect.name}{matched}", outcome, row.required, needs))
    return findings


def _positions(position: dict[str, Any]) -> list[Finding]:
    findings = []
    for name in ("mean", "sigma"):
        outcome, needs = "not resolvable", position.get("too_few", "more generated maps")
        if "too_few" not in position:
            outcome = position[name]["outcome"]
        findings.append(Finding(f"{name} by position", outcome, needs=needs))
    return findings


def classifier(entry: dict[str, Any] | None, title: str = _CLASSIFIER) -> Finding:
    """Return what is said of a classifier's entry."""
    if entry is None:
        return Finding(title, "not trained", needs="--classifier_steps")
    if "refused" in entry:
        return Finding(title, "not trained", needs=entry["refused"])
    return Finding(title, entry["generated"]["excess"]["outcome"], needs="more boxes, or more maps")
