"""What stage evaluate found, read and checked for the report; and which stages have to do with it."""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from cosmogan_jax.compare.design_verdict import JudgedDesign
from cosmogan_jax.files.json_files import Fields, check_object, read_object
from cosmogan_jax.runs.directory import finished_record, stage_record
from cosmogan_jax.runs.records import StageRecord
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
_SETS = {"generated", "validation", "auxiliary"}
_STAGES = ("simulate", "prepare", "train", "select", "generate", "evaluate", "novelty")


class Evaluated(NamedTuple):
    """Stage evaluate's folder, and what it wrote: statistics.json and results.json.

    bins: source_bins.json, and of_bins the results of the bins beyond the first; of maps of one bin, nothing.
    design: the cosmologies that were judged by themselves; None of one, and where earlier versions judged.
    """

    folder: Path
    tables: dict[str, Any]
    results: dict[str, Any]
    bins: dict[str, Any] | None
    of_bins: tuple[dict[str, Any], ...]
    design: JudgedDesign | None = None

    @property
    def as_it_is(self) -> dict[str, Any]:
        """Return the view of the maps as they are."""
        return self.results["views"]["as it is"]

    @property
    def titles(self) -> dict[str, Any]:
        """Return title and unit of every statistic, by its name."""
        return self.results["statistics"]

    @property
    def masked(self) -> bool:
        """Tell whether statistics were left out, as they are of masked maps."""
        return bool(self.results.get("left_out"))


def read(folder: Path) -> Evaluated:
    """Read what stage evaluate wrote to its folder; ValueError where this version did not write it."""
    tables, results = read_evaluated(folder)
    if not (folder / "source_bins.json").is_file():
        return Evaluated(folder, tables, results, None, (), _design(folder, results))
    with of_this_version(folder, "evaluate"):
        bins = read_object(folder / "source_bins.json", {"overall": dict, "bins": list, "cross": dict})
    others = (read_evaluated(folder / entry["folder"])[1] for entry in bins["bins"][1:])
    return Evaluated(folder, tables, results, bins, tuple(others))


def _design(folder: Path, results: dict[str, Any]) -> JudgedDesign | None:
    if "cosmologies" not in results:
        return None
    with of_this_version(folder, "evaluate"):
        return JudgedDesign.from_json(results["cosmologies"], f"{folder}/results.json, cosmologies")


def read_evaluated(evaluate: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """Read statistics.json and results.json; ValueError where this version did not write them."""
    with of_this_version(evaluate, "evaluate"):
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
def of_this_version(folder: Path, stage: str) -> Iterator[None]:
    """Say how a stage's folder is made anew, where it cannot be read."""
    try:
        yield
    except ValueError as error:
        raise ValueError(f"{error}; to make it anew, remove {folder} and run --stages={stage}") from error


def shown_stages(workdir: Path) -> tuple[str, ...]:
    """Return the stages that made the judged maps: a training in this directory may have made others."""
    if finished_record(workdir, "evaluate").flags.get("generated"):
        return ("prepare", "evaluate", "novelty")
    if finished_record(workdir, "generate").flags.get("pretrained"):
        return ("prepare", "generate", "evaluate", "novelty")
    return _STAGES


def novelty_record(workdir: Path) -> StageRecord | None:
    """Return the record of stage novelty, where it looked at the maps that were judged."""
    record = stage_record(workdir, "novelty")
    if record is None:
        return None
    judged = finished_record(workdir, "evaluate")
    same = record.inputs.get("generate") == judged.inputs.get("generate") and (
        record.inputs.get("generated") == judged.inputs.get("generated")
    )
    return record if same else None
