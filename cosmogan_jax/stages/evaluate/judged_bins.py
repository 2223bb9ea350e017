"""Judged maps of several source bins: each bin by itself, and all pairs of bins by their cross spectra.

source_bins.json   of all bins together
  overall          the joint outcome (`overall.py`): a pass needs every bin and every pair to pass
  bins             number, redshift, outcome and folder of each: the first is judged in evaluate's own folder,
                   the others in bin_<number> below it
  cross            verdicts on the cross power of each pair (`compare/verdict.py`); refused: why there are none
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

from cosmogan_jax.compare.overall import Finding
from cosmogan_jax.compare.parents import numbered
from cosmogan_jax.compare.quantities import MapSet as Measured
from cosmogan_jax.compare.quantities import Quantity
from cosmogan_jax.compare.statistics import ell_labels
from cosmogan_jax.compare.verdict import Judged
from cosmogan_jax.compare.verdict import judge as judge_effects
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
from cosmogan_jax.stages.evaluate.judgement import said_of
from cosmogan_jax.summaries import cross_power_spectra

_AT_ONCE = 16  # maps in memory, of all bins
_SEED = 0
# A mean of so many standard errors is a unit of relative differences (`effects.py` asks for 5 of any sample).
_SIGNIFICANT = 10.0
Spectra = Float[np.ndarray, "maps pairs bands"]


class SourceBin(NamedTuple):
    """One bin: its channel in the files, and its source redshift where it is known."""

    number: int
    redshift: float | None

    def said(self) -> str:
        """For messages."""
        return f"{self.number}" + ("" if self.redshift is None else f" (redshift {self.redshift:g})")


def judged_bins(settings: Evaluate) -> tuple[SourceBin, ...]:
    """The bins that are to be judged together; none where maps of one bin are, or --channel chooses one.

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
            ours, others = (", ".join(one.said() for one in of) or "none" for of in (bins["generated"], theirs))
            raise ValueError(f"source bins of generated maps are {ours}, of {name} maps {others}")
    # Who knows a redshift tells it of all.
    known = [
        SourceBin(of[0].number, next((one.redshift for one in of if one.redshift is not None), None))
        for of in zip(*bins.values(), strict=True)
    ]
    return tuple(known) if len(known) > 1 else ()


def _bins(name: str, patterns: tuple[str, ...], settings: Evaluate) -> tuple[SourceBin, ...]:
    side_deg = settings.side_deg if settings.judged_side_deg is None else settings.judged_side_deg
    files = tuple(open_given(patterns, name, read_options(settings, side_deg)))
    # Any will do for the one that is trained on.
    one = dataclasses.replace(settings, channel=next(iter(files[0].bin_numbers), None))
    bins = with_bins(agree({name: files}, 1, side_deg, None), one).bins
    return tuple(map(SourceBin, files[0].bin_numbers, bins))


def _same(ours: Sequence[SourceBin], theirs: Sequence[SourceBin]) -> bool:
    return [one.number for one in ours] == [one.number for one in theirs] and all(
        one.redshift is None
        or other.redshift is None
        or math.isclose(one.redshift, other.redshift, rel_tol=1e-3)
        for one, other in zip(ours, theirs)
    )


def of_each(settings: Evaluate, bins: Sequence[SourceBin]) -> Iterator[Evaluate]:
    """The settings that judge each bin by itself."""
    pattern = pattern_of(settings.source_bins)
    for one in bins:
        redshifts = () if one.redshift is None else (one.redshift,)
        chosen = (str(one.number),) if pattern is None else (pattern.text, str(one.number))
        yield dataclasses.replace(settings, source_bins=chosen, bin_redshifts=redshifts)


def judge(settings: Evaluate, workdir: Path, bins: Sequence[SourceBin], out: Path) -> dict[str, Any]:
    """Write source_bins.json, once every bin is judged; gives the joint outcome, also in results.json."""
    places = ["", *(f"bin_{one.number}" for one in bins[1:])]
    results = [read_json(out / place / "results.json") for place in places]
    own = [of.get("overall_of_bin", of["overall"]) for of in results]
    cross = _cross(settings, workdir, bins)
    findings = [
        Finding(f"source bin {one.said()}", of["outcome"], needs="its own folder says what")
        for one, of in zip(bins, own)
    ]
    findings += [
        Finding(f"cross power of bins {of['quantity']}: {of['name']}", of["outcome"], needs=of["needs"])
        for of in cross["judged"]
    ]
    if cross["refused"]:
        findings.append(Finding("cross power of the bins", cross["refused"]))
    joint = overall.entry(findings, settings.margins)
    table = [
        {**one._asdict(), "outcome": of["outcome"], "folder": place or "."}
        for one, of, place in zip(bins, own, places)
    ]
    write_json(out / "source_bins.json", {"overall": joint, "bins": table, "cross": cross})
    write_json(out / "results.json", {**results[0], "overall": joint, "overall_of_bin": own[0]})
    return joint


def _cross(settings: Evaluate, workdir: Path, bins: Sequence[SourceBin]) -> dict[str, Any]:
    by_bin = [open_map_sets(one, workdir, None) for one in of_each(settings, bins)]
    sets = by_bin[0]
    geometry = sets.validation.geometry
    l_edges = log_l_edges(geometry, settings.evaluate_l_bins)
    units = {one.name: units_of(one, settings.independent_unit) for one in sets.present()}
    spectra = {
        one.name: _spectra([getattr(of, one.name) for of in by_bin], l_edges, geometry.side_deg)
        for one in sets.present()
    }
    pairs = [f"{one.said()} and {other.said()}" for one, other in itertools.combinations(bins, 2)]
    labels = tuple(ell_labels(l_edges))
    quantities = [Quantity(name, labels, _unit(spectra, units, pair)) for pair, name in enumerate(pairs)]
    measured = {
        name: Measured({q.name: of[:, n] for n, q in enumerate(quantities)}, units[name][0])
        for name, of in spectra.items()
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
    mean_units = {one.name: one.mean_unit for one in quantities}
    said = [{**said_of(one, required=True), "mean_unit": mean_units[one.quantity]} for one in judged]
    refused = few_boxes(sets, units)
    if refused:
        said = [{**one, "outcome": "no verdict", "outcomes": None, "needs": None} for one in said]
    return {"refused": refused, "judged": said}


def _spectra(by_bin: Sequence[Any], l_edges: np.ndarray, side_deg: float) -> Spectra:
    """Cross power of every pair of every map of a set, which is given bin by bin."""
    measure = jax.jit(lambda kappa: cross_power_spectra(kappa, l_edges, side_deg))
    num_maps, found = by_bin[0].num_maps, []
    for start in progress(range(0, num_maps, _AT_ONCE), desc=f"evaluate {by_bin[0].name} cross", unit="chunk"):
        index = np.minimum(np.arange(start, start + _AT_ONCE), num_maps - 1)  # filled up: one program
        stop = min(start + _AT_ONCE, num_maps)
        kappa = np.stack([one.read_finite(start, stop) for one in by_bin], axis=1)[index - start]
        found.append(np.asarray(measure(kappa))[: stop - start])
    return np.concatenate(found).astype(np.float64)


def _unit(spectra: dict[str, Spectra], units: dict[str, tuple[np.ndarray, str]], pair: int) -> Any:
    """Relative differences where the mean of every band is well above 0, else the scatter."""
    values = spectra["validation"][:, pair]
    group, _ = numbered(units["validation"][0])
    means = np.array([np.bincount(group, band) for band in values.T]) / np.bincount(group)
    error = means.std(1, ddof=1) / np.sqrt(means.shape[1]) if means.shape[1] > 1 else np.inf
    return "mean" if (np.abs(values.mean(0)) > _SIGNIFICANT * error).all() else "scatter"
