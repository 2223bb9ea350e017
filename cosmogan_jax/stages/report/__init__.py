"""Stage report: one self-contained HTML page in the order of the paper's figures; needs no JAX.

report.html       the page; needs no network
figures/          every figure as PDF and PNG
results.json      what evaluate found (`stages/evaluate` and its `judgement.py` say what is what)
statistics.json   tables of the statistics
source_bins.json  of maps of several source bins: outcomes of all of them (`stages/evaluate/all_bins.py`)
"""

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cosmogan_jax.files.whole_files import write_text, writing
from cosmogan_jax.machine.progress import progress
from cosmogan_jax.runs.directory import stage_directory
from cosmogan_jax.settings import Report
from cosmogan_jax.stages.report import evaluated as evaluations

if TYPE_CHECKING:  # figures need matplotlib, which who does not run this stage may lack
    from cosmogan_jax.figures.page import Section


def run(settings: Report, workdir: Path, out: Path) -> dict[str, Any]:
    """Write the page, the figures and the tables."""
    from cosmogan_jax.figures import page, verdict
    from cosmogan_jax.stages.report.sections import sections

    evaluate = stage_directory(workdir, "evaluate")
    try:
        evaluated = evaluations.read(evaluate)
        drawn = list(progress(sections(workdir, evaluated), desc="report", unit="section"))
        outcome = verdict.outcome(evaluated.results)
    except (KeyError, TypeError, IndexError, AttributeError) as error:
        raise ValueError(
            f"the results in {workdir} cannot be drawn ({type(error).__name__} {error}): damaged, or of another"
            f" version; remove {evaluate} and what else is older than this version, and run those stages again"
        ) from error
    images = _write_figures(drawn, out / "figures")
    names = [path.stem for path in images.values()]
    files = _copy_tables(workdir, evaluate, out)
    files += [(f"{name}.{ending}", f"figures/{name}.{ending}") for name in names for ending in ("pdf", "png")]
    text = page.render(settings.report_title, outcome, _intro(evaluated.tables), drawn, images)
    write_text(out / "report.html", text.replace("</body>", page.links(files) + "</body>"))
    print(f"report: {workdir / 'report' / 'report.html'}")
    return {"figures": names}


def _write_figures(sections: "Sequence[Section]", folder: Path) -> dict[str, Path]:
    """Write the sections' figures as PNG and PDF; return the PNG file of each, by its section's title."""
    from cosmogan_jax.figures.files import write_png_and_pdf

    folder.mkdir(exist_ok=True)
    images = {}
    drawn = [section for section in sections if section.figure is not None]
    for section in progress(drawn, desc="report", unit="figure"):
        words = f"{section.number} {section.title}".lower().replace(",", "").split()
        name = section.anchor or "-".join(words[:6])
        with writing(folder / name):
            write_png_and_pdf(section.figure, folder / name)
        images[section.title] = folder / f"{name}.png"
    return images


def _copy_tables(workdir: Path, evaluate: Path, out: Path) -> list[tuple[str, str]]:
    """Copy the JSON files beside the page; return what each is, and its name."""
    files = [("what was found (JSON)", "results.json"), ("tables of the statistics (JSON)", "statistics.json")]
    if (evaluate / "source_bins.json").is_file():
        files.append(("all source bins (JSON)", "source_bins.json"))
    for _, name in files:
        shutil.copyfile(evaluate / name, out / name)
    if evaluations.novelty_record(workdir):
        shutil.copyfile(workdir / "novelty" / "novelty.json", out / "novelty.json")
        files.append(("what is new (JSON)", "novelty.json"))
    return files


def _intro(tables: dict[str, Any]) -> list[str]:
    redshift = tables["source_redshift"]
    return [
        f"{tables['num_generated']} generated maps against {tables['num_validation']} validation maps: "
        f"{tables['num_pixels']}² pixels, {tables['side_deg']:.4g}° wide, source redshift "
        f"{'not known' if redshift is None else format(redshift, 'g')}. Bands in figures are mean ± σ of maps.",
    ]
