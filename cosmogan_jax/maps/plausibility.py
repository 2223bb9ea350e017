"""Can these values be convergence? What maps look like instead: other units, fill values, masks, counts, bins.

Convergence has a mean near 0 and, on pixels of 0.1 arcmin to a few, a scatter of 0.003 to 0.1. Shape noise adds
sigma_e / sqrt(n A) (`summaries/observer.py`), 0.2 to 0.4 at pixels below an arcminute, and such maps are meant.
But for noise it is not below -1 (an empty beam to the last scattering has -0.6, to redshift 1 -0.06), and above
10 in no pixel that a lensing map resolves.

Everything here follows from the facts of each map. The scatter that counts is that of the bulk of its pixels,
so that a corner of fill values is not taken for units, nor a cluster's core for a fill value.
"""

import itertools
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from cosmogan_jax.geometry import MapGeometry
from cosmogan_jax.maps.formats import MapFile
from cosmogan_jax.maps.inspection import MapFacts, plural

# Scatter of the bulk of the pixels that noise may have: 0.6, or that of 3 galaxies of sigma_e = 0.26 a square
# arcminute.
_MOST_SIGMA, _MOST_SIGMA_ARCMIN = 0.6, 0.15
_LEAST_SIGMA = 1e-5
_MOST_MEAN = 0.5
# Fill values stand apart from the bulk: so many of its sigmas below its median, or above it, where peaks are.
_LOW, _LOW_SIGMAS, _HIGH, _HIGH_SIGMAS = -1.0, 20.0, 10.0, 200.0
_MOST_ZEROS = 0.005
# Largest ratio of sigmas, of two sets, and of the maps of one set: of all, or where they are many from their
# tenth to their ninetieth percentile.
SAME_SIGMA, _MANY = 3.0, 20
# Narrower maps of one sky differ by more, as one structure fills them: of a light cone to redshift 0.5 cut in
# squares of 0.44, 0.22 and 0.11 degrees the tenth and ninetieth percentile by 1.7, 2.5 and 3.8.
_WIDE_DEG = 0.5


class Finding(NamedTuple):
    """What maps look like that may not be convergence.

    Attributes:
      kind: the name by which --accept_values takes it for meant.
      words: in words, beginning with a map's or a set's name.
    """

    kind: str
    words: str


def unlike_convergence(
    maps: Sequence[MapFacts], files: Sequence[MapFile], geometry: MapGeometry, *, one_set: bool = True
) -> list[Finding]:
    """Find what maps look like, one finding a kind, with the first map that shows it; none of good maps.

    Args:
      maps: facts of those that are used.
      files: that they come from, for the units that their headers say.
      one_set: whether the maps are draws from one sky, whose sigmas are alike; not where parameters vary.
    """
    looks: dict[tuple[str, str], list[str]] = {}
    for facts in maps:
        if look := _of_map(facts, geometry):
            looks.setdefault(look[:2], []).append(f"{facts.name} {look[2]}")
    findings = [
        Finding(kind, f"{lines[0]}{_others(lines, len(maps))}: {looks_like}")
        for (kind, looks_like), lines in looks.items()
    ]
    marked = [file for file in files if "unit" in file.facts]
    if marked:
        more = f" (and {plural(len(marked) - 1, 'file')} more)" if len(marked) > 1 else ""
        findings.append(
            Finding(
                "units",
                f"{marked[0].path} says its unit is {marked[0].facts['unit']!r}{more}; convergence has none",
            )
        )
    if one_set and not findings:
        findings += _several_bins(maps, geometry.side_deg)
    return findings


def refuse(findings: Sequence[Finding], accepted: Sequence[str]) -> None:
    """Refuse, by a ValueError, what looks unlike convergence and is not accepted."""
    if left := [finding for finding in findings if finding.kind not in accepted]:
        kinds = ",".join(dict.fromkeys([*accepted, *(finding.kind for finding in left)]))
        more = "".join(f"; {finding.words}" for finding in left[1:])
        raise ValueError(
            f"{left[0].words}{more}. If the values are meant as they are, say so with --accept_values={kinds}"
        )


def warnings(findings: Sequence[Finding], accepted: Sequence[str]) -> list[str]:
    """Return a line for each finding, for an inspection that refuses nothing."""
    return [
        f"{finding.words} ({'accepted, by' if finding.kind in accepted else 'a run refuses this without'} "
        f"--accept_values={finding.kind})"
        for finding in findings
    ]


def apart(sigmas: dict[str, float]) -> list[str]:
    """Return a line for each pair of sets whose sigmas differ by more than a factor SAME_SIGMA.

    Args:
      sigmas: mean over maps of their standard deviation, by what the maps are called.
    """
    lines = []
    for (name, ours), (other, theirs) in itertools.combinations(sigmas.items(), 2):
        low, high = sorted((ours, theirs))
        if high > SAME_SIGMA * low:
            lines.append(
                f"sigma of {name} is {ours:.3g}, of {other} {theirs:.3g}, a factor "
                f"{_factor(low, high)}: other units, noise, smoothing or source redshift on one side?"
            )
    return lines


def _of_map(facts: MapFacts, geometry: MapGeometry) -> tuple[str, str, str] | None:
    """Return the kind, what the map looks like, and what shows it; the first that fits."""
    if not facts.low < facts.high:
        return None
    bulk = facts.bulk
    most = max(_MOST_SIGMA, _MOST_SIGMA_ARCMIN / geometry.pixel_arcmin)
    if facts.two_valued:
        return "mask", "this looks like a mask", f"holds two values only, {facts.low:g} and {facts.high:g}"
    if facts.whole:
        return "counts", "this looks like counts", f"holds whole numbers only, {facts.low:g} to {facts.high:g}"
    remedy = "; name a --mask, or write NaN there and give --invalid_pixels=avoid"
    fill = f"this looks like a fill value or a masked region{remedy}"
    if bulk == 0:
        return "fill", fill, f"has the same value, {facts.middle:g}, in most of its pixels"
    if facts.low <= _LOW and facts.middle - facts.low > _LOW_SIGMAS * bulk:
        return (
            "fill",
            fill,
            f"goes down to {facts.low:g}, where most pixels are within {bulk:.2g} of {facts.middle:.2g}",
        )
    if facts.high >= _HIGH and facts.high - facts.middle > _HIGH_SIGMAS * bulk:
        return (
            "fill",
            fill,
            f"goes up to {facts.high:g}, where most pixels are within {bulk:.2g} of {facts.middle:.2g}",
        )
    if facts.zeros > _MOST_ZEROS:
        return "fill", fill, f"is exactly 0 in {100 * facts.zeros:.2g} % of its pixels"
    units = "this looks like other units than convergence, which has none"
    if bulk > most:
        return "units", f"{units} (1000 kappa, signal to noise, a density?)", f"has sigma {bulk:.3g}"
    if abs(facts.middle) > _MOST_MEAN:
        return "units", f"{units} (1 + kappa, a magnification?)", f"has values around {facts.middle:.3g}, not 0"
    if bulk < _LEAST_SIGMA:
        return "units", units, f"has sigma {bulk:.3g}"
    return None


def _several_bins(maps: Sequence[MapFacts], side_deg: float) -> list[Finding]:
    """Find sigmas that are too different for maps of one sky, in a group of maps or between groups."""
    by_role: dict[str, list[MapFacts]] = {}
    for facts in maps:
        by_role.setdefault(facts.role, []).append(facts)
    advice = "choose one with --channel or by the files' names, or name what differs with --vary"
    most = SAME_SIGMA * max(1.0, (_WIDE_DEG / side_deg) ** 0.5)
    for group in by_role.values():
        ordered = sorted(group, key=lambda facts: facts.bulk)
        ends = int(0.1 * len(ordered)) if len(ordered) >= _MANY else 0
        low, high = ordered[ends], ordered[-1 - ends]
        if high.bulk > most * low.bulk:
            among = " (tenth and ninetieth percentile of all)" if ends else ""
            line = (
                f"{low.name} has sigma {low.bulk:.3g}, {high.name} {high.bulk:.3g}{among}, a factor "
                f"{_factor(low.bulk, high.bulk)} in one set: this looks like several source bins or redshifts"
            )
            return [Finding("bins", f"{line}; {advice}")]
    sigmas = {
        f"{role} maps" if role != "maps" else "maps": float(np.mean([facts.sigma for facts in group]))
        for role, group in by_role.items()
    }
    return [Finding("bins", f"{line} If other redshifts: {advice}") for line in apart(sigmas)[:1]]


def _factor(low: float, high: float) -> str:
    return f"{high / low:.3g}" if low else "without bound"


def _others(lines: Sequence[str], count: int) -> str:
    return f" ({len(lines)} of {count} maps are like this)" if len(lines) > 1 else ""
