"""Tables and sentences of what results.json says."""

from typing import Any

import numpy as np

from cosmogan_jax.figures.page import Table

_PLURAL = {"box": "boxes"}
_AREAS = {
    "auc": "area under the ROC curve",
    "auc_of_pixels": "by pixels alone",
    "auc_of_spectrum": "by the spectrum alone",
    "auc_of_heights": "by heights alone",
    "auc_of_pairs": "by coherence of bins alone",  # of maps of several
}


def sets(results: dict[str, Any]) -> Table:
    """Return what was compared."""
    rows = [
        (
            name,
            str(maps["maps"]),
            str(maps["parents"]),
            "not known" if maps["boxes"] is None else str(maps["boxes"]),
            f"{maps['units']} ({_PLURAL.get(maps['unit'], maps['unit'] + 's')})",
            maps["source"],
        )
        for name, maps in results["sets"].items()
    ]
    return Table(("set", "maps", "cut from", "boxes or regions", "counted as independent", "source"), rows)


def independence(results: dict[str, Any]) -> list[str]:
    """Say what the reader must know of how maps were counted."""
    lines = [
        "Crops of one map are not independent: tests permute, and errors resample, whole units, as counted "
        f"below. The yardstick of every number is real against real: {results['baseline']}."
    ]
    for name, maps in results["sets"].items():
        if maps["boxes"] is not None and maps["unit"] == "map" and maps["boxes"] < maps["units"]:
            boxes = "one box or region" if maps["boxes"] == 1 else f"{maps['boxes']} boxes or regions"
            lines.append(
                f"The {maps['units']} {name} units come from {boxes} and share "
                "structures: their errors are too small, and agreement or difference is with these boxes, not "
                "with the sky."
            )
    return lines + [f"BEFORE ALL STATISTICS: {line}" for line in results.get("apart", [])]


def left_out(results: dict[str, Any]) -> Table:
    """Return what was not measured of these maps, and why."""
    titles = results["statistics"]
    rows = [
        (titles[name]["title"] if name in titles else name, why) for name, why in results["left_out"].items()
    ]
    return Table(("what", "why"), rows)


def tests(view: dict[str, Any], titles: dict[str, Any]) -> Table:
    """Return every two-sample test: modes below 0.05 and the family-wise p, beside real against real."""
    head = ("statistic", "modes (effective)", "KS p<0.05", "family-wise p", "AD p<0.05", "family-wise p",
            "real/real KS p<0.05", "family-wise p")  # fmt: skip
    rows = []
    for key, test in view["tests"].items():
        seen = " (used by select)" if test["used_by_selection"] else ""
        generated, baseline = test["generated"], test["baseline"]
        if "too_few" in generated:
            rows.append((titles[key]["title"] + seen, generated["too_few"], *[""] * 6))
            continue
        effective = generated["effective_modes"]
        cells = [f"{generated['informative']} ({'' if effective is None else format(effective, '.1f')})"]
        for name in ("ks", "anderson_darling"):
            cells += [str(generated[name]["below_0.05"]), p_value(generated[name]["family_wise_p"])]
        cells += ["", baseline["too_few"]] if "too_few" in baseline else [
            str(baseline["ks"]["below_0.05"]), p_value(baseline["ks"]["family_wise_p"])
        ]  # fmt: skip
        rows.append((titles[key]["title"] + seen, *cells))
    return Table(head, rows)


def stationarity(results: dict[str, Any]) -> Table:
    """Return border against centre and rows against columns: the most significant contrast of every set."""
    rows = []
    labels = {
        "border_mean": "border − centre, mean",
        "border_sigma": "border / centre, σ − 1",
        "row_column": "ln(row / column power)",
    }
    for key, label in labels.items():
        for name, contrasts in results["stationarity"].items():
            if contrasts is None or contrasts[key]["largest"] is None:
                rows.append((label, name, "not known", ""))
                continue
            pairs = zip(contrasts[key]["value"], contrasts[key]["standard_error"])
            _, value, error = max((abs(v / e), v, e) for v, e in pairs if v is not None and e)
            rows.append((label, name, f"{value:+.4f} ± {error:.4f}", f"{value / error:+.1f}"))
    return Table(("contrast", "set", "most significant of all rings or bands", "in standard errors"), rows)


def classifier(results: dict[str, Any]) -> Table | None:
    """Return how often a classifier trained from scratch is right on maps it has not seen."""
    comparisons = results.get("classifier")
    if not comparisons or "refused" in comparisons:
        return None
    rows, areas = [], [name for name in _AREAS if name in comparisons["generated"]]
    for result in comparisons.values():
        accuracy = result["accuracy"]
        low, high = accuracy["interval_95"]
        rows.append((
            " against ".join(result["sets"]),
            f"{100 * accuracy['value']:.1f} % ({100 * low:.1f} to {100 * high:.1f})",
            *(f"{result[name]['value']:.3f} ± {result[name]['standard_error']:.3f}" for name in areas),
            f"{result['maps_each']['train']} + {result['maps_each']['test']}",
            " and ".join(map(str, result["test_parents"])),
            f"{result['num_steps']}, {result['seconds']:.0f} s",
        ))  # fmt: skip
    head = (
        "sets",
        "right on held-out maps (95 %)",
        *(_AREAS[name] for name in areas),
        "maps of each, train + test",
        "units to test on",
        "steps, time",
    )
    return Table(head, rows)


def inference(results: dict[str, Any]) -> tuple[list[str], Table | None]:
    """Say the bias of Omega_m and sigma8, and what the covariance does to their errors."""
    entry = results["inference"]
    if entry["refused"]:
        return [f"Not computed: {entry['refused']}."], None
    rows = []
    for index, name in enumerate(entry["parameters"]):
        rows.append((
            name,
            _estimate(entry["bias"], index, "{:+.4f}"),
            _estimate(entry["bias_of_survey"], index, "{:+.2f}"),
            _estimate(entry["sigma_of_survey"], index, "{:.4f}"),
            _estimate(entry["sigma_ratio"], index, "{:.3f}"),
        ))  # fmt: skip
    merit = entry["figure_of_merit_ratio"]
    lines = [
        f"Fitting {entry['bands']} bands of the validation maps' power with the generated maps' mean, and with "
        f"either covariance; survey of {entry['survey_area_deg2']:g} deg². Figure of merit with generated over "
        f"that with validation covariance: {_estimate(merit, 0, '{:.3f}')}.",
    ]
    if entry["assumed"]:
        lines.append(f"Assumed, since the maps do not say: {', '.join(entry['assumed'])} as in the paper.")
    return lines, Table(("parameter", "bias", "bias in σ of the survey", "σ of the survey", "σ ratio"), rows)


def _estimate(estimate: dict[str, Any], index: int, form: str) -> str:
    value, error = np.ravel(estimate["value"])[index], np.ravel(estimate["standard_error"])[index]
    return f"{form.format(value)} ± {form.replace('+', '').format(error)}"


def settings(stages: dict[str, Any]) -> tuple[Table, Table]:
    """Return flags of the last stage and versions of what made the results."""
    last = list(stages.values())[-1]
    flags = [(key, str(value)) for key, value in sorted(last.flags.items())]
    versions = [*last.versions.items(), ("commit", str(last.commit))]
    return Table(("flag", "value"), flags), Table(("package", "version"), versions)


def p_value(value: float | None) -> str:
    """Return it to three digits after the point; nothing where there is none."""
    return "" if value is None else f"{value:.3f}"
