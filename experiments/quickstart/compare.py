"""One page that compares emulators judged by the same real maps: the paper's figures side by side, and a table.

    python experiments/quickstart/compare.py --runs=runs/quickstart,runs/dcgan --to=page.html

The runs have finished stage evaluate; what it left is all that is read, nothing is computed anew but errors of
the scatter of log power. Their maps may be of any kind of emulator, normalisation or training; the validation
and auxiliary maps must be the same, by their checksums.
"""

import argparse
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from compared_figures import draw_maps, draw_minkowski, draw_pixels, draw_power
from compared_runs import Judged, largest_shift, power_ratio, read_runs, scatter_ratio

from cosmogan_jax.figures.beside_paper import cost
from cosmogan_jax.figures.files import write_png
from cosmogan_jax.figures.page import Section, Table, render
from cosmogan_jax.files.whole_files import write_text

_AREAS = {
    "auc": "a classifier's area under the curve",
    "auc_of_pixels": "by pixels alone",
    "auc_of_spectrum": "by the spectrum alone",
    "auc_of_heights": "by heights alone",
}
_TITLE = "Emulators of convergence maps, judged by the same maps"


def main(arguments: Sequence[str] | None = None) -> None:
    """Write the page; a line that says what is wrong, and exit status 1, where it cannot be made."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", required=True, help="working directories, separated by commas")
    parser.add_argument(
        "--names", help="of the emulators, separated by commas; the directories' names by default"
    )
    parser.add_argument("--to", type=Path, required=True, help="the HTML file to write")
    given = parser.parse_args(arguments)
    workdirs = [Path(one) for one in given.runs.split(",")]
    names = given.names.split(",") if given.names is not None else [one.name for one in workdirs]
    try:
        write_text(given.to, page(read_runs(workdirs, names)))
    except (ValueError, OSError) as error:
        sys.exit(f"compare: {error}")
    print(f"compare: {given.to}")


def page(runs: Sequence[Judged]) -> str:
    """The page as HTML that needs no network."""
    drawn = sections(runs)
    with tempfile.TemporaryDirectory() as folder:
        images = {}
        for n, section in enumerate(drawn):
            if section.figure is not None:
                images[section.title] = Path(folder) / f"{n}.png"
                write_png(section.figure, images[section.title])
        return render(_TITLE, (f"{'. '.join(map(_outcome, runs))}.", ""), _intro(runs), drawn, images)


def sections(runs: Sequence[Judged]) -> list[Section]:
    """What the page shows, in the paper's order after the table of numbers."""
    band = " Blue: the same of auxiliary maps, real ones of other boxes or files." * runs[0].has_auxiliary
    return [
        Section("In numbers", _words(runs), tables=(numbers(runs),)),
        Section(
            "Largest deviation of every statistic's mean",
            (
                "Of generated from validation maps, over all bands or heights, in the standard deviation of "
                "one map, with the verdict on it: pass and fail say that its limits lie within and beyond the "
                "margin. † the emulator was trained to match it.",
            ),
            tables=(shifts(runs),),
        ),
        Section(
            "Maps",
            (
                f"Not chosen; each {runs[0].tables['side_deg']:.4g}° wide, all on one scale of colours, which "
                "spans 99 % of the validation maps' pixels.",
            ),
            draw_maps(runs),
            number="Figure 1",
        ),
        Section(
            "Pixel intensity",
            (f"Below: over the density in validation maps, ± error.{band}",),
            draw_pixels(runs),
            number="Figure 2",
        ),
        Section(
            "Power spectrum",
            (
                "Above: at the paper's modes. Below, in bands: mean of the power, and standard deviation of "
                f"its logarithm over maps, both over the validation maps'. 1 is perfect.{band}",
            ),
            draw_power(runs),
            number="Figure 3",
        ),
        Section(
            "Minkowski functionals",
            (f"Below each: means less validation maps' means, in one map's standard deviation.{band}",),
            draw_minkowski(runs),
            number="Figure 5",
        ),
    ]


def _intro(runs: Sequence[Judged]) -> list[str]:
    tables, sets = runs[0].tables, runs[0].results["sets"]
    of = sets["validation"]
    redshift = tables["source_redshift"]
    where = f" of {of['boxes']} boxes" if of["boxes"] else ""
    return [
        f"Maps of {len(runs)} emulators against the same {of['maps']} validation maps{where}, which no "
        f"training saw: {tables['num_pixels']}² pixels, {tables['side_deg']:.4g}° wide, source redshift "
        f"{'not known' if redshift is None else f'{redshift:g}'}."
    ]


def _words(runs: Sequence[Judged]) -> tuple[str, ...]:
    return (
        f"Real against real: {runs[0].results['baseline']}, the yardstick. A classifier that cannot tell "
        "generated maps from real ones has an area under its curve of 0.5.",
    )


def numbers(runs: Sequence[Judged]) -> Table:
    """The table: a row for each number, a column for real maps against real maps and one for each emulator."""
    real = runs[0] if runs[0].has_auxiliary else None
    count = len(runs[0].tables["l_edges"]) - 1
    rows = [
        _row("outcome", runs, _said),
        _row("differs in", runs, _differs),
        _row("maps judged", runs, lambda run: str(run.tables["num_generated"])),
        (
            f"mean power over validation, {count} bands: rms of the deviation",
            *_beside(runs, real, power_ratio, _rms),
        ),
        ("lowest to highest", *_beside(runs, real, power_ratio, _range)),
        (
            "scatter of log power over validation: rms of the deviation",
            *_beside(runs, real, scatter_ratio, _rms),
        ),
        ("lowest to highest", *_beside(runs, real, scatter_ratio, _range)),
        *(
            (title, _area(runs[0], "control", key), *(_area(run, "generated", key) for run in runs))
            for key, title in _AREAS.items()
        ),
        _row(
            "weights trained",
            runs,
            lambda run: "not known" if run.num_weights is None else f"{run.num_weights:,}",
        ),
        _row("training, its steps alone", runs, lambda run: _cost(run)[0]),
        _row("1024 maps made in", runs, lambda run: _cost(run)[1]),
    ]
    return Table(("", "real against real", *(run.name for run in runs)), rows)


def shifts(runs: Sequence[Judged]) -> Table:
    """Largest deviation of the mean of every statistic that is judged in units of one map's scatter."""
    rows = []
    for key, of in runs[0].results["statistics"].items():
        if of["mean_unit"] != "scatter" or not any(largest_shift(run, key) for run in runs):
            continue
        real = largest_shift(runs[0], key, "baseline_effect")
        rows.append((of["title"], f"{real[0]:.2f}" if real else "", *(_shift(run, key) for run in runs)))
    return Table(("statistic", "real against real", *(run.name for run in runs)), rows)


def _outcome(run: Judged) -> str:
    """In a line: how many effects agree and differ, and how many more maps would tell of."""
    of = run.results["overall"]
    return (
        f"{run.name}: {of['outcome']}; effects that agree with real maps {len(of['agrees'])}, that differ "
        f"{len(of['fails'])}, that so many maps leave open {len(of['open'])}"
    )


def _said(run: Judged) -> str:
    of = run.results["overall"]
    return f"{of['outcome']} (margins: {of['margins']['set']})"


def _differs(run: Judged) -> str:
    fails = run.results["overall"]["fails"]
    more = f" and {len(fails) - 2} more" if len(fails) > 2 else ""
    return (", ".join(fails[:2]) or "nothing") + more


def _shift(run: Judged, key: str) -> str:
    found = largest_shift(run, key)
    mark = " †" if run.results["statistics"][key]["trained_on"] else ""
    return f"not judged{mark}" if found is None else f"{found[0]:.2f} {found[1]}{mark}"


def _row(title: str, runs: Sequence[Judged], said: Callable[[Judged], str]) -> tuple[str, ...]:
    return (title, "", *(said(run) for run in runs))


def _beside(runs: Sequence[Judged], real: Judged | None, ratio: Callable, said: Callable) -> list[str]:
    return ["" if real is None else said(ratio(real, "auxiliary")[0]), *(said(ratio(run)[0]) for run in runs)]


def _rms(ratio: np.ndarray) -> str:
    """Of a ratio's deviation from 1, over the bands that have one."""
    return f"{100 * np.sqrt(np.nanmean((ratio - 1) ** 2)):.1f} %"


def _range(ratio: np.ndarray) -> str:
    return f"{np.nanmin(ratio):.2f} to {np.nanmax(ratio):.2f}"


def _area(run: Judged, which: str, key: str) -> str:
    found: dict[str, Any] | None = run.results["classifier"]
    if found is None or "refused" in found:
        return "not trained"
    of = found[which][key]
    return f"{of['value']:.3f}\N{NO-BREAK SPACE}±\N{NO-BREAK SPACE}{of['standard_error']:.3f}"


def _cost(run: Judged) -> tuple[str, str]:
    """Training and 1024 maps, with the machine; the report's own words."""
    table, _ = cost(run.stages, run.metrics)
    return table.rows[1][-1], table.rows[2][-1]


if __name__ == "__main__":
    main()
