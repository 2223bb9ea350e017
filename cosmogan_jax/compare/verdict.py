"""The verdict on generated maps: within which margins they agree with validation maps, and where they do not.

Each effect of each quantity is judged in every band by its excess distance (`compare/excess.py`) and a margin:

    fail            the 95 % lower limit of the excess is above margin^2: disagreement is shown
    yardstick off   not failed, and the baseline's own distance has its lower limit above margin^2: real maps
                    disagree among themselves by more than is to be judged, and nothing passes by them
    pass            the 95 % upper limit of the excess is below margin^2: agreement is shown
    not resolvable  none of these, and equal ensembles of these sizes would not be expected to pass; or too few
                    parents for any margin, so that no verdict is given
    undecided       none of these, though the maps would suffice

Real maps excuse no more than margin^2 of a difference, however far they are apart themselves: that caps the
excess. Failing to tell two sets apart is no pass. An effect passes if every band does. That is a claim about
all bands at once, made wrongly only if some band beyond its margin passes, and that band's own chance of it is
at most 5 %: the many bands need no correction (intersection-union test, Berger 1982), though they cost power.
A fail in any band fails the effect: with one of n bands exactly at its margin the chance is 5 %, with all n at
most 5 n %; for equal ensembles, whose excess of 0 lies well inside, it is next to none.

Margins depend on the parents of the smallest set compared (a half of validation where halves are the baseline):
what a thousand parents resolve two hundred do not. Effects and their margins, 1000 parents | 200 parents:

    mean                relative difference                                   1 %  | 2 %
    mean (scatter)      in units of the validation scatter over maps          0.1  | 0.2
    scatter             relative difference                                   3 %  | 5 %
    correlation         rms difference over a 6 by 6 block of bands           0.02 | 0.03
    covariance slope    from 1                                                0.05 | 0.10

What resolves them: with an auxiliary set as large as validation, equal ensembles give limits whose root is on
average 2.0 standard errors of validation's own mean where generated maps add no noise, 3.4 where they add as
much. More generated maps, and more crops of each parent, are the cheap way to a verdict.

The mean's unit is the quantity's choice. Relative differences suit what is positive by construction (power
spectrum, variance, peak counts). Where values of either sign may average to nearly nothing (V2, bispectrum,
skewness) or be rare (pixels far from the mean) the unit is the scatter: a shift of 0.1 sigma moves no more than
4 % of a normal distribution across any threshold, and the means of two sets of 1000 maps, each known to
0.03 sigma, can show little less.
"""

from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple

import numpy as np
from jaxtyping import Float, Shaped

from cosmogan_jax.compare.effects import (
    Effect,
    correlation_blocks,
    correlation_differences,
    covariance_slope,
    interval,
    mean_shifts,
    relative_means,
    relative_scatters,
)
from cosmogan_jax.compare.excess import Limits, excess_distance, halves, squared_distance
from cosmogan_jax.compare.resamples import (
    NUM_RESAMPLES,
    Ensemble,
    Resampling,
    ensemble,
    resample,
    together,
)

Baseline = Literal["auxiliary", "halves of validation"]
Outcome = Literal["pass", "fail", "yardstick off", "undecided", "not resolvable"]


class Margins(NamedTuple):
    """Margins of the effects for sets of `parents` or more."""

    parents: int
    mean: float
    mean_in_scatter: float
    scatter: float
    correlation: float
    slope: float


# From the tightest.
MARGINS = (Margins(1000, 0.01, 0.1, 0.03, 0.02, 0.05), Margins(200, 0.02, 0.2, 0.05, 0.03, 0.10))


class MapSet(NamedTuple):
    """Statistics of a set of maps by the quantity's name, and the parent of each map."""

    values: Mapping[str, Float[np.ndarray, "maps bands"]]
    parents: Shaped[np.ndarray, " maps"]


class Quantity(NamedTuple):
    """A statistic to be judged: its name in `MapSet.values`, a label for each band, how it is judged.

    mean_unit: "mean" for relative differences, "scatter" for units of the validation scatter.
    covariance: whether correlations and the covariance slope are judged too (2 to 40 bands).
    used_by_selection: whether the generator was chosen by this statistic: agreement is then partly by choice.
    """

    name: str
    bands: tuple[str, ...]
    mean_unit: Literal["mean", "scatter"] = "mean"
    covariance: bool = False
    used_by_selection: bool = False


class Judged(NamedTuple):
    """One effect of one quantity. Arrays are over `bands` (for correlations: blocks; for the slope: one).

    effect, effect_lower, effect_upper: generated against validation, with 95 % limits. Of correlations, the
      debiased mean square difference, like `value`.
    distance, distance_upper: the squared distance of generated from validation maps itself, free of noise in
      the mean, with its 95 % upper limit; no yardstick.
    baseline_effect: the same as effect of auxiliary against validation, or of its two halves.
    baseline_lower: 95 % lower limit of its squared distance.
    value, lower, upper: the excess distance, a square, with 95 % limits of each side.
    margin: not squared; NaN where there are too few parents for a verdict.
    resolvable: root of the upper limit that equal ensembles would be expected to give, in the margin's unit.
    outcome: of all bands together.
    """

    quantity: str
    name: str
    bands: tuple[str, ...]
    effect: Float[np.ndarray, " bands"]
    effect_lower: Float[np.ndarray, " bands"]
    effect_upper: Float[np.ndarray, " bands"]
    distance: Float[np.ndarray, " bands"]
    distance_upper: Float[np.ndarray, " bands"]
    baseline_effect: Float[np.ndarray, " bands"]
    baseline_lower: Float[np.ndarray, " bands"]
    value: Float[np.ndarray, " bands"]
    lower: Float[np.ndarray, " bands"]
    upper: Float[np.ndarray, " bands"]
    margin: float
    resolvable: Float[np.ndarray, " bands"]
    outcomes: tuple[Outcome, ...]
    outcome: Outcome
    used_by_selection: bool
    num_parents: int
    baseline: Baseline


class _Sets(NamedTuple):
    """One quantity of all sets; the baseline is of `first` against `second`."""

    generated: Ensemble
    validation: Ensemble
    first: Ensemble
    second: Ensemble


def margins_for(num_parents: int) -> Margins | None:
    """The margins that so many parents allow; None if no verdict is given."""
    return next((margins for margins in MARGINS if num_parents >= margins.parents), None)


def judge(
    generated: MapSet,
    validation: MapSet,
    auxiliary: MapSet | None,
    quantities: Sequence[Quantity],
    *,
    seed: int,
    num_resamples: int = NUM_RESAMPLES,
) -> list[Judged]:
    """Every effect of every quantity; two of each, or four where covariance is judged.

    auxiliary: maps that are independent of validation (other boxes). Without them the baseline is one random
      half of the validation parents against the other.

    Raises:
      ValueError: fewer than ten parents in a set (twenty in validation without an auxiliary set), sets that
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
    found = []
    for quantity in quantities:
        values_v = _values("validation", validation, quantity)
        parts = [values_v[maps] for maps in order]
        whole = _ensemble("validation", np.concatenate(parts), resampling_v, quantity)
        if auxiliary is None:
            pair = [
                _ensemble("half of validation", part, by, quantity)
                for part, by in zip(parts, (first, second), strict=True)
            ]
        else:
            pair = [_ensemble("auxiliary", _values("auxiliary", auxiliary, quantity), first, quantity), whole]
        of_generated = _ensemble("generated", _values("generated", generated, quantity), resampling_g, quantity)
        found += _judged(quantity, _Sets(of_generated, whole, *pair), num_parents, baseline)
    return found


def overall(judged: Sequence[Judged]) -> dict[str, Outcome]:
    """The outcome of each quantity: pass if every effect passes, fail if one fails."""
    names = dict.fromkeys(one.quantity for one in judged)
    return {name: _joined([one.outcome for one in judged if one.quantity == name]) for name in names}


def _judged(quantity: Quantity, sets: _Sets, num_parents: int, baseline: Baseline) -> list[Judged]:
    margins = margins_for(num_parents)
    relative = quantity.mean_unit == "mean"
    named = {
        "mean": (relative_means if relative else mean_shifts, "mean" if relative else "mean_in_scatter"),
        "scatter": (relative_scatters, "scatter"),
    }
    if quantity.covariance:
        named |= {
            "correlation": (correlation_differences, "correlation"),
            "covariance slope": (covariance_slope, "slope"),
        }
    found = []
    for name, (measure, margin_name) in named.items():
        x = measure(sets.generated, sets.validation)
        y = measure(sets.first, sets.second)
        margin = getattr(margins, margin_name) if margins else float("nan")
        cap = margin**2 if margins else np.inf
        blocks = None
        if name == "correlation":
            labelled = correlation_blocks(len(quantity.bands))
            blocks = list(labelled.values())
            bands = tuple(_block_label(quantity.bands, *key) for key in labelled)
        else:
            bands = quantity.bands if len(x.value) == len(quantity.bands) else ("all",)
        distance, yardstick = squared_distance(x, blocks), squared_distance(y, blocks)
        limits = excess_distance(x, y, blocks, cap)
        if blocks is None:
            effect, baseline_effect = interval(x, num_parents), y.value
        else:
            effect, baseline_effect = Effect(*distance[:3]), yardstick.value
        outcomes = _outcomes(limits, yardstick.lower, margin)
        found.append(
            Judged(
                quantity.name, name, bands, *effect, distance.value, distance.upper, baseline_effect,
                yardstick.lower, limits.value, limits.lower, limits.upper, margin,
                _root(limits.expected), outcomes, _joined(outcomes), quantity.used_by_selection, num_parents,
                baseline,
            )
        )  # fmt: skip
    return found


def _outcomes(limits: Limits, yardstick_lower: np.ndarray, margin: float) -> tuple[Outcome, ...]:
    # A NaN (no margin, no slope) compares as False everywhere: not resolvable.
    bands = zip(limits.lower, limits.upper, limits.expected, yardstick_lower, strict=True)
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


def _values(name: str, maps: MapSet, quantity: Quantity) -> np.ndarray:
    if quantity.name not in maps.values:
        raise ValueError(f"{name} has no {quantity.name}, but {', '.join(maps.values) or 'nothing'}")
    values = np.asarray(maps.values[quantity.name])
    if values.shape != (len(maps.parents), len(quantity.bands)):
        shape = f"({len(maps.parents)}, {len(quantity.bands)})"
        raise ValueError(f"{quantity.name} of {name} of shape {values.shape} must be (maps, bands) {shape}")
    return values


def _ensemble(name: str, values: np.ndarray, resampling: Resampling, quantity: Quantity) -> Ensemble:
    return ensemble(f"{quantity.name} of {name}", values, resampling)
