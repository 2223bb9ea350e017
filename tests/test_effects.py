"""Effect sizes against closed forms, scipy, another bootstrap, and ensembles that are known to be equal."""

import numpy as np
import pytest
from scipy.stats import wasserstein_distance

from cosmogan_jax.compare import ensembles
from cosmogan_jax.compare.effects.differences import (
    correlation_blocks,
    correlation_differences,
    covariance_slope,
    interval,
    largest_correlation_difference,
    mean_excess_correlation,
    mean_shifts,
    relative_means,
    relative_scatters,
)
from cosmogan_jax.compare.effects.excess import squared_distance
from cosmogan_jax.compare.effects.resamples import covariances, ensemble, resample, together
from cosmogan_jax.compare.effects.wasserstein import wasserstein
from cosmogan_jax.compare.parents import map_weights

RNG = np.random.default_rng()


@pytest.fixture(autouse=True)
def same_maps():
    """Every test's maps are its own, whichever tests run before it."""
    RNG.bit_generator.state = np.random.default_rng(7).bit_generator.state


def mixed(maps, modes, correlation):
    common = RNG.normal(size=(maps, 1))
    return np.sqrt(correlation) * common + np.sqrt(1 - correlation) * RNG.normal(size=(maps, modes))


def pair(generated, validation, parents=None, num_resamples=200):
    parents = np.arange(len(validation)) if parents is None else parents
    of_g = resample(np.arange(len(generated)), seed=3, stream=0, num_resamples=num_resamples)
    of_v = resample(parents, seed=3, stream=1, num_resamples=num_resamples)
    return ensemble("generated", generated, of_g), ensemble("validation", validation, of_v)


def test_moments_of_resamples_are_those_of_the_ensembles_bootstrap():
    # The same draws by another route: weights on maps, one resample after another. Stream 0, power of 1e-11.
    values = 1e-11 * (3 + mixed(120, 5, 0.4))
    parents = RNG.permutation(np.repeat(np.arange(30), 4))
    sample = ensemble("maps", values, resample(parents, seed=5, stream=0, num_resamples=40))
    by_maps = ensembles.bands(values, parents, seed=5, num_resamples=40)
    for found, expected in zip(sample.moments, by_maps, strict=True):
        np.testing.assert_allclose(found[0], expected.value, rtol=1e-12)
        np.testing.assert_allclose(found[1:].std(0, ddof=1), expected.standard_error, rtol=1e-9)
    found = covariances(sample)
    np.testing.assert_allclose(found[0], np.cov(values.T), rtol=1e-11)
    for resampled, weight in zip(found[1:], map_weights(parents, seed=5, num_resamples=40), strict=True):
        np.testing.assert_allclose(resampled, np.cov(values.T, fweights=weight.astype(int)), rtol=1e-9)


def test_two_sets_together_are_drawn_as_each_alone():
    one = resample(np.repeat(np.arange(12), 2), seed=0, stream=1, num_resamples=5)
    two = resample(np.arange(10), seed=0, stream=2, num_resamples=5)
    both = together(one, two)
    of_maps = both.weights[:, both.groups]
    np.testing.assert_array_equal(of_maps[:, :24], one.weights[:, one.groups])
    np.testing.assert_array_equal(of_maps[:, 24:], two.weights[:, two.groups])
    assert not np.array_equal(one.weights[:, :10], two.weights)


def test_streams_and_seeds_are_independent_draws():
    drawn = {
        (seed, stream): resample(np.arange(60), seed=seed, stream=stream, num_resamples=40).weights[1:].ravel()
        for seed in (0, 1)
        for stream in (0, 1, 2)
    }
    # 2400 numbers each: 0.02.
    assert np.abs(np.corrcoef(list(drawn.values())) - np.eye(6)).max() < 0.09


def test_effects_and_errors_of_independent_gaussian_maps():
    # Errors known in closed form; 400 resamples know a standard error to 3.5 %, 15 % is four of those.
    maps = 2000
    generated, validation = pair(10.2 + 1.1 * mixed(maps, 4, 0), 10 + mixed(maps, 4, 0), num_resamples=400)
    mean, shift, scatter = (f(generated, validation) for f in (relative_means, mean_shifts, relative_scatters))
    g, v = generated.values, validation.values
    np.testing.assert_allclose(mean.value, g.mean(0) / v.mean(0) - 1, rtol=1e-9)
    np.testing.assert_allclose(shift.value, (g.mean(0) - v.mean(0)) / v.std(0, ddof=1), rtol=1e-9)
    np.testing.assert_allclose(scatter.value, g.std(0) / v.std(0) - 1, rtol=1e-9)
    both = np.sqrt((1 + 1.1**2) / maps)
    np.testing.assert_allclose(mean.draws.std(0), both / 10, rtol=0.15)
    np.testing.assert_allclose(shift.draws.std(0), both, rtol=0.15)
    np.testing.assert_allclose(scatter.draws.std(0), 1.1 / np.sqrt(maps), rtol=0.15)
    limits = interval(mean, maps)
    np.testing.assert_allclose(limits.upper - limits.value, 1.6456 * both / 10, rtol=0.15)
    np.testing.assert_allclose(limits.value - limits.lower, limits.upper - limits.value)


def test_crops_of_one_parent_widen_the_interval():
    # 100 parents with 20 equal crops each know as much as 100 maps.
    validation = 10 + np.repeat(RNG.normal(size=(100, 3)), 20, axis=0)
    generated = 10 + RNG.normal(size=(20000, 3))
    by_parent = relative_means(*pair(generated, validation, np.repeat(np.arange(100), 20)))
    by_crop = relative_means(*pair(generated, validation))
    ratio = by_parent.draws.std(0) / by_crop.draws.std(0)
    np.testing.assert_allclose(ratio, np.sqrt((1 / 100 + 1 / 20000) / (1 / 2000 + 1 / 20000)), rtol=0.2)


def test_slope_of_scaled_maps():
    values = mixed(4000, 6, 0.5)
    generated, validation = pair(np.sqrt(1.2) * values * [1, 2, 3, 4, 5, 6], values * [1, 2, 3, 4, 5, 6])
    # C_g = 1.2 C_v in every pair and in any units; r = 0.5 of 4000 maps leaves noise of 0.1 % to be taken off.
    assert covariance_slope(generated, validation).value[0] == pytest.approx(0.2, abs=0.005)


def test_slope_of_equal_ensembles_is_free_of_dilution():
    # r = 0.15 of 200 maps: noise of C_v adds 0.005 to 0.0225, so the plain slope is about 0.83.
    plain, found, errors, middles = [], [], [], []
    row, column = np.triu_indices(8, 1)
    of_g = resample(np.arange(800), seed=3, stream=0, num_resamples=60)
    of_v = resample(np.arange(200), seed=3, stream=1, num_resamples=60)
    for _ in range(200):
        generated = ensemble("generated", mixed(800, 8, 0.15), of_g)
        validation = ensemble("validation", mixed(200, 8, 0.15), of_v)
        slope = covariance_slope(generated, validation)
        c_g, c_v = (np.cov(s.values.T)[row, column] for s in (generated, validation))
        plain.append((c_g * c_v).sum() / (c_v**2).sum())
        found.append(1 + slope.value[0])
        errors.append(slope.draws.std())
        middles.append(1 + np.median(slope.draws))
    # The spread of 0.21 leaves 0.02 in the median of 200. A ratio's mean is drawn up by its variance (0.06).
    assert np.median(plain) < 0.9
    # The few sets where noise is over a third of the sum have no slope.
    assert np.isnan(found).mean() < 0.05
    assert abs(np.nanmedian(found) - 1) < 0.06
    # Resamples lie about the slope of their set; with its noise counted once they lie at 0.84 of it.
    assert np.nanmedian(np.divide(middles, found)) == pytest.approx(1.017, abs=0.02)
    # A ratio's tails are heavy: its spread is read from the middle two thirds. The error is 25 % above that.
    middle = np.diff(np.nanpercentile(found, [15.87, 84.13]))[0] / 2
    assert np.nanmedian(errors) == pytest.approx(1.25 * middle, rel=0.15)


def test_slope_of_noise_is_no_number():
    slope = covariance_slope(*pair(mixed(400, 6, 0), mixed(400, 6, 0)))
    assert np.isnan(slope.value).all()
    assert np.isnan(slope.draws).all()


def test_correlation_blocks_hold_every_pair_once():
    blocks = correlation_blocks(12)
    assert {key: len(pairs) for key, pairs in blocks.items()} == {
        ((0, 6), (0, 6)): 15,
        ((0, 6), (6, 12)): 36,
        ((6, 12), (6, 12)): 15,
    }
    row, column = np.triu_indices(12, 1)
    across = blocks[(0, 6), (6, 12)]
    assert (row[across] < 6).all()
    assert (column[across] >= 6).all()
    for modes in (2, 7, 13, 20):
        pairs = np.sort(np.concatenate(list(correlation_blocks(modes).values())))
        np.testing.assert_array_equal(pairs, np.arange(modes * (modes - 1) // 2))
    assert list(correlation_blocks(13)) == [((0, 6), (0, 6)), ((0, 6), (6, 13)), ((6, 13), (6, 13))]


def test_block_differences_of_correlation_are_debiased():
    # Equal ensembles: the plain mean square is 2 (1 - r^2)^2/N, the debiased one 0 on average.
    plain, debiased = [], []
    for _ in range(40):
        difference = correlation_differences(*pair(mixed(300, 6, 0.3), mixed(300, 6, 0.3), num_resamples=100))
        plain.append((difference.value**2).mean())
        debiased.append(squared_distance(difference, [np.arange(15)]).value[0])
    noise = 2 * (1 - 0.3**2) ** 2 / 300
    assert np.mean(plain) == pytest.approx(noise, rel=0.2)
    # Four standard errors of the mean of 40; the bootstrap's own variance is off by order 1/N.
    assert abs(np.mean(debiased)) < 4 * np.std(debiased) / np.sqrt(40) + 0.03 * noise


def test_planted_correlation_is_found():
    # A part common to all modes raises every correlation from 0.2 to 0.3, low against high too.
    generated, validation = pair(mixed(4000, 12, 0.3), mixed(4000, 12, 0.2))
    difference = correlation_differences(generated, validation)
    found = squared_distance(difference, list(correlation_blocks(12).values()))
    np.testing.assert_allclose(np.sqrt(found.value), 0.1, atol=0.03)
    assert (found.lower > 0.05**2).all()
    low = np.arange(12) < 4
    excess = mean_excess_correlation(difference, low, ~low)
    limits = interval(excess, 4000)
    assert excess.value[0] == pytest.approx(0.1, abs=4 * excess.draws.std())
    assert limits.lower[0] > 0.05
    r_g, r_v = np.corrcoef(generated.values.T), np.corrcoef(validation.values.T)
    assert excess.value[0] == pytest.approx((r_g - r_v)[:4, 4:].mean(), rel=1e-9)
    assert largest_correlation_difference(difference).value == pytest.approx(np.abs(r_g - r_v).max(), rel=1e-9)


def test_largest_difference_of_equal_ensembles_is_noise():
    above = 0
    for _ in range(40):
        sample = pair(mixed(300, 8, 0.3), mixed(300, 8, 0.3), num_resamples=100)
        found = largest_correlation_difference(correlation_differences(*sample))
        above += found.value > found.noise_upper
        assert 0 < found.noise_mean < found.noise_upper
    # 5 % of 40 are two; eight or more have a chance of 1e-3.
    assert above < 8


def test_wasserstein_equals_scipy_and_a_shift():
    validation = RNG.gamma(2, size=(300, 3))
    generated = RNG.gamma(3, size=(200, 3))
    found = wasserstein(*pair(generated, validation))
    for mode in range(3):
        expected = wasserstein_distance(generated[:, mode], validation[:, mode])
        assert found.value[mode] == pytest.approx(expected / validation[:, mode].std(ddof=1), rel=1e-5)
    shifted = wasserstein(*pair(validation + 0.7 * validation.std(0, ddof=1), validation))
    np.testing.assert_allclose(shifted.value, 0.7, rtol=1e-5)
    assert (shifted.lower > 0.4).all()


def test_wasserstein_of_equal_ensembles_is_its_noise():
    # 60 independent modes are 60 trials: the mean over them, to four standard errors.
    found = wasserstein(*pair(RNG.normal(size=(400, 60)), RNG.normal(size=(400, 60))))
    spread = found.value.std() / np.sqrt(60)
    assert found.value.mean() == pytest.approx(found.noise_mean.mean(), abs=4 * spread)
    # A limit above 0 at 95 %: three of 60 expected, ten have a chance of 1e-3.
    assert (found.lower > 0).sum() < 10


@pytest.mark.parametrize(
    ("generated", "message"),
    [
        (np.full((40, 3), np.nan), "generated: values\\[0, 0\\]=nan"),
        (np.ones((40, 3)), "generated: modes \\[0, 1, 2\\] are constant over the maps"),
        (np.eye(40)[:, :2], "generated has 2 modes and validation 3"),
        (np.zeros(40), "generated: values.shape=\\(40,\\)"),
    ],
)
def test_bad_maps(generated, message):
    with pytest.raises(ValueError, match=message):
        mean_shifts(*pair(generated, RNG.normal(size=(50, 3))))


def test_bad_requests():
    values = RNG.normal(size=(50, 3))
    good = resample(np.arange(50), seed=0, stream=0, num_resamples=20)
    with pytest.raises(ValueError, match="4 parents are too few: an interval needs at least 5"):
        resample(np.arange(4), seed=0, stream=0)
    with pytest.raises(ValueError, match="num_resamples=1 must be at least 2"):
        resample(np.arange(50), seed=0, stream=0, num_resamples=1)
    with pytest.raises(ValueError, match="must be resampled from different streams"):
        mean_shifts(ensemble("a", values, good), ensemble("b", values, good))
    with pytest.raises(ValueError, match="validation: modes \\[0, 1, 2\\] have means within 5 standard errors"):
        relative_means(*pair(values, values))
    with pytest.raises(ValueError, match="validation: 41 modes are too many"):
        covariance_slope(*pair(RNG.normal(size=(50, 41)), RNG.normal(size=(50, 41))))
    with pytest.raises(ValueError, match="a single mode has no covariance"):
        correlation_differences(*pair(values[:, :1], values[:, :1]))
    rare = values.copy()
    rare[:, 1] = np.arange(50) == 0
    with pytest.raises(ValueError, match="validation: modes \\[1\\] vary in too few parents"):
        relative_scatters(*pair(values, rare))
    with pytest.raises(ValueError, match="none in common"):
        mean_excess_correlation(correlation_differences(*pair(values, values)), np.ones(3), np.ones(3))
