"""Stage evaluate: generated maps against validation maps, with real maps against real maps as the yardstick.

statistics.json       tables: mean and scatter over maps of every statistic, their errors, where they agree
results.json          the outcome (`overall.py`); tests, effects, verdicts (`judgement.py` says
                      what each entry is); duplicates (`duplicates.py`); contrasts and patterns by
                      position (`uniformity.py`); inference; the classifier
generated.npz, ...    statistics of every map, a file a set
positions.npz         mean and scatter at every pixel
shown.npz             maps to look at
sky.json              up to where the run's training maps are a sky (`compare/sky_limits.py`)
"""

import functools
import itertools
import time
from collections.abc import Set
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Array

from cosmogan_jax.compare.classify import STRIDE
from cosmogan_jax.compare.ensembles import bands, effective_modes
from cosmogan_jax.compare.scales import Scales, scales
from cosmogan_jax.compare.statistics import STATISTICS, display_pixels
from cosmogan_jax.compare.validity import AGREEMENT_FACTOR, agreeing_range
from cosmogan_jax.files.json_files import read_json, write_json
from cosmogan_jax.files.whole_files import write_arrays
from cosmogan_jax.maps import plausibility
from cosmogan_jax.maps.crop_table import open_crop_table
from cosmogan_jax.maps.sets import MapSet, MapSets
from cosmogan_jax.runs.directory import stage_directory
from cosmogan_jax.settings import Evaluate
from cosmogan_jax.settings.margins import parse
from cosmogan_jax.stages.evaluate import (
    duplicates,
    inference,
    judged_bins,
    judgement,
    masked_sets,
    overall,
    sky_limits,
    summarising,
    uniformity,
)
from cosmogan_jax.stages.evaluate.classification import FEWEST_PARENTS, ClassificationSettings, classify_sets
from cosmogan_jax.stages.evaluate.classification import MapSet as ClassifiedSet
from cosmogan_jax.stages.evaluate.compared_sets import few_boxes, open_map_sets, units_of
from cosmogan_jax.stages.evaluate.observing import View, views
from cosmogan_jax.stages.evaluate.training_targets import trained_on, was_selected
from cosmogan_jax.summaries import PAPER_L_EDGES, PAPER_THRESHOLDS

_SHOWN = 8
_BOOTSTRAP_SEED = 0
# Statistics whose tables the figures draw; the others are in the npz files.
_TABLES = ("pixels", *(row.name for row in STATISTICS.values() if row.shown))


def run(settings: Evaluate, workdir: Path, out: Path) -> dict[str, Any]:
    """Compare the sets as they are and as an observer sees them; of several source bins each, and pairs."""
    bins = judged_bins.judged_bins(settings)
    if not bins:
        return _judge(settings, workdir, out)
    summaries = []
    for number, one in enumerate(judged_bins.of_each(settings, bins)):
        place = out if not number else out / f"bin_{bins[number].number}"
        if not (place / "results.json").is_file():  # those of an interrupted run stay
            place.mkdir(exist_ok=True)
            print(f"evaluate: source bin {bins[number].said()}", flush=True)
            summaries.append(_judge(one, workdir, place))
        else:
            summaries.append(_summary(place))
    joint = judged_bins.judge(settings, workdir, bins, out)
    print(f"evaluate: {joint['said']}", flush=True)
    return {**summaries[0], "outcome": joint["outcome"], "source_bins": len(bins)}


def _judge(settings: Evaluate, workdir: Path, out: Path) -> dict[str, Any]:
    """Compare the sets of one source bin.

    Memory holds one chunk of maps and the statistics of all, whatever the number of maps; chunks that an
    interrupted run has finished are not computed again.
    """
    began = time.monotonic()
    table = None if settings.reference else open_crop_table(stage_directory(workdir, "prepare"))
    sets = open_map_sets(settings, workdir, table)
    results = judge_sets(
        sets, settings, out, matched=trained_on(settings, workdir), selected=was_selected(settings, workdir)
    )
    results["seconds"] = round(time.monotonic() - began, 1)
    if table is not None:
        l_edges = np.array(read_json(out / "statistics.json")["l_edges"])
        write_json(out / "sky.json", sky_limits.measure(table, l_edges).to_json())
    write_json(out / "results.json", results)
    summarising.remove_parts(out)
    print(f"evaluate: {results['overall']['said']}", flush=True)
    return _summary(out)


def judge_sets(
    sets: MapSets, settings: Evaluate, out: Path, *, matched: Set[str], selected: bool
) -> dict[str, Any]:
    """What results.json holds, of any sets; statistics.json and the arrays are written to `out`.

    Of the settings those are looked at that say how to judge, not those that say where maps are.

    Args:
      matched: names of statistics that a loss of the generator's training matched.
      selected: whether the generator was chosen among others by its scores.

    Raises:
      ValueError: maps that are not finite or constant, sets that share maps, settings that these maps do not
        allow.
    """
    spread = _spread(sets.validation)
    apart = plausibility.apart(
        {f"{one.name} maps": float(np.nanmean(np.nanstd(_spread(one), axis=(1, 2)))) for one in sets.present()}
    )
    masked = any(one.masked for one in sets.present())
    for line in [*apart, *([masked_sets.as_line()] if masked else [])]:
        print(f"evaluate: {line}", flush=True)
    units = {one.name: units_of(one, settings.independent_unit) for one in sets.present()}
    labels = {name: of for name, (of, _) in units.items()}
    margins = parse(settings.margins)
    results: dict[str, Any] = {
        "schema": judgement.SCHEMA,
        "statistics": {
            row.name: {"title": row.title, "mean_unit": row.mean_unit, "trained_on": row.name in matched}
            for row in STATISTICS.values()
        },
        "sets": {one.name: _said(one, *units[one.name]) for one in sets.present()},
        "apart": apart,
        "left_out": masked_sets.left_out() if masked else {},
        "baseline": (
            f"{sets.auxiliary.source} against validation maps"
            if sets.auxiliary
            else "one half of the validation units against the other"
        ),
        "views": {},
    }
    for label, view in views(settings, sets.validation.geometry).items():
        if label and masked:
            break
        scale = scales(
            np.asarray(view(spread, np.arange(len(spread)), "validation")),
            sets.validation.geometry,
            settings.evaluate_l_bins,
            masked=masked,
        )
        summarise = summarising.summariser(scale, sets.validation.geometry, masked=masked)
        found = {
            one.name: summarising.in_parts(summarise, functools.partial(_seen, view, one.name), one, out, label)
            for one in sets.present()
        }
        each = {name: summarising.of_each_map(values) for name, values in found.items()}
        digests = {name: values.pop("digest") for name, values in each.items()}
        if not label:
            _check_apart(digests)
        judge = judgement.Judge(labels, settings, scale, few_boxes(sets, units), selected)
        results["views"][label or "as it is"] = judge.judge(each, heights=not label)
        if not label:
            _write_tables(sets, each, units, scale, out)
            first = sets.generated.read(0, min(_SHOWN, sets.generated.num_maps))
            write_arrays(out / "shown.npz", {"generated": first, "validation": spread[:_SHOWN]})
            if masked:
                results["masked"] = masked_sets.shares(each, sets.validation.geometry)
                results["apart"] += masked_sets.unlike(results["masked"])
                results |= masked_sets.entries(sets.generated.num_maps)
                continue
            results["stationarity"] = uniformity.judge(found, labels)
            results["position"] = uniformity.fixed_in_place(found["generated"], margins)
            results["duplicates"] = duplicates.judge(sets.generated, sets.validation, labels["validation"])
            inner = scale.pixel_edges[[0, -1]]
            results["similarity"] = duplicates.similarity(sets.present(), labels, float(np.ptp(inner)))
            results["inference"] = inference.judge(sets, each, labels, scale.l_edges, settings)
            write_arrays(out / "positions.npz", uniformity.position_maps(found))
    if not masked:
        results["classifier"] = _classified(sets, labels, settings.classifier_steps, margins.auc)
    results["overall"] = overall.judge(results, settings.margins)
    return results


def _summary(out: Path) -> dict[str, Any]:
    results = read_json(out / "results.json")
    return {
        "outcome": results["overall"]["outcome"],
        "num_generated": results["sets"]["generated"]["maps"],
        "num_validation": results["sets"]["validation"]["maps"],
        "worst_power_factor_ell_700_7000": _worst_factor(out),
    }


def _check_apart(digests: dict[str, np.ndarray]) -> None:
    """ValueError where two sets hold the same map: they would agree by it."""
    for (one, ours), (other, theirs) in itertools.combinations(digests.items(), 2):
        shared = np.flatnonzero(np.isin(ours, theirs))
        if len(shared):
            raise ValueError(
                f"{len(shared)} of the {len(ours)} {one} maps are among the {other} maps, the first is number "
                f"{shared[0]}; sets that share maps agree by them"
            )


def _classified(
    sets: MapSets, labels: dict[str, np.ndarray], num_steps: int, margin: float
) -> dict[str, Any] | None:
    """`classification.py`; refused: why there is none, where one was asked for."""
    if not num_steps:
        return None
    size = sets.validation.geometry.num_pixels
    if size < STRIDE:
        return {"refused": f"maps of {size} pixels are too small for it, which needs {STRIDE}"}
    for one in sets.present():
        count, needed = len(np.unique(labels[one.name])), FEWEST_PARENTS
        if one.name == "validation" and sets.auxiliary is None:
            needed *= 2
        if count < needed:
            return {"refused": f"{count} independent units in the {one.name} set; it needs {needed}"}
    of = {one.name: ClassifiedSet(one.name, one.read, labels[one.name]) for one in sets.present()}
    return classify_sets(
        of["generated"],
        of["validation"],
        of.get("auxiliary"),
        sets.validation.geometry.side_deg,
        ClassificationSettings(num_steps, None, _BOOTSTRAP_SEED, margin),
    )


def _seen(view: View, name: str, kappa: np.ndarray, index: np.ndarray) -> Array:
    return view(kappa, index, name)


def _spread(maps: MapSet) -> np.ndarray:
    """A few maps from all over a set."""
    index = np.arange(0, maps.num_maps, max(1, maps.num_maps // summarising.CHUNK))[: summarising.CHUNK]
    return np.concatenate([maps.read_finite(int(i), int(i) + 1) for i in index])


def _said(one: MapSet, units: np.ndarray, unit: str) -> dict[str, Any]:
    return {
        "maps": one.num_maps,
        "parents": len(np.unique(one.parents)),
        "boxes": None if one.boxes is None else len(np.unique(one.boxes)),
        "unit": unit,
        "units": len(np.unique(units)),
        "source": one.source,
    }


def _write_tables(sets: MapSets, each, units, scale: Scales, out: Path) -> None:
    each = {
        name: {**values, "pixels": display_pixels(values["fine_pixels"], scale)}
        for name, values in each.items()
    }
    for name, values in each.items():
        write_arrays(out / f"{name}.npz", {"parents": units[name][0], **values})
    mean = {
        key: [each[n][key].mean(0) for n in ("generated", "validation")]
        for key in ("power_bands", "pixels")
        if key in each["validation"]
    }
    ratio = np.full(len(scale.l_edges) - 1, np.nan)  # of masked maps no power is known
    with np.errstate(divide="ignore", invalid="ignore"):  # bins without modes
        if "power_bands" in mean:
            ratio = mean["power_bands"][0] / mean["power_bands"][1]
    validation = sets.validation
    write_json(
        out / "statistics.json",
        {
            "num_generated": sets.generated.num_maps,
            "num_validation": validation.num_maps,
            "validation_parent_maps": len(np.unique(validation.parents)),
            "validation_boxes": None if validation.boxes is None else len(np.unique(validation.boxes)),
            "auxiliary": None if sets.auxiliary is None else sets.auxiliary.source,
            "side_deg": validation.geometry.side_deg,
            "num_pixels": validation.geometry.num_pixels,
            "source_redshift": validation.source_redshift,
            "l_edges": scale.l_edges.tolist(),
            "paper_l_edges": np.asarray(PAPER_L_EDGES).tolist(),
            "pixel_edges": scale.pixel_edges.tolist(),
            "peak_edges": scale.peak_edges.tolist(),
            "bispectrum_edges": scale.bispectrum_edges.tolist(),
            "thresholds": np.asarray(PAPER_THRESHOLDS).tolist(),
            "statistics": {
                key: {name: _table(values[key], units[name][0]) for name, values in each.items()}
                for key in _TABLES
                if key in each["validation"]
            },
            "power_ratio": ratio,
            "validated": {
                "factor": AGREEMENT_FACTOR,
                "ell": agreeing_range(scale.l_edges, *mean["power_bands"]) if "power_bands" in mean else None,
                "kappa": agreeing_range(scale.pixel_edges, *mean["pixels"]),
            },
        },
    )


def _worst_factor(out: Path) -> float | None:

    tables = read_json(out / "statistics.json")
    edges = np.array(tables["l_edges"])
    middle = np.sqrt(edges[1:] * edges[:-1])
    inner = np.array(tables["power_ratio"], float)[(middle >= 700) & (middle <= 7000)]
    inner = inner[~np.isnan(inner)]
    if not (inner.size and (inner > 0).all() and np.isfinite(inner).all()):
        return None
    return float(np.exp(np.abs(np.log(inner)).max()))


def _table(values: np.ndarray, units: np.ndarray) -> dict[str, Any]:
    """Mean and scatter over maps, with standard errors from a bootstrap over units where that is possible."""
    if not np.isfinite(values).all() or len(np.unique(units)) < 2:
        return {"mean": values.mean(0), "sigma": values.std(0)}
    found = bands(values, units, seed=_BOOTSTRAP_SEED)
    varies = (np.ptp(values, axis=0) > 0).any()
    return {
        "mean": found.mean.value,
        "mean_error": found.mean.standard_error,
        "sigma": found.sigma.value,
        "sigma_error": found.sigma.standard_error,
        "effective_modes": effective_modes(values) if varies else None,
    }
