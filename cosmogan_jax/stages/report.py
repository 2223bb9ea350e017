"""Stage report: one self-contained HTML page; needs no JAX."""

import json
from pathlib import Path
from typing import Any

import numpy as np

from cosmogan_jax.stages.settings import Report
from cosmogan_jax.storage.json_files import read_json
from cosmogan_jax.storage.run_directory import stage_directory, stage_record


def run(settings: Report, workdir: Path, out: Path) -> dict[str, Any]:
    """Write report.html from the tables of evaluate, the curves of train and the scores of select."""
    from cosmogan_jax.figures import page, selection, sheets, statistics, training

    evaluate = stage_directory(workdir, "evaluate")
    tables = read_json(evaluate / "statistics.json")
    with np.load(evaluate / "shown.npz", allow_pickle=False) as shown:
        generated, validation = shown["generated"], shown["validation"]
    lines = (stage_directory(workdir, "train") / "metrics.jsonl").read_text().splitlines()
    metrics = [json.loads(line) for line in lines]
    figures = {
        "Validation maps beside generated ones": sheets.draw_sheet(validation, generated, tables["side_deg"]),
        "Pixel intensity": statistics.draw_pixels(tables),
        "Power spectrum": statistics.draw_power(tables),
        "Minkowski functionals": statistics.draw_minkowski(tables),
        "Training": training.draw_training(metrics),
    }
    if (workdir / "select" / "selection.json").is_file():
        figures["Selection"] = selection.draw_selection(read_json(workdir / "select" / "selection.json"))
    stages = {
        name: record
        for name in ("simulate", "prepare", "train", "select", "generate", "evaluate")
        if (record := stage_record(workdir, name))
    }
    (out / "report.html").write_text(page.render(settings.report_title, tables, figures, stages))
    print(f"report: {workdir / 'report' / 'report.html'}")
    return {"figures": list(figures)}
