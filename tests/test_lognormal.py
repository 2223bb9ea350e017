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
# Sampling errors of the mean of 2048 maps, 0.3 to 1.3 %, are taken from the maps themselves.
SIGMAS = 4


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
    found = np.asarray(power_spectrum(maps, edges, 3.5, mode_weights="full_plane"), np.float64)
    error = found.std(0) / np.sqrt(len(found))
    assert (error / found.mean(0)).max() < 0.015
    bins, weights = GEOMETRY.half_plane_bins(edges), GEOMETRY.half_plane_weights()
    exact = cut_out_power(GEOMETRY)[:, : GEOMETRY.num_pixels // 2 + 1]
    exact = np.array([np.average(exact[bins == b], weights=weights[bins == b]) for b in range(len(error))])
    assert (np.abs(found.mean(0) - exact) < SIGMAS * error).all()


def test_power_of_a_map_without_sampling_noise():
    """Within 0.7 % of a cut-out of an endless sky of the same spectrum, in every band.

    That cut-out itself is 2.7 % below C_l in the lowest band (leakage through the map's border), so is 3.3 %.
    """
    geometry = MapGeometry(128, np.sqrt(12))
    amplitudes, _ = lognormal_amplitudes(power, geometry, 0.04)
    size = CANVAS * geometry.num_pixels
    xi = 0.04**2 * np.expm1(np.fft.irfft2(amplitudes**2, s=(size, size)))
    edges = log_l_edges(geometry, 10)
    bins, weights = geometry.half_plane_bins(edges), geometry.half_plane_weights()
    chosen = [bins == b for b in range(len(edges) - 1)]

    def bands(half):
        return np.array([np.average(half[c], weights=weights[c]) for c in chosen])

    def cut(xi):
        lag = np.fft.fftfreq(2 * geometry.num_pixels, 1 / (2 * geometry.num_pixels)).astype(int)
        pairs = 1 - np.abs(lag) / geometry.num_pixels
        tapered = xi[np.ix_(lag, lag)] * pairs[:, None] * pairs
        return np.fft.rfft2(tapered).real[::2, ::2] * geometry.pixel_rad**2

    wide = 8 * geometry.num_pixels
    step = np.fft.fftfreq(wide, 1 / wide) * geometry.fundamental_ell / 8
    ell = np.hypot(step[:, None], step[: wide // 2 + 1])
    endless = (
        np.fft.irfft2(np.where(ell > 0, power(np.maximum(ell, 1)), 0), s=(wide, wide)) / geometry.pixel_rad**2
    )
    np.testing.assert_allclose(bands(cut(xi)), bands(cut(endless)), rtol=7e-3)
    np.testing.assert_allclose(
        bands(cut(xi)), bands(power(np.maximum(geometry.half_plane_ell(), 1))), rtol=0.034
    )


def test_a_smaller_shift_is_more_skewed():
    skewness = []
    for kappa0 in (0.1, 0.04, 0.027):
        amplitudes, variance = lognormal_amplitudes(power, GEOMETRY, kappa0)
        amplitudes = jnp.asarray(amplitudes, jnp.float32)
        maps = np.asarray(lognormal_maps(jax.random.key(1), jnp.arange(64), amplitudes, variance, kappa0))
        assert maps.min() > -kappa0
        skewness.append(((maps - maps.mean()) ** 3).mean() / maps.std() ** 3)
    assert skewness[0] < skewness[1] < skewness[2]


@pytest.mark.parametrize("kappa0", [0.0, 3e-4, float("nan")])
def test_no_field_for_too_small_a_shift(kappa0):
    with pytest.raises(ValueError, match=f"lognormal_shift={kappa0} must"):
        lognormal_amplitudes(power, GEOMETRY, kappa0)
