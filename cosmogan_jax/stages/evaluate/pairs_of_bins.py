"""Every pair of source bins: its statistics in all sets, and the verdict on them; of source_bins.json

  cross        verdicts (`compare/effects/verdict.py`) on statistics of pairs (`compare/joint_statistics.py`)
    judged     an entry for each effect, as in results.json; statistic: which; quantity: which bins
    refused    why there are none
  key_numbers  of every pair, in words, how far it is off in a few numbers (`compare/effects/key_numbers.py`)
  observed     by the label of an observer the same as `cross`, of maps with its noise and smoothing: bins have
               noise of their own galaxies, independent of each other's. Bands of ell that smoothing wipes out
               are left out
  statistics   title of each, and whether a loss was trained on it
  spectra      what the triangle of spectra is drawn of
    l_edges    bands of ell
    power      by set mean and its standard error over units, of pairs i <= j in the order of numpy.triu_indices
    coherence  by set r(ell) of the ratio of means and its standard error, of pairs i < j
Values of every map lie in pairs_<set>.npz. Masked maps have none of these.
"""

import dataclasses
import itertools
from collections.abc import Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import Any, NamedTuple

import jax
import numpy as np
from jaxtyping import Float, Shaped

from cosmogan_jax.compare.coherence import coherence_of_set, mean_and_error
from cosmogan_jax.compare.effects.key_numbers import PAIR_ROWS, key_numbers
from cosmogan_jax.compare.effects.quantities import MapSet as Measured
from cosmogan_jax.compare.effects.quantities import Quantity
from cosmogan_jax.compare.effects.verdict import judge as judge_effects
from cosmogan_jax.compare.ensembles import Estimate
from cosmogan_jax.compare.joint_statistics import (
    JOINT_STATISTICS,
    JointScales,
    JointStatistic,
    measure_pairs,
)
from cosmogan_jax.compare.parents import numbered
from cosmogan_jax.even_choice import evenly_spread
from cosmogan_jax.geometry import ARCMIN_PER_DEG, log_l_edges
from cosmogan_jax.machine.progress import progress
from cosmogan_jax.maps.sets import MapSet, MapSets, spread_over
from cosmogan_jax.settings import Evaluate
from cosmogan_jax.settings.margins import MeanUnit, parse
from cosmogan_jax.stages.evaluate.judgement import effect_entry
from cosmogan_jax.stages.evaluate.observing import ViewOfBins, observers, view_of_bins

_AT_ONCE = 16  # maps in memory, of all bins
_SPREAD = 256  # validation maps that say what sigma is
_SEED = 0
# A mean of so many standard errors is a unit of relative differences (`differences.py` asks for 5).
_SIGNIFICANT = 10.0
# Of the power of a band, as smoothing leaves it; float32 rounds at 1e-14 of the largest.
_LEFT_BY_SMOOTHING = 1e-10
Values = dict[str, Float[np.ndarray, "maps pairs modes"]]
Measure = Callable[[np.ndarray, np.ndarray, str], Mapping[str, jax.Array]]


class Bins(NamedTuple):
    """Sets of the same maps, bin by bin, with what the bins are called and what counts as one.

    Attributes:
      sets: of each bin.
      names: of each bin, in words.
      units: by set, the label of what each map counts with as one.
      evaluations: how many verdicts are given as one.
      no_verdict: why none is called passed or failed; None where they can be.
    """

    sets: Sequence[MapSets]
    names: Sequence[str]
    units: dict[str, Shaped[np.ndarray, " maps"]]
    evaluations: int
    no_verdict: str | None

    def of(self, name: str) -> list[MapSet]:
        """Return one set, bin by bin."""
        return [getattr(sets, name) for sets in self.sets]

    @property
    def pairs(self) -> list[str]:
        """Return what the pairs i < j are called."""
        return [f"{a} and {b}" for a, b in itertools.combinations(self.names, 2)]

    @property
    def masked(self) -> bool:
        """Tell whether pixels of some maps are no measurement."""
        return any(maps.masked for sets in self.sets for maps in sets.present())


class Seen(NamedTuple):
    """Maps as they are, or as an observer sees them: the scales, and by set every statistic of every pair."""

    scales: JointScales
    values: dict[str, Values]


def measured(bins: Bins, settings: Evaluate) -> tuple[Seen, dict[str, Seen]]:
    """Return what is measured of maps as they are, and by its label of what each observer sees of them.

    Every map is read once for all of them.
    """
    validation = bins.of("validation")
    scales = {"": _scales(validation, settings)}
    measures = {"": _measuring(scales[""])}
    for label, theta in observers(settings, validation[0].geometry).items():
        view = view_of_bins(settings, validation[0].geometry, theta)
        scales[label] = _scales_seen(validation, view, _seen_edges(scales[""].l_edges, theta))
        measures[label] = _measuring(scales[label], view)
    by_set = {name: _of_set(bins.of(name), measures) for name in bins.units}
    seen = {
        label: Seen(of, {name: values[label] for name, values in by_set.items()})
        for label, of in scales.items()
    }
    return seen.pop(""), seen


def _scales(validation: Sequence[MapSet], settings: Evaluate) -> JointScales:
    geometry, moments = validation[0].geometry, []
    for maps in validation:
        kappa = np.concatenate([some for some, _ in spread_over(maps.read, maps.num_maps, _SPREAD)])
        moments.append((kappa.mean(dtype=np.float64), kappa.std(dtype=np.float64)))
    mean, sigma = np.array(moments).T
    return JointScales(log_l_edges(geometry, settings.evaluate_l_bins), geometry.side_deg, mean, sigma)


def _scales_seen(
    validation: Sequence[MapSet], view: ViewOfBins, l_edges: Float[np.ndarray, " edges"]
) -> JointScales:
    """Return the scales of observed maps, with means and sigmas of so many validation maps as they are seen."""
    index, moments = evenly_spread(validation[0].num_maps, _SPREAD), []
    for some in np.split(index, np.arange(_AT_ONCE, len(index), _AT_ONCE)):
        kappa = np.stack([np.concatenate([maps.read(n, n + 1) for n in some]) for maps in validation], axis=1)
        seen = np.asarray(view(kappa, some, "validation"), np.float64)
        moments.append(np.stack([seen.mean((2, 3)), (seen**2).mean((2, 3))]))
    mean, square = np.concatenate(moments, 1).mean(1)
    return JointScales(l_edges, validation[0].geometry.side_deg, mean, np.sqrt(square - mean**2))


def _seen_edges(
    l_edges: Float[np.ndarray, " edges"], smoothing_arcmin: float
) -> Float[np.ndarray, " seen_edges"]:
    """Return the edges of the bands of which smoothing leaves something beyond the rounding of the others."""
    ell_theta = l_edges[:-1] * np.radians(smoothing_arcmin / ARCMIN_PER_DEG)
    count = max(1, int((np.exp(-(ell_theta**2)) > _LEFT_BY_SMOOTHING).sum()))
    return l_edges[: count + 1]


def _measuring(scales: JointScales, view: ViewOfBins | None = None) -> Measure:
    """Return what measures maps, by their numbers in a set, as they are or as a view shows them."""
    # The same program for all sets.
    measure = jax.jit(lambda kappa: measure_pairs(kappa, scales))
    if view is None:
        return lambda kappa, index, name: measure(kappa)
    return lambda kappa, index, name: measure(view(kappa, index, name))


def _of_set(by_bin: Sequence[MapSet], measures: Mapping[str, Measure]) -> dict[str, Values]:
    """Measure a set that is given bin by bin, by every label."""
    name, num_maps = by_bin[0].name, by_bin[0].num_maps
    parts: dict[str, list[Values]] = {label: [] for label in measures}
    for start in progress(range(0, num_maps, _AT_ONCE), desc=f"evaluate {name} pairs", unit="chunk"):
        stop = min(start + _AT_ONCE, num_maps)
        index = np.minimum(np.arange(start, start + _AT_ONCE), num_maps - 1)  # filled up: one program
        kappa = np.stack([maps.read_finite(start, stop) for maps in by_bin], axis=1)[index - start]
        for label, measure in measures.items():
            of_each = measure(kappa, index, name)
            parts[label].append({key: np.asarray(of)[: stop - start] for key, of in of_each.items()})
    return {
        label: {key: np.concatenate([one[key] for one in some]).astype(np.float64) for key in some[0]}
        for label, some in parts.items()
    }


def judge(bins: Bins, seen: Seen, settings: Evaluate) -> dict[str, Any]:
    """Return the entry `cross`, or one of `observed`."""
    scales, values = seen
    quantities, of = _quantities(bins, scales, values)
    sets = {
        name: Measured(
            {q.name: values[name][of[q.name][0].name][:, of[q.name][1]] for q in quantities}, bins.units[name]
        )
        for name in values
    }
    try:
        judged = judge_effects(
            sets["generated"],
            sets["validation"],
            sets.get("auxiliary"),
            quantities,
            margins=parse(settings.margins),
            seed=_SEED,
            num_resamples=settings.num_resamples,
            together=bins.evaluations,
        )
    except ValueError as error:  # too few units, of which it says how many there must be
        return {"refused": str(error), "judged": []}
    units = {quantity.name: quantity.mean_unit for quantity in quantities}
    entries = []
    for effect in judged:
        row, pair = of[effect.quantity]
        entry = effect_entry(effect, required=row.required)
        told = {"statistic": row.name, "quantity": bins.pairs[pair], "mean_unit": units[effect.quantity]}
        entries.append({**entry, **told})
    if bins.no_verdict:
        entries = [{**entry, "outcome": "no verdict", "outcomes": None, "needs": None} for entry in entries]
    return {"refused": bins.no_verdict, "judged": entries}


def numbers_of_pairs(bins: Bins, seen: Seen, settings: Evaluate) -> dict[str, list[dict[str, Any]]]:
    """Return the entry `key_numbers`; none of too few units."""
    scales, values = seen
    quantities, of = _quantities(bins, scales, values)
    entries = {}
    for pair, words in enumerate(bins.pairs):
        own = {of[q.name][0].name: q for q in quantities if of[q.name][1] == pair}
        sets = {
            name: Measured({key: values[name][key][:, pair] for key in own}, bins.units[name])
            for name in values
        }
        try:
            numbers = key_numbers(
                sets,
                [quantity._replace(name=key) for key, quantity in own.items()],
                parse(settings.margins),
                seed=_SEED,
                num_resamples=settings.num_resamples,
                rows=PAIR_ROWS,
            )
        except ValueError:  # too few units, as the verdicts say
            return {}
        entries[words] = [dataclasses.asdict(number) for number in numbers]
    return entries


def _quantities(
    bins: Bins, scales: JointScales, values: dict[str, Values]
) -> tuple[list[Quantity], dict[str, tuple[JointStatistic, int]]]:
    """Return what is judged, and of each by its name the statistic and the number of the pair."""
    quantities, of = [], {}
    for row in JOINT_STATISTICS.values():
        labels = tuple(row.labels(scales))
        for pair, words in enumerate(bins.pairs):
            name = f"{row.name} of {words}"
            unit = row.mean_unit
            if unit == "mean":
                unit = _unit(values["validation"][row.name][:, pair], bins.units["validation"])
            quantities.append(Quantity(name, labels, unit))
            of[name] = row, pair
    return quantities, of


def _unit(values: Float[np.ndarray, "maps bands"], units: np.ndarray) -> MeanUnit:
    """Return "mean", for relative differences, where that of every band is well above 0; else "scatter"."""
    group, _ = numbered(units)
    means = np.array([np.bincount(group, band) for band in values.T]) / np.bincount(group)
    error = means.std(1, ddof=1) / np.sqrt(means.shape[1]) if means.shape[1] > 1 else np.inf
    return "mean" if (np.abs(values.mean(0)) > _SIGNIFICANT * error).all() else "scatter"


def titles(matched: AbstractSet[str]) -> dict[str, dict[str, Any]]:
    """Return the entry `statistics`; matched: names of those that a loss of the training matched."""
    return {
        row.name: {"title": row.title, "trained_on": row.name in matched} for row in JOINT_STATISTICS.values()
    }


def spectra(bins: Bins, seen: Seen) -> dict[str, Any] | None:
    """Return the entry `spectra`; None where a set is one unit, of which no error is known."""
    scales, values = seen
    if min(len(np.unique(units)) for units in bins.units.values()) < 2:
        return None
    power = {name: mean_and_error(of["power"], bins.units[name]) for name, of in values.items()}
    r = {name: coherence_of_set(of["power"], bins.units[name]) for name, of in values.items()}
    return {"l_edges": scales.l_edges.tolist(), "power": _entry(power), "coherence": _entry(r)}


def _entry(estimates: dict[str, Estimate]) -> dict[str, Any]:
    return {
        name: {"value": of.value.tolist(), "standard_error": of.standard_error.tolist()}
        for name, of in estimates.items()
    }
