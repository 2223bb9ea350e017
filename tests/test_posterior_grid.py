"""Posteriors on a grid against closed forms; ranks that are uniform where they are right, and only there."""

import numpy as np
import pytest
from scipy import stats

from cosmogan_jax.inference.calibration import calibration
from cosmogan_jax.inference.posterior_grid import (
    drawn_in_hull,
    hull_grid,
    inside_hull,
    moments,
    posteriors,
    ranks,
    shift_and_width,
)
from cosmogan_jax.inference.summary_model import fit_summary_model

NAMES = ("omega_m", "sigma8")
DESIGN = np.array([(m, s) for m in (0.2, 0.3, 0.4) for s in (0.6, 0.8, 1.0)])
MODES, PATCHES, NODE_MAPS, TRUTHS = 4, 10, 1500, 200
OMEGA_M = np.linspace(1.0, 2.0, MODES)
SIGMA8 = np.linspace(3.0, 1.0, MODES)


def mean_of(theta, answer=1.0):
    """Powers of the parameters, as of a power spectrum."""
    t = np.log(np.atleast_2d(theta) / [0.3, 0.8])
    return np.exp(t @ np.stack([OMEGA_M, answer * SIGMA8]))


def root_of(theta):
    """Scatter of a fifth of the mean, correlated the more the larger sigma8."""
    theta = np.atleast_2d(theta)
    mixed = np.eye(MODES) + 0.5 * theta[:, 1, None, None] * np.eye(MODES, k=-1)
    return 0.2 * mean_of(theta)[:, :, None] * mixed


def maps_at(theta, white, answer=1.0):
    return mean_of(theta, answer) + white @ root_of(theta)[0].T


@pytest.fixture(scope="module")
def model():
    """Fitted to nodes of the same random numbers, a 5x5 design."""
    white = np.random.default_rng(0).normal(size=(NODE_MAPS, MODES))
    nodes = np.array([(m, s) for m in np.linspace(0.2, 0.4, 5) for s in np.linspace(0.6, 1, 5)])
    return fit_summary_model(NAMES, nodes, [maps_at(node, white) for node in nodes])


@pytest.fixture(scope="module")
def grid():
    return hull_grid(NAMES, DESIGN, 50)


@pytest.fixture(scope="module")
def truths():
    return drawn_in_hull(DESIGN, TRUTHS, np.random.default_rng(1))


def data_of(truths, answer=1.0):
    rng = np.random.default_rng(2)
    return np.concatenate([
        maps_at(truth, rng.normal(size=(PATCHES, MODES)), answer).mean(0)[None] for truth in truths
    ])  # fmt: skip


def s8(theta):
    return theta[:, 1] * np.sqrt(theta[:, 0] / 0.3)


QUANTITIES = {"omega_m": lambda theta: theta[:, 0], "sigma8": lambda theta: theta[:, 1], "s8": s8}


def test_mean_and_covariance_are_right_between_the_nodes(model):
    points = np.array([[0.23, 0.91], [0.37, 0.68]])
    # Of 1500 maps the mean is known to 0.2 / sqrt(1500) = 0.5 %, the covariance to 1 / sqrt(750) = 4 %.
    np.testing.assert_allclose(model.mean(points), mean_of(points), rtol=0.02)
    for point, covariance in zip(points, model.covariance(points)):
        root = root_of(point)[0]
        scale = np.sqrt(np.diag(root @ root.T))
        np.testing.assert_allclose(covariance / np.outer(scale, scale), root @ root.T / np.outer(scale, scale),
                                   atol=0.15)  # fmt: skip
        # Of the model's own nodes' random numbers: only the interpolation errs.
        white = np.random.default_rng(0).normal(size=(NODE_MAPS, MODES))
        own = np.cov(maps_at(point, white).T)
        np.testing.assert_allclose(covariance / np.outer(scale, scale), own / np.outer(scale, scale), atol=0.01)
        np.testing.assert_allclose(model.mean(point[None])[0], maps_at(point, white).mean(0), rtol=1e-3)
    assert np.abs(model.left_out).max() < 0.02
    assert model.log_mean
    assert model.maps == NODE_MAPS


def test_a_logarithmic_mean_of_few_noisy_maps_is_not_biased():
    """The logarithm of a node's mean of two maps of relative scatter s is too low by s^2/4: 9 % at s = 0.6."""
    rng = np.random.default_rng(3)
    nodes = drawn_in_hull(DESIGN, 4000, rng)
    values = [rng.gamma(1 / 0.36, 0.36 * mean_of(node), (2, MODES)) for node in nodes]
    model = fit_summary_model(NAMES, nodes, values, order=1, covariance_order=None)
    np.testing.assert_allclose(model.mean(DESIGN), mean_of(DESIGN), rtol=0.04)
    with pytest.raises(ValueError, match="knows no covariance"):
        model.covariance(DESIGN)


def test_a_posterior_is_the_closed_form():
    """A linear mean and a constant covariance: the Gaussian of least squares, far from the hull's border."""
    rng = np.random.default_rng(4)
    slopes, middle = rng.normal(size=(2, MODES)) * 40, np.array([0.3, 0.8])
    nodes = DESIGN
    white = rng.normal(size=(2_000, MODES))
    white = (white - white.mean(0)) @ np.linalg.inv(np.linalg.cholesky(np.cov(white.T))).T
    linear = fit_summary_model(
        ("a", "b"), nodes - middle, [(node - middle) @ slopes + white for node in nodes], order=1,
        covariance_order=0,
    )  # fmt: skip
    grid = hull_grid(("a", "b"), nodes - middle, 160)
    data = (np.array([0.01, -0.02]) @ slopes)[None]
    mass = posteriors(grid, linear, data, 4, form="hartlap")
    mean, sigma = moments(grid, mass)
    factor = (2000 - MODES - 2) / 1999 * 4 / (1 + 4 / 2000)
    covariance = np.linalg.inv(factor * slopes @ slopes.T)
    np.testing.assert_allclose(mean[0], [0.01, -0.02], atol=1e-3)
    np.testing.assert_allclose(sigma[0], np.sqrt(np.diag(covariance)), rtol=0.01)
    held = posteriors(grid, linear, data, 4, form="hartlap", covariance=np.eye(MODES), covariance_maps=2000)
    np.testing.assert_allclose(held, mass, atol=1e-12)
    shift, width = shift_and_width(grid, held, mass)
    np.testing.assert_allclose(shift.value, 0, atol=1e-6)
    np.testing.assert_allclose(width.value, 1, rtol=1e-6)
    assert np.isnan(shift.standard_error).all()
    wider = np.stack([np.eye(MODES) * scale for scale in (1.21, 1.0, 1.44)])
    several = np.concatenate([
        posteriors(grid, linear, data, 4, covariance=one, covariance_maps=2000) for one in wider
    ])  # fmt: skip
    shift, width = shift_and_width(grid, several, mass)
    np.testing.assert_allclose(width.value, 1.1, rtol=0.01)
    assert (width.standard_error > 0.1).all()


def test_ranks_are_uniform_where_the_model_is_right(model, grid, truths):
    mass = posteriors(grid, model, data_of(truths), PATCHES)
    for name, quantity in QUANTITIES.items():
        result = calibration(ranks(grid, mass, truths, quantity), mass @ quantity(grid.points))
        assert result.p_value > 0.01, (name, result)
        assert result.trend_p_value > 0.01, (name, result)
        assert result.histogram_p_value > 0.01, (name, result)
        assert abs(result.coverage.value[0] - 0.68) < 3 * result.coverage.standard_error[0], (name, result)
    assert result.coverage.standard_error[0] == pytest.approx(0.033, abs=0.001)


def test_logarithms_of_what_is_positive_are_nearer_to_gaussian(grid):
    """Modes as skewed as the power of few waves: raw, posteriors of means of four maps are not right."""
    shape = 2.0
    rng = np.random.default_rng(8)
    waves = rng.gamma(shape, 1 / shape, size=(4000, MODES))
    nodes = np.array([(m, s) for m in np.linspace(0.2, 0.4, 4) for s in np.linspace(0.6, 1, 4)])
    model = fit_summary_model(NAMES, nodes, [mean_of(node) * waves for node in nodes])
    truths = drawn_in_hull(DESIGN, 1200, rng)
    data = mean_of(truths) * rng.gamma(shape, 1 / shape, size=(1200, 4, MODES)).mean(1)
    results = {}
    for logarithm in (False, True):
        mass = posteriors(grid, model, data, 4, logarithm=logarithm)
        results[logarithm] = calibration(ranks(grid, mass, truths, s8), mass @ s8(grid.points))
    raw, logarithms = results[False], results[True]
    assert raw.p_value < 1e-4, raw
    assert min(logarithms.p_value, logarithms.trend_p_value) > 0.01, logarithms
    assert abs(logarithms.coverage.value[0] - 0.68) < abs(raw.coverage.value[0] - 0.68), results
    with pytest.raises(ValueError, match="data vectors and their means must be positive"):
        posteriors(grid, model, -data, 4, logarithm=True)


def test_a_wrong_answer_to_sigma8_is_seen(model, grid, truths):
    """Data whose mean answers to sigma8 by 20 % more than the model says."""
    mass = posteriors(grid, model, data_of(truths, answer=1.2), PATCHES)
    results = {
        name: calibration(ranks(grid, mass, truths, q), mass @ q(grid.points)) for name, q in QUANTITIES.items()
    }
    # Posteriors of either parameter reach from border to border of the prior; what is measured is s8.
    assert results["s8"].p_value < 1e-3, results
    # Large ones are inferred too large, and their truths lie low in the posteriors.
    assert results["s8"].trend_p_value < 1e-6, results
    assert results["s8"].trend < 0, results


def test_posteriors_too_narrow_are_seen_by_the_histogram(model, grid, truths):
    mass = posteriors(grid, model, data_of(truths), 3 * PATCHES)
    result = calibration(ranks(grid, mass, truths, s8), mass @ s8(grid.points))
    assert result.histogram_p_value < 1e-3
    assert result.coverage.value[0] < 0.68 - 3 * result.coverage.standard_error[0]


def test_ranks_know_no_steps_of_the_grid():
    grid = hull_grid(NAMES, DESIGN, 8)
    flat = np.full((500, len(grid.points)), 1 / len(grid.points))
    truths = drawn_in_hull(DESIGN, 500, np.random.default_rng(5))
    for quantity in QUANTITIES.values():
        assert stats.kstest(ranks(grid, flat, truths, quantity), "uniform").pvalue > 0.05
    exact = (truths[:, 0] - 0.2) / 0.2
    np.testing.assert_allclose(ranks(grid, flat, truths, QUANTITIES["omega_m"]), exact, atol=1e-9)


def test_truths_and_grid_lie_in_the_hull():
    triangle = np.array([[0.2, 0.6], [0.4, 0.6], [0.2, 1.0]])
    grid = hull_grid(NAMES, triangle, 40)
    assert len(grid.points) == pytest.approx(800, rel=0.05)
    drawn = drawn_in_hull(triangle, 300, np.random.default_rng(6))
    assert ((drawn[:, 0] - 0.2) / 0.2 + (drawn[:, 1] - 0.6) / 0.4 <= 1 + 1e-9).all()
    np.testing.assert_allclose(drawn.mean(0), triangle.mean(0), atol=0.01)
    line = np.array([[0.1], [0.5]])
    assert inside_hull(line, np.array([[0.3], [0.6]])).tolist() == [True, False]


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: hull_grid(NAMES, np.array([[0.2, 0.6], [0.3, 0.7], [0.4, 0.8]]), 5), "on one line or plane"),
        (lambda: hull_grid(NAMES, DESIGN, 1), "num_each=1"),
        (lambda: calibration(np.linspace(0, 2, 100), np.ones(100)), "from 0 to 1"),
        (lambda: calibration(np.linspace(0, 1, 30), np.ones(30)), "30 ranks are too few for 10 bins"),
        (lambda: calibration(np.linspace(0, 1, 60), np.ones(30)), "must be one for each rank"),
        (lambda: fit_summary_model(NAMES, DESIGN, [np.ones((9, 2))] * 9), "mode 0 does not vary"),
        (lambda: fit_summary_model(NAMES, DESIGN, [np.eye(9)] * 8), "a node for each"),
        (lambda: fit_summary_model(NAMES, DESIGN, [np.eye(3)] * 9, order=1), "too small for the covariance"),
        (lambda: fit_summary_model(NAMES, DESIGN, [np.eye(9)] * 9, order=4), "do not tell its 15 terms apart"),
        (lambda: fit_summary_model(NAMES, DESIGN, [np.full((9, 2), np.nan)] * 9), "must be finite"),
    ],
)
def test_bad_input_is_named(call, words):
    with pytest.raises(ValueError, match=words):
        call()
