"""Likelihoods and p-values with covariances from few maps, against scipy's laws and repeated trials."""

import numpy as np
import pytest
from scipy import stats

from cosmogan_jax.compare.estimated_covariance import (
    chi_squared,
    hartlap_factor,
    hotelling_p_values,
    log_likelihood,
)

MODES, MAPS, TRIALS = 6, 14, 1500
RNG = np.random.default_rng(0)
ROOT = np.tril(RNG.normal(size=(MODES, MODES))) + 3 * np.eye(MODES)
TRUE = ROOT @ ROOT.T


@pytest.fixture(scope="module")
def trials():
    """T^2 of one data set each, with covariance, and with covariance and mean, of MAPS maps."""
    known, estimated = [], []
    for _ in range(TRIALS):
        maps = RNG.normal(size=(MAPS, MODES)) @ ROOT.T
        data = RNG.normal(size=(1, MODES)) @ ROOT.T
        covariance = np.cov(maps.T)
        known.append(chi_squared(data, np.zeros(MODES), covariance)[0])
        estimated.append(chi_squared(data, maps.mean(0), covariance)[0])
    return np.array(known), np.array(estimated)


def test_p_values_are_uniform_where_the_uncorrected_are_not(trials):
    known, estimated = trials
    for p_values in (
        hotelling_p_values(known, MODES, MAPS),
        hotelling_p_values(estimated, MODES, MAPS, mean_maps=MAPS),
    ):
        assert stats.kstest(p_values, "uniform").pvalue > 0.01
    # Taken for a known covariance, and with the right mean only.
    factor = hartlap_factor(MAPS, MODES)
    for wrong in (stats.chi2.sf(known, MODES), stats.chi2.sf(factor * known, MODES)):
        assert stats.kstest(wrong, "uniform").pvalue < 1e-6
    # That the mean is estimated, too, matters.
    assert stats.kstest(hotelling_p_values(estimated, MODES, MAPS), "uniform").pvalue < 0.01
    # Of chi^2 with Hartlap's factor the mean is that of known covariances.
    assert factor * known.mean() == pytest.approx(MODES, rel=0.1)


def test_likelihoods_are_the_laws_that_they_are_named_for():
    data, mean = RNG.normal(size=(5, MODES)), RNG.normal(size=MODES)
    known = log_likelihood(data, mean, TRUE, np.inf)
    np.testing.assert_allclose(known, stats.multivariate_normal(mean, TRUE).logpdf(data), rtol=1e-10)
    # Sellentin & Heavens' form is a multivariate t of n - p degrees of freedom.
    shape = TRUE * (MAPS - 1) / (MAPS - MODES)
    expected = stats.multivariate_t(mean, shape, df=MAPS - MODES).logpdf(data)
    np.testing.assert_allclose(log_likelihood(data, mean, TRUE, MAPS), expected, rtol=1e-10)
    widened = log_likelihood(data, mean, TRUE, MAPS, mean_maps=4)
    np.testing.assert_allclose(widened, log_likelihood(data, mean, 1.25 * TRUE, MAPS), rtol=1e-10)
    hartlap = log_likelihood(data, mean, TRUE, MAPS, "hartlap")
    gaussian = stats.multivariate_normal(mean, TRUE / hartlap_factor(MAPS, MODES)).logpdf(data)
    np.testing.assert_allclose(hartlap, gaussian, rtol=1e-10)
    # Many maps: both are the Gaussian's.
    for form in ("hartlap", "sellentin-heavens"):
        np.testing.assert_allclose(log_likelihood(data, mean, TRUE, 1e7, form), known, rtol=1e-4)


def test_points_by_themselves():
    data, means = RNG.normal(size=(4, MODES)), RNG.normal(size=(3, 2, MODES))
    covariances = TRUE * np.arange(1, 7).reshape(3, 2, 1, 1)
    together = log_likelihood(data, means, covariances, MAPS)
    assert together.shape == (3, 2, 4)
    for place in np.ndindex(3, 2):
        alone = log_likelihood(data, means[place], covariances[place], MAPS)
        np.testing.assert_allclose(together[place], alone, rtol=1e-10)


def test_bad_input_is_named():
    data, mean = np.zeros((1, MODES)), np.zeros(MODES)
    with pytest.raises(ValueError, match="8 maps are too few for the covariance of 6 modes"):
        log_likelihood(data, mean, TRUE, 8)
    with pytest.raises(ValueError, match="form='gauss' must be"):
        log_likelihood(data, mean, TRUE, 80, "gauss")
    with pytest.raises(ValueError, match="not positive definite"):
        chi_squared(data, mean, np.ones((MODES, MODES)))
    with pytest.raises(ValueError, match=r"mean.shape=\(5,\)"):
        chi_squared(data, mean[:5], TRUE)
    with pytest.raises(ValueError, match="maps=6 must exceed the 6 modes"):
        hotelling_p_values(np.ones(3), MODES, 6)
