"""Position moments, border and axis contrasts against closed forms and NumPy, with planted departures."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cosmogan_jax.compare.clustered import clustered_error, group
from cosmogan_jax.compare.ensembles import bands
from cosmogan_jax.compare.position_moments import add_maps, folded, merge, no_maps
from cosmogan_jax.compare.stationarity import (
    axis_power,
    border_against_centre,
    ring_moments,
    ring_widths,
    row_against_column,
)
from cosmogan_jax.summaries import power_spectrum

SIZE, SIDE_DEG = 32, 1.0
BAND = np.array([180.0, 5760.0])
MAPS, PARENTS = 200, np.repeat(np.arange(50), 4)


def white(seed, maps=MAPS):
    return np.random.default_rng(seed).normal(size=(maps, SIZE, SIZE)).astype(np.float32)


@jax.jit
def contrasts(kappa):
    groups = group_of_all
    border = border_against_centre(ring_moments(kappa, ring_widths(SIZE)), groups)
    return border, row_against_column(axis_power(kappa, BAND, SIDE_DEG), groups)


group_of_all = group(PARENTS)


def test_position_moments_equal_numpy_in_any_batches():
    kappa = 3 + 0.01 * white(0, 1000)  # a mean of 300 sigma: float32 sums of squares would lose sigma
    moments = no_maps((SIZE, SIZE))
    for a, b in ((0, 1), (1, 400), (400, 1000)):
        moments = jax.jit(add_maps)(moments, kappa[a:b])
    exact = kappa.astype(np.float64)
    np.testing.assert_allclose(moments.mean, exact.mean(0), rtol=1e-6)
    np.testing.assert_allclose(moments.sigma, exact.std(0, ddof=1), rtol=1e-4)
    halves = [add_maps(no_maps((SIZE, SIZE)), part) for part in (kappa[:300], kappa[300:])]
    np.testing.assert_allclose(merge(*halves).sigma, moments.sigma, rtol=1e-4)
    assert np.isnan(add_maps(no_maps((SIZE, SIZE)), kappa[:1]).sigma).all()


def test_moments_of_millions_of_maps_keep_their_digits():
    # 2^16 batches of 64 maps: 4.2 million maps of a known mean and sigma.
    kappa = jnp.asarray(np.stack([np.full((2, 2), 0.3 + s) for s in (-0.02, 0.02)] * 32), jnp.float32)
    moments, _ = jax.lax.scan(lambda m, _: (add_maps(m, kappa), None), no_maps((2, 2)), length=2**16)
    assert moments.count == 2**22
    # Equal batches round alike: the worst case, a part of 2^16 times half of float32's epsilon.
    np.testing.assert_allclose(moments.sigma, 0.02, rtol=1e-3)
    np.testing.assert_allclose(moments.mean, 0.3, rtol=1e-6)


def test_folding():
    pattern = np.random.default_rng(1).normal(size=(4, 4))
    np.testing.assert_allclose(folded(jnp.asarray(np.tile(pattern, (8, 8))), 4), pattern, rtol=1e-5)
    with pytest.raises(ValueError, match="period=5 must divide the map's sides 32 and 32"):
        folded(jnp.zeros((32, 32)), 5)


def test_clustered_error_is_the_limit_of_the_bootstrap_over_parents():
    rng = np.random.default_rng(2)
    parents = rng.integers(0, 60, 400)  # parents of unequal size
    values = rng.normal(size=(60, 3))[parents] + 0.5 * rng.normal(size=(400, 3))
    found = clustered_error(jnp.asarray(values), group(parents))
    # 2000 resamples know an error to 1.6 %; the bootstrap itself differs at order 1/parents.
    bootstrap = bands(values, parents, seed=0, num_resamples=2000).mean.standard_error
    np.testing.assert_allclose(found, bootstrap, rtol=0.08)
    alone = clustered_error(jnp.asarray(values), group(np.arange(400)))
    np.testing.assert_allclose(alone, values.std(0, ddof=1) / 20, rtol=1e-5)
    # s/sqrt(N) of few maps too, and of parents of equal crops: G/(G - 1) is 4/3 here.
    few = values[:4]
    for crops in (1, 5):
        repeated = jnp.asarray(np.repeat(few, crops, 0))
        found = clustered_error(repeated, group(np.repeat(np.arange(4), crops)))
        np.testing.assert_allclose(found, few.std(0, ddof=1) / 2, rtol=1e-5)
    with pytest.raises(ValueError, match="1 parent is too few"):
        group(np.zeros(5))


def test_ring_moments_equal_numpy():
    kappa, edges = white(3, 2), (0, 1, 3)
    found = ring_moments(kappa, edges)
    inset = np.array([[min(i, j, SIZE - 1 - i, SIZE - 1 - j) for j in range(SIZE)] for i in range(SIZE)])
    for region, chosen in enumerate((inset == 0, (inset == 1) | (inset == 2), inset >= 3)):
        np.testing.assert_allclose(found[:, region, 0], kappa[:, chosen].mean(1), atol=1e-6)
        np.testing.assert_allclose(found[:, region, 1], (kappa[:, chosen] ** 2).mean(1), rtol=1e-5)
    assert ring_widths(64) == (0, 1, 2, 4, 8, 16)
    for bad in ((1, 2), (0, 2, 2), (0, 16)):
        with pytest.raises(ValueError, match="must increase from 0"):
            ring_moments(kappa, bad)


def test_false_alarms_are_rare_and_significances_are_of_unit_scatter():
    # Null fields of crops that share half their variance with their parent. 60 trials of 4 + 4 + 1 contrasts.
    significance = []
    for trial in range(60):
        common = np.random.default_rng(1000 + trial).normal(size=(50, SIZE, SIZE))[PARENTS]
        border, axes = contrasts(jnp.asarray((white(trial) + common) / np.sqrt(2), jnp.float32))
        parts = (border.mean.significance, border.sigma.significance, axes.significance)
        significance.append(np.concatenate(parts))
    significance = np.array(significance)
    # 540 numbers, about 180 of them independent: scatter 1 to 10 % (2 sigma); Student's t of 49 adds 2 %.
    assert significance.std() == pytest.approx(1, abs=0.12)
    # Nominal 5 % beyond 2.01 (t of 49); of about 180 trials 0 to 10 %.
    assert (np.abs(significance) > 2.01).mean() < 0.10


def test_a_brighter_border_is_found():
    planted = white(5)
    planted[:, 0] += 0.05
    planted[:, -1] += 0.05
    planted[:, 1:-1, 0] += 0.05
    planted[:, 1:-1, -1] += 0.05
    border, _ = contrasts(planted)
    # Ring 0 has 124 pixels: known to 1/sqrt(200 * 124) = 0.0064 sigma, the centre far better.
    assert border.mean.standard_error[0] == pytest.approx(0.0065, rel=0.3)
    assert border.mean.value[0] == pytest.approx(0.05, abs=0.02)
    assert border.mean.significance[0] > 5
    assert (np.abs(border.mean.significance[1:]) < 4).all()
    assert (np.abs(border.sigma.significance) < 4).all()


def test_a_border_of_more_contrast_is_found():
    planted = white(6) + 0.3
    inset = np.minimum(np.arange(SIZE), np.arange(SIZE)[::-1])
    ring = np.minimum(inset[:, None], inset) // 2 == 1  # 2 to 3 pixels from the border: the third ring
    planted = np.where(ring, 0.3 + 1.05 * (planted - 0.3), planted).astype(np.float32)
    border, _ = contrasts(planted)
    assert border.sigma.value[2] == pytest.approx(0.05, abs=0.015)
    # 208 pixels of 200 maps know sigma to 1/sqrt(2 * 208 * 200) = 0.0035.
    assert border.sigma.standard_error[2] == pytest.approx(0.0035, rel=0.4)
    assert border.sigma.significance[2] > 8
    assert (np.abs(border.sigma.significance[np.array([0, 1, 3])]) < 4).all()
    assert (np.abs(border.mean.significance) < 4).all()


def test_a_field_drawn_out_along_rows_is_found():
    noise = white(7)
    drawn = noise + np.roll(noise, 1, axis=2)
    border, axes = contrasts(drawn)
    # (1 + e^{ik})^2 keeps long waves along the row axis: less power there.
    assert axes.value[0] < -0.5
    assert axes.significance[0] < -20
    _, turned = contrasts(drawn.transpose(0, 2, 1))
    np.testing.assert_allclose(turned.value, -axes.value, rtol=1e-4)
    assert (np.abs(border.mean.significance) < 4).all()
    assert abs(contrasts(noise)[1].significance[0]) < 4


def test_axis_powers_are_parts_of_the_power_spectrum():
    # A wave along one axis has all its power there; what both hold is the spectrum of the whole plane.
    x = np.cos(2 * np.pi * 3 * np.arange(SIZE) / SIZE)
    along_row = np.broadcast_to(x, (1, SIZE, SIZE)).astype(np.float32)
    edges = np.array([900.0, 1200.0])
    row, column = axis_power(along_row, edges, SIDE_DEG)[0, :, 0]
    assert row > 1e8 * column
    # No diagonal mode has 4.3 < |k| < 5.6 fundamentals: both sectors together are the whole ring.
    edges = np.array([4.3, 5.6]) * 360
    kappa = white(8, 3)
    both = axis_power(kappa, edges, SIDE_DEG).mean(1)
    whole = power_spectrum(kappa, edges, SIDE_DEG, mode_weights="full_plane")
    np.testing.assert_allclose(both, whole, rtol=1e-5)


def test_vmapped_over_ensembles():
    ensembles = jnp.asarray(white(9).reshape(2, 100, SIZE, SIZE))
    groups = group(np.arange(100))

    @jax.jit
    def mean_contrast(kappa):
        return border_against_centre(ring_moments(kappa, ring_widths(SIZE)), groups).mean.value

    both = jax.vmap(mean_contrast)(ensembles)
    np.testing.assert_allclose(both[1], mean_contrast(ensembles[1]), atol=1e-6)
