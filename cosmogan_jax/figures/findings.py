"""What results.json and statistics.json say, in tables and sentences; beside what the paper says."""

import math
from typing import Any

import numpy as np

from cosmogan_jax.figures.page import Table

# Statistics whose means are judged by relative differences; others in units of the scatter of one map.
RELATIVE = ("power_bands",)

_NAMES = {
    "power_spectrum": "power spectrum, the paper's modes",
    "power_bands": "power spectrum, log bands",
    "V0": "Minkowski V0",
    "V1": "Minkowski V1",
    "V2": "Minkowski V2",
    "peaks": "peak counts",
    "bispectrum": "bispectrum, equilateral",
    "moments": "moments of the map and its derivatives",
    "crop_mean": "mean of the map",
}


def sets(results: dict[str, Any]) -> Table:
    """What was compared."""
    rows = [
        (
            name,
            str(of["maps"]),
            str(of["parents"]),
            "not known" if of["boxes"] is None else str(of["boxes"]),
            f"{of['units']} ({of['unit']}s)",
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
            said.append(
                f"The {of['units']} {name} units come from {of['boxes']} box(es) or region(s) and share "
                "structures: their errors are too small, and agreement or difference is with these boxes, not "
                "with the sky."
            )
    return said


def tests(view: dict[str, Any]) -> Table:
    """Every two-sample test: modes below 0.05 and the family-wise p, beside real against real."""
    head = ("statistic", "modes (effective)", "KS p<0.05", "family-wise p", "AD p<0.05", "family-wise p",
            "real/real KS p<0.05", "family-wise p")  # fmt: skip
    rows = []
    for key, of in view["tests"].items():
        seen = " (used by select)" if of["used_by_selection"] else ""
        generated, baseline = of["generated"], of["baseline"]
        if "too_few" in generated:
            rows.append((_NAMES[key] + seen, generated["too_few"], *[""] * 6))
            continue
        effective = generated["effective_modes"]
        cells = [f"{generated['informative']} ({'' if effective is None else format(effective, '.1f')})"]
        for name in ("ks", "anderson_darling"):
            cells += [str(generated[name]["below_0.05"]), _p(generated[name]["family_wise_p"])]
        cells += ["", baseline["too_few"]] if "too_few" in baseline else [
            str(baseline["ks"]["below_0.05"]), _p(baseline["ks"]["family_wise_p"])
        ]  # fmt: skip
        rows.append((_NAMES[key] + seen, *cells))
    return Table(head, rows)


def beside_the_paper(results: dict[str, Any], tables: dict[str, Any]) -> Table:
    """The paper's numbers and ours."""
    view = results["views"]["as it is"]
    rows = []
    pixels = (view.get("pixels") or {}).get("generated")
    rows.append((
        "Fig. 2: pixel intensities", "KS p > 0.999",
        "not tested" if pixels is None else f"KS distance {pixels['distance']:.4f}, p = {_p(pixels['p'])}",
        _baseline_pixels(view),
    ))  # fmt: skip
    heights = view.get("heights") or {}
    paper = {"power_spectrum": "236 of 248 (205 by AD) with p > 0.99", "V": "40 of 57 (32 by AD) with p > 0.95"}
    spectrum = heights.get("power_spectrum")
    if spectrum and spectrum["generated"]:
        rows.append((
            "Fig. 3: histogram heights of the spectrum", paper["power_spectrum"],
            _above(spectrum["generated"], "above_0.99"), _above(spectrum["baseline"], "above_0.99"),
        ))  # fmt: skip
        v = [heights[key] for key in ("V0", "V1", "V2")]
        rows.append((
            "Fig. 6: histogram heights of V0, V1, V2", paper["V"],
            _above_all([of["generated"] for of in v]), _above_all([of["baseline"] for of in v]),
        ))  # fmt: skip
    found = view["correlation"]
    if all(found.values()):
        rows.append((
            "Fig. 4: largest difference of correlations, in bands", "10 % (auxiliary: 7 %), at 248 modes",
            _correlation(found["generated"]), _correlation(found["baseline"]),
        ))  # fmt: skip
    factor = [r for r in tables["power_ratio"] if r]
    if factor:
        rows.append((
            "mean power, generated / validation, bands", "not given",
            f"{min(factor):.3f} to {max(factor):.3f}", "",
        ))  # fmt: skip
    return Table(("what", "paper", "here", "here, real against real"), rows)


def verdicts(view: dict[str, Any]) -> tuple[list[str], Table | None]:
    """What passes at which margin, what fails and by how much, what cannot be told; and why there is none."""
    found = view["verdicts"]
    if not found["judged"]:
        return [f"No verdict: {found['refused']}."], None
    rows, marks = [], []
    for of in found["judged"]:
        # The band that is worst for the claim of agreement.
        upper = [math.inf if u is None else u for u in of["upper"]]
        worst = upper.index(max(upper))
        seen = " *" if of["used_by_selection"] else ""
        rows.append((
            _NAMES[of["quantity"]] + seen, of["name"], of["bands"][worst],
            _effect(of, worst, "effect"), _effect(of, worst, "baseline_effect"),
            _root(of["value"][worst], of)
            + f" ({_root(of['lower'][worst], of)} to {_root(of['upper'][worst], of)})",
            "none" if of["margin"] is None else _number(of["margin"], of),
            _root_of(of["resolvable"][worst], of),
            of["outcome"],
        ))  # fmt: skip
        marks.append({"pass": "pass", "fail": "fail"}.get(of["outcome"], "undecided"))
    judged = found["judged"]
    outcomes = [of["outcome"] for of in judged]
    counted = (
        f"{outcomes.count('pass')} of {len(judged)} effects pass, {outcomes.count('fail')} fail, the others "
        "cannot be told. An effect passes where the upper limit is below the margin in every band, and fails "
        "where the lower one is above it in any."
    )
    said = [
        f"No verdict: {found['refused']}." if found["refused"] else counted,
        "Each line gives the band that is worst: the effect, generated against validation maps; the same of "
        f"real maps ({judged[0]['baseline']}); how much farther generated maps are from validation maps than "
        "real maps are from each other, with 95 % limits of each side. Resolvable: the limit that maps of the "
        "very same distribution would be expected "
        f"to reach, with {judged[0]['num_parents']} units in the smallest set. "
        "* the generator was chosen by this statistic.",
    ]
    head = ("statistic", "effect", "worst band", "generated", "real", "excess distance (limits)", "margin",
            "resolvable", "verdict")  # fmt: skip
    return said, Table(head, rows, tuple(marks))


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
    if not found:
        return None
    rows = []
    for of in found.values():
        accuracy, auc = of["accuracy"], of["auc"]
        low, high = accuracy["interval_95"]
        rows.append((
            " against ".join(of["sets"]),
            f"{100 * accuracy['value']:.1f} % ({100 * low:.1f} to {100 * high:.1f})",
            f"{auc['value']:.3f}",
            f"{of['maps_each']['train']} + {of['maps_each']['test']}",
            str(of["num_steps"]),
        ))  # fmt: skip
    head = (
        "sets",
        "right on held-out maps (95 %)",
        "area under the ROC curve",
        "maps of each, train + test",
        "steps",
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


def cost(stages: dict[str, dict[str, Any]]) -> Table:
    """Seconds of every stage, beside the paper's closing table."""
    rows = [(name, f"{of['seconds']:.1f}", of["finished"]) for name, of in stages.items()]
    return Table(("stage", "seconds (last run of it)", "finished"), rows)


def settings(stages: dict[str, dict[str, Any]]) -> tuple[Table, Table]:
    """Flags of the last stage and versions of what made the results."""
    last = list(stages.values())[-1]
    flags = [(key, str(value)) for key, value in sorted(last["flags"].items())]
    versions = [*last["versions"].items(), ("commit", str(last["commit"]))]
    return Table(("flag", "value"), flags), Table(("package", "version"), versions)


def _p(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"


def _above(of: dict[str, Any] | None, key: str) -> str:
    if not of:
        return ""
    return f"{of['ks'][key]} of {of['modes']} ({of['anderson_darling'][key]} by AD)"


def _above_all(of: list[dict[str, Any] | None]) -> str:
    if not all(of):
        return ""
    total = sum(one["modes"] for one in of)
    ks, ad = (sum(one[name]["above_0.95"] for one in of) for name in ("ks", "anderson_darling"))
    return f"{ks} of {total} ({ad} by AD)"


def _baseline_pixels(view: dict[str, Any]) -> str:
    of = (view.get("pixels") or {}).get("baseline")
    return "" if of is None else f"KS distance {of['distance']:.4f}, p = {_p(of['p'])}"


def _correlation(of: dict[str, Any]) -> str:
    across = of["low_high"]
    return (
        f"{of['largest']:.3f} (noise alone: {of['largest_of_noise']:.3f}); low with high ell "
        f"{across['value']:+.3f} ({across['lower']:+.3f} to {across['upper']:+.3f})"
    )


def _number(value: float, of: dict[str, Any]) -> str:
    """Relative effects in per cent, others in their own unit."""
    relative = of["name"] in ("scatter", "covariance slope") or (
        of["name"] == "mean" and of["quantity"] in RELATIVE
    )
    unit = " σ" if of["name"] == "mean" and not relative else ""
    shown = 100 * value if relative else value
    return (
        f"{shown:.0f}" * (abs(shown) >= 10) + f"{shown:.2g}" * (abs(shown) < 10) + (" %" if relative else unit)
    )


def _effect(of: dict[str, Any], band: int, which: str) -> str:
    value = of[which][band]
    if value is None:
        return ""
    return _root(value, of) if of["name"] == "correlation" else _number(value, of)


def _root(square: float | None, of: dict[str, Any]) -> str:
    """Of a squared distance; below 0 (less than noise explains) as 0."""
    return "" if square is None else _number(math.sqrt(max(square, 0.0)), of)


def _root_of(value: float | None, of: dict[str, Any]) -> str:
    return "" if value is None else _number(value, of)
