"""Excess distances: their limits by Monte Carlo, closed forms, and halves of parents.

Independent modes of one set of maps are independent trials of the whole procedure: crops, parents, bootstrap.
"""

import numpy as np
import pytest

from cosmogan_jax.compare.effects import excess
from cosmogan_jax.compare.effects.differences import Difference, mean_shifts
from cosmogan_jax.compare.effects.excess import excess_distance, squared_distance
from cosmogan_jax.compare.effects.resamples import ensemble, resample, together

RNG = np.random.default_rng()
TRIALS = 1000
# 95 % are promised; 1000 trials know a coverage to 0.7 %, and three of those are allowed.
LEAST_COVERAGE = 0.93
PARENTS, CROPS = 60, 3
# Variance of a set's mean: 0.6 of a map's variance is its parent's.
VARIANCE = 0.6 / PARENTS + 0.4 / (PARENTS * CROPS)


@pytest.fixture(autouse=True)
def few_null_draws(monkeypatch):
    """An effect's own limits do not depend on them; of a thousand effects eight each are plenty for a mean."""
    monkeypatch.setattr(excess, "_NULL_DRAWS", 8)


@pytest.fixture(autouse=True)
def same_maps():
    """Every test's maps are its own, whichever tests run before it."""
    RNG.bit_generator.state = np.random.default_rng(11).bit_generator.state


def maps(modes, shift=0.0):
    of_parent = np.repeat(RNG.normal(size=(PARENTS, modes)), CROPS, axis=0)
    return np.sqrt(0.6) * of_parent + np.sqrt(0.4) * RNG.normal(size=(PARENTS * CROPS, modes)) + shift


def set_of(name, values, stream):
    parents = np.arange(PARENTS * CROPS) // CROPS
    return ensemble(name, values, resample(parents, seed=1, stream=stream, num_resamples=200))


def differences(x, y, modes=TRIALS):
    """Trials with true differences x and y, in standard errors of a set's mean, against a shared validation."""
    unit = np.sqrt(VARIANCE)
    generated = set_of("generated", maps(modes, x * unit), 0)
    validation = set_of("validation", maps(modes), 1)
    auxiliary = set_of("auxiliary", maps(modes, y * unit), 2)
    return mean_shifts(generated, validation), mean_shifts(auxiliary, validation)


@pytest.mark.parametrize(("x", "y"), [(0, 0), (2.5, 0), (5, 0), (3, 3), (0, 3)])
def test_limits_cover_the_true_excess(x, y):
    found = excess_distance(*differences(x, y))
    true = (x**2 - y**2) * VARIANCE
    assert np.mean(found.upper >= true) >= LEAST_COVERAGE
    assert np.mean(found.lower <= true) >= LEAST_COVERAGE
    # Debiased: the mean of all trials is the true excess, to four standard errors and the scatter's own 2 %
    # of x^2 (its unit is estimated from 60 parents).
    spread = found.value.std() / np.sqrt(TRIALS)
    assert abs(found.value.mean() - true) < 4 * spread + 0.03 * (x**2 + y**2) * VARIANCE
    assert (found.lower <= found.value).all()
    assert (found.value <= found.upper).all()
    if x == y == 0:
        # What is resolvable is what equal ensembles give on average.
        assert found.expected.mean() == pytest.approx(found.upper.mean(), rel=0.1)


@pytest.mark.parametrize(("x", "y"), [(0, 0), (2, 0), (4, 0)])
def test_limits_of_blocks_cover_the_true_excess(x, y):
    blocks = list(np.arange(8 * 400).reshape(400, 8))
    found = excess_distance(*differences(x, y, 8 * 400), blocks)
    true = (x**2 - y**2) * VARIANCE
    assert np.mean(found.upper >= true) >= LEAST_COVERAGE
    assert np.mean(found.lower <= true) >= LEAST_COVERAGE
    if x == y == 0:
        assert found.expected.mean() == pytest.approx(found.upper.mean(), rel=0.1)


@pytest.mark.parametrize(
    ("x", "y", "cap"), [(0, 0, 3), (3, 3, 3), (6, 7.5, 3), (5, 4, 4), (2, 6, 3), (4, 0, 3)]
)
@pytest.mark.parametrize("modes_of_a_block", [1, 8])
def test_no_more_than_the_cap_is_excused(x, y, cap, modes_of_a_block):
    modes = TRIALS if modes_of_a_block == 1 else 8 * 400
    blocks = None if modes_of_a_block == 1 else list(np.arange(modes).reshape(-1, 8))
    found = excess_distance(*differences(x, y, modes), blocks, cap**2 * VARIANCE)
    true = (x**2 - min(y, cap) ** 2) * VARIANCE
    assert np.mean(found.upper >= true) >= LEAST_COVERAGE
    # The branch is chosen by its estimate: where both are alike a lower limit may be 1 % too often too high.
    assert np.mean(found.lower <= true) >= LEAST_COVERAGE - 0.01
    assert (found.lower <= found.value).all()
    assert (found.value <= found.upper).all()


def test_capped_limits_are_those_of_the_larger_difference():
    """The lower limit of the one whose estimate is larger, the upper limit the larger one of both."""
    modes = 400
    x, y = differences(4, 3, modes)
    alone, free = squared_distance(x), excess_distance(x, y)
    for cap in (5.0**2 * VARIANCE, 2.0**2 * VARIANCE):
        found = excess_distance(x, y, cap=cap)
        by_cap = alone.value - cap > free.value
        assert 10 < by_cap.sum() < modes - 10
        np.testing.assert_allclose(found.value, np.maximum(free.value, alone.value - cap))
        np.testing.assert_allclose(found.lower, np.where(by_cap, alone.lower - cap, free.lower))
        np.testing.assert_allclose(found.upper, np.maximum(free.upper, alone.upper - cap))


@pytest.mark.parametrize("off", [1, 1.5, 2, 3])
def test_a_yardstick_that_is_off_passes_no_generator_that_is(off):
    """In margins of 2.5 errors: the generator 2 of them off, auxiliary maps 1 to 3."""
    margin = 2.5
    x, y = differences(2 * margin, off * margin)
    cap = margin**2 * VARIANCE
    passes = (excess_distance(x, y, cap=cap).upper < cap) & (squared_distance(y).lower <= cap)
    assert passes.mean() < 0.05
    if off == 2:  # without the cap it would
        assert (excess_distance(x, y).upper < cap).mean() > 0.05


def test_halves_as_baseline_cover_no_excess():
    first, second = maps(TRIALS), maps(TRIALS)
    one, two = set_of("half", first, 1), set_of("half", second, 2)
    whole = ensemble("validation", np.concatenate([first, second]), together(one.resampling, two.resampling))
    generated = set_of("generated", maps(TRIALS), 0)
    found = excess_distance(mean_shifts(generated, whole), mean_shifts(one, two))
    assert np.mean(found.upper >= 0) >= LEAST_COVERAGE
    assert np.mean(found.lower <= 0) >= LEAST_COVERAGE


def test_plain_squares_are_biased_where_debiased_ones_are_not():
    x, _ = differences(0, 0)
    found = squared_distance(x)
    plain = (x.value**2).mean()
    assert plain == pytest.approx(2 * VARIANCE, rel=0.15)
    # Four standard errors: sqrt(2/1000) of the plain square.
    assert abs(found.value.mean()) < 0.18 * plain


def test_limits_of_one_known_effect():
    # Draws of exact mean 0 and deviation s: the limits are (|x| -+ 1.85 s)^2 in closed form.
    draws = RNG.normal(size=(300, 2))
    draws = (draws - draws.mean(0)) / draws.std(0, ddof=1) * 0.1
    found = squared_distance(Difference(np.array([0.5, 0.05]), draws))
    np.testing.assert_allclose(found.value, [0.25 - 0.01, 0.0025 - 0.01], rtol=1e-9)
    # 180 angles: extremes of a circle to 1e-4.
    np.testing.assert_allclose(found.upper, [0.685**2, 0.235**2], rtol=1e-3)
    np.testing.assert_allclose(found.lower[0], 0.315**2, rtol=1e-3)
    assert found.lower[1] == pytest.approx(0.0025 - 0.01)
    in_one = squared_distance(Difference(np.array([0.5, 0.05]), draws), [np.array([0, 1])])
    np.testing.assert_allclose(in_one.value, found.value.mean(), rtol=1e-9)


@pytest.mark.parametrize("side", ["generated", "baseline"])
def test_a_block_of_effects_that_repeat_one_another_has_the_limits_of_one(side):
    """Far from 0, x of error s has X^2 below (x + 1.645 s)^2 at 95 %: 3.7 s^2 more than the gradient says."""
    s, x = 0.1, 10 * 0.1
    draws = RNG.normal(size=(400, 1))
    draws = x + s * (draws - draws.mean()) / draws.std(ddof=1) * np.ones(6)
    known, nothing = Difference(np.full(6, x), draws), Difference(np.zeros(6), np.zeros((400, 6)))
    block = [np.arange(6)]
    if side == "generated":
        found = excess_distance(known, nothing, block)
        far, near = found.upper[0], found.lower[0]
    else:
        found = excess_distance(nothing, known, block)
        far, near = -found.lower[0], -found.upper[0]
    assert far == pytest.approx((x + 1.645 * s) ** 2, abs=0.2 * s**2)
    # The other limit is on the safe side by as much.
    assert near == pytest.approx((x - 1.645 * s) ** 2 - (1 + 1.645**2) * s**2, abs=0.2 * s**2)


def test_excess_is_blind_to_what_auxiliary_maps_show_too():
    # All of the difference is between validation and everything else: its own accident.
    x, y = differences(6, 6)
    found = excess_distance(x, y)
    assert abs(found.value.mean()) < 0.1 * 36 * VARIANCE
    assert np.mean(squared_distance(x).lower > 0) > 0.9


def test_not_a_number_stays_one():
    x, y = differences(0, 0, 3)
    value = x.value.copy()
    value[1] = np.nan
    found = excess_distance(Difference(value, x.draws), y)
    np.testing.assert_array_equal(np.isnan(found.upper), [False, True, False])


def test_bad_input():
    x, y = differences(0, 0, 3)
    with pytest.raises(ValueError, match="must be alike"):
        excess_distance(x, Difference(y.value[:2], y.draws[:, :2]))
    with pytest.raises(ValueError, match="a block holds no effect"):
        excess_distance(x, y, [np.array([], int)])


def test_limits_of_few_parents_are_students():
    """One effect far from 0, where limits are linear in the quantile and in the bootstrap's lost freedom."""
    noise = np.random.default_rng(3).normal(size=(400, 1))
    generated = Difference(np.array([1.0]), 1 + 0.004 * noise)
    baseline = Difference(np.zeros(1), 0.004 * noise[::-1])
    many, few = (excess_distance(generated, baseline, num_parents=parents) for parents in (None, 5))
    # t of 4 degrees of freedom at 95 % is 2.132, a normal quantile 1.645; sqrt(5/4) for the variance of five.
    expected = 2.132 / 1.645 * np.sqrt(5 / 4)
    for limit in ("upper", "lower"):
        width = [float(np.abs(getattr(found, limit) - found.value)[0]) for found in (many, few)]
        assert width[1] / width[0] == pytest.approx(expected, rel=0.05)
