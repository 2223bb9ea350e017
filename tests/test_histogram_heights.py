"""Heights of histograms: what SciPy says of them, and what they cannot see."""

import warnings

import numpy as np
import pytest
import scipy.stats

from cosmogan_jax.compare.two_sample.histogram_heights import (
    NUM_BINS,
    _height_statistics,
    _ks_table,
    _square_table,
    height_tests,
    power_under_shift,
)
from cosmogan_jax.compare.two_sample.mode_tests import permutation_tests


def test_ks_between_heights_equals_scipy():
    rng = np.random.default_rng(0)
    one, two = rng.integers(0, 40, size=(2, 25, NUM_BINS)) / 10
    two[:, 15:] = one[:, 15:]
    steps, _ = _height_statistics(one, two)
    table = _ks_table(NUM_BINS)
    for row in range(25):
        expected = scipy.stats.ks_2samp(one[row], two[row], method="exact")
        assert steps[row] / NUM_BINS == pytest.approx(expected.statistic, abs=1e-12)
        assert table[steps[row]] == pytest.approx(expected.pvalue, rel=1e-9)


def test_anderson_darling_between_heights_is_scipys_up_to_its_normalisation():
    # SciPy's statistic is (A^2 - 1) / sigma with one sigma for all samples of these sizes.
    rng = np.random.default_rng(1)
    one, two = rng.integers(0, 20, size=(2, 12, NUM_BINS)) / 10
    _, square = _height_statistics(one, two)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # SciPy says that its p is clipped, and that midrank was renamed
        theirs = [scipy.stats.anderson_ksamp([a, b], midrank=False).statistic for a, b in zip(one, two)]
    np.testing.assert_allclose(np.polyfit(theirs, square, 1)[1], 1, rtol=1e-9)
    np.testing.assert_allclose(np.polyval(np.polyfit(theirs, square, 1), theirs), square, rtol=1e-9)


def test_heights_are_blind():
    # Alike or half a sigma apart: most modes above 0.99 and 0.95 either way; the tests with power see it.
    rng = np.random.default_rng(2)
    one, two = rng.gamma(4.0, size=(2, 2000, 40)) * 1e-12
    power = power_under_shift(one, two, seed=0, shifts_sigma=(0.0, 0.5), num_resamples=50)
    assert (power.above_095 > 0.85).all()
    assert (power.above_099[:, 0] > 0.85).all()
    np.testing.assert_allclose(power.above_099[1], power.above_099[0], atol=0.2)
    moved = two + 0.5 * two.std(0)
    each = np.arange(2000)
    tests = permutation_tests(one, moved, each, each, seed=0, num_permutations=199)
    np.testing.assert_array_equal(tests.ks.family_p, 1 / 200)
    # Not blind to everything: one side twice as wide has other heights.
    wide = height_tests(one, 3 * two, seed=0, num_resamples=50)
    assert wide.shares(0.95)[0] < 0.2


def test_modes_that_do_not_vary_and_seeds():
    rng = np.random.default_rng(3)
    one, two = rng.normal(size=(2, 300, 3))
    one[:, 1] = two[:, 1] = 0
    found, again, other = (height_tests(one, two, seed=s, num_resamples=9) for s in (0, 0, 1))
    assert np.isnan([found.ks_p[1], found.anderson_darling_p[1]]).all()
    assert found.shares(0.0) == (1.0, 1.0)
    np.testing.assert_array_equal(found.anderson_darling_p, again.anderson_darling_p)
    assert (found.anderson_darling_p[[0, 2]] != other.anderson_darling_p[[0, 2]]).any()


@pytest.mark.parametrize(
    ("one", "kwargs", "message"),
    [
        (np.zeros((5, 2)), {}, "of equal modes"),
        (np.full((5, 3), np.inf), {}, "must be finite"),
        (np.zeros((5, 3)), {"num_bins": 1}, "num_bins=1"),
        (np.zeros((5, 3)), {"num_resamples": 0}, "num_resamples=0"),
    ],
)
def test_bad_input(one, kwargs, message):
    with pytest.raises(ValueError, match=message):
        height_tests(one, np.zeros((5, 3)), seed=0, **kwargs)


def test_the_table_that_all_calls_share_is_what_one_makes_of_it_anew():
    shared = _square_table(7)
    np.testing.assert_array_equal(shared, _square_table.__wrapped__(7))
    with pytest.raises(ValueError, match="read-only"):
        shared[0] = 1
