"""Uniformity: are maps alike at every place and in both directions? For every set."""

from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Int

from cosmogan_jax.compare.clustered import Contrast, group
from cosmogan_jax.compare.position_moments import PositionMoments
from cosmogan_jax.compare.position_pattern import MIN_GROUPS, fewer, patterns
from cosmogan_jax.compare.stationarity import border_against_centre, ring_widths, row_against_column
from cosmogan_jax.files.json_files import as_json
from cosmogan_jax.maps.sets import MapSet
from cosmogan_jax.settings.margins import Margins
from cosmogan_jax.stages.evaluate.summarising import (
    GROUP,
    MOST_GROUPS,
    Summaries,
    position_groups,
    position_moments,
)

# A last group of a few maps has a scatter that says nothing.
_FEWEST_IN_GROUP = GROUP // 4


def judge(summaries: dict[str, Summaries], units: dict[str, np.ndarray]) -> dict[str, Any]:
    """Return contrasts of `compare/stationarity.py` with their errors, for generated and real maps alike.

    ring_widths: pixels from the border at which each ring begins; the last one is the centre, against which
    the others stand. border_mean in units of the centre's sigma, border_sigma as a ratio less 1; row_column is
    log(P_row / P_column) for each band of ell. largest: the significance farthest from 0 over rings or bands.
    """
    entry: dict[str, Any] = {}
    for name, values in summaries.items():
        labels = units[name]
        if len(np.unique(labels)) < 2:
            entry[name] = None
            continue
        groups = group(labels)
        border = border_against_centre(jnp.asarray(values["rings"]), groups)
        entry[name] = {
            "ring_widths": list(ring_widths(values["position_mean"].shape[-1])),
            "border_mean": _contrast(border.mean),
            "border_sigma": _contrast(border.sigma),
            "row_column": _contrast(row_against_column(jnp.asarray(values["axes"]), groups)),
        }
    return entry


def fixed_in_place(
    summaries: Summaries, margins: Margins, groups: PositionMoments | None = None
) -> dict[str, Any]:
    """Return `compare/position_pattern.py` of one set: squares, limits, outcomes, or why there are none.

    groups: of maps that are independent of those of other groups, where those of the summaries are not.
    """
    groups = position_groups(summaries) if groups is None else groups
    large = np.asarray(groups.count) >= _FEWEST_IN_GROUP
    if large.sum() < MIN_GROUPS:
        needed = MIN_GROUPS * GROUP
        return {"too_few": f"{needed} maps", "maps": int(np.sum(groups.count))}
    fixed = patterns(PositionMoments(*(x[large] for x in groups)))
    return {
        "groups": int(large.sum()),
        "mean": fixed.mean._asdict() | {"outcome": fixed.mean.outcome(margins.position_mean)},
        "sigma": fixed.sigma._asdict() | {"outcome": fixed.sigma.outcome(margins.position_sigma)},
    }


def groups_of_seeds(maps: MapSet, seeds: Int[np.ndarray, " maps"]) -> PositionMoments:
    """Return the moments at every pixel of groups of whole seeds, each of GROUP maps or a few more.

    Maps of one seed at several cosmologies have the same structures in the same places; in two groups they
    would look like what is fixed in place.
    """
    order = np.argsort(seeds, kind="stable")
    ends = np.append(np.flatnonzero(np.diff(seeds[order])) + 1, len(order))
    moments: PositionMoments | None = None
    start = 0
    while start < len(order):
        stop = int(ends[np.searchsorted(ends, min(start + GROUP, len(order)))])
        kappa = _read(maps, order[start:stop]).astype(np.float64)
        mean = kappa.mean(0)
        new: Any = (np.array([stop - start], np.float64), mean[None], ((kappa - mean) ** 2).sum(0)[None])
        if moments is not None:
            new = tuple(map(np.concatenate, zip(moments, new)))
        moments = PositionMoments(*new)
        if len(new[1]) == 2 * MOST_GROUPS:
            moments = fewer(moments, MOST_GROUPS)
        start = stop
    assert moments is not None
    return fewer(moments, MOST_GROUPS)


def _read(maps: MapSet, numbers: Int[np.ndarray, " some"]) -> np.ndarray:
    """Read maps of these numbers, at once where they follow each other."""
    if (np.diff(numbers) == 1).all():
        return maps.read(int(numbers[0]), int(numbers[-1]) + 1)
    return np.concatenate([maps.read(n, n + 1) for n in numbers.tolist()])


def position_maps(summaries: dict[str, Summaries]) -> dict[str, np.ndarray]:
    """Return mean and sigma at every pixel: arrays <set>_mean and <set>_sigma."""
    moments = {name: position_moments(values) for name, values in summaries.items()}
    return {
        f"{name}_{what}": np.asarray(getattr(of_set, what))
        for name, of_set in moments.items()
        for what in ("mean", "sigma")
    }


def _contrast(contrast: Contrast) -> dict[str, Any]:
    value, error = np.asarray(contrast.value), np.asarray(contrast.standard_error)
    with np.errstate(divide="ignore", invalid="ignore"):
        significance = value / error
    known = significance[np.isfinite(significance)]
    largest = known[np.argmax(np.abs(known))] if known.size else None
    return as_json({"value": value, "standard_error": error, "largest": largest})
