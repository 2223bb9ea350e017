"""How results.json begins: what is compared by what, and what is to be known before all statistics."""

from collections.abc import Set
from typing import Any

import numpy as np

from cosmogan_jax.compare.statistics import STATISTICS
from cosmogan_jax.maps import plausibility
from cosmogan_jax.maps.sets import MapSet, MapSets
from cosmogan_jax.stages.evaluate import judgement, masked_sets, summarising


def what_is_judged(
    sets: MapSets, units: dict[str, tuple[np.ndarray, str]], matched: Set[str], masked: bool
) -> dict[str, Any]:
    """Begin results.json: what is compared by what, and what is to be known before all statistics."""
    scatter = {
        f"{maps.name} maps": float(np.nanmean(np.nanstd(spread(maps), axis=(1, 2)))) for maps in sets.present()
    }
    apart = plausibility.apart(scatter)
    for line in [*apart, *([masked_sets.as_line()] if masked else [])]:
        print(f"evaluate: {line}", flush=True)
    return {
        "schema": judgement.SCHEMA,
        "statistics": {
            row.name: {"title": row.title, "mean_unit": row.mean_unit, "trained_on": row.name in matched}
            for row in STATISTICS.values()
        },
        "sets": {maps.name: _set_entry(maps, *units[maps.name]) for maps in sets.present()},
        "apart": apart,
        "left_out": masked_sets.left_out() if masked else {},
        "baseline": (
            f"{sets.auxiliary.source} against validation maps"
            if sets.auxiliary
            else "one half of the validation units against the other"
        ),
        "views": {},
    }


def _set_entry(maps: MapSet, units: np.ndarray, unit: str) -> dict[str, Any]:
    return {
        "maps": maps.num_maps,
        "parents": len(np.unique(maps.parents)),
        "boxes": None if maps.boxes is None else len(np.unique(maps.boxes)),
        "unit": unit,
        "units": len(np.unique(units)),
        "source": maps.source,
    }


def spread(maps: MapSet) -> np.ndarray:
    """Return a few maps from all over a set."""
    index = np.arange(0, maps.num_maps, max(1, maps.num_maps // summarising.CHUNK))[: summarising.CHUNK]
    return np.concatenate([maps.read_finite(int(i), int(i) + 1) for i in index])
