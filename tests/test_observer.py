"""Shape noise against its variance and its flat power; smoothing against SciPy's and the kernel's transform."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from cosmogan_jax.geometry import MapGeometry, log_l_edges
from cosmogan_jax.summaries import power_spectrum
from cosmogan_jax.summaries.observer import add_shape_noise, shape_noise_sigma, smooth

GEOMETRY = MapGeometry(64, 0.875)
SURVEY = {"sigma_e_per_component": 0.26, "galaxies_per_arcmin2": 30.0}
KEY = jax.random.key(0)


def noisy(index, kappa=None):
    kappa = jnp.zeros((len(index), 64, 64)) if kappa is None else kappa
    return add_shape_noise(KEY, kappa, jnp.asarray(index), GEOMETRY, **SURVEY)


def test_noise_has_the_variance_and_the_power_of_the_galaxies_in_a_pixel():
    noise = noisy(np.arange(200))
    # 0.26 / sqrt(30) / 0.82 arcmin; van Waerbeke's sigma_epsilon counts both components.
    expected = np.sqrt(2 * 0.26**2 / (2 * 30 * (0.875 * 60 / 64) ** 2))
    assert shape_noise_sigma(GEOMETRY, **SURVEY) == pytest.approx(expected, rel=1e-12)
    assert float(noise.std()) == pytest.approx(expected, rel=4 / np.sqrt(2 * noise.size))
    power = power_spectrum(noise, log_l_edges(GEOMETRY, 4), 0.875, mode_weights="full_plane")
    per_steradian = 30 * (180 / np.pi * 60) ** 2
    # The lowest band averages some ten modes of 200 maps.
    np.testing.assert_allclose(power.mean(0), 0.26**2 / per_steradian, rtol=0.12)
    corner = np.asarray(noise[:, 0, :2])
    assert abs(np.corrcoef(corner.T)[0, 1]) < 4 / np.sqrt(200)


def test_noise_of_a_map_does_not_depend_on_its_batch():
    whole = noisy(np.arange(9))
    parts = jnp.concatenate([noisy(np.arange(4)), noisy(np.arange(4, 9))])
    np.testing.assert_array_equal(whole, parts)
    assert not np.array_equal(whole[0], whole[1])
    # It is added to the map.
    kappa = jnp.ones((9, 64, 64))
    np.testing.assert_allclose(noisy(np.arange(9), kappa), whole + 1, rtol=1e-6)


@pytest.mark.parametrize("theta_arcmin", [1.0, 2.0])
def test_smoothing_is_scipys(theta_arcmin):
    kappa = np.random.default_rng(1).normal(size=(3, 64, 64)).astype(np.float32)
    width = theta_arcmin / GEOMETRY.pixel_arcmin
    theirs = np.stack([gaussian_filter(k.astype(float), width, mode="wrap", truncate=6) for k in kappa])
    # SciPy samples the kernel, here it is its transform that is sampled: alike where pixels resolve it.
    np.testing.assert_allclose(smooth(kappa, GEOMETRY, theta_arcmin), theirs, atol=2e-3 * theirs.std())


def test_smoothing_in_fourier_space():
    edges = np.array([400.0, 420.0])  # the fundamental alone
    kappa = np.random.default_rng(2).normal(size=(2, 64, 64)).astype(np.float32) + 5
    before, after = (power_spectrum(k, edges, 0.875) for k in (kappa, smooth(kappa, GEOMETRY, 3.0)))
    expected = np.exp(-((GEOMETRY.fundamental_ell * np.radians(3 / 60)) ** 2))
    np.testing.assert_allclose(after / before, expected, rtol=1e-3)
    # Noise of a smoothed map: sigma_e^2 / (4 pi theta_G^2 n), the kernel's own square (van Waerbeke 2000, with
    # his theta_G sqrt(2) times as large).
    smoothed = smooth(noisy(np.arange(100)), GEOMETRY, 2.0)
    assert float(smoothed.std()) == pytest.approx(0.26 / np.sqrt(4 * np.pi * 2.0**2 * 30), rel=0.05)
    np.testing.assert_allclose(smooth(kappa, GEOMETRY, 3.0).mean((1, 2)), kappa.mean((1, 2)), rtol=1e-5)
    np.testing.assert_array_equal(smooth(kappa, GEOMETRY, 0.0), kappa)


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: shape_noise_sigma(GEOMETRY, -0.1, 30.0), "sigma_e_per_component=-0.1 must be 0 or positive"),
        (lambda: shape_noise_sigma(GEOMETRY, 0.26, 0.0), "galaxies_per_arcmin2=0.0 must be positive"),
        (lambda: noisy(np.arange(3), jnp.zeros((2, 64, 64))), r"map_index.shape=\(3,\) must be \(2,\)"),
        (lambda: noisy(np.arange(2), jnp.zeros((2, 32, 32))), r"kappa.shape=\(2, 32, 32\)"),
        (lambda: smooth(jnp.zeros((64, 64)), GEOMETRY, np.nan), "theta_arcmin=nan must be 0 or positive"),
    ],
)
def test_bad_input_is_named(call, said):
    with pytest.raises(ValueError, match=said):
        call()
