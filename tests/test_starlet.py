"""The starlet transform against two-dimensional convolutions with SciPy, closed forms and invariances."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.signal import convolve2d

from cosmogan_jax.summaries import (
    starlet_l1_norm,
    starlet_peak_counts,
    starlet_statistics,
    starlet_transform,
)

pytestmark = pytest.mark.usefixtures("quick")  # nearly all of the time is compilation

NUM_SCALES = 4
# Rounding of a dozen float32 operations on numbers near 1; in float64 the same of its own.
FLOAT32, FLOAT64 = 2e-6, 1e-13
EDGES = np.stack([np.linspace(-2, 2, 9) / 2**j for j in range(NUM_SCALES)])

transform = jax.jit(lambda kappa: starlet_transform(kappa, NUM_SCALES))
statistics = jax.jit(lambda kappa: starlet_statistics(kappa, EDGES, EDGES))


def noise(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def expected_scales(kappa, num_scales):
    """Starck, Fadili & Murtagh 2007 by whole kernels with their holes, as pycs' Python code (star2d) has it."""
    scales, c = [], np.asarray(kappa, np.float64)
    for j in range(num_scales - 1):
        taps = np.zeros(4 * 2**j + 1)
        taps[:: 2**j] = np.array([1, 4, 6, 4, 1]) / 16
        smooth = convolve2d(c, np.outer(taps, taps), mode="same", boundary="symm")
        scales.append(c - smooth)
        c = smooth
    return np.stack([*scales, c])


def expected_statistics(kappa):
    sums, peaks = np.zeros((2, NUM_SCALES, EDGES.shape[1] - 1))
    for j, w in enumerate(expected_scales(kappa, NUM_SCALES)):
        for i, (low, high) in enumerate(zip(EDGES[j], EDGES[j, 1:])):
            sums[j, i] = np.abs(w[(low <= w) & (w < high)]).sum()
            for y in range(1, len(w) - 1):
                for x in range(1, len(w[0]) - 1):
                    around = np.delete(w[y - 1 : y + 2, x - 1 : x + 2].ravel(), 4)
                    peaks[j, i] += low <= w[y, x] < high and w[y, x] > around.max()
            peaks[j, i] /= high - low
    return sums, peaks


def test_scales_equal_whole_kernels():
    kappa = noise(24, 17)
    np.testing.assert_allclose(transform(kappa), expected_scales(kappa, NUM_SCALES), atol=FLOAT32)
    with jax.enable_x64(True):
        kappa = jnp.asarray(kappa, jnp.float64)
        found = starlet_transform(kappa, 5)  # the last filter reaches 16 of the 17 pixels
        np.testing.assert_allclose(found, expected_scales(kappa, 5), atol=FLOAT64)
        np.testing.assert_allclose(found.sum(0), kappa, atol=FLOAT64)


def test_scales_of_a_point_are_the_spline():
    # c_1 of a point is the B3 spline's taps themselves, in both directions.
    kappa = jnp.zeros((24, 17)).at[12, 8].set(1.0)
    taps = np.array([1, 4, 6, 4, 1]) / 16
    found = kappa - transform(kappa)[0]
    np.testing.assert_array_equal(found[10:15, 6:11], np.outer(taps, taps))
    assert float(found.sum()) == 1.0
    # And along rows c_2 is that of B3(x) * B3(x/2): the convolution of both, with holes in the second.
    holes = np.zeros(9)
    holes[::2] = taps
    twice = np.asarray(kappa - transform(kappa)[:2].sum(0))
    np.testing.assert_allclose(
        twice[12] / twice[12, 8], np.pad(np.convolve(taps, holes), 2) / (44 / 256), atol=FLOAT32
    )


def test_the_sum_is_the_map_and_wavelets_have_no_mean():
    kappa = noise(24, 17) + 3
    found = np.asarray(transform(kappa))
    np.testing.assert_allclose(found.sum(0), kappa, atol=2 * FLOAT32)
    np.testing.assert_allclose(found.mean((1, 2)), [0, 0, 0, kappa.mean()], atol=FLOAT32)


def test_l1_norm_and_peaks_equal_loops():
    kappa = noise(24, 17, seed=3)
    sums, peaks = expected_statistics(kappa)
    found = statistics(kappa)
    assert (peaks > 0).sum() > 8
    # No pixel of this map lies within rounding of an edge.
    np.testing.assert_allclose(found.l1_norm, sums, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(found.peak_counts, peaks, rtol=1e-5)
    np.testing.assert_array_equal(jax.jit(lambda k: starlet_l1_norm(k, EDGES))(kappa), found.l1_norm)
    np.testing.assert_array_equal(jax.jit(lambda k: starlet_peak_counts(k, EDGES))(kappa), found.peak_counts)


def test_bins_are_closed_below():
    kappa = jnp.zeros((8, 8)).at[4, 4].set(1.0)
    w = float(starlet_transform(kappa, 2)[0, 4, 4])
    edges = np.array([[0.1, w, 1.0], [10.0, 11.0, 12.0]])  # w is a float32 number: the tie is exact
    np.testing.assert_array_equal(starlet_l1_norm(kappa, edges), [[0, np.float32(w)], [0, 0]])
    assert np.flatnonzero(starlet_peak_counts(kappa, edges)).tolist() == [1]


def test_turns_mirrors_factors_and_batches():
    kappa = noise(2, 24, 24)
    found = statistics(kappa)
    for turned in (np.rot90(kappa, axes=(1, 2)), kappa[:, ::-1], np.swapaxes(kappa, 1, 2)):
        # Sums in another order; rounding of w moves no pixel over an edge here.
        for one, other in zip(found, statistics(turned)):
            np.testing.assert_allclose(other, one, rtol=1e-5, atol=1e-4)
    # A power of 2 rounds nothing.
    four = jax.jit(lambda k: starlet_statistics(4 * k, 4 * EDGES, 4 * EDGES))(kappa[0])
    np.testing.assert_array_equal(four.l1_norm, 4 * found.l1_norm[0])
    np.testing.assert_array_equal(4 * four.peak_counts, found.peak_counts[0])
    for single, of in zip(zip(*map(statistics, kappa)), found):
        np.testing.assert_allclose(np.stack(single), of, rtol=1e-6)
    np.testing.assert_allclose(jax.vmap(transform)(kappa), transform(kappa), atol=FLOAT32)
    # Edges in kappa: a larger amplitude shows.
    assert not np.allclose(statistics(1.2 * kappa).l1_norm, found.l1_norm, rtol=0.1)


def test_gradients():
    with jax.enable_x64(True):
        kappa, direction = (jnp.asarray(noise(16, 16, seed=seed), jnp.float64) for seed in (1, 2))
        weights = np.arange(1, 9)  # so that not all bins are alike
        both = jax.jit(jax.value_and_grad(lambda k: (starlet_l1_norm(k, EDGES) * weights).sum()))
        # So small a step that no pixel crosses an edge: the norm is linear between.
        step = (both(kappa + 1e-6 * direction)[0] - both(kappa - 1e-6 * direction)[0]) / 2e-6
        assert float((both(kappa)[1] * direction).sum()) == pytest.approx(float(step), rel=1e-6)
        assert np.isfinite(both(jnp.zeros((16, 16)))[1]).all()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda k: starlet_transform(k, 1), "num_scales=1 must be at least 2"),
        (lambda k: starlet_transform(k, 5), "num_scales=5 .* the map's 8 pixels"),
        (lambda k: starlet_transform(k.astype(bool), 3), "dtype=bool"),
        (lambda k: starlet_l1_norm(k, [0.0, 1.0]), r"edges_per_scale of shape \(2,\)"),
        (lambda k: starlet_l1_norm(k, [[0.0, 1.0], [1.0, 1.0]]), r"edges_per_scale\[1\] must increase"),
        (lambda k: starlet_peak_counts(k, [[0.0, 1.0]]), "num_scales=1"),
        (lambda k: starlet_statistics(k, EDGES, EDGES[:3]), "4 rows .* 3"),
    ],
)
def test_bad_input(call, message):
    with pytest.raises(ValueError, match=message):
        call(jnp.zeros((8, 8)))


def test_nan_is_never_a_silent_number():
    for found in statistics(jnp.ones((24, 17)).at[3, 4].set(jnp.nan)):
        assert np.isnan(found).all()
