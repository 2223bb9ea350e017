"""Roughness by height: against loops over pixels, closed forms, and what a map's units leave alone."""

import numpy as np
import pytest

from cosmogan_jax.summaries import roughness, roughness_labels
from cosmogan_jax.summaries.roughness import ROUGHNESS_HEIGHTS

pytestmark = pytest.mark.usefixtures("quick")
RANGES = len(ROUGHNESS_HEIGHTS) + 1


def by_loops(x):
    """The definition, pixel by pixel, in float64."""
    numbers = []
    for pixels in (1, 2):
        side = len(x) // pixels
        blocks = np.array([
            [x[r * pixels : (r + 1) * pixels, c * pixels : (c + 1) * pixels].mean() for c in range(side)]
            for r in range(side)
        ])  # fmt: skip
        share, product = np.zeros(RANGES), np.zeros(RANGES)
        for r in range(side - 1):
            for c in range(side - 1):
                here, below, right = blocks[r, c], blocks[r + 1, c], blocks[r, c + 1]
                above = 1 / (1 + np.exp(-1.702 * ((here + below + right) / 3 - ROUGHNESS_HEIGHTS) / 0.25))
                weight = -np.diff(np.concatenate([[1], above, [0]]))
                share += weight
                product += weight * ((below - here) ** 2 + (right - here) ** 2)
        count = (side - 1) ** 2
        numbers.append(np.log((product / count + 1e-5) / (share / count + 1e-3)))
    return np.concatenate(numbers)


def test_it_is_what_loops_over_pixels_give():
    x = np.random.default_rng(0).gamma(2.0, size=(3, 13, 13))
    x = (x - x.mean()) / x.std()
    found = np.asarray(roughness(x.astype(np.float32)), np.float64)
    assert found.shape == (3, len(roughness_labels())) == (3, 2 * RANGES)
    np.testing.assert_allclose(found, [by_loops(one_map) for one_map in x], atol=1e-4)


def test_a_slope_is_as_rough_at_every_height():
    """Of x = a column the squared gradient is a^2 everywhere, and (2 a)^2 of means of 2x2 pixels."""
    slope = 0.05
    x = np.tile(slope * np.arange(96) - 2.0, (96, 1)).astype(np.float32)
    found = np.asarray(roughness(x))
    # What is added to sums and shares so that an empty range stays finite: 1e-3 of a share of a tenth.
    np.testing.assert_allclose(found[:RANGES], np.log(slope**2), atol=0.03)
    np.testing.assert_allclose(found[RANGES:], np.log((2 * slope) ** 2), atol=0.03)


def test_units_and_transposition_change_nothing():
    x = np.random.default_rng(1).normal(size=(2, 16, 16)).astype(np.float32)
    found = np.asarray(roughness(x))
    np.testing.assert_allclose(roughness(0.01 + 0.02 * x, 0.01, 0.02), found, atol=1e-3)
    np.testing.assert_allclose(roughness(np.swapaxes(x, 1, 2)), found, atol=1e-5)


def test_it_sees_noise_in_voids_that_power_does_not():
    """Noise of the same power that is loud in voids of some maps and silent in others'."""
    rng = np.random.default_rng(2)
    k = np.hypot(np.fft.fftfreq(32)[:, None], np.fft.rfftfreq(32)) * 32
    smooth = np.fft.irfft2(np.fft.rfft2(rng.normal(size=(64, 32, 32))) / (1 + k) ** 1.5, s=(32, 32))
    smooth /= smooth.std()
    noise = 0.3 * rng.normal(size=smooth.shape)
    louder = np.where(rng.random((64, 1, 1)) < 0.5, np.sqrt(1.8), np.sqrt(0.2))
    lowest = [np.asarray(roughness((smooth + of * noise).astype(np.float32)))[:, 0] for of in (1.0, louder)]
    assert lowest[1].std() > 2 * lowest[0].std()
