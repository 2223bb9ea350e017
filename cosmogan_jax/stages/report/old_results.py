"""Results of evaluations by earlier versions, so that their reports are drawn still: without an outcome."""

import math
from typing import Any

_TITLES = {
    "power_spectrum": "power spectrum, the paper's modes",
    "power_bands": "power spectrum, log bands",
    "V0": "Minkowski V0",
    "V1": "Minkowski V1",
    "V2": "Minkowski V2",
    "peaks": "peak counts",
    "bispectrum": "bispectrum, equilateral",
    "moments": "moments of the map and its derivatives",
    "crop_mean": "mean of the map",
}
_NOT_JUDGED = "not judged by the version that evaluated these maps"


def of_schema_2(results: dict[str, Any]) -> dict[str, Any]:
    """Return results.json of schema 2 with what schema 3 adds to it, said to be unknown."""
    views = {
        label: {**view, "verdicts": {**view["verdicts"], "judged": [*map(_effect, view["verdicts"]["judged"])]}}
        for label, view in results["views"].items()
    }
    line = "not known: these maps were evaluated by an earlier version; remove evaluate/ and run it again"
    margins = dict.fromkeys(("auc", "position_mean", "position_sigma"), math.nan)
    return {
        **results,
        "views": views,
        "statistics": {
            name: {"title": title, "mean_unit": "mean" if name == "power_bands" else "scatter"}
            for name, title in _TITLES.items()
        },
        "classifier": None,
        "position": {"too_few": _NOT_JUDGED},
        "duplicates": {"maps": 0, "outcome": _NOT_JUDGED},
        "similarity": None,
        "overall": {"outcome": "incomplete", "said": line, "margins": margins},
    }


def _effect(effect: dict[str, Any]) -> dict[str, Any]:
    upper = [math.inf if value is None else value for value in effect["upper"]]
    worst = upper.index(max(upper))
    within = effect.get("distance_upper", [None] * len(upper))[worst]
    return {
        **effect,
        "within": None if within is None else math.sqrt(max(within, 0.0)),
        "real_within": None,
        "within_band": effect["bands"][worst],
        "required": False,
        "needs": None,
    }
