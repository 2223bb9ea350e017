"""p-values of many modes at once from resampled statistics: of each mode, of the family, false discoveries."""

import math
from typing import NamedTuple

import numpy as np
import scipy.stats
from jaxtyping import Float

# Statistics are sums in float32. Differences below this share of the null's scatter are ties, and count.
_TIE = 1e-3
# Scatter below this share of the null's mean is rounding: the statistic does not vary over the resamples.
_FLAT = 1e-2
_MIN_PERMUTATIONS_FOR_FDR = 9999


class FamilyWise(NamedTuple):
    """p of each mode by itself, and p that accounts for looking at all of them; NaN where it is not defined."""

    p: Float[np.ndarray, " modes"]
    family_p: Float[np.ndarray, " modes"]


def westfall_young(
    observed: Float[np.ndarray, " modes"], null: Float[np.ndarray, "resamples modes"]
) -> FamilyWise:
    """Return p-values of statistics T (large: different) from B resamples T*, the same for all modes.

        p_m        = (1 + #{T*_m >= T_m}) / (1 + B)
        family_p_m = (1 + #{max_k t*_k >= t_m}) / (1 + B),    t = (T - mean T) / sd T

    the second by Westfall and Young's single-step maximum (1993, Sect. 2.3): with no true difference at any
    mode, the chance that the smallest family_p is below alpha is alpha at most, however the modes hang
    together. Mean and sd are of each mode over observed and resamples together, which keeps that exact for
    permutations; without them the mode whose statistic scatters most would speak for all. Float ties count
    against a rejection. A mode with a NaN has p NaN and is no member of the family.

    Raises:
      ValueError: shapes that do not fit, no resamples, or a NaN in every mode.
    """
    observed, null = np.asarray(observed, np.float64), np.asarray(null, np.float64)
    if observed.ndim != 1 or null.ndim != 2 or null.shape[1:] != observed.shape or not len(null):
        raise ValueError(f"observed.shape={observed.shape} and null.shape={null.shape} do not fit")
    every = np.concatenate([observed[None], null])
    known = np.isfinite(every).all(0)
    if not known.any():
        raise ValueError("no mode has a statistic in all resamples")
    every = every[:, known]
    mean, sd = every.mean(0), every.std(0)
    scaled = (every - mean) / np.maximum(sd, np.maximum(_FLAT * np.abs(mean), np.finfo(float).tiny))
    reached = scaled[0] - _TIE
    p, family_p = np.full((2, len(observed)), np.nan)
    p[known] = (scaled >= reached).mean(0)  # the observed row counts itself: the 1 +
    # The largest of the observed row reaches every value of that row: the 1 + again.
    largest = np.sort(scaled[1:].max(1))
    family_p[known] = (1 + len(null) - np.searchsorted(largest, reached)) / (1 + len(null))
    return FamilyWise(p, family_p)


def permutations_for_fdr(num_modes: int, level: float = 0.05) -> int:
    """Return the fewest permutations with which one mode alone could be flagged, and 9,999 at least."""
    return max(_MIN_PERMUTATIONS_FOR_FDR, math.ceil(num_modes / level) - 1)


def benjamini_hochberg(
    p: Float[np.ndarray, " modes"], num_permutations: int, level: float = 0.05
) -> Float[np.ndarray, " modes"]:
    """Return p adjusted for the false discovery rate (Benjamini & Hochberg 1995).

    Modes at or below `level` are flagged. NaN stays NaN and is no member.

    Raises:
      ValueError: fewer than 9,999 permutations, or so few that one mode alone could not be flagged at the
        level: its p would have to be below level / modes, and is 1 / (1 + permutations) at least.
    """
    p = np.asarray(p, np.float64)
    known = ~np.isnan(p)
    if not known.any():
        raise ValueError("no mode has a p-value")
    needed = permutations_for_fdr(int(known.sum()), level)
    if num_permutations < needed:
        fewest = math.ceil(known.sum() / level / (1 + num_permutations))
        raise ValueError(
            f"num_permutations={num_permutations} must be at least {needed} for the false discovery rate of "
            f"{known.sum()} modes: p is never below {1 / (1 + num_permutations):.2g}, so no fewer than "
            f"{fewest} modes could be flagged at {level:g}"
        )
    adjusted = np.full(p.shape, np.nan)
    adjusted[known] = scipy.stats.false_discovery_control(p[known])
    return adjusted
