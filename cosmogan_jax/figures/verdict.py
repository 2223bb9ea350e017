"""The outcome and the verdict's table: what agrees to within what, what fails, what cannot be told."""

import math
from collections.abc import Sequence
from typing import Any

from cosmogan_jax.figures.page import Section, Table
from cosmogan_jax.settings.margins import effect_named

_MARKS = {"pass": "pass", "fail": "fail"}
_UNITS = {"relative": " %", "sigma": " σ", "number": ""}
_HEAD = (
    "statistic", "effect", "worst band", "generated", "agrees to within", "real maps: within", "ratio",
    "real against real", "excess over real (limits)", "margin", "verdict",
)  # fmt: skip


def outcome(results: dict[str, Any]) -> tuple[str, str]:
    """Return the line that a report begins with, and its mark."""
    whole = results["overall"]
    return f"Outcome: {whole['said']}.", _MARKS.get(whole["outcome"], "undecided")


def section(results: dict[str, Any]) -> Section:
    """Return what passes at which margin, what fails and by how much, what cannot be told; and why."""
    view, titles = results["views"]["as it is"], results["statistics"]
    rows, marks = [], []
    for row, mark in (
        _classifier(results),
        _duplicates(results),
        *_similarity(results),
        *_positions(results),
    ):
        rows.append(row)
        marks.append(mark)
    # What a pass needs comes first.
    for effect in sorted(view["verdicts"]["judged"], key=lambda effect: not effect["required"]):
        rows.append(_effect_row(effect, titles[effect["quantity"]]))
        marks.append(_MARKS.get(effect["outcome"], "undecided"))
    return Section("Verdict", tuple(_words(results)), tables=(Table(_HEAD, rows, tuple(marks)),))


def as_seen(title: str, view: dict[str, Any], titles: dict[str, Any]) -> Section:
    """Return the verdict's effects as an observer sees the maps: told beside the outcome, not counted in it."""
    judged = view["verdicts"]["judged"]
    if not judged:
        return Section(title, (f"No verdict: {view['verdicts']['refused']}.",))
    rows = [_effect_row(effect, titles[effect["quantity"]]) for effect in judged]
    counted = _counted([effect["outcome"] for effect in judged])
    return Section(title, (counted,), tables=(Table(_HEAD, rows, marks(judged)),))


def marks(judged: Sequence[dict[str, Any]]) -> tuple[str, ...]:
    """Return the marks of rows that end in an outcome."""
    return tuple(_MARKS.get(effect["outcome"], "undecided") for effect in judged)


def _words(results: dict[str, Any]) -> list[str]:
    verdicts, titles = results["views"]["as it is"]["verdicts"], results["statistics"]
    judged = verdicts["judged"]
    lines = []
    off = {titles[effect["quantity"]]["title"] for effect in judged if effect["outcome"] == "yardstick off"}
    if off:
        lines.append(
            f"THE YARDSTICK IS OFF in {', '.join(sorted(off))}: real maps ({judged[0]['baseline']}) differ "
            "among themselves by more than the margin. Nothing passes there; look at those maps first."
        )
    if verdicts["refused"]:
        lines.append(f"Effects are not judged: {verdicts['refused']}.")
    elif judged:
        lines.append(_counted([effect["outcome"] for effect in judged]))
    if judged:
        lines.append(
            "Each line gives the band that is worst. Agrees to within: the 95 % upper limit of the distance "
            "of generated from validation maps; real maps: the limit that maps of the very same distribution "
            f"would be expected to reach in their place, with {judged[0]['num_parents']} "
            "units in the smallest set; the ratio is about 1 for a perfect emulator. "
            f"Real against real ({judged[0]['baseline']}) may excuse the margin at most: the excess is what is "
            "left, and decides. * the generator was chosen by this statistic. † it was trained to match it."
        )
    return lines


def _counted(outcomes: list[str]) -> str:
    return (
        f"{outcomes.count('pass')} of {len(outcomes)} effects pass, {outcomes.count('fail')} fail, the others "
        "cannot be told. An effect passes where the upper limit of its excess is below the margin in every "
        "band, and fails where the lower one is above it in any."
    )


def _effect_row(of: dict[str, Any], row: dict[str, Any]) -> tuple[str, ...]:
    upper = [math.inf if u is None else u for u in of["upper"]]
    worst = upper.index(max(upper))
    own = of["bands"].index(of["within_band"])
    within, real = of["within"], of["real_within"]
    needs = f": needs {of['needs']}" if of["needs"] else ""
    kind = effect_named(of["name"], row["mean_unit"])

    def number(value: float | None) -> str:
        return "" if value is None else _number(value, kind.unit)

    def root(square: float | None) -> str:
        return "" if square is None else number(math.sqrt(max(square, 0.0)))

    def effect(which: str) -> str:
        value = of[which][own]
        return root(value) if kind.basis == "blocks" else number(value)

    limits = [of[which][worst] for which in ("value", "lower", "upper")]
    return (
        row["title"] + " *" * of["used_by_selection"] + " †" * bool(row.get("trained_on")),
        of["name"],
        of["within_band"],
        effect("effect"),
        number(within),
        number(real),
        "" if within is None or not real else f"{within / real:.1f}",
        effect("baseline_effect"),
        "" if limits[0] is None else "{} ({} to {})".format(*map(root, limits)),
        "none" if of["margin"] is None else number(of["margin"]),
        of["outcome"] + needs,
    )


def _classifier(results: dict[str, Any]) -> tuple[tuple[str, ...], str]:
    entry = results["classifier"]
    title = ("a classifier tells them apart", "AUC above what real maps give")
    margin = f"{results['overall']['margins']['auc']:g}"
    if entry is None or "refused" in entry:
        why = "--classifier_steps" if entry is None else entry["refused"]
        return (*title, *[""] * 7, margin, f"not trained: {why}"), "undecided"
    excess = entry["generated"]["excess"]
    areas = [entry[name]["auc"]["value"] for name in ("generated", "control")]
    return (
        *title, "", f"{areas[0]:.3f}", f"{max(excess['upper'], 0):.3f}", "", "", f"{areas[1]:.3f}",
        f"{excess['value']:+.3f} ({excess['lower']:+.3f} to {excess['upper']:+.3f})", margin, excess["outcome"],
    ), _MARKS.get(excess["outcome"], "undecided")  # fmt: skip


def _duplicates(results: dict[str, Any]) -> tuple[tuple[str, ...], str]:
    entry = results["duplicates"]
    outcome = entry["outcome"]
    mark = _MARKS.get(outcome, "undecided")
    if "pairs" not in entry:
        return ("duplicates", f"among {entry['maps']} maps", *[""] * 8, outcome), mark
    return (
        "duplicates", f"among {entry['maps']} maps", "", f"{entry['collisions']} pairs", "", "", "",
        f"{entry['real_collisions']} pairs of {entry['real_maps']} maps", "", "",
        outcome,
    ), mark  # fmt: skip


def _similarity(results: dict[str, Any]) -> list[tuple[tuple[str, ...], str]]:
    """Return how alike random pairs of a set's maps are: told, not judged."""
    entry = results["similarity"] or {}
    if not entry.get("generated"):
        return []

    def mean_of(name: str) -> str:
        pairs = entry.get(name)
        return "" if not pairs else f"{pairs['mean']:.3f} ± {pairs['standard_error']:.3f}"

    cells = ("multi-scale structural similarity", "of random pairs", "", mean_of("generated"), "", "", "")
    return [((*cells, mean_of("validation"), "", "", "not judged"), "undecided")]


def _positions(results: dict[str, Any]) -> list[tuple[tuple[str, ...], str]]:
    found, margins = results["position"], results["overall"]["margins"]
    rows = []
    for name in ("mean", "sigma"):
        margin, effect = margins[f"position_{name}"], "rms over the map"
        unit = effect_named(f"{name} by position", "scatter").unit

        def told(value: float, unit=unit) -> str:
            return f"{100 * value if unit == 'relative' else value:.2g}{_UNITS[unit]}"

        title = f"{'mean' if name == 'mean' else 'σ'} by position, what is fixed in place"
        if "too_few" in found:
            rows.append(((title, effect, *[""] * 7, told(margin), f"not resolvable: needs {found['too_few']}"),
                         "undecided"))  # fmt: skip
            continue
        of = found[name]
        value, upper = (math.sqrt(max(of[which], 0.0)) for which in ("square", "upper"))
        cells = (title, effect, "", told(value), told(upper), "", "", "", "", told(margin), of["outcome"])
        rows.append((cells, _MARKS.get(of["outcome"], "undecided")))
    return rows


def _number(value: float, unit: str) -> str:
    """Return a value with its unit, relative ones in per cent."""
    shown = 100 * value if unit == "relative" else value
    return f"{shown:.0f}" * (abs(shown) >= 10) + f"{shown:.2g}" * (abs(shown) < 10) + _UNITS[unit]
