"""Statistics of several source bins, on maps whose cross power, coherence and joint moments are known."""

import itertools
from math import comb

import jax
import numpy as np
import pytest

from cosmogan_jax.compare import coherence as coherences
from cosmogan_jax.compare.discrimination.classifier_features import features_of, linear_rule, reference_of
from cosmogan_jax.compare.discrimination.classifier_network import Classifier
from cosmogan_jax.compare.effects.quantities import MapSet, Quantity
from cosmogan_jax.compare.effects.verdict import judge
from cosmogan_jax.compare.joint_data_vectors import effective_ell, joint_data_vector
from cosmogan_jax.compare.joint_statistics import JOINT_STATISTICS, JointScales, measure_pairs
from cosmogan_jax.files.data_vector_files import write_data_vector
from cosmogan_jax.geometry import MapGeometry, log_l_edges
from cosmogan_jax.maps.source_bins import bins_first
from cosmogan_jax.summaries import (
    coherence,
    cross_power_spectra,
    joint_moments,
    joint_roughness,
    joint_roughness_labels,
    kappa_to_shear,
    pair_power_spectra,
    power_spectrum,
    roughness,
)
from cosmogan_jax.summaries.observer import GalaxyNoise, add_shape_noise, add_shape_noise_of_bins, smooth

pytestmark = pytest.mark.usefixtures("quick")

GEOMETRY = MapGeometry(16, 1.0)
SIDE = GEOMETRY.side_deg
EDGES = log_l_edges(GEOMETRY, 3)
R = np.array([[1.0, 0.9, 0.3], [0.9, 1.0, 0.6], [0.3, 0.6, 1.0]])
SIGMAS = np.array([0.01, 0.02, 0.04])
PAIRS = list(itertools.combinations(range(3), 2))
MAPS = 400


def white(count, seed, correlation=R):
    """White Gaussian maps of so correlated bins, (maps, bins, 16, 16): coherence is R at every ell."""
    rng = np.random.default_rng(seed)
    unit = np.einsum("ij,njyx->niyx", np.linalg.cholesky(correlation), rng.normal(size=(count, 3, 16, 16)))
    return (unit * SIGMAS[:, None, None]).astype(np.float32)


@pytest.fixture(scope="module")
def kappa():
    return white(MAPS, 0)


@pytest.fixture(scope="module")
def power(kappa):
    return np.asarray(pair_power_spectra(kappa, EDGES, SIDE), np.float64)


def modes_of_bands():
    return np.bincount(
        GEOMETRY.half_plane_bins(EDGES).ravel() + 1, GEOMETRY.half_plane_weights().ravel(), len(EDGES)
    )[1:]


def test_all_pairs_at_once_are_auto_and_cross_powers(kappa, power):
    autos = [0, 3, 5]
    for place, number in zip(autos, range(3)):
        own = power_spectrum(kappa[:, number], EDGES, SIDE, mode_weights="full_plane")
        np.testing.assert_allclose(power[:, place], own, rtol=2e-6)  # another order of float32 sums
    np.testing.assert_array_equal(
        power[:, [1, 2, 4]].astype(np.float32), cross_power_spectra(kappa, EDGES, SIDE)
    )
    # P of white noise is sigma^2 times a pixel's area. Scatter of the mean: sqrt(2/modes).
    expected = np.prod(SIGMAS[:2]) * R[0, 1] * GEOMETRY.pixel_rad**2
    error = np.sqrt((1 + R[0, 1] ** -2) / modes_of_bands() / MAPS)
    assert (np.abs(power[:, 1].mean(0) / expected - 1) < 4 * error).all()
    with pytest.raises(ValueError, match="must hold two bins or more"):
        pair_power_spectra(kappa[:, :1], EDGES, SIDE)


def test_bins_in_another_order_are_the_same_pairs_in_another_order(kappa, power):
    turned = np.asarray(pair_power_spectra(kappa[:, [2, 0, 1]], EDGES, SIDE))
    np.testing.assert_allclose(turned, power[:, [5, 2, 4, 0, 1, 3]], rtol=2e-6, atol=2e-6 * power.max())
    own, other = (
        np.asarray(joint_moments(kappa[:9, order], 0 * SIGMAS, SIGMAS[order]))
        for order in ([0, 1, 2], [2, 0, 1])
    )
    np.testing.assert_allclose(other[:, 2], own[:, 0], rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(other[:, 0], own[:, 1][:, [0, 2, 1, 3]], rtol=1e-5, atol=1e-5)


def test_coherence_and_its_error_are_those_of_correlated_noise(power):
    found = coherences.coherence_of_set(power)
    np.testing.assert_allclose(found.value, coherence(power.mean(0)), rtol=1e-5)
    np.testing.assert_allclose(coherences.of_each_map(power).mean(0), found.value, rtol=1e-12)
    r = np.array([R[pair] for pair in PAIRS])[:, None]
    theory = (1 - r**2) / np.sqrt(modes_of_bands() * MAPS)  # of the correlation of so many normal pairs
    assert (np.abs(found.value - r) < 4 * theory).all()
    np.testing.assert_allclose(found.standard_error, theory, rtol=0.25)  # errors of 400 maps: 4 % and skewness
    # Each map twice: no more is known.
    twice = coherences.coherence_of_set(np.repeat(power, 2, axis=0), np.repeat(np.arange(MAPS), 2))
    np.testing.assert_allclose(twice.standard_error, found.standard_error, rtol=1e-9)
    # The mean of single maps' coefficients is too small by r (1 - r^2)/2n, n modes of the lowest band.
    single = np.asarray(coherence(power)).mean(0)[:, 0]
    missing = r[:, 0] * (1 - r[:, 0] ** 2) / 2 / modes_of_bands()[0]
    scatter = theory[:, 0]
    assert (np.abs(found.value[:, 0] - single - missing) < 0.3 * missing + 1 * scatter).all()
    assert (found.value[1:, 0] - single[1:] > 0.4 * missing[1:] - 0.5 * scatter[1:]).all()


def test_no_coherence_without_power(power):
    with pytest.raises(ValueError, match="bin 1 has no power in some band"):
        coherences.of_each_map(power * np.array([1, 1, 1, 0, 1, 1])[:, None])
    with pytest.raises(ValueError, match="4 pairs i <= j are not those of two bins or more"):
        coherence(power[:, :4])


def lognormal_moment(p, q, s, t, c):
    """E (e^{g - s/2} - 1)^p (e^{h - t/2} - 1)^q of normal g, h of variances s, t and covariance c."""
    return sum(
        comb(p, i) * comb(q, j) * (-1) ** (p - i + q - j)
        * np.exp(i * (i - 1) * s / 2 + j * (j - 1) * t / 2 + i * j * c)
        for i in range(p + 1) for j in range(q + 1)
    )  # fmt: skip


def test_joint_moments_of_lognormal_maps_in_closed_form():
    s, t, c = 0.06, 0.3, 0.1
    rng, count = np.random.default_rng(1), 512
    unit = np.linalg.cholesky([[s, c], [c, t]]) @ rng.normal(size=(2, count * 256))
    kappa = np.expm1(unit - np.array([[s], [t]]) / 2).reshape(2, count, 16, 16).swapaxes(0, 1)
    sigma = np.sqrt([lognormal_moment(2, 0, s, t, c), lognormal_moment(0, 2, s, t, c)])
    found = np.asarray(joint_moments(kappa * 0.02 + 0.003, [0.003, 0.003], sigma * 0.02), np.float64)[:, 0]
    wanted = [
        lognormal_moment(p, q, s, t, c) / sigma[0] ** p / sigma[1] ** q
        for p, q in ((1, 1), (2, 1), (1, 2), (2, 2))
    ]
    error = found.std(0, ddof=1) / np.sqrt(count)
    assert (np.abs(found.mean(0) - wanted) < 4 * error).all()
    assert wanted[2] - wanted[1] > 8 * error[1:3].max()  # known well enough to be told from each other
    with pytest.raises(ValueError, match=r"sigma=.* must be positive in every bin"):
        joint_moments(kappa, [0, 0], [1, 0])
    with pytest.raises(ValueError, match=r"mean.shape=\(3,\) must be \(2,\)"):
        joint_moments(kappa, [0, 0, 0], sigma)


def test_roughness_of_one_bin_by_height_of_another():
    """Noise that is louder where the other bin is high; of a bin with itself it is the one bin's roughness."""
    rng = np.random.default_rng(2)
    k = np.hypot(np.fft.fftfreq(32)[:, None], np.fft.rfftfreq(32)) * 32
    smooth = np.fft.irfft2(np.fft.rfft2(rng.normal(size=(60, 32, 32))) / (1 + k) ** 1.5, s=(32, 32))
    smooth /= smooth.std()
    loudness = np.where(smooth > 0.4, 2.0, 1.0)
    noise = np.stack([rng.normal(size=smooth.shape) * of for of in (1.0, loudness)])
    noise[1] /= noise[1].std()  # both of power 1, white: no spectrum tells them
    kappa = 0.5 + 0.02 * np.stack([[smooth, of] for of in noise]).swapaxes(1, 2)
    found = np.asarray(joint_roughness(kappa, np.full(2, 0.5), np.full(2, 0.02)), np.float64)[:, :, 0]
    assert found.shape == (2, 60, len(joint_roughness_labels()))
    assert joint_roughness_labels()[0] == "bin j where i is pixels below -0.9 sigma"
    # Squared differences of white noise of variance v have mean 4 v; the logarithm's of few pixels is lower.
    even, planted = found[..., :5].mean(1)
    np.testing.assert_allclose(even[1:4], np.log(4), atol=0.1)
    share = (smooth > 0.4).mean()
    more = np.log(np.array([1, 4]) / (1 + 3 * share))
    np.testing.assert_allclose(
        (planted - even)[[0, 4]], more, atol=0.1
    )  # pixels at a border have both beside them
    assert found[:, :, 10:].mean(1) == pytest.approx(np.tile(found[0, :, 10:].mean(0), (2, 1)), abs=0.1)
    twice = np.asarray(joint_roughness(kappa[0][:, [0, 0]], np.full(2, 0.5), np.full(2, 0.02)))[:, 0]
    own = np.asarray(roughness(kappa[0][:, 0], 0.5, 0.02))
    np.testing.assert_allclose(twice, np.concatenate([own, own], -1), atol=1e-4)
    with pytest.raises(ValueError, match=r"sigma=.* must be positive in every bin"):
        joint_roughness(kappa[0], [0, 0], [1, 0])


def measured(seed, correlation=R, count=MAPS):
    maps = white(count, seed, correlation)
    scales = JointScales(EDGES, SIDE, np.zeros(3), SIGMAS)
    return {
        name: np.asarray(of, np.float64)
        for name, of in jax.jit(lambda k: measure_pairs(k, scales))(maps).items()
    }


def test_coherence_is_judged_by_the_ratio_of_means():
    """The same, of another draw, does not fail; 0.1 less coherence at the same powers does, by 0.1."""
    labels = tuple(JOINT_STATISTICS["coherence"].labels(JointScales(EDGES, SIDE, np.zeros(3), SIGMAS)))
    quantity = [Quantity("r", labels, "coherence")]
    less = R.copy()
    less[0, 1] = less[1, 0] = 0.8
    less[0, 2] = less[2, 0] = 0.2
    sets = [MapSet({"r": measured(seed, corr)["coherence"][:, 0]}, np.arange(MAPS))
            for seed, corr in ((1, R), (2, R), (3, R), (4, less))]  # fmt: skip
    (same,) = judge(sets[0], sets[1], sets[2], quantity, seed=0, num_resamples=50)
    (other,) = judge(sets[3], sets[1], sets[2], quantity, seed=0, num_resamples=50)
    assert (same.name, same.bands, same.margin) == ("coherence", labels[: len(EDGES) - 1], 0.02)
    assert (same.outcome, other.outcome) == ("pass", "fail")
    # (1 - r^2)/sqrt(modes) of each: 0.36 and 0.19 over sqrt(8 * 400).
    np.testing.assert_allclose(other.effect, -0.1, atol=4 * 0.007)
    np.testing.assert_allclose(same.effect, 0, atol=4 * 0.005)


def test_rows_of_the_table_say_what_they_give():
    of = measured(5, count=20)
    scales = JointScales(EDGES, SIDE, np.zeros(3), SIGMAS)
    for row in JOINT_STATISTICS.values():
        assert of[row.name].shape == (20, 3, len(row.labels(scales)))
    crosses, bands = of["power"][:, [1, 2, 4]], len(EDGES) - 1
    np.testing.assert_array_equal(of["cross_power"], crosses)
    np.testing.assert_array_equal(of["coherence"][..., :bands], crosses)
    np.testing.assert_array_equal(of["coherence"][:, 2, bands : 2 * bands], of["power"][:, 3])
    np.testing.assert_array_equal(of["coherence"][:, 2, 2 * bands :], of["power"][:, 5])


def test_a_data_vector_of_all_pairs_and_its_files(tmp_path, kappa, power):
    vector = joint_data_vector(kappa, GEOMETRY, num_bands=3, statistics=["peaks"])
    own = power.reshape(MAPS, -1)
    part = vector.columns["power"]
    np.testing.assert_allclose(vector.mean[part], own.mean(0), rtol=1e-6)
    np.testing.assert_allclose(vector.covariance[part, part], np.cov(own.T), rtol=1e-4, atol=1e-6 * own.var())
    assert vector.labels[:4] == (*(f"P00, ell {a:.0f} to {b:.0f}" for a, b in itertools.pairwise(EDGES)),
                                 f"P01, ell {EDGES[0]:.0f} to {EDGES[1]:.0f}")  # fmt: skip
    np.testing.assert_allclose(np.diag(vector.correlation), 1)
    inside = (GEOMETRY.half_plane_ell() > EDGES[0]) & (GEOMETRY.half_plane_ell() <= EDGES[1])
    mean_ell = np.average(GEOMETRY.half_plane_ell()[inside], weights=GEOMETRY.half_plane_weights()[inside])
    assert effective_ell(GEOMETRY, EDGES)[0] == pytest.approx(mean_ell)
    write_data_vector(tmp_path / "v", vector.tables(), vector.covariance, vector.labels, ["bin 1: near"])
    head = (tmp_path / "v/power.txt").read_text().splitlines()[:2]
    assert head == ["# bin 1: near", "# bin_i bin_j ell_min ell_max ell_eff value sigma"]
    table = np.loadtxt(tmp_path / "v/power.txt")
    assert [tuple(row) for row in table[::3, :2].astype(int)] == [
        (1, 1),
        (1, 2),
        (1, 3),
        (2, 2),
        (2, 3),
        (3, 3),
    ]
    np.testing.assert_allclose(table[:, 5], vector.mean[part], rtol=1e-8)
    np.testing.assert_allclose(table[:, 6] ** 2, np.diag(vector.covariance)[part], rtol=1e-7)
    np.testing.assert_allclose(table[:3, 2], EDGES[:-1], rtol=1e-8)
    np.testing.assert_allclose(np.loadtxt(tmp_path / "v/covariance.txt"), vector.covariance, rtol=1e-7)
    peaks = np.loadtxt(tmp_path / "v/peaks.txt")
    assert set(peaks[:, 0]) == {1, 2, 3}
    assert len(table) + len(peaks) == len(vector.mean)
    with np.load(tmp_path / "v/data_vector.npz") as arrays:
        np.testing.assert_array_equal(arrays["mean"], vector.mean)
        assert tuple(arrays["labels"]) == vector.labels
        np.testing.assert_array_equal(arrays["power_bin_j"], table[:, 1])
    with pytest.raises(ValueError, match="labels must be of"):
        write_data_vector(tmp_path, vector.tables(), vector.covariance, vector.labels[1:])
    with pytest.raises(ValueError, match=r"kappa.shape=\(400, 3, 16, 16\) must be"):
        joint_data_vector(kappa, MapGeometry(32, 1.0))
    with pytest.raises(ValueError, match="largest_ell=10 leaves no band"):
        joint_data_vector(kappa, GEOMETRY, largest_ell=10)


def test_noise_of_each_bin_is_its_own(kappa):
    """Its power is sigma_e^2/n of the bin, and no bin's noise is another's."""
    noise = [GalaxyNoise(galaxies_per_arcmin2=n) for n in (4.0, 8.0, 16.0)]
    key, index = jax.random.key(3), np.arange(MAPS)
    noisy = add_shape_noise_of_bins(key, 0 * kappa, index, GEOMETRY, noise)
    of = np.asarray(pair_power_spectra(noisy, EDGES, SIDE)).mean(0)
    per_steradian = np.array([4.0, 8.0, 16.0]) * (60 * 180 / np.pi) ** 2
    error = np.sqrt(1 / modes_of_bands() / MAPS)
    assert (np.abs(of[[0, 3, 5]] * per_steradian[:, None] / 0.26**2 - 1) < 4 * np.sqrt(2) * error).all()
    for place, (i, j) in zip((1, 2, 4), PAIRS):
        assert (np.abs(of[place]) * np.sqrt(per_steradian[i] * per_steradian[j]) / 0.26**2 < 4 * error).all()
    one = add_shape_noise(jax.random.fold_in(key, 1), 0 * kappa[:, 1], index, GEOMETRY,
                          sigma_e_per_component=0.26, galaxies_per_arcmin2=8.0)  # fmt: skip
    np.testing.assert_array_equal(noisy[:, 1], one)
    with pytest.raises(ValueError, match="a bin for each noise"):
        add_shape_noise_of_bins(key, kappa, index, GEOMETRY, noise[:2])


def test_bins_as_stores_have_them_take_shear_and_smoothing(kappa):
    stored = np.moveaxis(kappa[:3], 1, -1)
    for first in (bins_first(stored), bins_first(jax.numpy.asarray(stored))):
        np.testing.assert_array_equal(first, kappa[:3])
    np.testing.assert_array_equal(bins_first(stored[0]), kappa[0])
    for number in range(3):
        for several, one in zip(kappa_to_shear(kappa[:3]), kappa_to_shear(kappa[:3, number])):
            np.testing.assert_allclose(several[:, number], one, atol=1e-7 * 0.04)
        several, one = smooth(kappa[:3], GEOMETRY, 4.0), smooth(kappa[:3, number], GEOMETRY, 4.0)
        np.testing.assert_allclose(several[:, number], one, atol=1e-7)


def test_a_rule_of_pairs_sees_what_no_bin_shows():
    """Bins that share nothing, of the same autos: told by the pairs' coherence, not by spectrum or heights."""
    one, other = (np.moveaxis(white(120, seed, corr), 1, -1) for seed, corr in ((6, R), (7, np.eye(3))))
    reference = reference_of(one, other, SIDE)
    trained, tested = ([features_of(k[half], reference, SIDE) for k in (one, other)]
                       for half in (slice(0, 60), slice(60, 120)))  # fmt: skip
    alone = features_of(one[:5, ..., 1], reference[1:2], SIDE)
    count = alone.heights.shape[1]
    np.testing.assert_allclose(trained[0].heights[:5, count : 2 * count], alone.heights)
    right = {}
    for name in ("spectrum", "heights", "pairs"):
        rule = linear_rule(*(getattr(of, name) for of in trained))
        right[name] = np.mean([rule(getattr(tested[0], name)) > 0, rule(getattr(tested[1], name)) < 0])
    assert right["pairs"] == 1
    # A half, of 120 maps: four of their errors.
    assert abs(right["spectrum"] - 0.5) < 0.2
    assert abs(right["heights"] - 0.5) < 0.2


def test_a_network_of_channels_sees_their_order():
    network = Classifier(16, 2, 4, num_bins=3)
    maps = np.moveaxis(white(4, 8), 1, -1) / SIGMAS
    params = network.init(jax.random.key(0))
    assert params["kernel1"].shape == (5, 5, 3, 4)
    params = {**params, "logit": {**params["logit"], "kernel": 1 + 0 * params["logit"]["kernel"]}}
    own, turned = (np.asarray(network.apply(params, maps[..., order])) for order in ([0, 1, 2], [1, 0, 2]))
    assert own.shape == (4,)
    assert (np.abs(own - turned) > 1e-4).all()
