"""Maps of several source bins, a run's own or given: each bin by itself, all pairs, and all bins at once.

source_bins.json   of all bins together
  overall          the joint outcome (`overall.py`): a pass needs every bin and every pair to pass, and a
                   classifier that sees all bins
  bins             number, redshift, outcome and folder of each: the first is judged in evaluate's own folder,
                   the others in bin_<number> below it
  cross, key_numbers, statistics, spectra    of every pair: `pairs_of_bins.py` says what is what
  classifier       as in results.json, of maps of all bins at once
results.json has the joint outcome as `overall`, and that of its own bin as `overall_of_bin`.

With B bins there are B + 1 verdicts, of each bin and of the pairs, and as many classifiers. A pass claims all
of them at once and needs no correction; a fail is shown at 95 % for all together (Bonferroni), as of several
cosmologies (`cosmologies.py`).
"""

import dataclasses
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from cosmogan_jax.compare.cosmologies import cosmologies_of
from cosmogan_jax.compare.effects.overall import Finding
from cosmogan_jax.files.json_files import read_json, write_json
from cosmogan_jax.files.whole_files import write_arrays
from cosmogan_jax.maps.bins_in_files import pattern_of
from cosmogan_jax.maps.crop_table import CropTable, open_crop_table
from cosmogan_jax.maps.formats import MapFile
from cosmogan_jax.maps.given_maps import open_given, read_options
from cosmogan_jax.maps.sets import MapSet
from cosmogan_jax.maps.sources import agree, with_bins
from cosmogan_jax.runs.directory import stage_directory
from cosmogan_jax.settings import Evaluate
from cosmogan_jax.settings.margins import parse
from cosmogan_jax.stages.evaluate import classification, classified_cosmologies, overall, pairs_of_bins
from cosmogan_jax.stages.evaluate import cosmologies as by_cosmology
from cosmogan_jax.stages.evaluate.compared_sets import few_boxes, generated_store, open_map_sets, units_of
from cosmogan_jax.stages.evaluate.training_targets import trained_on_of_pairs

_LOOKED_AT = 8  # maps of a set that show whether a bin is empty
_CLASSIFIER = "a classifier that is trained to tell maps of all bins apart"
_MASKED = "masked maps have no spectra, by which pairs of bins are judged"


class SourceBin(NamedTuple):
    """One bin: its channel in given files, its source redshift where it is known, its place in a run's maps."""

    number: int
    redshift: float | None
    position: int

    def in_words(self) -> str:
        """Return its number, and its redshift where it is known."""
        return f"{self.number}" + ("" if self.redshift is None else f" (redshift {self.redshift:g})")


def judged_bins(settings: Evaluate, workdir: Path) -> tuple[SourceBin, ...]:
    """Return the bins that are to be judged together; the one that --channel chooses of a run's own; else none.

    Raises:
      ValueError: files that cannot be read, sets that do not agree in their bins, or lack the one chosen.
    """
    own = _own_bins(settings, workdir)
    several = any(len(bins) > 1 for bins in own.values())
    if settings.channel is not None:
        return (_chosen(own, settings.channel),) if several else ()
    if not several and not (settings.source_bins and settings.generated):
        return ()
    given = {"generated": settings.generated, "reference": settings.reference, "auxiliary": settings.auxiliary}
    sets = {name: _given_bins(name, patterns, settings) for name, patterns in given.items() if patterns}
    _check_same({**sets, **own}, numbers=sets)
    return next(iter({**sets, **own}.values()))


def _own_bins(settings: Evaluate, workdir: Path) -> dict[str, tuple[SourceBin, ...]]:
    """Return the bins of those sets that are the run's own."""
    stores = {}
    if not settings.reference:
        stores["validation"] = open_crop_table(stage_directory(workdir, "prepare")).store
    if not settings.generated:
        stores["generated"] = generated_store(workdir)
    return {
        name: tuple(SourceBin(n, z, n) for n, z in enumerate(store.bin_redshifts))
        if store.num_bins > 1
        else (SourceBin(0, store.source_redshift, 0),)
        for name, store in stores.items()
    }


def _chosen(own: dict[str, tuple[SourceBin, ...]], channel: int) -> SourceBin:
    _check_same(own, numbers={})
    bins = next(iter(own.values()))
    if not 0 <= channel < len(bins):
        raise ValueError(f"channel={channel} must be one of the run's own source bins, 0 to {len(bins) - 1}")
    return bins[channel]


def _open(name: str, patterns: tuple[str, ...], settings: Evaluate) -> tuple[MapFile, ...]:
    return tuple(open_given(patterns, name, read_options(settings, _side_deg(settings))))


def _side_deg(settings: Evaluate) -> float | None:
    return settings.side_deg if settings.judged_side_deg is None else settings.judged_side_deg


def _given_bins(name: str, patterns: tuple[str, ...], settings: Evaluate) -> tuple[SourceBin, ...]:
    files = _open(name, patterns, settings)
    # Any will do for the one that is trained on.
    any_bin = dataclasses.replace(settings, channel=next(iter(files[0].bin_numbers), None))
    bins = with_bins(agree({name: files}, 1, _side_deg(settings), None), any_bin).bins
    return tuple(map(SourceBin, files[0].bin_numbers, bins, range(len(bins))))


def _check_same(sets: dict[str, tuple[SourceBin, ...]], *, numbers: Any) -> None:
    """Check that all sets have as many bins, of the same redshifts where they are known; ValueError if not.

    numbers: the sets, given as files, in which the bins must have the same numbers too.
    """
    (first, ours), *others = sets.items()
    for name, theirs in others:
        numbered = first in numbers and name in numbers
        same = len(ours) == len(theirs) and all(
            (own.number == other.number or not numbered)
            and (
                own.redshift is None
                or other.redshift is None
                or math.isclose(own.redshift, other.redshift, rel_tol=1e-3)
            )
            for own, other in zip(ours, theirs)
        )
        if not same:
            told = [", ".join(one.in_words() for one in some) or "none" for some in (ours, theirs)]
            redshifts = [sorted(one.redshift or 0.0 for one in some) for some in (ours, theirs)]
            known = all(one.redshift is not None for one in (*ours, *theirs))
            order = ", the same in another order" if known and redshifts[0] == redshifts[1] else ""
            raise ValueError(
                f"source bins of {first} maps are {told[0]}, of {name} maps {told[1]}{order}: sets that are "
                "compared must have the same bins in one order"
            )


def table_of(settings: Evaluate, workdir: Path, source_bin: SourceBin | None) -> CropTable | None:
    """Open the run's crops, those of one bin where they are of several; None where --reference is given."""
    if settings.reference:
        return None
    table = open_crop_table(stage_directory(workdir, "prepare"))
    return table if source_bin is None or table.num_bins == 1 else table.of_bin(source_bin.position)


def settings_of(settings: Evaluate, source_bin: SourceBin) -> Evaluate:
    """Return the settings by which files are read of which one bin is judged by itself."""
    if not settings.source_bins:
        return settings
    pattern = pattern_of(settings.source_bins)
    redshifts = () if source_bin.redshift is None else (source_bin.redshift,)
    number = str(source_bin.number)
    chosen = (number,) if pattern is None else (pattern.text, number)
    return dataclasses.replace(settings, source_bins=chosen, bin_redshifts=redshifts)


def check_not_empty(settings: Evaluate, workdir: Path, bins: Sequence[SourceBin]) -> None:
    """Check, on a few maps of each set, that no bin is constant in all of them.

    Raises:
      ValueError: names the set and the bin.
    """
    given = {"generated": settings.generated, "reference": settings.reference, "auxiliary": settings.auxiliary}
    looked_at = {}
    for role, patterns in given.items():
        if patterns:
            file = _open(role, patterns, settings)[0]
            looked_at[f"{role} maps"] = file.read(0, min(_LOOKED_AT, file.num_maps))
    if not settings.generated:
        store = generated_store(workdir)
        looked_at["generated maps"] = store.read(0, min(_LOOKED_AT, store.num_maps))
    if not settings.reference:
        table = open_crop_table(stage_directory(workdir, "prepare"))
        looked_at["validation crops"] = table.cut(table.choose("validation", _LOOKED_AT))
    for name, kappa in looked_at.items():
        for source_bin in bins:
            values = kappa[..., source_bin.position]
            finite = np.isfinite(values)
            low, high = (np.where(finite, values, at) for at in (np.inf, -np.inf))
            if not (high.max((1, 2)) > low.min((1, 2))).any():
                raise ValueError(
                    f"source bin {source_bin.in_words()} of the {name} is {values.flat[0]:g} in every pixel "
                    f"of the first {len(values)}: an empty channel"
                )


def judge(settings: Evaluate, workdir: Path, bins: Sequence[SourceBin], out: Path) -> dict[str, Any]:
    """Write source_bins.json, once every bin is judged; return the joint outcome, also in results.json."""
    folders = ["", *(f"bin_{source_bin.number}" for source_bin in bins[1:])]
    results = [read_json(out / folder / "results.json") for folder in folders]
    own = [entry.get("overall_of_bin", entry["overall"]) for entry in results]
    of_all = _of_all_bins(settings, workdir, bins, out)
    findings = [
        Finding(f"source bin {source_bin.in_words()}", entry["outcome"], needs="its own folder says what")
        for source_bin, entry in zip(bins, own)
    ]
    statistics = pairs_of_bins.titles(trained_on_of_pairs(settings, workdir))
    findings += _of_pairs(of_all["cross"], statistics)
    findings.append(overall.classifier(of_all["classifier"], _CLASSIFIER))
    joint = overall.entry(findings, settings.margins)
    table = [
        {"number": one.number, "redshift": one.redshift, "outcome": entry["outcome"], "folder": folder or "."}
        for one, entry, folder in zip(bins, own, folders)
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


def _of_all_bins(settings: Evaluate, workdir: Path, bins: Sequence[SourceBin], out: Path) -> dict[str, Any]:
    """Return what source_bins.json holds of pairs, and of the classifier; write pairs_<set>.npz."""
    sets = [
        open_map_sets(settings_of(settings, one), workdir, table_of(settings, workdir, one), one.position)
        for one in bins
    ]
    cosmologies = cosmologies_of({maps.name: maps.parameters for maps in sets[0].present()})
    units = {maps.name: units_of(maps, settings.independent_unit) for maps in sets[0].present()}
    joint = by_cosmology.joint_units(sets[0], units, cosmologies)
    labels = {name: of_maps for name, (of_maps, _) in joint.items()}
    names = [one.in_words() for one in bins]
    of = pairs_of_bins.Bins(sets, names, labels, 1 + len(bins), few_boxes(sets[0], joint))
    if of.masked:
        refused = {"refused": _MASKED, "judged": []}
        return {"cross": refused, "spectra": None, "classifier": {"refused": "maps are masked"}}
    scales, values = pairs_of_bins.measured(of, settings)
    for name, of_set in values.items():
        write_arrays(out / f"pairs_{name}.npz", of_set)
    numbers = settings.classifier_steps, parse(settings.margins).auc
    how: dict[str, Any] = {"together": of.evaluations}
    how["of_all_bins"] = {name: _reader(of.of(name)) for name in labels}
    if cosmologies is None:
        classifier = classification.judge(sets[0], labels, *numbers, **how)
    else:
        classifier = classified_cosmologies.judge(sets[0], labels, cosmologies, *numbers, **how).whole
    return {
        "cross": pairs_of_bins.judge(of, scales, values, settings),
        "key_numbers": pairs_of_bins.numbers_of_pairs(of, scales, values, settings),
        "spectra": pairs_of_bins.spectra(of, scales, values),
        "classifier": classifier,
    }


def _reader(by_bin: Sequence[MapSet]) -> Callable[[int, int], np.ndarray]:
    """Return what reads maps of all bins, (maps, size, size, bins)."""
    return lambda start, stop: np.stack([maps.read_finite(start, stop) for maps in by_bin], axis=-1)
