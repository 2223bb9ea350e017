"""Maps of several cosmologies: each judged by itself, and ratios of their power; results.json's `cosmologies`.

  names, training       parameters in which maps differ; cosmologies of the training maps
  fiducial, bands       what ratios are to, by number, and their bands
  matched               by set, whether its maps of all cosmologies are of the same seeds
  cosmologies           `compare/design_verdict.py`'s JudgedCosmology of each

What is judged of a cosmology are the statistics that were measured of all maps, of its maps in every set, by
the code that judges all maps together (`judgement.Judge`), on the same scales. What is looked for in the maps
themselves (duplicates, what is fixed in place) is looked for in all maps together only.

All maps together. Validation maps of a design are of the same seeds at every cosmology (`design_sky.py`): maps
of one seed have the same waves, whatever the cosmology, and are drawn, permuted and shared out together. Where
boxes count as one they are the seeds already, by their names; where maps do, the n-th map of a box is one at
all cosmologies.

Many verdicts. With K cosmologies there are K + 1 verdicts, each on hundreds of effects. A pass needs no
correction: it claims all of them at once (intersection-union, as for the bands of one verdict,
`compare/effects/verdict.py`). A fail does, and the family of its limits is that of all effects of all K + 1
verdicts: an emulator without fault fails in one of twenty evaluations at most. The same holds for the
classifier's areas at the K cosmologies, of which a pass is not asked: each rests on few boxes, and their mean
is what the margin is for.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from cosmogan_jax.compare.cosmologies import Cosmologies, matched_parents, nearest_to_middle, shares_units
from cosmogan_jax.compare.design_verdict import AucAtPoint, JudgedCosmology, JudgedDesign
from cosmogan_jax.compare.effects.ratios import PowerSet, RatioToFiducial, ratio_to_fiducial
from cosmogan_jax.compare.scales import Scales
from cosmogan_jax.compare.statistics import STATISTICS, ell_labels
from cosmogan_jax.machine.progress import progress
from cosmogan_jax.maps.sets import MapSets
from cosmogan_jax.settings import Evaluate
from cosmogan_jax.stages.evaluate import overall
from cosmogan_jax.stages.evaluate.judgement import Judge
from cosmogan_jax.stages.evaluate.summarising import Summaries

_SEED = 0
Units = dict[str, tuple[np.ndarray, str]]


def joint_units(sets: MapSets, units: Units, cosmologies: Cosmologies | None) -> Units:
    """Return units of all maps together, of which maps of one seed at all cosmologies are one."""
    if cosmologies is None:
        return units
    joint = dict(units)
    for maps in sets.present():
        labels, unit = units[maps.name]
        if unit != "box":
            joint[maps.name] = matched_parents(labels, maps.boxes, cosmologies.of_map[maps.name]), unit
    return joint


def judge(
    cosmologies: Cosmologies,
    each: dict[str, Summaries],
    labels: dict[str, np.ndarray],
    scale: Scales,
    training: Mapping[str, np.ndarray],
    settings: Evaluate,
    *,
    no_verdict: str | None,
    selected: bool,
    evaluations: int = 1,
) -> JudgedDesign:
    """Judge every cosmology by itself, from the statistics of all maps; `with_outcomes` adds the rest.

    Args:
      labels: what counts as one, of all maps together.
      training: parameters of training maps, or of their cosmologies, by name.
      no_verdict, selected: as `judgement.Judge` takes them.
      evaluations: how many of these are given as one, of several source bins.
    """
    judged, of_all = [], together(cosmologies, evaluations)
    numbers = range(len(cosmologies.points))
    for number in progress(numbers, desc="evaluate by cosmology", unit="cosmology"):
        here = {name: np.flatnonzero(of_map == number) for name, of_map in cosmologies.of_map.items()}
        own_labels = {name: labels[name][maps] for name, maps in here.items()}
        own = {
            name: {key: values[maps] for key, values in each[name].items() if key in STATISTICS}
            for name, maps in here.items()
        }
        judge_own = Judge(own_labels, settings, scale, no_verdict, selected, together=of_all)
        judged.append(
            JudgedCosmology(
                number,
                cosmologies.values(number),
                {name: len(maps) for name, maps in here.items()},
                {name: len(np.unique(units)) for name, units in own_labels.items()},
                judge_own.verdicts(own),
                tuple(judge_own.key_numbers(own)),
            )
        )
    return _design(cosmologies, judged, each, labels, scale, training, settings.num_resamples)


def together(cosmologies: Cosmologies | None, evaluations: int = 1) -> int:
    """Return how many verdicts are given as one: of each cosmology, and of all maps, in every evaluation."""
    return evaluations * (1 if cosmologies is None else 1 + len(cosmologies.points))


def _design(
    cosmologies: Cosmologies,
    judged: Sequence[JudgedCosmology],
    each: dict[str, Summaries],
    labels: dict[str, np.ndarray],
    scale: Scales,
    training: Mapping[str, np.ndarray],
    num_resamples: int,
) -> JudgedDesign:
    """Return the record of all cosmologies, with their ratios of power where it is measured."""
    rows = np.zeros((0, len(cosmologies.names)))
    if all(name in training for name in cosmologies.names):
        rows = np.unique(np.stack([training[name] for name in cosmologies.names], 1), axis=0)
    fiducial = nearest_to_middle(cosmologies.points, rows)
    ratios = _ratios(cosmologies, each, labels, fiducial, num_resamples)
    return JudgedDesign(
        cosmologies.names,
        fiducial,
        tuple(ell_labels(scale.l_edges)),
        tuple(map(tuple, rows.tolist())),
        {name: shares_units(labels[name], of_map) for name, of_map in cosmologies.of_map.items()},
        tuple(dataclasses.replace(one, ratio=ratio) for one, ratio in zip(judged, ratios, strict=True)),
    )


def _ratios(
    cosmologies: Cosmologies,
    each: dict[str, Summaries],
    labels: dict[str, np.ndarray],
    fiducial: int,
    num_resamples: int,
) -> list[RatioToFiducial | None]:
    """Return every cosmology's ratio; real maps are those of validation and auxiliary together."""
    count = len(cosmologies.points)
    if "power_bands" not in each["validation"]:
        return [None] * count
    of = {
        name: PowerSet(each[name]["power_bands"], of_map, labels[name])
        for name, of_map in cosmologies.of_map.items()
    }
    real = of["validation"]
    if "auxiliary" in of:
        first, second = real, of["auxiliary"]
        units = np.concatenate([first.units, second.units + first.units.max() + 1])
        power, of_map = (np.concatenate(pair) for pair in zip(first[:2], second[:2]))
        real = PowerSet(power, of_map, units)
    numbers = {"seed": _SEED, "num_resamples": num_resamples}
    return [
        None if number == fiducial else ratio_to_fiducial(of["generated"], real, number, fiducial, **numbers)
        for number in range(count)
    ]


def with_outcomes(
    design: JudgedDesign, areas: Sequence[AucAtPoint], results: dict[str, Any], margins: str
) -> JudgedDesign:
    """Return the record with every cosmology's AUC and outcome."""
    finished = []
    for one in design.cosmologies:
        auc = areas[one.number] if areas else None
        finished.append(
            dataclasses.replace(one, auc=auc, overall=overall.of_cosmology(one.verdicts, auc, results, margins))
        )
    return dataclasses.replace(design, cosmologies=tuple(finished))
