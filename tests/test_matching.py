"""Summary statistics as losses: their values, their gradient, and what keeps it in bounds."""

import dataclasses
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cosmogan_jax.compare.scales import triangle_edges
from cosmogan_jax.compare.statistics import STATISTICS as JUDGED
from cosmogan_jax.compare.statistics import trained_on_by
from cosmogan_jax.emulators import bands, large_heights, matched_statistics, matching, roughness
from cosmogan_jax.emulators.joint_statistics import JOINT_STATISTICS
from cosmogan_jax.emulators.matched_statistics import STATISTICS
from cosmogan_jax.geometry import MapGeometry
from cosmogan_jax.settings.matching import Matching as Settings
from cosmogan_jax.summaries import bispectrum, minimum_counts, minkowski_functionals, peak_counts
from cosmogan_jax.summaries.roughness import NUM_ROUGHNESSES, log_squared_gradients

pytestmark = pytest.mark.usefixtures("quick")


@pytest.fixture(scope="module")
def maps():
    """Smooth skewed maps of variance about 1."""
    rng = np.random.default_rng(1)
    k = np.hypot(np.fft.fftfreq(24)[:, None], np.fft.fftfreq(24)) * 2 * np.pi
    g = np.fft.ifft2(np.fft.fft2(rng.normal(size=(40, 24, 24))) * np.exp(-(k**2)) * 3.5).real
    return jnp.asarray((np.exp(0.4 * g) - np.exp(0.08)) / 0.46, jnp.float32)


@pytest.fixture(scope="module")
def scale(maps):
    fine = (np.asarray(bands.wavelets(maps)) ** 2).mean((2, 3))
    logs = bands.log_band_power(maps), bands.log_ring_power(maps)
    scale = bands.scale_of(*map(np.asarray, logs), fine, np.asarray(bands.heights(maps)))
    return scale._replace(
        roughness=roughness.scale_of(np.asarray(log_squared_gradients(maps))),
        large_heights=large_heights.of_rows(np.asarray(large_heights.rows_of_blocks(maps)), 24),
    )


def test_bands_are_means_over_modes_by_direction_and_into_the_corners(maps):
    x = np.asarray(maps, np.float64)
    power = np.abs(np.fft.fft2(x)) ** 2 / 24**2
    wave = np.hypot(*np.meshgrid(np.fft.fftfreq(24, 1 / 24), np.fft.fftfreq(24, 1 / 24)))
    found = np.exp(np.asarray(bands.log_band_power(maps), np.float64))
    assert found.shape == (40, bands.num_bands(24))
    np.testing.assert_allclose(found[:, 0], power[:, wave == 1].mean(1), rtol=1e-4)
    # The last band is the outermost ring of the corners, to float32's rounding of 1e-7 of all power; 1e-8 is
    # added so that logs are finite.
    ring = np.linspace(12, 1.001 * np.sqrt(2) * 12, 5)[-2]
    np.testing.assert_allclose(found[:, -1], power[:, wave > ring].mean(1) + 1e-8, rtol=2e-3)
    # Every mode is in one band, and none in two: their numbers times their means are all the power.
    shares = bands.share_of_modes(24)
    assert ((shares > 0).sum(1) <= 1).all()
    assert ((shares > 0).sum(1) == 0).sum() == 1  # the mean
    # Waves along rows, and nothing else, show in the bands of that direction only.
    stripes = jnp.asarray(
        np.cos(2 * np.pi * 8 * np.arange(24) / 24)[None, None, :] * np.ones((1, 24, 1)), jnp.float32
    )
    loud = np.flatnonzero(np.exp(np.asarray(bands.log_band_power(stripes)))[0] > 1e-6)
    turned = np.flatnonzero(np.exp(np.asarray(bands.log_band_power(jnp.swapaxes(stripes, 1, 2))))[0] > 1e-6)
    assert len(loud) == len(turned) == 1
    assert loud[0] != turned[0]
    modes = shares[:, loud[0]].reshape(24, 13) > 0
    inside = (np.abs(np.fft.fftfreq(24)[:, None]) < np.tan(np.pi / 8) * np.fft.rfftfreq(24)) | ~modes
    assert inside.all()


def test_bands_are_whitened(maps, scale):
    log_power = bands.log_band_power(maps)
    white = np.asarray(scale.whitened(log_power), np.float64)
    covariance = np.cov(white.T)
    np.testing.assert_allclose(covariance, np.diag(np.diag(covariance)), atol=1e-3)
    assert np.diag(covariance).max() == pytest.approx(1, rel=1e-3)
    alone = np.asarray(scale.standardised(bands.log_ring_power(maps)), np.float64)
    np.testing.assert_allclose(alone.mean(0), 0, atol=1e-4)
    np.testing.assert_allclose(alone.std(0), 1, rtol=1e-3)


def test_what_is_matched_are_the_statistics_it_says(maps, scale):
    x = np.asarray(maps, np.float64)
    power = np.asarray(STATISTICS["power"](maps, scale))
    np.testing.assert_allclose(np.log(power), np.asarray(bands.log_band_power(maps) - scale.centre), atol=1e-5)
    np.testing.assert_allclose(
        STATISTICS["mean"](maps, scale),
        np.stack([x.mean((1, 2)), x.mean((1, 2)) ** 2], 1),
        atol=1e-5,
    )
    covariance = np.asarray(STATISTICS["covariance"](maps, scale)).mean(0)
    alone = np.clip(np.asarray(scale.standardised(bands.log_ring_power(maps)), np.float64), -4, 4)
    first, second = np.triu_indices(alone.shape[1])
    np.testing.assert_allclose(covariance, (alone.T @ alone / len(alone))[first, second], atol=1e-4)
    # Smooth heights tend to shares of pixels: a step of width 0.25 is off by less than what lies near to it.
    above = np.asarray(STATISTICS["pdf"](maps, scale)).mean(0)[: len(matched_statistics._HEIGHTS)]
    for share, height in zip(above, matched_statistics._HEIGHTS):
        assert (x > height + 0.6).mean() - 0.02 < share < (x > height - 0.6).mean() + 0.02
    found = STATISTICS["minkowski"](maps, scale).mean(0)
    hard = minkowski_functionals(maps, np.asarray(matched_statistics._THRESHOLDS), normalised=False)
    half = len(matched_statistics._THRESHOLDS) - 1
    assert np.corrcoef(found[:half], hard.V1.mean(0))[0, 1] > 0.98
    assert np.corrcoef(found[half:], hard.V2.mean(0))[0, 1] > 0.95
    # Peaks above a height: as many as are counted, to what a soft comparison with the neighbours changes.
    peaks = np.asarray(STATISTICS["peaks"](maps, scale)).mean(0) * 22**2
    edges = np.array([1.0, 50.0])
    counted = float((peak_counts(maps, edges) * 49).mean()) * (22 / 24) ** 2
    assert peaks[matched_statistics._PEAKS.index(1.0)] == pytest.approx(counted, rel=0.35)


def test_heights_are_those_of_the_maps_and_see_the_tails(maps, scale):
    x, count = np.asarray(maps, np.float64), len(bands._SHARES_ABOVE)
    found = np.asarray(STATISTICS["heights"](maps, scale), np.float64)
    each = 2 * count + 1
    assert found.shape == (len(maps), each * len(bands.POOLED))
    for n, pixels in enumerate(bands.POOLED):
        above, roots = np.split(found[:, n * each : (n + 1) * each], [count], axis=1)
        few = x.reshape(len(x), 24 // pixels, pixels, 24 // pixels, pixels).mean((2, 4))
        hard = np.stack([(few > height).mean((1, 2)) for height in np.asarray(scale.heights[n])], 1)
        # Means over maps of each map's quantile; smooth by half of what lies between two heights.
        np.testing.assert_allclose(hard.mean(0), bands._SHARES_ABOVE, atol=0.04)
        np.testing.assert_allclose(above.mean(0), hard.mean(0), atol=0.03)
        # Between the heights, below the first and above the last, lie all pixels; where one share is smoother
        # than the next, a little may seem to lie below nothing.
        np.testing.assert_allclose((roots**2 - matched_statistics._FEWEST).sum(1), 1, atol=5e-3)
    # A tenth of the pixels a little deeper: the lowest heights see it, even ones from -1.2 on do not.
    low = np.quantile(x, 0.05)
    deeper = jnp.asarray(np.where(x < low, x - 0.3, x), jnp.float32)
    changes = {}
    for name in ("heights", "pdf"):
        one, other = (np.asarray(STATISTICS[name](v, scale), np.float64) for v in (maps, deeper))
        changes[name] = np.abs((other.mean(0) - one.mean(0)) / (one.std(0) + 1e-9)).max()
    assert changes["heights"] > 2 * changes["pdf"]


@pytest.mark.parametrize("name", sorted(STATISTICS))
def test_gradients_are_finite_and_those_of_the_loss(maps, scale, name):
    """`pull` against jax.grad of the loss in the module's docstring, at a rate of 1: no average."""
    statistics, x = matched_statistics.matched([name]), maps[:6]
    values = jax.jit(statistics)(maps, scale)
    targets = matching.targets_of(np.asarray(values), [values.shape[1]])
    start = jnp.zeros(values.shape[1])
    of = jax.jit(lambda x: matching.pull(statistics, targets, start, x, scale, jnp.float32(1.0)))
    running, found = of(x)
    noise = 1 / np.sqrt(6)

    def loss(x):
        means = statistics(x, scale.about(x)).mean(0)
        beyond = jnp.maximum(jnp.abs(targets.combined(means - targets.mean)) - noise, 0)
        # Beyond the clip the loss goes on straight, with the slope that it has there.
        return jnp.where(beyond < 0.5, beyond**2 / 2, 0.5 * beyond - 0.125).sum(), means

    expected, means = jax.jit(jax.grad(loss, has_aux=True))(x)
    np.testing.assert_allclose(running, means, rtol=1e-4, atol=1e-5)
    assert np.isfinite(np.asarray(expected)).all()
    np.testing.assert_allclose(found, expected, rtol=2e-3, atol=2e-5 * float(jnp.abs(expected).max()))
    # Down the gradient pixels come nearer to the targets, by steps that are shortened where they are too long.
    x, length, losses = 0.7 * maps[6:12] + 0.7, 0.02, []
    running, slope = of(x)
    losses.append(loss_of(running, targets))
    for _ in range(12):
        lower = x - length * jnp.sqrt((x**2).sum()) * slope / jnp.sqrt((slope**2).sum())
        running, there = of(lower)
        if (found := loss_of(running, targets)) < losses[-1]:
            x, slope, length = lower, there, 2 * length
            losses.append(found)
        else:
            length /= 4
    assert losses[-1] < 0.97 * losses[0], losses
    # A map without contrast, as a fresh generator's nearly are, has a gradient too.
    assert np.isfinite(np.asarray(of(jnp.zeros_like(x))[1])).all()


def loss_of(running, targets):
    """Nothing within six maps' error, squares to the clip, straight beyond."""
    off = np.abs(np.asarray(matching.deviations(running, targets), np.float64))
    off = np.maximum(off - 1 / np.sqrt(6), 0)
    return np.where(off < 0.5, off**2 / 2, 0.5 * off - 0.125).sum()


def test_the_covariance_of_a_batch_is_about_its_own_means(maps, scale):
    """And unbiased: batches of two give, on average, what all maps give."""
    of = jax.jit(lambda x: STATISTICS["covariance"](x, scale.about(x)).mean(0))
    pairs = np.array([[i, j] for i in range(len(maps)) for j in range(i)])
    found = np.mean([np.asarray(of(maps[pair]), np.float64) for pair in pairs], 0)
    rings = np.asarray(scale.standardised(bands.log_ring_power(maps)), np.float64)
    first, second = np.triu_indices(rings.shape[1])
    # Clipped at four standard deviations, which few of 40 maps reach.
    np.testing.assert_allclose(found, np.cov(rings.T)[first, second], atol=0.03)
    # What all maps have in common is none of it; to what keeps the log of the faint corners finite.
    brighter = np.asarray(of(1.5 * maps), np.float64)
    np.testing.assert_allclose(brighter, np.asarray(of(maps), np.float64), atol=5e-3)


def test_roughness_and_how_it_varies_are_matched(maps, scale):
    rows = np.asarray(STATISTICS["roughness"](maps, scale), np.float64)
    logs = np.asarray(log_squared_gradients(maps), np.float64)
    np.testing.assert_allclose(rows[:, :NUM_ROUGHNESSES], logs, rtol=1e-5)
    rings = np.asarray(bands.log_ring_power(maps), np.float64)
    together = np.clip(
        np.concatenate([(v - v.mean(0)) / v.std(0) for v in (logs, rings)], 1), -4, 4
    )  # as `_LARGEST_RING`
    covariance = together.T @ together / len(maps)
    first, second = np.triu_indices(NUM_ROUGHNESSES)
    pairs = len(first)
    products = rows.mean(0)[NUM_ROUGHNESSES:]
    np.testing.assert_allclose(products[:pairs], covariance[first, second], atol=2e-3)
    expected = covariance[:NUM_ROUGHNESSES, NUM_ROUGHNESSES:].ravel()
    np.testing.assert_allclose(products[pairs:], expected, atol=2e-3)
    # Roughness that varies more from map to map, as noise that is louder in some maps makes it, is seen.
    noise = 0.3 * np.random.default_rng(3).normal(size=maps.shape)
    louder = np.exp(np.random.default_rng(4).normal(size=(len(maps), 1, 1)))
    steady, varying = (
        np.asarray(STATISTICS["roughness"](jnp.asarray(maps + amplitude * noise, jnp.float32), scale))
        for amplitude in (np.sqrt(np.mean(louder**2)), louder)
    )
    lowest = NUM_ROUGHNESSES  # the square of the first number
    assert varying[:, lowest].std() > 2 * steady[:, lowest].std()
    with pytest.raises(ValueError, match="the scale of the training maps has no roughness"):
        STATISTICS["roughness"](maps, scale._replace(roughness=None))


def test_running_means_move_at_their_rate(maps, scale):
    statistics = matched_statistics.matched(["mean"])
    targets = matching.targets_of(np.asarray(statistics(maps, scale)), [2])
    start = jnp.asarray([1.0, 2.0])
    running, _ = matching.pull(statistics, targets, start, maps[:4], scale, jnp.float32(0.25))
    expected = start + 0.25 * (statistics(maps[:4], scale).mean(0) - start)
    np.testing.assert_allclose(running, expected, rtol=1e-6)


def test_a_capped_gradient_keeps_its_direction():
    one, other = jnp.asarray([3.0, 4.0]), jnp.asarray([0.0, 2.0])
    np.testing.assert_allclose(matching.capped(one, other, 0.5), [0.6, 0.8], rtol=1e-6)
    np.testing.assert_allclose(matching.capped(one, other, 10.0), one)
    np.testing.assert_allclose(matching.capped(0 * one, other, 0.5), 0)


def axes_of(targets):
    """Each column a combination."""
    return np.asarray(targets.combined(jnp.eye(len(targets.mean))), np.float64)


def test_combinations_and_their_transpose():
    rng = np.random.default_rng(1)
    targets = matching.targets_of(rng.normal(size=(100, 5)) @ rng.normal(size=(5, 5)), [2, 3])
    axes, pressed = axes_of(targets), rng.normal(size=(4, 10))
    assert not axes[:2, 7:].any()  # of one statistic each
    assert not axes[2:, 5:7].any()
    for some in (pressed, pressed[0]):
        np.testing.assert_allclose(targets.towards(jnp.asarray(some)), some @ axes.T, rtol=1e-4, atol=1e-5)


def test_what_does_not_vary_is_not_matched():
    targets = matching.targets_of(np.stack([np.full(50, 3.0), np.arange(50.0)], 1), [1, 1])
    axes = axes_of(targets)
    assert not axes[0].any()
    np.testing.assert_allclose(axes[1], [0, 1 / np.arange(50).std(), 0, 1 / np.arange(50).std()], rtol=1e-6)
    off = np.asarray(matching.deviations(jnp.asarray([9.0, 24.5]), targets))
    np.testing.assert_allclose(off, 0, atol=1e-6)


def test_combinations_have_variance_one_and_do_not_vary_together():
    """A small difference of two numbers that go together is as large as it is to a linear classifier."""
    rng = np.random.default_rng(0)
    common, own = rng.normal(size=(2, 4000))
    alone = rng.normal(size=(4000, 2)) @ np.array([[3.0, 1.0], [0.0, 0.5]])
    values = np.concatenate([np.stack([common, 2 * (common + 0.01 * own)], 1), alone], 1)
    targets = matching.targets_of(values, [2, 2])
    axes = axes_of(targets)
    assert axes.shape == (4, 8)
    scores = np.asarray((values - values.mean(0)) @ axes)
    np.testing.assert_allclose(scores.std(0), 1, rtol=1e-3)
    np.testing.assert_allclose(np.corrcoef(scores[:, 4:6].T), np.eye(2), atol=1e-3)
    np.testing.assert_allclose(np.corrcoef(scores[:, 6:].T), np.eye(2), atol=1e-3)
    # The first two numbers a hundredth of their scatter apart, 0.01 of each: Mahalanobis' distance is 1.
    shifted = targets.mean + jnp.asarray([0.0, 2 * 0.01, 0.0, 0.0])
    off = np.asarray(matching.deviations(shifted, targets), np.float64)
    assert np.abs(off[:4]).max() < 0.02
    assert np.sqrt((off[4:] ** 2).sum()) == pytest.approx(1, rel=0.05)
    # Of fewer maps than ten a number no such combination is known.
    few = axes_of(matching.targets_of(values[:15], [2, 2]))
    assert not few[:, 4:].any()
    np.testing.assert_allclose(np.diag(few[:, :4]), 1 / values[:15].std(0), rtol=1e-5)


def test_large_blocks_lie_above_heights_of_all_maps_together(maps, scale):
    """By hand: 9 blocks of 8x8 and one of 16x16 of each 24x24 map; of smaller maps all pixels."""
    x = np.asarray(maps, np.float64)
    eights = x.reshape(40, 3, 8, 3, 8).mean((2, 4)).reshape(40, 9)
    sixteen = x[:, :16, :16].mean((1, 2))[:, None]
    for blocks, heights in zip((eights, sixteen), np.asarray(scale.large_heights)):
        # The median of all is the height that half lies above: the fourth of the shares.
        assert heights[3] == pytest.approx(np.median(blocks), abs=1e-4)
        assert (np.diff(heights) > 0).all()
    rows = np.asarray(STATISTICS["large_heights"](maps, scale))
    count = scale.large_heights.shape[1]
    above = rows[:, :count]
    # Smooth by half the gap of neighbouring heights: of the middle ones a few per cent of the blocks.
    expected = np.stack([(eights > height).mean(1) for height in np.asarray(scale.large_heights[0])], 1)
    np.testing.assert_allclose(above.mean(0)[1:6], expected.mean(0)[1:6], atol=0.05)
    assert np.isfinite(STATISTICS["large_heights"](maps[:, :8, :8], scale)).all()
    with pytest.raises(ValueError, match="no large_heights"):
        STATISTICS["large_heights"](maps, scale._replace(large_heights=None))


def test_what_is_off_by_the_error_of_the_mean_does_not_pull(maps, scale):
    statistics = matched_statistics.matched(["mean"])
    targets = matching.Targets(jnp.zeros(2), jnp.asarray([1.0, 0.0]), (jnp.zeros((2, 2)),))
    rate, x = 0.25, jnp.zeros((4, 24, 24))
    noise = np.sqrt(rate / (2 - rate) / 4)
    for start, expected in ((0.9 * noise, 0), (-0.9 * noise, 0), (noise + 0.1, 0.1), (-noise - 9, -0.5)):
        running = jnp.asarray([start / (1 - rate), 0.0])
        found = matching.pull(statistics, targets, running, x, scale, jnp.float32(rate))[1]
        np.testing.assert_allclose(found, expected / 4 / 24**2, atol=1e-7)


def test_what_is_trained_on_is_named_as_the_verdict_names_it():
    """All of the one table can be matched, and nothing else is said to be."""
    trained_on = {loss for row in JUDGED.values() for loss in row.matched_by}
    assert trained_on - set(JOINT_STATISTICS) == set(STATISTICS)
    assert all(row.matched_by for row in JUDGED.values())
    assert trained_on_by(["power", "mean"]) == {"power_spectrum", "power_bands", "crop_mean"}
    offered = {field.name: field for field in dataclasses.fields(Settings)}["match"].metadata["declared"].help
    for name in STATISTICS:
        assert re.search(rf"\b{name}\b", offered), f"--help does not name {name}"


def test_what_no_training_map_comes_near_is_not_matched():
    values = np.stack([1e-9 * np.arange(50.0), np.arange(50.0)], 1)
    assert not axes_of(matching.targets_of(values, [1, 1], least=1e-6))[0].any()
    assert axes_of(matching.targets_of(values, [1, 1])).any(1).all()


def test_more_statistics_are_what_they_say(maps, scale):
    """Against those of `summaries/` that a verdict is of, on the same maps."""
    x = np.asarray(maps, np.float64)
    minima = np.asarray(STATISTICS["minima"](maps, scale)).mean(0) * 22**2
    counted = float((minimum_counts(maps, np.array([-50.0, -0.5])) * 49.5).mean()) * (22 / 24) ** 2
    assert minima[matched_statistics._MINIMA.index(0.5)] == pytest.approx(counted, rel=0.35)
    l1 = np.asarray(STATISTICS["starlet_l1"](maps, scale))
    w = np.asarray(bands.wavelets(maps), np.float64)
    sigma = np.sqrt((w**2).mean((0, 2, 3)))
    np.testing.assert_allclose(l1[:, :3], np.abs(w).mean((2, 3)) / sigma, rtol=1e-3)
    np.testing.assert_allclose(l1[:, 3], np.abs(x - w.sum(1)).mean((1, 2)), rtol=1e-3)
    # The bispectrum's bins in units of what the spectrum gives: the same however the maps are scaled.
    b = np.asarray(STATISTICS["bispectrum"](maps, scale))
    geometry = MapGeometry(24, 3.0)
    judged = np.asarray(bispectrum(maps, triangle_edges(geometry), 3.0), np.float64)
    np.testing.assert_allclose(b / judged, np.broadcast_to((b / judged)[:1], b.shape), rtol=2e-2)
    assert 1e-2 < np.abs(b).mean(0).min() <= np.abs(b).mean(0).max() < 30
    logs = (np.asarray(of(3 * maps)) for of in (bands.log_band_power, bands.log_ring_power))
    tripled = bands.scale_of(*logs, 9 * (np.asarray(w) ** 2).mean((2, 3)), np.asarray(bands.heights(maps)))
    np.testing.assert_allclose(STATISTICS["bispectrum"](3 * maps, tripled), b, rtol=2e-2, atol=1e-3)
