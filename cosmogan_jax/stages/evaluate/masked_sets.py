"""Maps of which some pixels are no measurement: what evaluate can say of them, and what it leaves out and why.

Statistics that take masks (`takes_masks` in `compare/statistics.py`) are means, densities and counts over valid
pixels: their expectation does not depend on the mask, their scatter over maps does. What needs whole maps,
Fourier modes first of all, is left out: the mask would be measured with the sky. A generator cannot pass so,
since what a pass needs is then open; it can fail.

results.json of masked sets:
  masked      share of the pixels that are masked or invalid, by set
  left_out    what is not measured, by name: the reason in words
"""

from typing import Any

import numpy as np

from cosmogan_jax.compare.statistics import STATISTICS
from cosmogan_jax.geometry import MapGeometry
from cosmogan_jax.stages.evaluate.summarising import Summaries

_MODES = "maps are masked, and it is defined on whole maps"
# Shares of valid pixels that may differ so much before the scatter over maps is said not to compare.
_ALIKE = 0.05
_PARTS = {
    "stationarity": "maps are masked, and borders and directions would be the mask's",
    "position": "maps are masked, and a mask is fixed in place",
    "duplicates": "maps are masked, and copies are looked for among whole maps",
    "similarity": "maps are masked, and similarity is of whole maps",
    "inference": "maps are masked, and it rests on the power spectrum",
    "classifier": "maps are masked, and it would learn the mask",
    "as observed": "maps are masked, and smoothing would carry the mask into what lies beside it",
}


def left_out() -> dict[str, str]:
    """Return what is not measured of masked maps, and why."""
    rows = {row.name: _MODES for row in STATISTICS.values() if not row.takes_masks}
    return rows | _PARTS


def as_line() -> str:
    """Return what is measured and what is left out, in words."""
    kept = [row.title for row in STATISTICS.values() if row.takes_masks]
    gone = [row.title for row in STATISTICS.values() if not row.takes_masks]
    return (
        f"maps are masked: judged by {'; '.join(kept)}. Left out, as they need whole maps: {'; '.join(gone)}; "
        f"{'; '.join(_PARTS)}"
    )


def entries(num_generated: int) -> dict[str, Any]:
    """Return what stands in results.json for what is left out."""
    return {
        "stationarity": {},
        "position": {"too_few": f"whole maps: {_PARTS['position']}", "maps": num_generated},
        "duplicates": {
            "maps": num_generated,
            "status": "left out",
            "outcome": f"left out: {_PARTS['duplicates']}",
            "support_above": None,
        },
        "similarity": None,
        "inference": {"refused": _PARTS["inference"]},
        "classifier": {"refused": _PARTS["classifier"]},
    }


def shares(each: dict[str, Summaries], geometry: MapGeometry) -> dict[str, float]:
    """Return the share of each set's pixels that are no measurement."""
    return {
        name: 1 - float(values["fine_pixels"].sum(-1).mean()) / geometry.num_pixels**2
        for name, values in each.items()
    }


def unlike(masked: dict[str, float]) -> list[str]:
    """Return a line where the sets are not masked alike: their means compare, their scatter does not."""
    valid = 1 - np.array(list(masked.values()))
    if valid.max() - valid.min() <= _ALIKE * valid.max():
        return []
    masks = ", ".join(f"{100 * share:.3g} % of the {name} maps' pixels" for name, share in masked.items())
    return [
        f"masked are {masks}: means compare, but the scatter over maps grows as fewer pixels are left; "
        "mask all sets alike"
    ]
