"""Judged maps of several source bins: each bin by itself, and all pairs of bins by their cross spectra.

source_bins.json   of all bins together
  overall          the joint outcome (`overall.py`): a pass needs every bin and every pair to pass
  bins             number, redshift, outcome and folder of each: the first is judged in evaluate's own folder,
                   the others in bin_<number> below it
  cross            verdicts on the cross power of each pair (`compare/effects/verdict.py`); refused: why there
                   are none
results.json has the joint outcome as `overall`, and that of its own bin as `overall_of_bin`.
"""

import dataclasses
import itertools
import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
from jaxtyping import Float

from cosmogan_jax.compare.effects.overall import Finding
from cosmogan_jax.compare.effects.quantities import MapSet as Measured
from cosmogan_jax.compare.effects.quantities import Quantity
from cosmogan_jax.compare.effects.verdict import Judged
from cosmogan_jax.compare.effects.verdict import judge as judge_effects
from cosmogan_jax.compare.parents import numbered
from cosmogan_jax.compare.statistics import ell_labels
from cosmogan_jax.files.json_files import read_json, write_json
from cosmogan_jax.geometry import log_l_edges
from cosmogan_jax.machine.progress import progress
from cosmogan_jax.maps.bins_in_files import pattern_of
from cosmogan_jax.maps.given_maps import open_given, read_options
from cosmogan_jax.maps.sources import agree, with_bins
from cosmogan_jax.settings import Evaluate
from cosmogan_jax.settings.margins import parse
from cosmogan_jax.stages.evaluate import overall
from cosmogan_jax.stages.evaluate.compared_sets import few_boxes, open_map_sets, units_of
from cosmogan_jax.stages.evaluate.judgement import effect_entry
from cosmogan_jax.summaries import cross_power_spectra

_AT_ONCE = 16  # maps in memory, of all bins
_SEED = 0
# A mean of so many standard errors is a unit of relative differences (`differences.py` asks for 5).
_SIGNIFICANT = 10.0
Spectra = Float[np.ndarray, "maps pairs bands"]


class SourceBin(NamedTuple):
    """One bin: its channel in the files, and its source redshift where it is known."""

    number: int
    redshift: float | None

    def in_words(self) -> str:
        """Return its number, and its redshift where it is known."""
        return f"{self.number}" + ("" if self.redshift is None else f" (redshift {self.redshift:g})")


def judged_bins(settings: Evaluate) -> tuple[SourceBin, ...]:
    """Return the bins that are to be judged together; none where maps of one bin are, or --channel chooses one.

    Raises:
      ValueError: files that cannot be read, or sets that do not agree in their bins.
    """
    if not settings.source_bins or settings.channel is not None or not settings.generated:
        return ()
    if not settings.reference:
        raise ValueError(
            f"source_bins={','.join(settings.source_bins)} of --generated are judged by --reference of the "
            "same bins; a run's own maps are of one: choose it with --channel"
        )
    given = {"generated": settings.generated, "reference": settings.reference}
    given |= {"auxiliary": settings.auxiliary} if settings.auxiliary else {}
    bins = {name: _bins(name, patterns, settings) for name, patterns in given.items()}
    for name, theirs in bins.items():
        if not _same(bins["generated"], theirs):
            ours, others = (
                ", ".join(one_bin.in_words() for one_bin in some) or "none"
                for some in (bins["generated"], theirs)
            )
            raise ValueError(f"source bins of generated maps are {ours}, of {name} maps {others}")
    # Who knows a redshift tells it of all.
    known = [
        SourceBin(same[0].number, next((b.redshift for b in same if b.redshift is not None), None))
        for same in zip(*bins.values(), strict=True)
    ]
    return tuple(known) if len(known) > 1 else ()


def _bins(name: str, patterns: tuple[str, ...], settings: Evaluate) -> tuple[SourceBin, ...]:
    side_deg = settings.side_deg if settings.judged_side_deg is None else settings.judged_side_deg
    files = tuple(open_given(patterns, name, read_options(settings, side_deg)))
    # Any will do for the one that is trained on.
    any_bin = dataclasses.replace(settings, channel=next(iter(files[0].bin_numbers), None))
    bins = with_bins(agree({name: files}, 1, side_deg, None), any_bin).bins
    return tuple(map(SourceBin, files[0].bin_numbers, bins))


def _same(ours: Sequence[SourceBin], theirs: Sequence[SourceBin]) -> bool:
    """Tell whether numbers and known redshifts of two sets' bins are the same."""
    return [own.number for own in ours] == [other.number for other in theirs] and all(
        own.redshift is None
        or other.redshift is None
        or math.isclose(own.redshift, other.redshift, rel_tol=1e-3)
        for own, other in zip(ours, theirs)
    )


def settings_of_each(settings: Evaluate, bins: Sequence[SourceBin]) -> Iterator[Evaluate]:
    """Give the settings that judge each bin by itself."""
    pattern = pattern_of(settings.source_bins)
    for source_bin in bins:
        redshifts = () if source_bin.redshift is None else (source_bin.redshift,)
        number = str(source_bin.number)
        chosen = (number,) if pattern is None else (pattern.text, number)
        yield dataclasses.replace(settings, source_bins=chosen, bin_redshifts=redshifts)


def judge(settings: Evaluate, workdir: Path, bins: Sequence[SourceBin], out: Path) -> dict[str, Any]:
    """Write source_bins.json, once every bin is judged; return the joint outcome, also in results.json."""
    folders = ["", *(f"bin_{source_bin.number}" for source_bin in bins[1:])]
    results = [read_json(out / folder / "results.json") for folder in folders]
    own = [entry.get("overall_of_bin", entry["overall"]) for entry in results]
    cross = _cross(settings, workdir, bins)
    findings = [
        Finding(f"source bin {source_bin.in_words()}", entry["outcome"], needs="its own folder says what")
        for source_bin, entry in zip(bins, own)
    ]
    findings += [
        Finding(
            f"cross power of bins {effect['quantity']}: {effect['name']}",
            effect["outcome"],
            needs=effect["needs"],
        )
        for effect in cross["judged"]
    ]
    if cross["refused"]:
        findings.append(Finding("cross power of the bins", cross["refused"]))
    joint = overall.entry(findings, settings.margins)
    table = [
        {**source_bin._asdict(), "outcome": entry["outcome"], "folder": folder or "."}
        for source_bin, entry, folder in zip(bins, own, folders)
    ]
    write_json(out / "source_bins.json", {"overall": joint, "bins": table, "cross": cross})
    write_json(out / "results.json", {**results[0], "overall": joint, "overall_of_bin": own[0]})
    return joint


def _cross(settings: Evaluate, workdir: Path, bins: Sequence[SourceBin]) -> dict[str, Any]:
    """Judge the cross power of every pair of bins."""
    by_bin = [open_map_sets(of_bin, workdir, None) for of_bin in settings_of_each(settings, bins)]
    sets = by_bin[0]
    geometry = sets.validation.geometry
    l_edges = log_l_edges(geometry, settings.evaluate_l_bins)
    units = {maps.name: units_of(maps, settings.independent_unit) for maps in sets.present()}
    spectra = {
        name: _spectra([getattr(of_bin, name) for of_bin in by_bin], l_edges, geometry.side_deg)
        for name in units
    }
    pairs = [f"{a.in_words()} and {b.in_words()}" for a, b in itertools.combinations(bins, 2)]
    labels = tuple(ell_labels(l_edges))
    quantities = [Quantity(name, labels, _unit(spectra, units, pair)) for pair, name in enumerate(pairs)]
    measured = {
        name: Measured({q.name: values[:, n] for n, q in enumerate(quantities)}, units[name][0])
        for name, values in spectra.items()
    }
    try:
        judged: list[Judged] = judge_effects(
            measured["generated"],
            measured["validation"],
            measured.get("auxiliary"),
            quantities,
            margins=parse(settings.margins),
            seed=_SEED,
            num_resamples=settings.num_resamples,
        )
    except ValueError as error:  # too few units, of which it says how many there must be
        return {"refused": str(error), "judged": []}
    mean_units = {quantity.name: quantity.mean_unit for quantity in quantities}
    entries = [
        {**effect_entry(effect, required=True), "mean_unit": mean_units[effect.quantity]} for effect in judged
    ]
    refused = few_boxes(sets, units)
    if refused:
        entries = [{**entry, "outcome": "no verdict", "outcomes": None, "needs": None} for entry in entries]
    return {"refused": refused, "judged": entries}


def _spectra(by_bin: Sequence[Any], l_edges: np.ndarray, side_deg: float) -> Spectra:
    """Return the cross power of every pair of every map of a set, which is given bin by bin."""
    measure = jax.jit(lambda kappa: cross_power_spectra(kappa, l_edges, side_deg))
    num_maps, parts = by_bin[0].num_maps, []
    for start in progress(range(0, num_maps, _AT_ONCE), desc=f"evaluate {by_bin[0].name} cross", unit="chunk"):
        index = np.minimum(np.arange(start, start + _AT_ONCE), num_maps - 1)  # filled up: one program
        stop = min(start + _AT_ONCE, num_maps)
        kappa = np.stack([maps.read_finite(start, stop) for maps in by_bin], axis=1)[index - start]
        parts.append(np.asarray(measure(kappa))[: stop - start])
    return np.concatenate(parts).astype(np.float64)


def _unit(spectra: dict[str, Spectra], units: dict[str, tuple[np.ndarray, str]], pair: int) -> Any:
    """Return "mean", for relative differences, where that of every band is well above 0; else "scatter"."""
    values = spectra["validation"][:, pair]
    group, _ = numbered(units["validation"][0])
    means = np.array([np.bincount(group, band) for band in values.T]) / np.bincount(group)
    error = means.std(1, ddof=1) / np.sqrt(means.shape[1]) if means.shape[1] > 1 else np.inf
    return "mean" if (np.abs(values.mean(0)) > _SIGNIFICANT * error).all() else "scatter"
