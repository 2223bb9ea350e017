"""Slopes of an emulator's statistics: derivatives and differences agree, and are those of its maps' law."""

from pathlib import Path

import jax
import numpy as np
import pytest
from conftest import load_script

from cosmogan_jax.compare.data_vectors import data_vector
from cosmogan_jax.compare.parameter_response import logarithmic_slopes
from cosmogan_jax.emulators.parameter_response import EmulatorVectors
from cosmogan_jax.summaries.observer import GalaxyNoise

SCRIPTS = Path(__file__).parents[1] / "experiments/024-inference"
MIDDLE = {"omega_m": 0.3, "sigma8": 0.8}
THETA = np.array([0.3, 0.8])
NOISE = np.random.default_rng(0).normal(size=(4, 32, 32))
MAPS = 48

pytestmark = pytest.mark.usefixtures("quick")


@pytest.fixture(scope="module")
def emulator():
    return load_script(SCRIPTS / "stand_in.py").stand_in(32)


@pytest.fixture(scope="module")
def vector(emulator):
    reference = np.asarray(emulator.sample(1, 64, **MIDDLE))
    return data_vector(("power_bands", "V0", "peaks"), reference, emulator.geometry, num_bands=5)


@pytest.fixture(scope="module")
def power(vector):
    return data_vector_of(vector, ("power_bands",))


def data_vector_of(vector, names):
    return type(vector)(names, vector.scales, vector.geometry)


@pytest.fixture(scope="module")
def differentiated(emulator, power):
    return EmulatorVectors(emulator, power.measure, 0, MAPS, batch_size=16).differentiated(**MIDDLE)


def test_derivatives_and_differences_of_the_power_agree(emulator, power, differentiated):
    differenced = EmulatorVectors(emulator, power.measure, 0, MAPS, batch_size=20).differenced(0.01, **MIDDLE)
    np.testing.assert_allclose(differenced.values, differentiated.values, rtol=1e-4)
    assert differentiated.values.shape == (MAPS, 5)
    slopes, differences = (each.response.slopes for each in (differentiated, differenced))
    scale = np.abs(slopes).mean(0)
    # The third derivative: (0.01 theta)^2 d^3/6, of a power of 2.5 to 4 some 1e-4; float32 leaves 1e-3.
    np.testing.assert_allclose(differences / scale, slopes / scale, atol=0.01)
    np.testing.assert_allclose(differences.mean(0), slopes.mean(0), rtol=2e-3)


def test_slopes_are_those_of_the_law(emulator, power, differentiated):
    """Up to what a map's borders leak between bands."""
    result = logarithmic_slopes(differentiated.response, differentiated.values, THETA).estimate
    edges = power.scales.l_edges
    expected = np.stack(emulator.model.exponents(np.sqrt(edges[1:] * edges[:-1])))
    np.testing.assert_allclose(result.value, expected, atol=0.25)
    # All modes of a map and of its neighbours answer alike but for the lognormal's nonlinearity.
    assert (result.standard_error < 0.1).all()


def test_counts_have_differences_and_no_derivatives(emulator, vector):
    assert not vector.differentiable
    assert data_vector_of(vector, ("power_bands", "moments")).differentiable
    vectors = EmulatorVectors(emulator, vector.measure, 0, 16, batch_size=16)
    differenced = vectors.differenced(0.1, **MIDDLE)
    peaks = vector.columns("peaks")
    assert (np.abs(differenced.response.slopes[..., peaks]).max((0, 2)) > 0).all()
    derivatives = vectors.differentiated(**MIDDLE).response
    np.testing.assert_array_equal(derivatives.slopes[..., peaks], 0)
    own = vector.columns("power_bands")
    means = (response.slopes[..., own].mean(0) for response in (derivatives, differenced.response))
    np.testing.assert_allclose(*means, rtol=0.15)


def test_maps_are_measured_as_they_are_seen(emulator, power):
    noise = GalaxyNoise(30, 0.26)
    seen = EmulatorVectors(emulator, power.measure, 3, 5, noise=noise, smoothing_arcmin=1.0, batch_size=4)
    values = seen.at(**MIDDLE)
    kappa = emulator.sample(3, 5, noise=noise, smoothing_arcmin=1.0, **MIDDLE)
    np.testing.assert_allclose(values, power.measure(kappa), rtol=2e-4)
    np.testing.assert_allclose(values, power.of_maps(np.asarray(kappa)), rtol=2e-4)
    # The noise is the same at both cosmologies: it does not enter the slopes' scatter by itself.
    displaced = seen.displaced(0.1, **MIDDLE)
    assert displaced.lower.shape == displaced.upper.shape == (5, 2, 5)
    np.testing.assert_allclose(displaced.distance, 0.2 * THETA)
    assert (displaced.upper[:, 1, 0] > displaced.lower[:, 1, 0]).all()


def test_columns_and_labels(vector):
    assert len(vector.labels) == jax.eval_shape(vector.measure, np.zeros((2, 32, 32), np.float32)).shape[1]
    assert vector.labels[vector.columns("V0")][0] == "-2.0 to -1.8 sigma"
    assert vector.columns("power_bands") == slice(0, 5)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda e, v: EmulatorVectors(e, v.measure, 0, 0), "num_maps=0"),
        (lambda e, v: EmulatorVectors(e, v.measure, 0, 2).at(omega_m=0.3), "sigma8 is missing"),
        (lambda e, v: EmulatorVectors(e, v.measure, 0, 2).displaced(0.3, **MIDDLE), "lies outside the hull"),
        (lambda e, v: EmulatorVectors(e, v.measure, 0, 2).displaced(1.0, **MIDDLE), "relative_step=1.0"),
        (
            lambda e, v: data_vector(("power",), np.ones((2, 32, 32)), e.geometry),
            "statistic='power' must be one of",
        ),
        (
            lambda e, v: data_vector(("V0", "V0"), np.ones((2, 32, 32)), e.geometry),
            "must name each statistic once",
        ),
        (
            lambda e, v: data_vector(("V0",), NOISE, e.geometry, largest_ell=100),
            "largest_ell=100 leaves no band",
        ),
    ],
)
def test_bad_input_is_named(emulator, vector, call, words):
    with pytest.raises(ValueError, match=words):
        call(emulator, vector)
