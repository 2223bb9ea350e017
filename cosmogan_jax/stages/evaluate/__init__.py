"""Stage evaluate: generated maps against validation maps, with real maps against real maps as the yardstick.

statistics.json       tables: mean and scatter of every statistic, their errors, where they agree (`tables.py`)
results.json          the outcome (`overall.py`); tests, effects, verdicts (`judgement.py` says
                      what each entry is); how far off maps are in a few numbers
                      (`compare/effects/key_numbers.py`); duplicates (`duplicates.py`); contrasts and patterns
                      by position (`uniformity.py`); inference; the classifier; of several cosmologies
                      each by itself (`cosmologies.py`)
generated.npz, ...    statistics of every map, a file a set
positions.npz         mean and scatter at every pixel
shown.npz             maps to look at
sky.json              up to where the run's training maps are a sky (`compare/sky_limits.py`)
"""

import dataclasses
import functools
import time
from collections.abc import Mapping, Sequence, Set
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
from jaxtyping import Array

from cosmogan_jax.compare.cosmologies import Cosmologies, cosmologies_of, shares_units
from cosmogan_jax.compare.design_verdict import AucAtPoint, JudgedDesign, short_table
from cosmogan_jax.compare.scales import Scales, scales
from cosmogan_jax.files.json_files import read_json, write_json
from cosmogan_jax.files.whole_files import write_arrays
from cosmogan_jax.maps.sets import MapSets
from cosmogan_jax.settings import Evaluate
from cosmogan_jax.settings.margins import parse
from cosmogan_jax.stages.evaluate import (
    all_bins,
    classification,
    classified_cosmologies,
    duplicates,
    inference,
    judged_bins,
    judgement,
    masked_sets,
    overall,
    sky_limits,
    summarising,
    tables,
    uniformity,
)
from cosmogan_jax.stages.evaluate import cosmologies as by_cosmology
from cosmogan_jax.stages.evaluate.beginning import spread, what_is_judged
from cosmogan_jax.stages.evaluate.compared_sets import few_boxes, open_map_sets, units_of
from cosmogan_jax.stages.evaluate.observing import View, views
from cosmogan_jax.stages.evaluate.summarising import Summaries
from cosmogan_jax.stages.evaluate.training_targets import (
    trained_at,
    trained_on,
    trained_on_of_pairs,
    was_selected,
)

_SHOWN = 8
_UNKNOWN: Mapping[str, np.ndarray] = MappingProxyType({})


def run(settings: Evaluate, workdir: Path, out: Path) -> dict[str, Any]:
    """Compare the sets as they are and as an observer sees them; of several source bins each, and pairs."""
    bins = judged_bins.judged_bins(settings, workdir)
    judged_bins.check_galaxies(settings, bins)
    if len(bins) < 2:
        return _judge(settings, workdir, out, *bins)
    judged_bins.check_not_empty(settings, workdir, bins)
    summaries = []
    for source_bin, name in zip(bins, all_bins.folders(bins)):
        folder = out / name
        if not (folder / "results.json").is_file():  # those of an interrupted run stay
            folder.mkdir(exist_ok=True)
            print(f"evaluate: source bin {source_bin.in_words()}", flush=True)
            of_bin = judged_bins.settings_of(settings, source_bin)
            summaries.append(
                _judge(of_bin, workdir, folder, source_bin, evaluations=all_bins.evaluations(bins))
            )
        else:
            summaries.append(_summary(folder))
    sets = judged_bins.open_bins(settings, workdir, bins)
    joint = all_bins.judge(sets, bins, settings, out, matched=trained_on_of_pairs(settings, workdir))
    print(f"evaluate: {joint['said']}", flush=True)
    return {**summaries[0], "outcome": joint["outcome"], "source_bins": len(bins)}


def _judge(
    settings: Evaluate,
    workdir: Path,
    out: Path,
    source_bin: judged_bins.SourceBin | None = None,
    *,
    evaluations: int = 1,
) -> dict[str, Any]:
    """Compare the sets of one source bin; of a run's own bins that one, None where there is but one.

    Memory holds one chunk of maps and the statistics of all, whatever the number of maps; chunks that an
    interrupted run has finished are not computed again.
    """
    began = time.monotonic()
    table = judged_bins.table_of(settings, workdir, source_bin)
    sets = open_map_sets(settings, workdir, table, None if source_bin is None else source_bin.position)
    results = judge_sets(
        sets,
        settings,
        out,
        matched=trained_on(settings, workdir),
        selected=was_selected(settings, workdir),
        training=trained_at(settings, workdir, table),
        evaluations=evaluations,
        bin_=None if source_bin is None or evaluations == 1 else source_bin.position,
    )
    results["seconds"] = round(time.monotonic() - began, 1)
    if table is not None:
        l_edges = np.array(read_json(out / "statistics.json")["l_edges"])
        write_json(out / "sky.json", sky_limits.measure(table, l_edges).to_json())
    write_json(out / "results.json", results)
    summarising.remove_parts(out)
    print(f"evaluate: {results['overall']['said']}", flush=True)
    if "cosmologies" in results:
        for line in short_table(JudgedDesign.from_json(results["cosmologies"])):
            print(f"evaluate: {line}", flush=True)
    return _summary(out)


def judge_sets(
    sets: MapSets,
    settings: Evaluate,
    out: Path,
    *,
    matched: Set[str],
    selected: bool,
    training: Mapping[str, np.ndarray] = _UNKNOWN,
    evaluations: int = 1,
    bin_: int | None = None,
) -> dict[str, Any]:
    """Return what results.json holds, of any sets; write statistics.json and the arrays to `out`.

    Of the settings those are looked at that say how to judge, not those that say where maps are.

    Args:
      matched: names of statistics that a loss of the generator's training matched.
      selected: whether the generator was chosen among others by its scores.
      training: parameters of its training maps, by name, where they are known.
      evaluations: how many are given as one (of several source bins): what fails then does so at 95 % in all.
      bin_: which of several source bins they are of, as `observing.views` takes it.

    Raises:
      ValueError: maps that are not finite or constant, sets that share maps or have not the same cosmologies,
        settings that these maps do not allow.
    """
    masked, geometry = any(maps.masked for maps in sets.present()), sets.validation.geometry
    cosmologies = cosmologies_of({maps.name: maps.parameters for maps in sets.present()})
    shown = spread(sets.validation)
    units = by_cosmology.joint_units(
        sets, {maps.name: units_of(maps, settings.independent_unit) for maps in sets.present()}, cosmologies
    )
    labels = {name: of_maps for name, (of_maps, _) in units.items()}
    results, design = what_is_judged(sets, units, matched, masked), None
    how: dict[str, Any] = {"no_verdict": few_boxes(sets, units), "selected": selected}
    together = by_cosmology.together(cosmologies, evaluations)
    for label, view in views(settings, geometry, bin_).items():
        if label and masked:
            break
        seen = np.asarray(view(shown, np.arange(len(shown)), "validation"))
        scale = scales(seen, geometry, settings.evaluate_l_bins, masked=masked)
        summaries = _summaries(sets, view, label, scale, out, masked=masked)
        each = _each_map(summaries, check_apart=not label)
        judge = judgement.Judge(labels, settings, scale, **how, together=together)
        results["views"][label or "as it is"] = judge.judge(each, heights=not label)
        if label:
            continue
        tables.write(sets, each, units, scale, out, cosmologies)
        results["key_numbers"] = [dataclasses.asdict(number) for number in judge.key_numbers(each)]
        if cosmologies is not None:
            design = by_cosmology.judge(
                cosmologies, each, labels, scale, training, settings, **how, evaluations=evaluations
            )
        first = sets.generated.read(0, min(_SHOWN, sets.generated.num_maps))
        write_arrays(out / "shown.npz", {"generated": first, "validation": shown[:_SHOWN]})
        if masked:
            shares = masked_sets.shares(each, geometry)
            results["apart"] += masked_sets.unlike(shares)
            results |= {"masked": shares, **masked_sets.entries(sets.generated.num_maps)}
        else:
            results |= _of_whole_maps(sets, summaries, labels, scale, settings, cosmologies)
            write_arrays(out / "positions.npz", uniformity.position_maps(summaries))
    return _with_outcome(results, sets, labels, settings, cosmologies, design, evaluations)


def judge_sets_of_bins(
    sets: Sequence[MapSets], bins: Sequence[judged_bins.SourceBin], settings: Evaluate, out: Path
) -> None:
    """Judge any sets of several source bins; write what `judge_sets` returns of each, and source_bins.json."""
    for of_bin, source_bin, name in zip(sets, bins, all_bins.folders(bins)):
        (out / name).mkdir(exist_ok=True)
        results = judge_sets(
            of_bin,
            judged_bins.settings_of(settings, source_bin),
            out / name,
            matched=frozenset(),
            selected=False,
            evaluations=all_bins.evaluations(bins),
            bin_=source_bin.position,
        )
        write_json(out / name / "results.json", results)
    all_bins.judge(sets, bins, settings, out, matched=frozenset())


def _each_map(summaries: dict[str, Any], *, check_apart: bool) -> dict[str, dict[str, np.ndarray]]:
    """Return what was measured of each map of every set, whose digests say whether sets share maps."""
    each = {name: summarising.of_each_map(values) for name, values in summaries.items()}
    digests = {name: values.pop("digest") for name, values in each.items()}
    if check_apart:
        summarising.check_apart(digests)
    return each


def _with_outcome(
    results: dict[str, Any],
    sets: MapSets,
    labels: dict[str, np.ndarray],
    settings: Evaluate,
    cosmologies: Cosmologies | None,
    design: JudgedDesign | None,
    evaluations: int,
) -> dict[str, Any]:
    """Return the results with classifier and outcome, of all maps and of every cosmology."""
    masked = any(maps.masked for maps in sets.present())
    areas: list[AucAtPoint] = []
    numbers = settings.classifier_steps, parse(settings.margins).auc
    if not masked and cosmologies is None:
        results["classifier"] = classification.judge(sets, labels, *numbers, together=evaluations)
    elif not masked and cosmologies is not None:
        results["classifier"], areas = classified_cosmologies.judge(
            sets, labels, cosmologies, *numbers, together=evaluations
        )
    if design is not None:
        design = by_cosmology.with_outcomes(design, areas, results, settings.margins)
        results["cosmologies"] = dataclasses.asdict(design)
    results["overall"] = overall.judge(results, settings.margins, design)
    return results


def _summaries(
    sets: MapSets, view: View, label: str, scale: Scales, out: Path, *, masked: bool
) -> dict[str, Summaries]:
    """Measure every statistic of all maps of every set, as a view shows them."""

    def seen(name: str, kappa: np.ndarray, index: np.ndarray) -> Array:
        return view(kappa, index, name)

    summarise = summarising.summariser(scale, sets.validation.geometry, masked=masked)
    return {
        maps.name: summarising.in_parts(summarise, functools.partial(seen, maps.name), maps, out, label)
        for maps in sets.present()
    }


def _of_whole_maps(
    sets: MapSets,
    summaries: dict[str, Summaries],
    labels: dict[str, np.ndarray],
    scale: Scales,
    settings: Evaluate,
    cosmologies: Cosmologies | None,
) -> dict[str, Any]:
    """Return the entries of results.json that need every pixel of the maps as they are."""
    seeds, groups, generated = None, None, sets.generated
    if cosmologies is not None and shares_units(labels["generated"], cosmologies.of_map["generated"]):
        seeds = labels["generated"]
        groups = uniformity.groups_of_seeds(generated, seeds)
    return {
        "stationarity": uniformity.judge(summaries, labels),
        "position": uniformity.fixed_in_place(summaries["generated"], parse(settings.margins), groups),
        "duplicates": duplicates.judge(generated, sets.validation, labels["validation"], seeds),
        "similarity": duplicates.similarity(sets.present(), labels, float(np.ptp(scale.pixel_edges[[0, -1]]))),
        "inference": inference.judge(sets, summaries, labels, scale.l_edges, settings)
        if cosmologies is None
        else {"refused": "maps are of several cosmologies, and what it says is of one"},
    }


def _summary(out: Path) -> dict[str, Any]:
    results = read_json(out / "results.json")
    return {
        "outcome": results["overall"]["outcome"],
        "num_generated": results["sets"]["generated"]["maps"],
        "num_validation": results["sets"]["validation"]["maps"],
        "worst_power_factor_ell_700_7000": tables.worst_power_factor(out),
    }
