"""Finished runs whose emulators were judged by the same real maps, and the numbers to put side by side."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from cosmogan_jax.compare.ensembles import Bands, bands
from cosmogan_jax.emulators.kinds import build
from cosmogan_jax.emulators.packed import load
from cosmogan_jax.files.checksums import json_sha256
from cosmogan_jax.files.json_files import read_json_lines
from cosmogan_jax.files.numpy_files import read_npz
from cosmogan_jax.maps.crop_table import open_crop_table
from cosmogan_jax.runs.directory import finished_record, stage_record
from cosmogan_jax.runs.records import StageRecord
from cosmogan_jax.settings.kinds import train_from_record
from cosmogan_jax.stages.report.evaluated import read_evaluated, shown_stages

MOST = 5  # runs: columns that a page has room for
_EDGES = ("l_edges", "paper_l_edges", "pixel_edges", "peak_edges", "thresholds")
# The flag that names files in place of stage prepare's crops.
_FLAGS = {"validation": "reference", "auxiliary": "auxiliary"}
_BOOTSTRAP_SEED = 0


class Judged(NamedTuple):
    """One run whose emulator was evaluated.

    Attributes:
      tables, results: statistics.json and results.json of stage evaluate.
      log_power: mean and standard deviation over maps of ln P in every band, by set, with errors from a
        bootstrap over independent units.
      shown: maps to look at, by set.
      stages: the records of the stages that made the maps; metrics: the lines of its training.
      num_weights: that the training fits; None where the maps came as files.
    """

    name: str
    workdir: Path
    tables: dict[str, Any]
    results: dict[str, Any]
    log_power: dict[str, Bands]
    shown: dict[str, np.ndarray]
    stages: dict[str, StageRecord]
    metrics: list[dict[str, Any]]
    num_weights: int | None

    @property
    def has_auxiliary(self) -> bool:
        """Whether there are independent real maps beside the validation maps."""
        return self.tables["auxiliary"] is not None


def read_runs(workdirs: Sequence[Path], names: Sequence[str]) -> list[Judged]:
    """The runs, in this order.

    Raises:
      ValueError: fewer than two runs or more than MOST, names that do not tell them apart, a run without a
        finished evaluate or of before there was an outcome, or runs that were judged by other real maps or in
        other bands than the first.
    """
    said = ",".join(map(str, workdirs))
    if not 2 <= len(workdirs) <= MOST:
        raise ValueError(f"runs={said} must be 2 to {MOST} working directories, found {len(workdirs)}")
    if len(names) != len(workdirs) or len(set(names)) < len(names) or not all(names):
        raise ValueError(f"names={','.join(names)} must be {len(workdirs)} different names, one for each run")
    for workdir in workdirs:
        finished_record(workdir, "evaluate")
    marks = [real_maps(workdir) for workdir in workdirs]
    for workdir, mark in zip(workdirs[1:], marks[1:]):
        for name, of in marks[0].items():
            if mark[name] != of:
                raise ValueError(
                    f"runs={workdirs[0]},{workdir} must be judged by the same {name} maps: {workdirs[0]} by "
                    f"{of}, {workdir} by {mark[name]} (as many maps are taken as --num_generated)"
                )
    runs = [_read(workdir, name) for workdir, name in zip(workdirs, names)]
    for run in runs[1:]:
        for edges in _EDGES:
            if run.tables[edges] != runs[0].tables[edges]:
                raise ValueError(
                    f"runs={workdirs[0]},{run.workdir} must be judged in the same {edges}: {workdirs[0]} in "
                    f"{len(runs[0].tables[edges]) - 1} bins, {run.workdir} in {len(run.tables[edges]) - 1} "
                    "(--evaluate_l_bins, or another version of the package)"
                )
    return runs


def real_maps(workdir: Path) -> dict[str, str]:
    """What tells the real maps of a finished evaluate from others, by set: how many, and a checksum.

    Of stage prepare's crops it is that of the map store's content, the crops' places and their size, whatever
    the normalisation and the training's crops; of files (--reference, --auxiliary) what evaluate recorded.

    Raises:
      ValueError: stage prepare holds other crops now than those that were judged by.
    """
    record = finished_record(workdir, "evaluate")
    tables, results = read_evaluated(workdir / "evaluate")
    marks = {}
    for name, flag in _FLAGS.items():
        said = results["sets"].get(name)
        if said is None:
            marks[name] = "none"
            continue
        mark = record.inputs.get(flag)
        if mark is None:
            split = name if name == "validation" else record.flags.get("auxiliary_split", name)
            mark = _crops_mark(workdir, split, tables)
        marks[name] = f"{said['maps']} of SHA-256 {mark[:12]}"
    return marks


def _crops_mark(workdir: Path, split: str, tables: dict[str, Any]) -> str:
    now, then = (finished_record(workdir, "prepare").result,
                 finished_record(workdir, "evaluate").inputs.get("prepare"))  # fmt: skip
    if now != then:
        raise ValueError(
            f"{workdir / 'prepare'} was made anew since stage evaluate; run --stages=evaluate again"
        )
    table = open_crop_table(workdir / "prepare")
    if table.geometry.num_pixels != tables["num_pixels"]:
        table = table.of_size(tables["num_pixels"])
    crops = table.choose(split, tables["num_generated"]).tolist()
    size = {key: getattr(table.manifest, key) for key in ("crop_size", "side_deg")}
    return json_sha256({"maps": table.store.manifest.identity(), "crops": crops, **size})


def _read(workdir: Path, name: str) -> Judged:
    evaluate = workdir / "evaluate"
    tables, results = read_evaluated(evaluate)
    if "fails" not in results["overall"]:
        raise ValueError(
            f"{evaluate}/results.json has no outcome: written by an earlier version; remove {evaluate} and run "
            "--stages=evaluate again"
        )
    stages = {one: found for one in shown_stages(workdir) if (found := stage_record(workdir, one))}
    metrics = workdir / "train" / "metrics.jsonl"
    return Judged(
        name,
        workdir,
        tables,
        results,
        _log_power({one: read_npz(evaluate / f"{one}.npz") for one in results["sets"]}),
        read_npz(evaluate / "shown.npz"),
        stages,
        read_json_lines(metrics, {"step": int}, cut_off=True) if "train" in stages else [],
        _num_weights(stages),
    )


def _log_power(values: dict[str, dict[str, np.ndarray]]) -> dict[str, Bands]:
    """Of ln P in bands; a band without modes, whose power is 0 in all maps, has no scatter either."""
    found = {}
    for name, of in values.items():
        power = of["power_bands"].astype(np.float64)
        log = np.log(np.where(power > 0, power, np.finfo(np.float32).tiny))
        found[name] = bands(log, of["parents"], seed=_BOOTSTRAP_SEED)
    return found


def _num_weights(stages: dict[str, StageRecord]) -> int | None:
    """Numbers that a training fits; not what it measures beforehand (a base's power), nor running averages."""
    if "generate" in stages and (pretrained := stages["generate"].flags.get("pretrained")):
        variables = load(pretrained).variables
    elif "train" in stages:
        model, _ = build(train_from_record(stages["train"].flags))
        variables = jax.eval_shape(model.init, jax.random.key(0))
    else:
        return None
    fitted = variables.get("params", variables) if isinstance(variables, dict) else variables
    return sum(leaf.size for leaf in jax.tree.leaves(fitted))


def power_ratio(run: Judged, name: str = "generated") -> tuple[np.ndarray, np.ndarray]:
    """Mean power of a set over the validation maps' in every band, and its standard error."""
    of = run.tables["statistics"]["power_bands"]
    mean, error = (
        [np.array(of[one][key], float) for one in (name, "validation")] for key in ("mean", "mean_error")
    )
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = mean[0] / mean[1]
        return ratio, ratio * np.hypot(error[0] / mean[0], error[1] / mean[1])


def scatter_ratio(run: Judged, name: str = "generated") -> tuple[np.ndarray, np.ndarray]:
    """Standard deviation of ln P over that of validation maps in every band, and its standard error."""
    ours, real = (run.log_power[one].sigma for one in (name, "validation"))
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = ours.value / real.value
        return ratio, ratio * np.hypot(ours.standard_error / ours.value, real.standard_error / real.value)


def largest_shift(run: Judged, statistic: str, effect: str = "effect") -> tuple[float, str] | None:
    """Largest |difference of means| over a statistic's bands, in one map's sigma, and the verdict on it.

    effect: "effect" of generated maps, "baseline_effect" of real maps. None where it was not judged.
    """
    for of in run.results["views"]["as it is"]["verdicts"]["judged"]:
        if of["quantity"] == statistic and of["name"] == "mean":
            known = [abs(value) for value in of[effect] if value is not None]
            return (max(known), of["outcome"]) if known else None
    return None
