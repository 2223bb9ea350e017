"""The sections of the report's page, in the order of the paper's figures."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from cosmogan_jax.compare import sky_limits
from cosmogan_jax.emulators.curves import Panel, read_panels
from cosmogan_jax.emulators.dcgan.curves import CURVES
from cosmogan_jax.figures import (
    beside_paper,
    ensembles,
    findings,
    novelty,
    selection,
    sheets,
    source_bins,
    spectra_triangle,
    statistics,
    training,
    verdict,
)
from cosmogan_jax.figures.page import Section, Table
from cosmogan_jax.figures.sky_limits import draw_sky_limits
from cosmogan_jax.files.json_files import Fields, read_json_lines, read_object
from cosmogan_jax.files.numpy_files import read_npz
from cosmogan_jax.runs.directory import finished_record, stage_record
from cosmogan_jax.stages.report import cosmologies, key_numbers
from cosmogan_jax.stages.report.evaluated import Evaluated, novelty_record, of_this_version, shown_stages

Values = statistics.Values
_SELECTION: Fields = {
    "selected": int,
    "by": str,
    "first": dict,
    "second": dict,
    "candidates": list,
    "fallback": dict,
}


def sections(workdir: Path, evaluated: Evaluated) -> Iterator[Section]:
    """Give every section of the page."""
    results = evaluated.results
    if evaluated.bins:
        yield from _source_bins(evaluated, evaluated.bins)
    if evaluated.design is None:
        yield verdict.section(results)
        numbers = None if evaluated.bins else key_numbers.section(results.get("key_numbers", []))
        if numbers is not None:
            yield numbers
    else:
        yield from cosmologies.overview(evaluated.design, evaluated.tables)
        yield verdict.section(results)._replace(title="Verdict on all maps together")
    table = beside_paper.beside_the_paper(results, evaluated.tables)
    yield Section("Beside the paper", tables=(table,))
    yield Section("What was compared", tuple(findings.independence(results)), tables=(findings.sets(results),))
    yield _sky(workdir, evaluated.folder)
    yield from _statistics(evaluated)
    if novelty_record(workdir):
        yield from _novelty(workdir / "novelty", evaluated.tables["side_deg"])
    classifier = findings.classifier(results)
    if classifier:
        text: tuple[str, ...] = (
            "A classifier trained from scratch on half of the units; 50 % is not better than guessing.",
        )
        if evaluated.design is not None:
            text += ("One was trained for all cosmologies; numbers are means of what it does at each.",)
        yield Section("Told apart by a classifier", text, tables=(classifier,))
    lines, inferred = findings.inference(results)
    yield Section("What it means for inference", tuple(lines), tables=(inferred,) if inferred else ())
    if evaluated.bins:
        yield from source_bins.others(evaluated.bins, evaluated.of_bins)
    if evaluated.design is not None:
        yield from cosmologies.each(evaluated.design, evaluated.tables, evaluated.titles)
    yield from _views(evaluated)
    if evaluated.bins:
        yield from source_bins.pairs_observed(evaluated.bins)
    yield from _run(workdir)


def _source_bins(evaluated: Evaluated, of_all: dict[str, Any]) -> Iterator[Section]:
    """Give what several source bins are judged by together, of source_bins.json."""
    yield source_bins.outcomes(of_all)
    of_each = [of_bin.get("key_numbers", []) for of_bin in (evaluated.results, *evaluated.of_bins)]
    numbers = key_numbers.of_bins(of_all["bins"], of_each, of_all.get("key_numbers", {}))
    if numbers is not None:
        yield numbers
    if of_all.get("spectra"):
        yield spectra_triangle.section(of_all)
    yield source_bins.pairs(of_all)
    yield from source_bins.told_apart(of_all)


def _statistics(evaluated: Evaluated) -> Iterator[Section]:
    """Give the figures of maps and of their statistics; of masked maps those that are measured."""
    folder, tables = evaluated.folder, evaluated.tables
    values = {name: read_npz(folder / f"{name}.npz") for name in evaluated.results["sets"]}
    shown, side = read_npz(folder / "shown.npz"), tables["side_deg"]
    yield Section(
        "Validation maps beside generated ones",
        ("Not chosen: the first generated maps, and validation maps from all over the set.",),
        sheets.draw_sheet(shown["validation"], shown["generated"], side),
        number="Figure 1",
    )
    yield Section(
        "Pixel intensity", ("The outermost bins are open.",), statistics.draw_pixels(tables), number="Figure 2"
    )
    if evaluated.masked:
        yield Section("Left out", tables=(findings.left_out(evaluated.results),))
    else:
        yield from _power(tables, values, evaluated.as_it_is)
    yield Section("Minkowski functionals", (), statistics.draw_minkowski(tables), number="Figure 5")
    yield Section(
        "Minkowski functionals at three thresholds",
        (),
        statistics.draw_minkowski_slices(tables, values),
        number="Figure 6",
    )
    if evaluated.masked:
        yield Section("Peaks", ("Not in the paper.",), statistics.draw_peaks(tables))
        return
    yield Section("Peaks and bispectrum", ("Not in the paper.",), statistics.draw_peaks_and_bispectrum(tables))
    yield Section(
        "Mean and scatter by position",
        ("A sky has no preferred place. The contrasts' errors count whole units.",),
        ensembles.draw_positions(read_npz(folder / "positions.npz"), side),
        (findings.stationarity(evaluated.results),),
    )


def _power(tables: dict[str, Any], values: Values, view: dict[str, Any]) -> Iterator[Section]:
    yield Section(
        "Power spectrum",
        ("At the paper's modes (steps of 200 in ell), and the ratio of the means there and in bands.",),
        statistics.draw_power(tables),
        number="Figure 3a",
    )
    yield Section(
        "Power spectrum at three modes", (), statistics.draw_power_slices(tables, values), number="Figure 3b"
    )
    yield Section(
        "Correlations of the power at different ell",
        (
            "Below: differences. What real maps differ by among themselves is on the right, on the same scale. "
            "Last row: the same in bands, in units of the bootstrap error over independent units.",
        ),
        ensembles.draw_correlations(tables, values, view["correlation"]),
        number="Figure 4",
    )


def _sky(workdir: Path, evaluate: Path) -> Section:
    title = "Up to where the training maps are a sky"
    if not (evaluate / "sky.json").is_file():
        given = finished_record(workdir, "evaluate").flags.get("reference")
        why = (
            "maps that came as files were judged against files (--reference)"
            if given
            else f"stage evaluate ran before it measured this; remove {evaluate} to have it run again"
        )
        return Section(title, (f"Not measured: {why}.",))
    with of_this_version(evaluate, "evaluate"):
        content = read_object(evaluate / "sky.json", {"l_edges": list, "power": list})
        limits = sky_limits.SkyLimits.from_json(content, f"{evaluate}/sky.json")
    figure = draw_sky_limits(
        limits.l_edges, limits.to_halofit(), limits.less_noise(), limits.noise_share(), limits.error_floor()
    )
    table = Table(sky_limits.HEAD, sky_limits.rows(limits))
    return Section(title, tuple(sky_limits.words(limits)), figure, (table,))


def _novelty(folder: Path, side_deg: float) -> Iterator[Section]:
    tables = read_object(folder / "novelty.json", {"nearest": dict, "birthday": dict, "verdict": dict})
    yield from novelty.sections(tables, read_npz(folder / "novelty.npz"), side_deg)


def _views(evaluated: Evaluated) -> Iterator[Section]:
    """Give the tests of the maps as they are; verdict and tests of every other view."""
    for label, view in evaluated.results["views"].items():
        observed = label != "as it is"
        if observed:
            yield verdict.as_seen(f"Verdict with {label}", view, evaluated.titles)
        if view["tests"]:
            title = f"Tests with {label}" if observed else "Tests"
            yield Section(title, tables=(findings.tests(view, evaluated.titles),))


def _run(workdir: Path) -> Iterator[Section]:
    """Give what the run itself is told by: training, selection, cost, settings."""
    stages = {name: record for name in shown_stages(workdir) if (record := stage_record(workdir, name))}
    metrics = workdir / "train" / "metrics.jsonl"
    lines = read_json_lines(metrics, {"step": int}, cut_off=True) if "train" in stages else []
    if lines:
        panels, missing = _curves(workdir / "train")
        why = tuple(f"Not drawn: {name}, since {reason}." for name, reason in missing.items())
        yield Section("Training", why, training.draw_training(lines, [panel.drawn() for panel in panels]))
    if "select" in stages:
        with of_this_version(workdir / "select", "select"):
            selected = read_object(workdir / "select" / "selection.json", _SELECTION)
        yield Section("Selection", (), selection.draw_selection(selected))
    text = (
        "Maps of a simulation follow from first principles, generated maps are samples of a fit to them: they "
        "add no information to what it was fitted to.",
    )
    yield Section("Cost", text, tables=beside_paper.cost(stages, lines))
    yield Section("Settings and versions", tables=findings.settings(stages))


def _curves(train: Path) -> tuple[tuple[Panel, ...], dict[str, str]]:
    """Return the panels that the training kept; those of a DCGAN for runs of before, which kept none."""
    path = train / "curves.json"
    if not path.is_file():
        return CURVES, {}
    with of_this_version(train, "train"):
        return read_panels(path)
