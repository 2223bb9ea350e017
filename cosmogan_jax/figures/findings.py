"""What results.json says, in tables and sentences."""

from typing import Any

import numpy as np

from cosmogan_jax.figures.page import Table

_PLURAL = {"box": "boxes"}
_AREAS = ("auc", "auc_of_pixels", "auc_of_spectrum", "auc_of_heights")


def sets(results: dict[str, Any]) -> Table:
    """What was compared."""
    rows = [
        (
            name,
            str(of["maps"]),
            str(of["parents"]),
            "not known" if of["boxes"] is None else str(of["boxes"]),
            f"{of['units']} ({_PLURAL.get(of['unit'], of['unit'] + 's')})",
            of["source"],
        )
        for name, of in results["sets"].items()
    ]
    return Table(("set", "maps", "cut from", "boxes or regions", "counted as independent", "source"), rows)


def independence(results: dict[str, Any]) -> list[str]:
    """What the reader must know of how maps were counted."""
    said = [
        "Crops of one map are not independent: tests permute, and errors resample, whole units, as counted "
        f"below. The yardstick of every number is real against real: {results['baseline']}."
    ]
    for name, of in results["sets"].items():
        if of["boxes"] is not None and of["unit"] == "map" and of["boxes"] < of["units"]:
            boxes = "one box or region" if of["boxes"] == 1 else f"{of['boxes']} boxes or regions"
            said.append(
                f"The {of['units']} {name} units come from {boxes} and share "
                "structures: their errors are too small, and agreement or difference is with these boxes, not "
                "with the sky."
            )
    return said + [f"BEFORE ALL STATISTICS: {line}" for line in results.get("apart", [])]


def left_out(results: dict[str, Any]) -> Table:
    """What was not measured of these maps, and why."""
    titles = results["statistics"]
    rows = [
        (titles[name]["title"] if name in titles else name, why) for name, why in results["left_out"].items()
    ]
    return Table(("what", "why"), rows)


def tests(view: dict[str, Any], titles: dict[str, Any]) -> Table:
    """Every two-sample test: modes below 0.05 and the family-wise p, beside real against real."""
    head = ("statistic", "modes (effective)", "KS p<0.05", "family-wise p", "AD p<0.05", "family-wise p",
            "real/real KS p<0.05", "family-wise p")  # fmt: skip
    rows = []
    for key, of in view["tests"].items():
        seen = " (used by select)" if of["used_by_selection"] else ""
        generated, baseline = of["generated"], of["baseline"]
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
    """Border against centre, rows against columns: the most significant contrast of every set."""
    rows = []
    labels = {
        "border_mean": "border − centre, mean",
        "border_sigma": "border / centre, σ − 1",
        "row_column": "ln(row / column power)",
    }
    for key, label in labels.items():
        for name, of in results["stationarity"].items():
            if of is None or of[key]["largest"] is None:
                rows.append((label, name, "not known", ""))
                continue
            pairs = zip(of[key]["value"], of[key]["standard_error"])
            _, value, error = max((abs(v / e), v, e) for v, e in pairs if v is not None and e)
            rows.append((label, name, f"{value:+.4f} ± {error:.4f}", f"{value / error:+.1f}"))
    return Table(("contrast", "set", "most significant of all rings or bands", "in standard errors"), rows)


def classifier(results: dict[str, Any]) -> Table | None:
    """How often a classifier trained from scratch is right on maps it has not seen."""
    found = results.get("classifier")
    if not found or "refused" in found:
        return None
    rows = []
    for of in found.values():
        accuracy = of["accuracy"]
        low, high = accuracy["interval_95"]
        rows.append((
            " against ".join(of["sets"]),
            f"{100 * accuracy['value']:.1f} % ({100 * low:.1f} to {100 * high:.1f})",
            *(f"{of[name]['value']:.3f} ± {of[name]['standard_error']:.3f}" for name in _AREAS),
            f"{of['maps_each']['train']} + {of['maps_each']['test']}",
            " and ".join(map(str, of["test_parents"])),
            f"{of['num_steps']}, {of['seconds']:.0f} s",
        ))  # fmt: skip
    head = (
        "sets",
        "right on held-out maps (95 %)",
        "area under the ROC curve",
        "by pixels alone",
        "by the spectrum alone",
        "by heights alone",
        "maps of each, train + test",
        "units to test on",
        "steps, time",
    )
    return Table(head, rows)


def inference(results: dict[str, Any]) -> tuple[list[str], Table | None]:
    """Bias of Omega_m and sigma8, and what the covariance does to their errors."""
    found = results["inference"]
    if found["refused"]:
        return [f"Not computed: {found['refused']}."], None
    rows = []
    for index, name in enumerate(found["parameters"]):
        rows.append((
            name,
            _estimate(found["bias"], index, "{:+.4f}"),
            _estimate(found["bias_of_survey"], index, "{:+.2f}"),
            _estimate(found["sigma_of_survey"], index, "{:.4f}"),
            _estimate(found["sigma_ratio"], index, "{:.3f}"),
        ))  # fmt: skip
    merit = found["figure_of_merit_ratio"]
    said = [
        f"Fitting {found['bands']} bands of the validation maps' power with the generated maps' mean, and with "
        f"either covariance; survey of {found['survey_area_deg2']:g} deg². Figure of merit with generated over "
        f"that with validation covariance: {_estimate(merit, 0, '{:.3f}')}.",
    ]
    if found["assumed"]:
        said.append(f"Assumed, since the maps do not say: {', '.join(found['assumed'])} as in the paper.")
    return said, Table(("parameter", "bias", "bias in σ of the survey", "σ of the survey", "σ ratio"), rows)


def _estimate(of: dict[str, Any], index: int, form: str) -> str:
    value, error = np.ravel(of["value"])[index], np.ravel(of["standard_error"])[index]
    return f"{form.format(value)} ± {form.replace('+', '').format(error)}"


def settings(stages: dict[str, Any]) -> tuple[Table, Table]:
    """Flags of the last stage and versions of what made the results."""
    last = list(stages.values())[-1]
    flags = [(key, str(value)) for key, value in sorted(last.flags.items())]
    versions = [*last.versions.items(), ("commit", str(last.commit))]
    return Table(("flag", "value"), flags), Table(("package", "version"), versions)


def p_value(value: float | None) -> str:
    """To three digits after the point; nothing where there is none."""
    return "" if value is None else f"{value:.3f}"
