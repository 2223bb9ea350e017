"""The verdict on generated maps: within which margins they agree with validation maps, and where they do not.

Each effect of each quantity is judged in every band by its excess distance (`compare/excess.py`) and a margin
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

Effects, with the default margins and the tight ones:

    mean                relative difference                                   5 %   1 %
    mean (scatter)      in units of the validation scatter over maps          0.2   0.1
    scatter             relative difference                                   10 %  3 %
    correlation         rms difference over a 6 by 6 block of bands           0.05  0.02
    covariance slope    from 1                                                0.1   0.05

What resolves them: with an auxiliary set as large as validation, equal ensembles give limits whose root is on
average 2.0 standard errors of validation's own mean where generated maps add no noise, 3.4 where they add as
much; the worst of many bands lies at four to five. More generated maps, and more crops of each parent, are the
cheap way to a verdict; `compare/needs.py` says how many.

The mean's unit is the quantity's choice. Relative differences suit what is positive by construction (power
spectrum, variance). Where values of either sign may average to nearly nothing (V2, bispectrum,
skewness) or be rare (pixels far from the mean) the unit is the scatter: a shift of 0.2 sigma moves no more than
8 % of a normal distribution across any threshold. Of what is rare in a map the mean alone is judged
(`effects.long_tailed`).
"""

from collections.abc import Iterator, Sequence
from typing import Literal, NamedTuple

import numpy as np
from jaxtyping import Float

from cosmogan_jax.compare import needs as planning
from cosmogan_jax.compare.effects import (
    Effect,
    correlation_blocks,
    correlation_differences,
    covariance_slope,
    interval,
    long_tailed,
    mean_shifts,
    relative_means,
    relative_scatters,
)
from cosmogan_jax.compare.excess import Limits, excess_distance, squared_distance
from cosmogan_jax.compare.parents import halves
from cosmogan_jax.compare.quantities import Compared, MapSet, Measure, Quantity, ensemble_of, values_of
from cosmogan_jax.compare.resamples import NUM_RESAMPLES, Resampling, resample, together
from cosmogan_jax.settings.margins import SETS, Margins

Baseline = Literal["auxiliary", "halves of validation"]
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
) -> list[Judged]:
    """Every effect of every quantity; two of each, or four where covariance is judged.

    auxiliary: maps that are independent of validation (other boxes). Without them the baseline is one random
      half of the validation parents against the other.

    Raises:
      ValueError: fewer than five parents in a set (ten in validation without an auxiliary set), sets that
        lack a quantity or differ in its bands, constant bands, values that are not finite.
    """
    numbers = {"seed": seed, "num_resamples": num_resamples}
    resampling_g = _resampled("generated", generated.parents, stream=0, **numbers)
    if auxiliary is None:
        order = list(halves(validation.parents, seed=seed))
        first, second = (
            _resampled("half of validation", np.asarray(validation.parents)[maps], stream=1 + at, **numbers)
            for at, maps in enumerate(order)
        )
        resampling_v = together(first, second)
    else:
        order = [np.arange(len(validation.parents))]
        resampling_v = second = _resampled("validation", validation.parents, stream=1, **numbers)
        first = _resampled("auxiliary", auxiliary.parents, stream=2, **numbers)
    num_parents = min(sample.num_parents for sample in (resampling_g, first, second))

    baseline: Baseline = "halves of validation" if auxiliary is None else "auxiliary"
    family = sum(map(_num_effects, quantities))
    found = []
    for quantity in quantities:
        values_v = values_of("validation", validation, quantity)
        parts = [values_v[maps] for maps in order]
        whole = ensemble_of("validation", np.concatenate(parts), resampling_v, quantity)
        if auxiliary is None:
            pair = [
                ensemble_of("half of validation", part, by, quantity)
                for part, by in zip(parts, (first, second), strict=True)
            ]
        else:
            pair = [
                ensemble_of("auxiliary", values_of("auxiliary", auxiliary, quantity), first, quantity),
                whole,
            ]
        of_generated = ensemble_of(
            "generated", values_of("generated", generated, quantity), resampling_g, quantity
        )
        found += _judged(quantity, Compared(of_generated, whole, *pair), num_parents, family, baseline, margins)
    return found


def overall(judged: Sequence[Judged]) -> dict[str, Outcome]:
    """The outcome of each quantity: pass if every effect passes, fail if one fails."""
    names = dict.fromkeys(one.quantity for one in judged)
    return {name: _joined([one.outcome for one in judged if one.quantity == name]) for name in names}


class _Asked(NamedTuple):
    """One effect of a quantity: how it is measured, of which sets, what its results are of, in which blocks."""

    name: str
    measure: Measure
    margin: float
    sets: Compared
    bands: tuple[str, ...]
    blocks: list[np.ndarray] | None = None


def _asked(quantity: Quantity, sets: Compared, margins: Margins) -> Iterator[_Asked]:
    relative = quantity.mean_unit == "mean"
    measure, margin = (relative_means, margins.mean) if relative else (mean_shifts, margins.mean_in_scatter)
    yield _Asked("mean", measure, margin, sets, quantity.bands)
    # Of what is rare in a map the mean is judged, the scatter over maps is not.
    kept = np.flatnonzero(~long_tailed(sets.validation))
    if len(kept):
        some = Compared(*(one._replace(values=one.values[:, kept]) for one in sets))
        yield _Asked(
            "scatter", relative_scatters, margins.scatter, some, tuple(quantity.bands[i] for i in kept)
        )
    if quantity.covariance:
        labelled = correlation_blocks(len(quantity.bands))
        bands = tuple(_block_label(quantity.bands, *key) for key in labelled)
        yield _Asked(
            "correlation", correlation_differences, margins.correlation, sets, bands, list(labelled.values())
        )
        yield _Asked("covariance slope", covariance_slope, margins.slope, sets, ("all",))


def _judged(
    quantity: Quantity, sets: Compared, num_parents: int, family: int, baseline: Baseline, margins: Margins
) -> list[Judged]:
    found = []
    for name, measure, margin, of_sets, bands, blocks in _asked(quantity, sets, margins):
        x = measure(of_sets.generated, of_sets.validation)
        y = measure(of_sets.first, of_sets.second)
        of_these = {"num_parents": num_parents, "family": family}
        distance, yardstick = (squared_distance(one, blocks, **of_these) for one in (x, y))
        limits = excess_distance(x, y, blocks, margin**2, **of_these)
        if blocks is None:
            effect, baseline_effect = interval(x, num_parents), y.value
        else:
            effect, baseline_effect = Effect(*distance[:3]), yardstick.value
        outcomes = _outcomes(limits, yardstick.sure, margin)
        outcome = _joined(outcomes)
        reach, needs = planning.reach(limits), None
        if outcome in ("not resolvable", "undecided"):
            needs = planning.of_effect(measure, of_sets, blocks, margin, num_parents, reach)
        found.append(
            Judged(
                quantity.name, name, bands, *effect, distance.value, distance.upper, distance.expected,
                baseline_effect, yardstick.sure, limits.value, limits.lower, limits.upper, limits.sure, margin,
                _root(limits.expected), reach, outcomes, outcome, quantity.used_by_selection,
                num_parents, baseline, needs,
            )
        )  # fmt: skip
    return found


def _num_effects(quantity: Quantity) -> int:
    """Bands of all effects, blocks of correlations counted as one."""
    count = 2 * len(quantity.bands)
    return count + len(correlation_blocks(len(quantity.bands))) + 1 if quantity.covariance else count


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


def _resampled(name: str, parents: np.ndarray, **numbers) -> Resampling:
    try:
        return resample(parents, **numbers)
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from None
