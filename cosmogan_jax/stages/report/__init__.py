"""Stage report: one self-contained HTML page in the order of the paper's figures; needs no JAX.

report.html       the page; needs no network
figures/          every figure as PDF and PNG
results.json      what evaluate found (`stages/evaluate` and its `judgement.py` say what is what)
statistics.json   tables of the statistics
source_bins.json  of maps of several source bins: outcomes of all of them (`stages/evaluate/judged_bins.py`)
"""

import contextlib
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from cosmogan_jax.compare import sky_limits
from cosmogan_jax.emulators.curves import Panel, read_panels
from cosmogan_jax.emulators.dcgan.curves import CURVES
from cosmogan_jax.files.json_files import Fields, check_object, read_json_lines, read_object
from cosmogan_jax.files.numpy_files import read_npz
from cosmogan_jax.files.whole_files import write_text, writing
from cosmogan_jax.machine.progress import progress
from cosmogan_jax.runs.directory import finished_record, stage_directory, stage_record
from cosmogan_jax.runs.records import StageRecord
from cosmogan_jax.settings import Report
from cosmogan_jax.stages.report.old_results import of_schema_2

# What the page draws from, as the stages of this version write it (`judgement.SCHEMA`).
SCHEMA = 3
_RESULTS: Fields = {
    "schema": int, "sets": dict, "baseline": str, "views": dict, "stationarity": dict, "inference": dict,
    "classifier": (dict, type(None)),
}  # fmt: skip
# Since schema 3.
_ADDED: Fields = {
    "statistics": dict, "position": dict, "duplicates": dict, "similarity": (dict, type(None)), "overall": dict,
}  # fmt: skip
_TABLES: Fields = {
    "num_generated": int, "num_validation": int, "num_pixels": int, "side_deg": float, "l_edges": list,
    "statistics": dict, "power_ratio": list, "source_redshift": (float, type(None)),
}  # fmt: skip
_SELECTION: Fields = {
    "selected": int,
    "by": str,
    "first": dict,
    "second": dict,
    "candidates": list,
    "fallback": dict,
}
_SETS = {"generated", "validation", "auxiliary"}
_STAGES = ("simulate", "prepare", "train", "select", "generate", "evaluate", "novelty")


def run(settings: Report, workdir: Path, out: Path) -> dict[str, Any]:
    """Write the page, the figures and the tables."""
    from cosmogan_jax.figures import page, verdict
    from cosmogan_jax.figures.files import write_png_and_pdf

    evaluate = stage_directory(workdir, "evaluate")
    tables, results = read_evaluated(evaluate)
    try:
        sections = list(progress(_sections(workdir, evaluate, tables, results), desc="report", unit="section"))
        outcome = verdict.outcome(results)
    except (KeyError, TypeError, IndexError, AttributeError) as error:
        said = f"{type(error).__name__} {error}"
        raise ValueError(
            f"the results in {workdir} cannot be drawn ({said}): damaged, or of another version; remove "
            f"{evaluate} and what else is older than this version, and run those stages again"
        ) from error
    (out / "figures").mkdir(exist_ok=True)
    names, images = [], {}
    drawn = [section for section in sections if section.figure is not None]
    for section in progress(drawn, desc="report", unit="figure"):
        name = _file_name(section)
        names.append(name)
        images[section.title] = out / "figures" / f"{name}.png"
        with writing(out / "figures" / name):
            write_png_and_pdf(section.figure, out / "figures" / name)
    of_bins = ["source_bins.json"] * (evaluate / "source_bins.json").is_file()
    for table in ("results.json", "statistics.json", *of_bins):
        shutil.copyfile(evaluate / table, out / table)
    if _novelty_record(workdir):
        shutil.copyfile(workdir / "novelty" / "novelty.json", out / "novelty.json")
    files = [("what was found (JSON)", "results.json"), ("tables of the statistics (JSON)", "statistics.json")]
    files += [("all source bins (JSON)", table) for table in of_bins]
    files += [("what is new (JSON)", "novelty.json")] * (out / "novelty.json").is_file()
    files += [(f"{name}.{ending}", f"figures/{name}.{ending}") for name in names for ending in ("pdf", "png")]
    intro = _intro(tables)
    text = page.render(settings.report_title, outcome, intro, sections, images)
    write_text(out / "report.html", text.replace("</body>", page.links(files) + "</body>"))
    print(f"report: {workdir / 'report' / 'report.html'}")
    return {"figures": names}


def _intro(tables: dict[str, Any]) -> list[str]:
    redshift = tables["source_redshift"]
    return [
        f"{tables['num_generated']} generated maps against {tables['num_validation']} validation maps: "
        f"{tables['num_pixels']}² pixels, {tables['side_deg']:.4g}° wide, source redshift "
        f"{'not known' if redshift is None else format(redshift, 'g')}. Bands in figures are mean ± σ of maps.",
    ]


def _sections(workdir: Path, evaluate: Path, tables: dict[str, Any], results: dict[str, Any]) -> Iterator[Any]:
    from cosmogan_jax.figures import (
        beside_paper,
        ensembles,
        findings,
        novelty,
        selection,
        sheets,
        source_bins,
        statistics,
        training,
        verdict,
    )
    from cosmogan_jax.figures.page import Section

    view, titles = results["views"]["as it is"], results["statistics"]
    bins, others = _of_bins(evaluate)
    if bins:
        yield from source_bins.overview(bins)
    yield verdict.section(results)
    yield Section("Beside the paper", tables=(beside_paper.beside_the_paper(results, tables),))
    yield Section("What was compared", tuple(findings.independence(results)), tables=(findings.sets(results),))

    yield _sky(workdir, evaluate)
    values = {name: read_npz(evaluate / f"{name}.npz") for name in results["sets"]}
    shown, gone = read_npz(evaluate / "shown.npz"), results.get("left_out", {})
    side = tables["side_deg"]
    yield Section(
        "Validation maps beside generated ones",
        ("Not chosen: the first generated maps, and validation maps from all over the set.",),
        sheets.draw_sheet(shown["validation"], shown["generated"], side),
        number="Figure 1",
    )
    yield Section(
        "Pixel intensity", ("The outermost bins are open.",), statistics.draw_pixels(tables), number="Figure 2"
    )
    if gone:
        yield Section("Left out", tables=(findings.left_out(results),))
    else:
        yield from _power(tables, values, view)
    yield Section("Minkowski functionals", (), statistics.draw_minkowski(tables), number="Figure 5")
    yield Section(
        "Minkowski functionals at three thresholds",
        (),
        statistics.draw_minkowski_slices(tables, values),
        number="Figure 6",
    )
    if gone:
        yield Section("Peaks", ("Not in the paper.",), statistics.draw_peaks(tables))
    else:
        yield Section(
            "Peaks and bispectrum", ("Not in the paper.",), statistics.draw_peaks_and_bispectrum(tables)
        )
        yield Section(
            "Mean and scatter by position",
            ("A sky has no preferred place. The contrasts' errors count whole units.",),
            ensembles.draw_positions(read_npz(evaluate / "positions.npz"), side),
            (findings.stationarity(results),),
        )
    if _novelty_record(workdir):
        of_novelty = workdir / "novelty"
        found = read_object(of_novelty / "novelty.json", {"nearest": dict, "birthday": dict, "verdict": dict})
        yield from novelty.sections(found, read_npz(of_novelty / "novelty.npz"), side)
    classifier = findings.classifier(results)
    if classifier:
        text = ("A classifier trained from scratch on half of the units; 50 % is not better than guessing.",)
        yield Section("Told apart by a classifier", text, tables=(classifier,))
    said, table = findings.inference(results)
    yield Section("What it means for inference", tuple(said), tables=(table,) if table else ())
    if bins:
        yield from source_bins.others(bins, others)
    for label, of in results["views"].items():
        if label != "as it is":
            yield verdict.as_seen(f"Verdict with {label}", of, titles)
        if of["tests"]:
            title = "Tests" if label == "as it is" else f"Tests with {label}"
            yield Section(title, tables=(findings.tests(of, titles),))
    stages = {name: record for name in shown_stages(workdir) if (record := stage_record(workdir, name))}
    metrics = workdir / "train" / "metrics.jsonl"
    lines = read_json_lines(metrics, {"step": int}, cut_off=True) if "train" in stages else []
    if lines:
        panels, missing = _curves(workdir / "train")
        why = tuple(f"Not drawn: {name}, since {reason}." for name, reason in missing.items())
        yield Section("Training", why, training.draw_training(lines, [panel.drawn() for panel in panels]))
    if "select" in stages:
        with _of_this_version(workdir / "select", "select"):
            selected = read_object(workdir / "select" / "selection.json", _SELECTION)
        yield Section("Selection", (), selection.draw_selection(selected))
    text = (
        "Maps of a simulation follow from first principles, generated maps are samples of a fit to them: they "
        "add no information to what it was fitted to.",
    )
    yield Section("Cost", text, tables=beside_paper.cost(stages, lines))
    yield Section("Settings and versions", tables=findings.settings(stages))


def _of_bins(evaluate: Path) -> tuple[dict[str, Any] | None, list[dict[str, Any]]]:
    """What is said of all bins, and the results of those beyond the first; of maps of one bin, nothing."""
    if not (evaluate / "source_bins.json").is_file():
        return None, []
    with _of_this_version(evaluate, "evaluate"):
        told = read_object(evaluate / "source_bins.json", {"overall": dict, "bins": list, "cross": dict})
    return told, [read_evaluated(evaluate / of["folder"])[1] for of in told["bins"][1:]]


def _power(tables: dict[str, Any], values: dict[str, Any], view: dict[str, Any]) -> Iterator[Any]:
    from cosmogan_jax.figures import ensembles, statistics
    from cosmogan_jax.figures.page import Section

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


def _sky(workdir: Path, evaluate: Path) -> Any:
    from cosmogan_jax.figures.page import Section, Table
    from cosmogan_jax.figures.sky_limits import draw_sky_limits

    title = "Up to where the training maps are a sky"
    if not (evaluate / "sky.json").is_file():
        given = finished_record(workdir, "evaluate").flags.get("reference")
        why = (
            "maps that came as files were judged against files (--reference)"
            if given
            else f"stage evaluate ran before it measured this; remove {evaluate} to have it run again"
        )
        return Section(title, (f"Not measured: {why}.",))
    with _of_this_version(evaluate, "evaluate"):
        content = read_object(evaluate / "sky.json", {"l_edges": list, "power": list})
        found = sky_limits.SkyLimits.from_json(content, f"{evaluate}/sky.json")
    drawn = draw_sky_limits(
        found.l_edges, found.to_halofit(), found.less_noise(), found.noise_share(), found.error_floor()
    )
    table = Table(sky_limits.HEAD, sky_limits.rows(found))
    return Section(title, tuple(sky_limits.words(found)), drawn, (table,))


def shown_stages(workdir: Path) -> tuple[str, ...]:
    """Stages that have to do with the maps that were judged: a training in this directory made others."""
    if finished_record(workdir, "evaluate").flags.get("generated"):
        return ("prepare", "evaluate", "novelty")
    if finished_record(workdir, "generate").flags.get("pretrained"):
        return ("prepare", "generate", "evaluate", "novelty")
    return _STAGES


def _novelty_record(workdir: Path) -> StageRecord | None:
    """Of stage novelty, where it looked at the maps that were judged."""
    record = stage_record(workdir, "novelty")
    if record is None:
        return None
    judged = finished_record(workdir, "evaluate")
    same = record.inputs.get("generate") == judged.inputs.get("generate") and (
        record.inputs.get("generated") == judged.inputs.get("generated")
    )
    return record if same else None


def read_evaluated(evaluate: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """statistics.json and results.json; ValueError where this version did not write them."""
    with _of_this_version(evaluate, "evaluate"):
        results = read_object(evaluate / "results.json", _RESULTS)
        if results["schema"] == 2:
            results = of_schema_2(results)
        elif results["schema"] == SCHEMA:
            check_object(results, _ADDED, f"{evaluate}/results.json")
        else:
            raise ValueError(f"{evaluate}/results.json: schema={results['schema']}, expected {SCHEMA}")
        if not results["sets"].keys() <= _SETS or "as it is" not in results["views"]:
            raise ValueError(f"{evaluate}/results.json: sets or views are unknown")
        return read_object(evaluate / "statistics.json", _TABLES), results


@contextlib.contextmanager
def _of_this_version(folder: Path, stage: str) -> Iterator[None]:
    try:
        yield
    except ValueError as error:
        raise ValueError(f"{error}; to make it anew, remove {folder} and run --stages={stage}") from error


def _curves(train: Path) -> tuple[tuple[Panel, ...], dict[str, str]]:
    """The panels that the training kept; those of a DCGAN for runs of before, which kept none."""
    path = train / "curves.json"
    if not path.is_file():
        return CURVES, {}
    with _of_this_version(train, "train"):
        return read_panels(path)


def _file_name(section: Any) -> str:
    words = f"{section.number} {section.title}".lower().replace(",", "").split()
    return "-".join(words[:6])
