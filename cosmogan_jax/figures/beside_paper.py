"""The paper's numbers and ours, and its closing table of costs."""

from typing import Any

from cosmogan_jax.figures.findings import p_value
from cosmogan_jax.figures.page import Table


def beside_the_paper(results: dict[str, Any], tables: dict[str, Any]) -> Table:
    """Return the paper's numbers and ours."""
    view = results["views"]["as it is"]
    rows = []
    pixels = (view.get("pixels") or {}).get("generated")
    rows.append((
        "Fig. 2: pixel intensities", "KS p > 0.999",
        "not tested" if pixels is None else f"KS distance {pixels['distance']:.4f}, p = {p_value(pixels['p'])}",
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
            _above_all([row["generated"] for row in v]), _above_all([row["baseline"] for row in v]),
        ))  # fmt: skip
    correlation = view["correlation"]
    if all(correlation.values()):
        rows.append((
            "Fig. 4: largest difference of correlations, in bands", "10 % (auxiliary: 7 %), at 248 modes",
            _correlation(correlation["generated"]), _correlation(correlation["baseline"]),
        ))  # fmt: skip
    factor = [r for r in tables["power_ratio"] if r]
    if factor:
        rows.append((
            "mean power, generated / validation, bands", "not given",
            f"{min(factor):.3f} to {max(factor):.3f}", "",
        ))  # fmt: skip
    return Table(("what", "paper", "here", "here, real against real"), rows)


def cost(stages: dict[str, Any], metrics: list[dict[str, Any]]) -> tuple[Table, Table]:
    """Return what maps cost, as the paper's closing paragraph counts it; and the seconds of every stage.

    Samples of a fit are not simulations from first principles: the columns do not compare like with like.
    """
    simulated, trained, generated = (stages.get(name) for name in ("simulate", "train", "generate"))
    rows = [
        (
            "simulation",
            "5000 CPU hours a box, 100 to 500 for planes and rays to 1000 maps",
            _simulation(simulated) if simulated else "not made in this run",
        ),
        ("training", "4 days, Titan X Pascal", _training(trained, metrics) if trained else "not in this run"),
        (
            "1024 maps generated",
            "15 s, Titan X Pascal",
            _generation(generated) if generated else "not in this run",
        ),
    ]
    seconds = [(name, f"{record.seconds:.1f}", record.finished) for name, record in stages.items()]
    return (
        Table(("what", "paper", "here"), rows),
        Table(("stage", "seconds (last run of it)", "finished"), seconds),
    )


def _simulation(record: Any) -> str:
    return f"{_duration(record.seconds)} for {record.summary['num_maps']} maps, {_machine(record)}"


def _training(record: Any, metrics: list[dict[str, Any]]) -> str:
    """Return what the steps took, over all sessions; scores, checkpoints and compilation come on top."""
    steps, seconds, before = 0, 0.0, 0
    for line in metrics:
        if line["steps_per_second"] > 0:
            seconds += (line["step"] - before) / line["steps_per_second"]
            steps += line["step"] - before
        before = line["step"]
    return f"{_duration(seconds)} in {steps} steps, {_machine(record)}"


def _generation(record: Any) -> str:
    seconds = record.summary.get("seconds_of_1024_maps")
    if seconds is None:
        return "not measured: one batch was made, which holds the compilation"
    return f"{_duration(seconds)}, {_machine(record)}"


def _machine(record: Any) -> str:
    """Return the device, and where it is no accelerator the processor."""
    device = record.summary.get("device", "cpu")
    machine = record.machine
    if device.lower() != "cpu":
        return device
    return (
        "a processor that was not noted"
        if machine is None
        else f"{machine['cores']} core{'s' * (machine['cores'] != 1)} of {machine['processor']}"
    )


def _duration(seconds: float) -> str:
    for unit, size in (("days", 86400), ("hours", 3600), ("minutes", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:.1f} {unit}"
    return f"{seconds:.3g} s"


def _above(heights: dict[str, Any] | None, key: str) -> str:
    if not heights:
        return ""
    return f"{heights['ks'][key]} of {heights['modes']} ({heights['anderson_darling'][key]} by AD)"


def _above_all(heights: list[dict[str, Any] | None]) -> str:
    known = [entry for entry in heights if entry]
    if len(known) < len(heights):
        return ""
    total = sum(entry["modes"] for entry in known)
    ks, ad = (sum(entry[name]["above_0.95"] for entry in known) for name in ("ks", "anderson_darling"))
    return f"{ks} of {total} ({ad} by AD)"


def _baseline_pixels(view: dict[str, Any]) -> str:
    test = (view.get("pixels") or {}).get("baseline")
    return "" if test is None else f"KS distance {test['distance']:.4f}, p = {p_value(test['p'])}"


def _correlation(contrast: dict[str, Any]) -> str:
    across = contrast["low_high"]
    return (
        f"{contrast['largest']:.3f} (noise alone: {contrast['largest_of_noise']:.3f}); low with high ell "
        f"{across['value']:+.3f} ({across['lower']:+.3f} to {across['upper']:+.3f})"
    )
