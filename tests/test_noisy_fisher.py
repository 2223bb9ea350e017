"""Fisher matrices of noisy slopes against a Gaussian toy whose own is known; slopes and their errors."""

import numpy as np
import pytest

from cosmogan_jax.compare.noisy_fisher import marginal_sigma, noisy_fisher
from cosmogan_jax.compare.parameter_response import (
    ParameterResponse,
    difference_of_responses,
    logarithmic_differences,
    logarithmic_slopes,
    matched_differences,
    means_by_unit,
)

MODES, UNITS, MAPS, TRIALS = 8, 12, 120, 400
NAMES = ("omega_m", "sigma8")
SLOPES = np.stack([np.linspace(1, 2, MODES), np.linspace(2, -1, MODES)])
SCATTER = np.geomspace(1, 10, MODES)
# Of one unit's slope; that of the mean adds NOISE^2 MODES / UNITS to the diagonal.
NOISE = 2.0
EXACT = (SLOPES / SCATTER) @ (SLOPES / SCATTER).T


def trial(rng):
    noise = NOISE * SCATTER * rng.normal(size=(UNITS, 2, MODES))
    # Slopes of one unit by both parameters hang together.
    noise[:, 1] = 0.6 * noise[:, 0] + 0.8 * noise[:, 1]
    return noisy_fisher(ParameterResponse(NAMES, SLOPES + noise), SCATTER * rng.normal(size=(MAPS, MODES)))


@pytest.fixture(scope="module")
def trials():
    rng = np.random.default_rng(1)
    return [trial(rng) for _ in range(TRIALS)]


def test_the_naive_matrix_is_too_large_and_the_corrected_one_right(trials):
    naive, noise = (np.mean([getattr(t, name) for t in trials], axis=0) for name in ("naive", "noise"))
    added = NOISE**2 * MODES / UNITS * np.array([[1, 0.6], [0.6, 1]])
    values = np.array([t.corrected.value for t in trials])
    scatter = values.std(0, ddof=1)
    error = scatter / np.sqrt(TRIALS)
    assert (np.abs(values.mean(0) - EXACT) < 4 * error).all(), (values.mean(0), EXACT, error)
    assert (naive - EXACT > 10 * error).all()
    np.testing.assert_allclose(naive - EXACT, added, atol=6 * error.max())
    np.testing.assert_allclose(naive - noise, values.mean(0), rtol=1e-9)
    # Errors are those of repeated trials: the jackknife of a quadratic form overstates them a little.
    ratio = np.mean([t.corrected.standard_error for t in trials], axis=0) / scatter
    assert (ratio > 0.85).all(), ratio
    assert (ratio < 1.35).all(), ratio
    # Constraints look better than they are without the correction.
    assert (np.median([t.naive_sigma for t in trials], axis=0) < 0.97 * marginal_sigma(EXACT)).all()


def test_without_noise_it_is_the_matrix_itself():
    rng = np.random.default_rng(2)
    values = SCATTER * rng.normal(size=(20000, MODES))
    result = noisy_fisher(ParameterResponse(NAMES, np.stack([SLOPES] * 3)), values)
    np.testing.assert_allclose(result.noise, 0, atol=1e-10 * EXACT.max())
    np.testing.assert_allclose(result.corrected.value, EXACT, rtol=0.05)
    # Only the covariance's own noise is left: 1 / sqrt(2 n) of a sigma.
    np.testing.assert_allclose(result.sigma.value, marginal_sigma(EXACT), rtol=0.03)
    np.testing.assert_allclose(result.sigma.standard_error / result.sigma.value, 0.005, rtol=0.02)
    np.testing.assert_allclose(result.sigma_alone.value, 1 / np.sqrt(np.diag(EXACT)), rtol=0.03)
    assert (result.sigma_alone.value < result.sigma.value).all()
    # Maps that hang together count as fewer.
    fewer = noisy_fisher(ParameterResponse(NAMES, np.stack([SLOPES] * 3)), values, maps=200)
    assert (fewer.corrected.standard_error > 8 * result.corrected.standard_error).all()


def test_noise_alone_leaves_no_matrix():
    rng = np.random.default_rng(3)
    noise = ParameterResponse(NAMES, rng.normal(size=(5, 2, MODES)))
    results = [noisy_fisher(noise, SCATTER * rng.normal(size=(MAPS, MODES))) for _ in range(3)]
    assert np.isfinite(results[0].naive_sigma).all()
    assert np.isnan(marginal_sigma(np.array([[1.0, 2.0], [2.0, 1.0]]))).all()


def test_matched_seeds_cancel_what_is_random_and_errors_are_those_of_trials():
    rng = np.random.default_rng(4)
    step, power = np.array([0.02, 0.08]), np.array([[1.4], [2.5]])
    theta = np.array([0.3, 0.8])
    values, errors = [], []
    for _ in range(300):
        amplitude = rng.gamma(20, 1 / 20, size=(10, 1, 3))  # of each unit, shared by both sides
        own = 0.01 * rng.normal(size=(2, 10, 2, 3))
        sides = [
            amplitude * ((theta + sign * step) / theta)[:, None] ** power * (1 + noise)
            for sign, noise in zip((-1, 1), own)
        ]
        log_distance = np.log((theta + step) / (theta - step))
        response = logarithmic_differences(NAMES, *sides, log_distance)
        values.append(response.estimate.value)
        errors.append(response.estimate.standard_error)
    mean, scatter = np.mean(values, axis=0), np.std(values, axis=0, ddof=1)
    np.testing.assert_allclose(mean, np.broadcast_to(power, mean.shape), atol=4 * scatter.max() / np.sqrt(300))
    # 300 trials know a scatter to 4 %, ten units an error to 24 % each.
    np.testing.assert_allclose(np.mean(errors, axis=0), scatter, rtol=0.15)
    # The amplitude of a box scatters by 22 %: unmatched it would stand in the slopes.
    assert scatter.max() < 0.2 * np.sqrt(2 / 20 / 10) / log_distance.min()
    plain = matched_differences(NAMES, *sides, 2 * step).estimate
    np.testing.assert_allclose(plain.value[:, 0] * theta / amplitude.mean(), power[:, 0], rtol=0.3)
    assert response.covariance_of_mean().shape == (2, 3, 2, 3)
    np.testing.assert_allclose(
        np.sqrt(np.einsum("aiai->ai", response.covariance_of_mean())), response.estimate.standard_error
    )


def test_slopes_of_single_maps_give_the_same_logarithmic_slope():
    rng = np.random.default_rng(5)
    amplitude = rng.gamma(20, 1 / 20, size=(200, 3))
    theta, power = np.array([0.3, 0.8]), np.array([1.4, 2.5])
    slopes = amplitude[:, None] * (power / theta)[:, None]
    result = logarithmic_slopes(ParameterResponse(NAMES, slopes), amplitude, theta)
    np.testing.assert_allclose(result.estimate.value, np.broadcast_to(power[:, None], (2, 3)), rtol=1e-12)
    np.testing.assert_allclose(result.estimate.standard_error, 0, atol=1e-12)
    other = ParameterResponse(NAMES, result.slopes + 0.3 + 0.1 * rng.normal(size=result.slopes.shape))
    apart = difference_of_responses(other, result)
    assert (np.abs(apart.value - 0.3) < 4 * apart.standard_error).all()


def test_units_are_means_of_their_maps():
    values = np.arange(12.0).reshape(6, 2)
    means = means_by_unit(values, np.array(["b", "a", "b", "a", "c", "c"]))
    np.testing.assert_array_equal(means, [[4, 5], [2, 3], [9, 10]])


def slopes_of(units):
    return ParameterResponse(NAMES, np.ones((units, 2, 3)))


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: noisy_fisher(slopes_of(2), np.ones((9, 3))), "2 units are too few"),
        (lambda: noisy_fisher(slopes_of(3), np.ones((9, 4))), r"must be \(maps, 3\)"),
        (lambda: noisy_fisher(slopes_of(3), np.ones((7, 3))), "7 independent maps"),
        (
            lambda: matched_differences(NAMES, np.ones((3, 2, 4)), np.ones((3, 2, 4)), np.array([0.1, 0.0])),
            "must be a number other than 0",
        ),
        (
            lambda: matched_differences(NAMES, np.ones((3, 2, 4)), np.full((3, 2, 4), np.nan), np.ones(2)),
            "must be finite",
        ),
        (
            lambda: logarithmic_differences(NAMES, -np.ones((3, 2, 4)), np.ones((3, 2, 4)), np.ones(2)),
            "needs positive means",
        ),
    ],
)  # fmt: skip
def test_bad_input_is_named(call, words):
    with pytest.raises(ValueError, match=words):
        call()
