"""Maps of several source bins judged as one: each bin by itself, all pairs, and all bins at once.

source_bins.json   of all bins together
  overall          the joint outcome (`overall.py`): a pass needs every bin and every pair to pass, and a
                   classifier that sees all bins
  bins             number, redshift, outcome and folder of each: the first is judged in evaluate's own folder,
                   the others in bin_<number> below it
  cross, key_numbers, statistics, spectra    of every pair: `pairs_of_bins.py` says what is what
  observed         by what an observer sees (noise, smoothing) the same as `cross`; told beside the outcome
  classifier       as in results.json, of maps of all bins at once
results.json has the joint outcome as `overall`, and that of its own bin as `overall_of_bin`.

With B bins there are B + 1 verdicts, of each bin and of the pairs, and as many classifiers. A pass claims all
of them at once and needs no correction; a fail is shown at 95 % for all together (Bonferroni), as of several
cosmologies (`cosmologies.py`).
"""

from collections.abc import Callable, Sequence
from collections.abc import Set as AbstractSet
from pathlib import Path
from typing import Any

import numpy as np

from cosmogan_jax.compare.cosmologies import cosmologies_of
from cosmogan_jax.compare.effects.overall import Finding
from cosmogan_jax.files.json_files import read_json, write_json
from cosmogan_jax.files.whole_files import write_arrays
from cosmogan_jax.maps.sets import MapSet, MapSets
from cosmogan_jax.settings import Evaluate
from cosmogan_jax.settings.margins import parse
from cosmogan_jax.stages.evaluate import classification, classified_cosmologies, overall, pairs_of_bins
from cosmogan_jax.stages.evaluate import cosmologies as by_cosmology
from cosmogan_jax.stages.evaluate.compared_sets import few_boxes, units_of
from cosmogan_jax.stages.evaluate.judged_bins import SourceBin

_CLASSIFIER = "a classifier that is trained to tell maps of all bins apart"
_MASKED = "masked maps have no spectra, by which pairs of bins are judged"


def evaluations(bins: Sequence[SourceBin]) -> int:
    """Return how many verdicts are given as one: of each bin, and of the pairs."""
    return 1 + len(bins)


def folders(bins: Sequence[SourceBin]) -> list[str]:
    """Return where each bin is judged, from evaluate's own folder, which is the first one's."""
    return ["", *(f"bin_{source_bin.number}" for source_bin in bins[1:])]


def judge(
    sets: Sequence[MapSets],
    bins: Sequence[SourceBin],
    settings: Evaluate,
    out: Path,
    *,
    matched: AbstractSet[str],
) -> dict[str, Any]:
    """Write source_bins.json, once every bin is judged; return the joint outcome, also in results.json.

    Args:
      sets: of each bin.
      matched: names of the pairs' statistics that a loss of the generator's training matched.
    """
    results = [read_json(out / folder / "results.json") for folder in folders(bins)]
    own = [entry.get("overall_of_bin", entry["overall"]) for entry in results]
    of_all = _of_all_bins(sets, bins, settings, out)
    findings = [
        Finding(f"source bin {source_bin.in_words()}", entry["outcome"], needs="its own folder says what")
        for source_bin, entry in zip(bins, own)
    ]
    statistics = pairs_of_bins.titles(matched)
    findings += _of_pairs(of_all["cross"], statistics)
    findings.append(overall.classifier(of_all["classifier"], _CLASSIFIER))
    joint = overall.entry(findings, settings.margins)
    table = [
        {"number": one.number, "redshift": one.redshift, "outcome": entry["outcome"], "folder": folder or "."}
        for one, entry, folder in zip(bins, own, folders(bins))
    ]
    write_json(out / "source_bins.json", {"overall": joint, "bins": table, "statistics": statistics, **of_all})
    write_json(out / "results.json", {**results[0], "overall": joint, "overall_of_bin": own[0]})
    return joint


def _of_pairs(cross: dict[str, Any], statistics: dict[str, dict[str, Any]]) -> list[Finding]:
    findings = []
    for effect in cross["judged"]:
        row = statistics[effect["statistic"]]
        title = f"{row['title']} of bins {effect['quantity']}: {effect['name']}"
        name = title + " (trained on)" * row["trained_on"]
        findings.append(Finding(name, effect["outcome"], effect["required"], effect["needs"]))
    if cross["refused"]:
        findings.append(Finding("all pairs of the bins", cross["refused"]))
    return findings


def _of_all_bins(
    sets: Sequence[MapSets], bins: Sequence[SourceBin], settings: Evaluate, out: Path
) -> dict[str, Any]:
    """Return what source_bins.json holds of pairs, and of the classifier; write pairs_<set>.npz."""
    first = sets[0]
    cosmologies = cosmologies_of({maps.name: maps.parameters for maps in first.present()})
    units = {maps.name: units_of(maps, settings.independent_unit) for maps in first.present()}
    joint = by_cosmology.joint_units(first, units, cosmologies)
    labels = {name: of_maps for name, (of_maps, _) in joint.items()}
    names = [one.in_words() for one in bins]
    of = pairs_of_bins.Bins(sets, names, labels, evaluations(bins), few_boxes(first, joint))
    if of.masked:
        refused = {"refused": _MASKED, "judged": []}
        return {"cross": refused, "observed": {}, "spectra": None, "classifier": {"refused": "maps are masked"}}
    as_it_is, observed = pairs_of_bins.measured(of, settings)
    for name, of_set in as_it_is.values.items():
        write_arrays(out / f"pairs_{name}.npz", of_set)
    numbers = settings.classifier_steps, parse(settings.margins).auc
    how: dict[str, Any] = {"together": of.evaluations}
    how["of_all_bins"] = {name: _reader(of.of(name)) for name in labels}
    if cosmologies is None:
        classifier = classification.judge(first, labels, *numbers, **how)
    else:
        classifier = classified_cosmologies.judge(first, labels, cosmologies, *numbers, **how).whole
    return {
        "cross": pairs_of_bins.judge(of, as_it_is, settings),
        "observed": {label: pairs_of_bins.judge(of, seen, settings) for label, seen in observed.items()},
        "key_numbers": pairs_of_bins.numbers_of_pairs(of, as_it_is, settings),
        "spectra": pairs_of_bins.spectra(of, as_it_is),
        "classifier": classifier,
    }


def _reader(by_bin: Sequence[MapSet]) -> Callable[[int, int], np.ndarray]:
    """Return what reads maps of all bins, (maps, size, size, bins)."""
    return lambda start, stop: np.stack([maps.read_finite(start, stop) for maps in by_bin], axis=-1)
