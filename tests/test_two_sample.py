"""Two-sample tests against SciPy, and their levels and power on maps that hang together by parent."""

import warnings

import numpy as np
import pytest
import scipy.stats

from cosmogan_jax.compare.two_sample.family_wise import benjamini_hochberg, permutations_for_fdr, westfall_young
from cosmogan_jax.compare.two_sample.mode_tests import clustered_tests, permutation_tests


def clustered(rng, parents, maps_each, modes, shift=0.0):
    """Gaussian modes; half of the variance is the parent's."""
    own = rng.normal(size=(parents, maps_each, modes))
    values = np.sqrt(0.5) * (rng.normal(size=(parents, 1, modes)) + own) + shift
    return values.reshape(-1, modes), np.repeat(np.arange(parents), maps_each)


def scipy_statistics(one, two):
    """KS, and A^2 undone from scipy's normalisation: Scholz & Stephens, Eq. 4, for two samples."""
    sizes = np.array([len(one), len(two)])
    total = sizes.sum()
    h_, h = (1 / sizes).sum(), (1 / np.arange(1, total)).sum()
    g = sum((1 / (total - i) / np.arange(i + 1, total)).sum() for i in range(1, total - 1))
    a = 4 * g - 6 + (10 - 6 * g) * h_
    b = 4 * (2 * g - 4) + 16 * h + (2 * g - 14 * h - 4) * h_ - 8 * h + 4 * g - 6
    c = 4 * (6 * h + 2 * g - 2) + 2 * (4 * h - 4 * g + 6) + (2 * h - 6) * h_ + 4 * h
    d = 4 * (2 * h + 6) - 8 * h
    variance = np.polyval([a, b, c, d], total) / ((total - 1) * (total - 2) * (total - 3))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # SciPy says that its p is clipped, and that midrank was renamed
        normalised = scipy.stats.anderson_ksamp([one, two], midrank=False).statistic
    return scipy.stats.ks_2samp(one, two).statistic, normalised * np.sqrt(variance) + 1


@pytest.mark.parametrize("decimals", [None, 1, 0])
def test_statistics_equal_scipy_with_and_without_ties(decimals):
    rng = np.random.default_rng(1)
    one, two = rng.normal(size=(90, 4)), rng.normal(0.3, 1.2, size=(120, 4))
    if decimals is not None:
        one, two = one.round(decimals), two.round(decimals)
    scale = 1e-12  # as a power spectrum: nothing may depend on the unit
    found = permutation_tests(
        one * scale, two * scale, np.arange(90), np.arange(120), seed=0, num_permutations=9
    )
    expected = np.array([scipy_statistics(*sides) for sides in zip(one.T, two.T, strict=True)])
    # Sums of some hundred terms in float32.
    np.testing.assert_allclose(found.ks.statistic, expected[:, 0], rtol=1e-5)
    np.testing.assert_allclose(found.anderson_darling.statistic, expected[:, 1], rtol=1e-5)
    by_bootstrap = clustered_tests(one, two, np.arange(90), np.arange(120), seed=0, num_resamples=9)
    np.testing.assert_allclose(by_bootstrap.ks.statistic, expected[:, 0], rtol=1e-5)
    np.testing.assert_allclose(by_bootstrap.anderson_darling.statistic, expected[:, 1], rtol=1e-5)


def test_p_of_independent_maps_equals_scipys():
    # There the permutation distribution of KS is SciPy's exact one. 9,999 permutations know p to 0.005 at 0.5,
    # four sigma are 0.02; that they come in several blocks of resamples or one must not matter.
    rng = np.random.default_rng(2)
    one, two = rng.normal(size=(60, 6)), rng.normal(0.2, 1, size=(45, 6))
    found = permutation_tests(one, two, np.arange(60), np.arange(45), seed=0, num_permutations=9999)
    exact = [scipy.stats.ks_2samp(*sides, method="exact").pvalue for sides in zip(one.T, two.T, strict=True)]
    np.testing.assert_allclose(found.ks.p, exact, atol=0.02)


def test_blocks_of_resamples_do_not_matter(monkeypatch):
    rng = np.random.default_rng(3)
    data = (*clustered(rng, 25, 3, 5)[:1], *clustered(rng, 20, 3, 5)[:1])
    parents = (np.repeat(np.arange(25), 3), np.repeat(np.arange(20), 3))
    whole = [test(*data, *parents, seed=4) for test in (permutation_tests, clustered_tests)]
    monkeypatch.setattr("cosmogan_jax.compare.two_sample.mode_tests._BLOCK_BYTES", 4 * 135 * 300)
    for one, test in zip(whole, (permutation_tests, clustered_tests), strict=True):
        again = test(*data, *parents, seed=4)
        np.testing.assert_allclose(one.ks.p, again.ks.p, atol=1e-12)
        np.testing.assert_allclose(one.anderson_darling.family_p, again.anderson_darling.family_p, atol=1e-12)
        assert (test(*data, *parents, seed=5).ks.p != one.ks.p).any()


def test_level_on_crops_of_common_parents():
    # 600 independent modes are 600 trials of a true null: 5 % to 0.9 %, four sigma 3.6 %.
    rng = np.random.default_rng(5)
    (one, parents_one), (two, parents_two) = clustered(rng, 20, 8, 600), clustered(rng, 20, 8, 600)
    by_parent = permutation_tests(one, two, parents_one, parents_two, seed=0, num_permutations=199)
    by_crop = permutation_tests(one, two, np.arange(160), np.arange(160), seed=0, num_permutations=199)
    for test in (by_parent.ks, by_parent.anderson_darling):
        assert (test.p <= 0.05).mean() == pytest.approx(0.05, abs=0.036)
        # Uniform to what 600 draws know (2.2/sqrt(600): p of 1e-4); few values of KS are possible.
        assert scipy.stats.kstest(test.p, "uniform").statistic < 2.2 / np.sqrt(600) + 0.03
    # What permuting crops would say of the same maps.
    for test in (by_crop.ks, by_crop.anderson_darling):
        assert (test.p <= 0.05).mean() > 0.25


def test_level_of_the_clustered_form():
    # 50 parents of 8 crops, against 50 others of 3 (unequal kinds) and against 400 single maps.
    rng = np.random.default_rng(6)
    one, parents_one = clustered(rng, 50, 8, 400)
    for sides in (clustered(rng, 50, 3, 400), (rng.normal(size=(400, 400)), np.arange(400))):
        found = clustered_tests(one, sides[0], parents_one, sides[1], seed=0, num_resamples=199)
        assert found.num_parents == (50, len(np.unique(sides[1])))
        for test in (found.ks, found.anderson_darling):
            assert 0.015 < (test.p <= 0.05).mean() < 0.1
        naive = permutation_tests(
            one, sides[0], np.arange(400), np.arange(len(sides[0])), seed=0, num_permutations=199
        )
        assert (naive.ks.p <= 0.05).mean() > 0.15


def test_power_on_a_shift_and_on_a_scatter():
    # Half a sigma: 6 standard errors of the difference between means of 200 parents.
    rng = np.random.default_rng(7)
    one, parents = clustered(rng, 200, 4, 6)
    shifted, _ = clustered(rng, 200, 4, 6, shift=np.array([0.5, 0.5, 0, 0, 0, 0]))
    shifted[:, 2] *= 2
    for test in (permutation_tests, clustered_tests):
        found = test(one, shifted, parents, parents, seed=0)
        for part in (found.ks, found.anderson_darling):
            np.testing.assert_array_equal(part.family_p[:3], 0.001)
            assert (part.p[3:] > 0.001).all()


@pytest.mark.parametrize("modes", ["independent", "one behind all"])
def test_family_wise_level(modes):
    # The smallest family_p of 12 true nulls lies below 10 % in 10 % of 200 trials: 2.1 %, four sigma 8.5 %. The
    # smallest p of independent modes does in 72 %.
    rng = np.random.default_rng(8)
    hits = np.zeros((200, 3))
    for trial in range(len(hits)):
        one, parents = clustered(rng, 10, 2, 12)
        two, _ = clustered(rng, 10, 2, 12)
        if modes == "one behind all":
            one, two = (side[:, :1] + 0.3 * side for side in (one, two))
        found = permutation_tests(one, two, parents, parents, seed=trial, num_permutations=99)
        smallest = [found.ks.family_p.min(), found.anderson_darling.family_p.min(), found.ks.p.min()]
        hits[trial] = np.array(smallest) <= 0.1
    level = hits.mean(0)
    assert level[:2] == pytest.approx(0.1, abs=0.085)
    assert level[2] > (0.5 if modes == "independent" else level[0])


def test_no_mode_speaks_for_all_by_its_size_or_scatter():
    """Six deviations of one mode are as rare beside modes whose statistics are large, or scatter much."""
    rng = np.random.default_rng(8)
    null = rng.normal(size=(199, 3)) * [1, 1, 30] + [0, 100, 0]
    found = westfall_young(np.array([6.0, 100, 0]), null)
    assert found.family_p[0] == found.p[0] == 1 / 200
    assert (found.family_p[1:] > 0.5).all()


def test_modes_that_do_not_vary_are_no_members():
    rng = np.random.default_rng(9)
    one, two = rng.normal(size=(2, 30, 5))
    one[:, 1] = two[:, 1] = 3.0
    one[:, 3], two[:, 3] = 0.0, 1.0  # constant on each side, but not over both
    names = np.array([f"box {i}" for i in range(30)])
    found = permutation_tests(one, two, names, names, seed=0)
    np.testing.assert_array_equal(found.informative, [True, False, True, True, True])
    assert np.isnan([found.ks.p[1], found.ks.family_p[1], found.anderson_darling.statistic[1]]).all()
    assert found.ks.statistic[3] == pytest.approx(1, rel=1e-6)
    assert found.ks.family_p[3] == 0.001
    without = permutation_tests(one[:, [0, 2, 3, 4]], two[:, [0, 2, 3, 4]], names, names, seed=0)
    np.testing.assert_array_equal(found.ks.family_p[found.informative], without.ks.family_p)
    assert found.num_parents == (30, 30)


def test_ties_count_against_a_rejection():
    # One map of 40 differs: every permutation has the same KS, 1/20, whichever side it is on.
    one = np.zeros((20, 1))
    one[3] = 1
    found = permutation_tests(one, np.zeros((20, 1)), np.arange(20), np.arange(20), seed=0)
    assert found.ks.p[0] == found.ks.family_p[0] == 1
    # One in five values of the null is the observed one, in float32's rounding.
    null = np.tile([1.0, 2, 3, 4, 5], 200)[:, None]
    found = westfall_young(np.array([4 * (1 + 1e-6)]), null)
    assert found.p[0] == found.family_p[0] == pytest.approx(0.4, abs=0.001)


def test_false_discoveries_need_permutations():
    p = np.array([1e-4, 2e-4, np.nan, 0.02, 0.5])
    # By hand: p_(k) m / k over the four known, made monotone.
    np.testing.assert_allclose(benjamini_hochberg(p, 9999), [4e-4, 4e-4, np.nan, 0.02 * 4 / 3, 0.5], rtol=1e-12)
    with pytest.raises(
        ValueError, match=r"num_permutations=999 must be at least 9999 .* no fewer than 5 modes"
    ):
        benjamini_hochberg(np.full(246, 0.001), 999)
    with pytest.raises(ValueError, match="must be at least 19999"):
        benjamini_hochberg(np.full(1000, 0.1), 9999)
    assert [permutations_for_fdr(modes) for modes in (12, 248, 1000)] == [9999, 9999, 19999]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"one": np.zeros(5)}, "one of shape \\(5,\\)"),
        ({"two": np.zeros((40, 2))}, "differ in their modes"),
        ({"two": np.full((40, 3), np.nan)}, "two\\[0, 0\\]=nan must be finite"),
        ({"one": np.zeros((40, 3)), "two": np.zeros((40, 3))}, "no mode varies"),
        ({"parents_one": np.arange(4)}, "parents_one.shape=\\(4,\\) must be \\(40,\\)"),
        (
            {"parents_one": np.arange(40) % 5, "parents_two": np.arange(40) % 5},
            "252 ways.*: 7 parents on each side",
        ),
        ({"parents_one": np.arange(40) % 20}, "20 parents of 2 and 40 of 1 maps"),
        # A quarter more maps of a parent, and parents fewer by a quarter.
        (
            {"parents_one": np.arange(40) % 10, "parents_two": np.arange(40) % 8, "num": 99},
            "10 parents of 4 and 8 of 5 maps",
        ),
        ({"num": 0}, "num_permutations=0"),
    ],
)
def test_bad_input_of_permutations(change, message):
    rng = np.random.default_rng(0)
    data = {"one": rng.normal(size=(40, 3)), "two": rng.normal(size=(40, 3))}
    data |= {"parents_one": np.arange(40), "parents_two": np.arange(40), "num": 999} | change
    with pytest.raises(ValueError, match=message):
        permutation_tests(
            data["one"], data["two"], data["parents_one"], data["parents_two"], seed=0,
            num_permutations=data["num"],
        )  # fmt: skip


def test_sides_of_as_many_parents_may_differ_a_little_in_their_sizes():
    values = np.random.default_rng(0).normal(size=(50, 3))
    found = permutation_tests(values[:40], values, np.arange(40) % 10, np.arange(50) % 10, seed=0)
    assert found.num_parents == (10, 10)


def test_bad_input_of_the_clustered_form():
    values = np.random.default_rng(0).normal(size=(40, 3))
    with pytest.raises(ValueError, match=r"20 parents .* of 2 and of 1 maps on average, needs at least 50"):
        clustered_tests(values, values, np.arange(40) % 20, np.arange(40), seed=0)
    with pytest.raises(ValueError, match=r"10 parents on side one are too few: .* at least 20"):
        clustered_tests(values, values, np.arange(40) % 10, np.arange(40) % 10, seed=0)
    with pytest.raises(ValueError, match="num_resamples=0"):
        clustered_tests(values, values, np.arange(40), np.arange(40), seed=0, num_resamples=0)
