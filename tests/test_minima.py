"""Minima against a loop over pixels and against peaks of the negative map."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cosmogan_jax.summaries import minimum_counts, peak_counts

pytestmark = pytest.mark.usefixtures("quick")  # nearly all of the time is compilation

EDGES = np.linspace(-2.5, 0.5, 7)
minima = jax.jit(lambda kappa: minimum_counts(kappa, EDGES))


def noise(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def test_minima_equal_a_loop_over_pixels():
    kappa = noise(24, 17)
    found = []
    for y, x in np.ndindex(kappa.shape):
        around = [kappa[(y + dy) % 24, (x + dx) % 17] for dy in (-1, 0, 1) for dx in (-1, 0, 1) if dy or dx]
        if kappa[y, x] < min(around):
            found.append(kappa[y, x])
    expected = np.histogram(found, EDGES)[0] / np.diff(EDGES)
    assert expected.sum() > 20
    # Counts divided by a width in float32: one rounding.
    np.testing.assert_allclose(minima(jnp.asarray(kappa)), expected, rtol=1e-6)
    scaled = np.histogram(found, EDGES * kappa.std(dtype=np.float64))[0] / np.diff(EDGES)
    np.testing.assert_allclose(minimum_counts(kappa, EDGES, normalised=True), scaled, rtol=1e-6)


def test_minima_are_peaks_of_the_negative_map():
    kappa = noise(2, 32, 32)
    mirrored = peak_counts(-kappa, -EDGES[::-1])[..., ::-1]
    np.testing.assert_array_equal(minima(kappa), mirrored)


def test_a_minimum_on_an_edge_lies_in_the_upper_bin():
    kappa = jnp.zeros((8, 8)).at[2, 3].set(-1.0)
    np.testing.assert_array_equal(minimum_counts(kappa, [-2.0, -1.0, -0.5]), [0, 2])
    # As a peak there does: bins are closed below for both.
    np.testing.assert_array_equal(peak_counts(-kappa, [0.5, 1.0, 2.0]), [0, 1])
    # Two equal neighbours are none, at the last edge neither.
    assert not minimum_counts(kappa.at[2, 4].set(-1.0), [-2.0, 0.0]).any()
    assert not minimum_counts(kappa, [-2.0, -1.0]).any()


def test_shifts_turns_and_batches_change_nothing():
    kappa = noise(2, 16, 16)
    found = np.asarray(minima(kappa))
    for other in (np.roll(kappa, (3, 14), (1, 2)), np.rot90(kappa, axes=(1, 2)), kappa[:, ::-1]):
        np.testing.assert_array_equal(minima(other), found)
    np.testing.assert_array_equal(found, [minima(k) for k in kappa])
    factor = jax.jit(lambda k: minimum_counts(4 * k, 4 * EDGES))(kappa)  # a power of 2: not even rounding
    np.testing.assert_array_equal(4 * factor, found)


def test_bad_input():
    assert np.isnan(minima(jnp.zeros((8, 8)).at[0, 0].set(jnp.nan))).all()
    with pytest.raises(ValueError, match="thresholds must increase"):
        minimum_counts(noise(8, 8), [1.0, 0.0])
    with pytest.raises(ValueError, match="dtype=bool"):
        minimum_counts(np.zeros((8, 8), bool), EDGES)
