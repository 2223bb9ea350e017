"""The verdict on generated maps: within which margins they agree with validation maps, and where they do not.

Each effect of each quantity is judged in every band by its excess distance (`excess.py`) and a margin
(`settings/margins.py`: one set, whatever the number of maps):

    fail            the sure lower limit of the excess is above margin^2: disagreement is shown
    yardstick off   not failed, and the baseline's own distance has its sure lower limit above margin^2: real
                    maps disagree among themselves by more than is to be judged, and nothing passes by them
    pass            the 95 % upper limit of the excess is below margin^2: agreement is shown
    not resolvable  none of these, and equal ensembles of these sizes would not be expected to pass
    undecided       none of these, though the maps would suffice

Real maps excuse no more than margin^2 of a difference, however far they are apart themselves: that caps the
excess. Failing to tell two sets apart is no pass, and fewer maps make no pass easier. An effect passes if every
band does. That is a claim about all bands at once, made wrongly only if some band beyond its margin passes, and
that band's own chance of it is at most 5 %: the many bands need no correction (intersection-union test, Berger
1982), though they cost power. A fail in any band fails the effect, and that does need a correction: the sure
limit is at 95 % for all bands of all effects of a verdict together (Bonferroni), so that equal ensembles fail
anywhere in one of twenty verdicts at most, however few their maps are, and hardly ever where they are many.

Effects, their units and margins stand in the one table of effects (`settings/margins.py`).

What resolves them: with an auxiliary set as large as validation, equal ensembles give limits whose root is on
average 2.0 standard errors of validation's own mean where generated maps add no noise, 3.4 where they add as
much; the worst of many bands lies at four to five. More generated maps, and more crops of each parent, are the
cheap way to a verdict; `compare/effects/needs.py` says how many.

The mean's unit is the quantity's choice. Relative differences suit what is positive by construction (power
spectrum, variance). Where values of either sign may average to nearly nothing (V2, bispectrum,
skewness) or be rare (pixels far from the mean) the unit is the scatter: a shift of 0.2 sigma moves no more than
8 % of a normal distribution across any threshold. Of what is rare in a map the mean alone is judged
(`differences.long_tailed`).
"""

from collections.abc import Iterator, Sequence
from typing import Literal, NamedTuple

import numpy as np
from jaxtyping import Float

from cosmogan_jax.compare.effects import needs as planning
from cosmogan_jax.compare.effects.differences import (
    Effect,
    correlation_blocks,
    function_of,
    interval,
    long_tailed,
)
from cosmogan_jax.compare.effects.excess import Limits, excess_distance, squared_distance
from cosmogan_jax.compare.effects.quantities import Compared, MapSet, Quantity
from cosmogan_jax.compare.effects.resampled import Baseline, resampled
from cosmogan_jax.compare.effects.resamples import NUM_RESAMPLES
from cosmogan_jax.settings.margins import SETS, EffectRow, Margins, effects_of

Outcome = Literal["pass", "fail", "yardstick off", "undecided", "not resolvable"]


class Judged(NamedTuple):
    """One effect of one quantity. Arrays are over `bands` (for correlations: blocks; for the slope: one).

    effect, effect_lower, effect_upper: generated against validation, with 95 % limits. Of correlations, the
      debiased mean square difference, like `value`.
    distance, distance_upper: the squared distance of generated from validation maps itself, free of noise in
      the mean, with its 95 % upper limit; no yardstick. The limit's root is within what they agree.
    distance_expected: the upper limit that real maps in their place would be expected to reach.
    baseline_effect: the same as effect of auxiliary against validation, or of its two halves.
    baseline_lower: sure lower limit of its squared distance.
    value, lower, upper: the excess distance, a square, with 95 % limits of each side. sure: the lower limit
      that decides a fail, at 95 % for all effects together.
    margin: not squared.
    resolvable: root of the upper limit that equal ensembles would be expected to give, in the margin's unit.
    reach: the limit that equal ensembles stay below in nine of ten trials, all bands together.
    outcome: of all bands together.
    needs: what would let equal ensembles pass in nine of ten trials, all bands together; else None.
    """

    quantity: str
    name: str
    bands: tuple[str, ...]
    effect: Float[np.ndarray, " bands"]
    effect_lower: Float[np.ndarray, " bands"]
    effect_upper: Float[np.ndarray, " bands"]
    distance: Float[np.ndarray, " bands"]
    distance_upper: Float[np.ndarray, " bands"]
    distance_expected: Float[np.ndarray, " bands"]
    baseline_effect: Float[np.ndarray, " bands"]
    baseline_lower: Float[np.ndarray, " bands"]
    value: Float[np.ndarray, " bands"]
    lower: Float[np.ndarray, " bands"]
    upper: Float[np.ndarray, " bands"]
    sure: Float[np.ndarray, " bands"]
    margin: float
    resolvable: Float[np.ndarray, " bands"]
    reach: float
    outcomes: tuple[Outcome, ...]
    outcome: Outcome
    used_by_selection: bool
    num_parents: int
    baseline: Baseline
    needs: planning.Needs | None


def judge(
    generated: MapSet,
    validation: MapSet,
    auxiliary: MapSet | None,
    quantities: Sequence[Quantity],
    *,
    margins: Margins = SETS["default"],
    seed: int,
    num_resamples: int = NUM_RESAMPLES,
    together: int = 1,
) -> list[Judged]:
    """Judge every effect of every quantity.

    auxiliary: maps that are independent of validation (other boxes). Without them the baseline is one random
      half of the validation parents against the other.
    together: how many verdicts of this kind are given as one (of several cosmologies): the sure limits, by
      which an effect fails, then hold for all effects of all of them.

    Raises:
      ValueError: fewer than five parents in a set (ten in validation without an auxiliary set), sets that
        lack a quantity or differ in its bands, constant bands, values that are not finite.
    """
    draws = resampled(generated, validation, auxiliary, seed=seed, num_resamples=num_resamples)
    family = together * sum(map(_num_limits, quantities))
    judged: list[Judged] = []
    for quantity in quantities:
        sets = draws.of(quantity)
        judged += _judged(quantity, sets, draws.num_parents, family, draws.baseline, margins)
    return judged


def overall(judged: Sequence[Judged]) -> dict[str, Outcome]:
    """Return the outcome of each quantity: pass if every effect passes, fail if one fails."""
    names = dict.fromkeys(effect.quantity for effect in judged)
    return {name: _joined([effect.outcome for effect in judged if effect.quantity == name]) for name in names}


class _Comparison(NamedTuple):
    """One effect of a quantity: of which sets it is measured, what its results are called, and its blocks."""

    effect: EffectRow
    sets: Compared
    bands: tuple[str, ...]
    blocks: list[np.ndarray] | None = None


def _comparisons(quantity: Quantity, sets: Compared) -> Iterator[_Comparison]:
    """Yield the comparisons by which a quantity is judged."""
    for effect in effects_of(quantity.mean_unit, quantity.covariance):
        if effect.basis == "bands":
            yield _Comparison(effect, sets, quantity.bands)
        elif effect.basis == "common bands":
            # Of what is rare in a map the mean is judged, the scatter over maps is not.
            kept = np.flatnonzero(~long_tailed(sets.validation))
            if len(kept):
                common = Compared(*(sample.of_modes(kept) for sample in sets))
                yield _Comparison(effect, common, tuple(quantity.bands[i] for i in kept))
        elif effect.basis == "blocks":
            blocks = correlation_blocks(len(quantity.bands))
            labels = tuple(_block_label(quantity.bands, *modes) for modes in blocks)
            yield _Comparison(effect, sets, labels, list(blocks.values()))
        elif effect.basis == "powers":
            yield _Comparison(effect, sets, quantity.bands[: len(quantity.bands) // 3])
        else:
            yield _Comparison(effect, sets, ("all",))


def _num_limits(quantity: Quantity) -> int:
    """Count the limits of all effects of a quantity, a block of correlations as one."""
    num_bands = len(quantity.bands)
    num_blocks = len(correlation_blocks(num_bands)) if quantity.covariance else 0
    counts = {"bands": num_bands, "common bands": num_bands, "blocks": num_blocks, "pairs": 1}
    counts["powers"] = num_bands // 3
    return sum(counts[effect.basis] for effect in effects_of(quantity.mean_unit, quantity.covariance))


def _judged(
    quantity: Quantity, sets: Compared, num_parents: int, family: int, baseline: Baseline, margins: Margins
) -> Iterator[Judged]:
    """Yield the verdict on every effect of a quantity."""
    for effect, of_sets, bands, blocks in _comparisons(quantity, sets):
        measure, margin = function_of(effect.margin), getattr(margins, effect.margin)
        x = measure(of_sets.generated, of_sets.validation)
        y = measure(of_sets.first, of_sets.second)
        numbers = {"num_parents": num_parents, "family": family}
        distance, yardstick = (squared_distance(difference, blocks, **numbers) for difference in (x, y))
        limits = excess_distance(x, y, blocks, margin**2, **numbers)
        if blocks is None:
            shown, baseline_effect = interval(x, num_parents), y.value
        else:
            shown, baseline_effect = Effect(*distance[:3]), yardstick.value
        outcomes = _outcomes(limits, yardstick.sure, margin)
        outcome = _joined(outcomes)
        reach, needs = planning.reach(limits), None
        if outcome in ("not resolvable", "undecided"):
            needs = planning.of_effect(measure, of_sets, blocks, margin, num_parents, reach)
        yield Judged(
            quantity.name, effect.name, bands, *shown, distance.value, distance.upper, distance.expected,
            baseline_effect, yardstick.sure, limits.value, limits.lower, limits.upper, limits.sure, margin,
            _root(limits.expected), reach, outcomes, outcome, quantity.used_by_selection,
            num_parents, baseline, needs,
        )  # fmt: skip


def _outcomes(limits: Limits, yardstick_lower: np.ndarray, margin: float) -> tuple[Outcome, ...]:
    # A NaN (no slope) compares as False everywhere: not resolvable.
    bands = zip(limits.sure, limits.upper, limits.expected, yardstick_lower, strict=True)
    return tuple(
        "fail" if lower > margin**2
        else "yardstick off" if of_real_maps > margin**2
        else "pass" if upper < margin**2
        else "undecided" if expected < margin**2
        else "not resolvable"
        for lower, upper, expected, of_real_maps in bands
    )  # fmt: skip


def _joined(outcomes: Sequence[Outcome]) -> Outcome:
    if all(outcome == "pass" for outcome in outcomes):
        return "pass"
    return next(
        worst for worst in ("fail", "yardstick off", "not resolvable", "undecided") if worst in outcomes
    )


def _root(square: np.ndarray) -> np.ndarray:
    return np.sqrt(np.maximum(square, 0))


def _block_label(bands: tuple[str, ...], rows: tuple[int, int], columns: tuple[int, int]) -> str:
    return " × ".join(f"{bands[start]} … {bands[stop - 1]}" for start, stop in (rows, columns))
