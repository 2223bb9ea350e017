"""Lognormal maps against the exact mean power of a cut-out of a periodic field."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cosmogan_jax.geometry import MapGeometry, log_l_edges
from cosmogan_jax.sky.limber import convergence_power
from cosmogan_jax.sky.lognormal import CANVAS, lognormal_amplitudes, lognormal_maps
from cosmogan_jax.summaries import power_spectrum

GEOMETRY = MapGeometry(64, 3.5)
# The mean of 2048 maps is known to 1.2 % in the lowest band, to 0.3 % in the others.
MEAN_POWER_LOWEST, MEAN_POWER = 0.04, 0.01


def power(ell):
    return convergence_power(ell, 1.0)


def cut_out_power(geometry):
    """Mean power of a cut-out, exactly: the transform of xi(r) times the share of pixel pairs r apart."""
    size = CANVAS * geometry.num_pixels
    step = np.fft.fftfreq(size, 1 / size) * geometry.fundamental_ell / CANVAS
    ell = np.hypot(step[:, None], step[None, :])
    full = np.where(ell > 0, power(np.maximum(ell, step[1])), 0.0)
    xi = np.fft.ifft2(full).real / geometry.pixel_rad**2
    lag = np.minimum(np.arange(size), size - np.arange(size))
    pairs = 1 - lag / geometry.num_pixels
    tapered = xi * pairs[:, None] * pairs[None, :]
    return np.fft.fft2(tapered).real[::CANVAS, ::CANVAS] * geometry.pixel_rad**2


@pytest.mark.parametrize("kappa0", [0.04, 0.027])
def test_mean_power_is_that_of_the_spectrum(kappa0):
    amplitudes, variance = lognormal_amplitudes(power, GEOMETRY, kappa0)
    draw = jax.jit(lognormal_maps)
    key, amplitudes = jax.random.key(5), jnp.asarray(amplitudes, jnp.float32)
    edges = log_l_edges(GEOMETRY, 6)
    maps = draw(key, jnp.arange(2048), amplitudes, variance, kappa0)
    found = np.asarray(power_spectrum(maps, edges, 3.5, mode_weights="full_plane"), np.float64).mean(0)
    bins, weights = GEOMETRY.half_plane_bins(edges), GEOMETRY.half_plane_weights()
    exact = cut_out_power(GEOMETRY)[:, : GEOMETRY.num_pixels // 2 + 1]
    exact = np.array([np.average(exact[bins == b], weights=weights[bins == b]) for b in range(len(found))])
    np.testing.assert_allclose(found[0], exact[0], rtol=MEAN_POWER_LOWEST)
    np.testing.assert_allclose(found[1:], exact[1:], rtol=MEAN_POWER)


def test_a_smaller_shift_is_more_skewed():
    skewness = []
    for kappa0 in (0.1, 0.04, 0.027):
        amplitudes, variance = lognormal_amplitudes(power, GEOMETRY, kappa0)
        amplitudes = jnp.asarray(amplitudes, jnp.float32)
        maps = np.asarray(lognormal_maps(jax.random.key(1), jnp.arange(64), amplitudes, variance, kappa0))
        assert maps.min() > -kappa0
        skewness.append(((maps - maps.mean()) ** 3).mean() / maps.std() ** 3)
    assert skewness[0] < skewness[1] < skewness[2]


@pytest.mark.parametrize("kappa0", [0.0, 1e-3, float("nan")])
def test_no_field_for_too_small_a_shift(kappa0):
    with pytest.raises(ValueError, match=f"lognormal_shift={kappa0} must"):
        lognormal_amplitudes(power, GEOMETRY, kappa0)
