"""Scores of a generator's maps: distances against SciPy and NumPy, planted failures, streaming."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from cosmogan_jax.compare.position_moments import add_maps, no_maps
from cosmogan_jax.compare.scores import pixel_distance, sample_health
from cosmogan_jax.compare.scores.generator_score import SCORES, make_scorer
from cosmogan_jax.compare.scores.score_measures import Measures, reference
from cosmogan_jax.compare.scores.spectrum_distance import (
    count_spectra,
    distance,
    no_spectra,
    spectrum_chi2,
    spectrum_reference,
)
from cosmogan_jax.geometry import MapGeometry, log_l_edges

RNG = np.random.default_rng(0)
GEOMETRY = MapGeometry(32, 0.5)


def sky(seed, maps=300):
    """White noise smoothed over about a pixel: isotropic, periodic, independent maps."""
    noise = np.random.default_rng(seed).normal(size=(maps, 32, 32))
    for axis in (1, 2):
        noise = 0.5 * noise + 0.25 * (np.roll(noise, 1, axis) + np.roll(noise, -1, axis))
    return (0.02 * noise).astype(np.float32)


def measures_of(bins):
    return Measures(GEOMETRY, log_l_edges(GEOMETRY, 8), bins, 4, 0.1, 50, log_l_edges(GEOMETRY, 5))


def scores_of(maps, real, batch_size=100, what="all"):
    """A generator that is a table of maps: a map's number is the row."""
    measures, fixed = referred(real)
    score = scorer(measures.pixel_bins, len(maps), batch_size, what)
    found = score(jnp.asarray(maps), fixed)
    return {name: float(value) for name, value in found.items()}


@functools.cache
def scorer(bins, count, batch_size, what):
    measures = measures_of(bins)
    return jax.jit(make_scorer(lambda table, index: table[index], count, measures, batch_size, what))


def referred(real):
    measures = measures_of(pixel_distance.pixel_bins(real))
    if real.tobytes() not in _references:
        batches = (real[i : i + 100] for i in range(0, len(real), 100))
        _references[real.tobytes()] = reference(measures, batches, np.arange(len(real)))
    return measures, _references[real.tobytes()]


_references = {}  # of maps that several tests compare with


@pytest.fixture(scope="module")
def healthy():
    return scores_of(sky(1), sky(2))


@pytest.mark.parametrize("ties", [False, True])
def test_pixel_ks_equals_scipy_and_the_histogram_bounds_it(ties):
    one, two = sky(3, 20).ravel(), 1.05 * sky(4, 30).ravel() + 0.001
    if ties:
        one, two = np.round(one, 2), np.round(two, 2)
    exact = stats.ks_2samp(one, two).statistic
    assert float(pixel_distance.pixel_ks(jnp.asarray(one), jnp.asarray(two))) == pytest.approx(exact, abs=1e-6)
    bins = pixel_distance.pixel_bins(two)
    counts = [pixel_distance.count_pixels(bins, jnp.asarray(x)) for x in (one, two)]
    found = pixel_distance.histogram_ks(*counts)
    assert found.distance <= exact + 1e-6 <= found.at_most + 2e-6
    if not ties:
        assert found.at_most - found.distance < 2e-3
    parts = sum(pixel_distance.count_pixels(bins, jnp.asarray(x)) for x in np.split(one, 4))
    np.testing.assert_array_equal(parts, counts[0])


def test_pixel_distance_at_its_ends():
    one, bins = sky(5, 4), pixel_distance.pixel_bins(sky(6, 4))
    count = lambda x: pixel_distance.count_pixels(bins, jnp.asarray(x))  # noqa: E731
    assert pixel_distance.histogram_ks(count(one), count(one)).distance == 0
    assert pixel_distance.histogram_ks(count(one), count(one + 1)).distance == 1  # beyond the last bin
    broken = np.where(np.arange(32) == 3, np.nan, one).astype(np.float32)
    assert np.isnan(pixel_distance.histogram_ks(count(broken), count(one)).distance)
    assert np.isnan(pixel_distance.pixel_ks(jnp.asarray(broken), jnp.asarray(one)))
    with pytest.raises(ValueError, match=r"pixels between 2\.0 and 2\.0 have no distribution"):
        pixel_distance.pixel_bins(np.full(10, 2.0))


def test_spectrum_distance_equals_the_formula():
    real, found = np.exp(RNG.normal(size=(500, 4))), np.exp(RNG.normal(0.3, 1.2, size=(300, 4)))
    real[:, 2] = found[:, 2] = 0  # an empty bin
    expected = []
    for mode in (0, 1, 3):
        edges = np.concatenate([[-np.inf], np.quantile(real[:, mode], np.arange(0.1, 0.95, 0.1)), [np.inf]])
        g, r = (np.histogram(x[:, mode], edges)[0] / len(x) for x in (found, real))
        expected.append(0.5 * ((g - r) ** 2 / (g + r)).sum())
    offset = np.mean(np.log(found.mean(0)[[0, 1, 3]] / real.mean(0)[[0, 1, 3]]) ** 2)
    chi2 = np.mean(expected) + 1e-2 * offset / (1 + offset)
    assert spectrum_chi2(found, real) == pytest.approx(chi2, abs=1e-6)
    fixed = spectrum_reference(real)
    counts = no_spectra(fixed)
    for part in np.array_split(found.astype(np.float32)[::-1], 7):
        counts = jax.jit(count_spectra)(counts, fixed, part)
    assert float(distance(counts, fixed).chi2) == pytest.approx(chi2, abs=1e-6)
    factor = np.exp(np.abs(np.log(found.mean(0)[[0, 1, 3]] / real.mean(0)[[0, 1, 3]])).max())
    assert float(distance(counts, fixed).worst_power_factor) == pytest.approx(factor, rel=1e-4)


def test_spectrum_distance_at_its_ends_and_in_its_order():
    real = 1e-12 * np.exp(RNG.normal(size=(500, 3)))
    assert spectrum_chi2(real, real) == pytest.approx(0, abs=1e-9)
    far = [spectrum_chi2(factor * real, real) for factor in (1.2, 2, 1e3, 1e6)]
    assert far == sorted(far)
    # Ten shares of 0.1 against all in one bin: (9 * 0.1 + 0.9^2 / 1.1) / 2, and at most 0.01 for the offset.
    assert 0.818 < far[2] < far[3] < 0.829
    # Ties: half of the reference has one and the same power.
    tied = np.where(np.arange(500)[:, None] % 2 == 0, 2e-12, real)
    assert spectrum_chi2(tied, tied) == pytest.approx(0, abs=1e-9)
    assert 0 < spectrum_chi2(real, tied) < 1
    assert np.isnan(spectrum_chi2(np.where(real == real[3, 1], np.nan, real), real))
    with pytest.raises(ValueError, match="no mode that varies"):
        spectrum_reference(np.ones((4, 3)))
    with pytest.raises(ValueError, match="cannot be compared"):
        spectrum_chi2(real[:, :2], real)


def test_streaming_and_batches_do_not_change_scores(healthy):
    other = scores_of(sky(1), sky(2), batch_size=60)
    for name, value in healthy.items():
        # Near-duplicates are sought within batches: other batches, other neighbours.
        loose = 0.03 if name == "nearest_ratio" else 1e-3
        assert other[name] == pytest.approx(value, rel=loose, abs=1e-4), name
    alone = scores_of(sky(1), sky(2), what="spectrum")
    assert alone["spectrum_chi2"] == pytest.approx(healthy["spectrum_chi2"], abs=1e-6)
    # A reference that was measured for spectra only gives the same.
    measures, _ = referred(sky(2))
    fixed = reference(measures, (sky(2)[i : i + 50] for i in range(0, 300, 50)), np.arange(300), "spectrum")
    assert fixed.measured is None
    again = scorer(measures.pixel_bins, 300, 100, "spectrum")(jnp.asarray(sky(1)), fixed)
    assert {name: float(value) for name, value in again.items()} == pytest.approx(alone, rel=1e-4)
    assert set(alone) == {"spectrum_chi2", "worst_power_factor", "band_chi2"}


def test_scores_of_a_healthy_generator(healthy):
    assert set(healthy) == set(SCORES)
    # Two halves of one sky: each score at its null, within four times its sampling error or more.
    assert healthy["pixel_ks"] < 0.01
    assert healthy["spectrum_chi2"] < 0.03
    assert healthy["worst_power_factor"] < 1.05
    assert healthy["band_chi2"] < 21  # chi-squared of five bands: 1e-3 above
    assert healthy["variance_ratio"] == pytest.approx(1, abs=0.03)
    assert healthy["nearest_ratio"] == pytest.approx(1, abs=0.05)
    assert healthy["checkerboard_ratio"] < 1.5
    assert abs(healthy["checkerboard_excess"]) < 0.01
    assert healthy["pattern"] < 0.1
    assert healthy["saturated"] == 0
    for name in ("border_mean", "border_sigma", "row_column"):
        assert abs(healthy[f"{name}_significance"]) < 4


def test_each_planted_failure_shows_in_its_score(healthy):
    real, good = sky(2), sky(1)
    board = 0.005 * (-1.0) ** np.add.outer(np.arange(32), np.arange(32))
    found = scores_of((good + board).astype(np.float32), real)
    assert found["checkerboard_ratio"] > 20
    # The pattern's share of the variance; its rms is the amplitude over sigma.
    assert found["checkerboard_excess"] == pytest.approx(0.005**2 / (good + board).var(), rel=0.1)
    assert found["pattern"] == pytest.approx(0.005 / good.std(), rel=0.15)
    tiles = 0.004 * np.tile(np.random.default_rng(5).normal(size=(4, 4)), (8, 8))
    found = scores_of((good + tiles).astype(np.float32), real)
    assert found["checkerboard_ratio"] > 3
    tiles = 0.004 * np.tile(np.random.default_rng(5).normal(size=(16, 16)), (2, 2))
    assert scores_of((good + tiles).astype(np.float32), real)["pattern"] > 0.3
    collapsed = scores_of(good[:1] + 0.05 * sky(9), real)
    assert collapsed["variance_ratio"] == pytest.approx(0.05**2, rel=0.1)
    few = scores_of(good[np.arange(300) % 5], real)
    assert few["variance_ratio"] > 0.6
    assert few["nearest_ratio"] < 1e-3
    loud = scores_of(np.tanh(1000 * good) * 0.101, real)
    assert loud["saturated"] > 0.05
    framed = good.copy()
    for edge in (framed[:, 0], framed[:, -1], framed[:, 1:-1, 0], framed[:, 1:-1, -1]):
        edge += 0.2 * good.std()
    found = scores_of(framed, real)
    assert found["border_mean_significance"] > 5
    turned = scores_of(good + np.roll(good, 1, 2), real)
    assert turned["row_column_significance"] < -10
    broken = good.copy()
    broken[7, 3, 3] = np.nan
    assert np.isnan(scores_of(broken, real)["spectrum_chi2"])


def test_checkerboard_shares_against_numpy():
    kappa = sky(11, 3)
    found = sample_health.checkerboard_share(kappa, 3)
    power = np.abs(np.fft.fft2(kappa - kappa.mean((1, 2), keepdims=True))) ** 2
    k = np.minimum(np.arange(32), 32 - np.arange(32))
    high = np.maximum(k[:, None], k) >= 15
    expected = [power[:, high].sum(1) / power.sum((1, 2))]
    lattices = [(k[:, None] % s == 0) & (k % s == 0) for s in (16, 8, 4)]
    taken = np.zeros((32, 32), bool)
    for lattice in lattices:
        expected.append(power[:, lattice & ~taken].sum(1) / power.sum((1, 2)))
        taken |= lattice
    np.testing.assert_allclose(found, np.stack(expected, 1), rtol=2e-4, atol=1e-12)
    with pytest.raises(ValueError, match=r"size=32 must be divisible by 2\*\*num_layers=64"):
        sample_health.checkerboard_share(kappa, 6)


def test_nearest_distance_and_variance_against_numpy():
    kappa = 0.3 + sky(12, 40)
    flat = kappa.reshape(40, -1).astype(np.float64)
    apart = np.sqrt(((flat[:, None] - flat) ** 2).mean(2)) + np.where(np.eye(40), np.inf, 0)
    assert sample_health.nearest_distance(kappa) == pytest.approx(np.median(apart.min(1)), rel=1e-4)
    moments = add_maps(no_maps((32, 32)), kappa)
    assert sample_health.sample_variance(moments) == pytest.approx(flat.var(0, ddof=1).mean(), rel=1e-4)
    with pytest.raises(ValueError, match="1 map has no other"):
        sample_health.nearest_distance(kappa[:1])


def test_scorer_refuses_what_cannot_be_scored():
    measures = measures_of(pixel_distance.PixelBins(-1, 1))
    for maps, batch_size, words in (
        (1, 1, "1 maps cannot"),
        (60, 40, "60 maps cannot"),
        (60, 30, "neighbours=50"),
    ):
        with pytest.raises(ValueError, match=words):
            make_scorer(lambda v, index: v, maps, measures, batch_size)
    with pytest.raises(ValueError, match="neighbours=50 must be two or more of the 0 development maps"):
        reference(measures, [])
