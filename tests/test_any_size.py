"""Maps of any size of one law, as they are and as analyses see them; and paths between their latents."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from cosmogan_jax import GalaxyNoise, load
from cosmogan_jax.emulators import bands
from cosmogan_jax.emulators.emulator import Emulator
from cosmogan_jax.emulators.interpolation import paths
from cosmogan_jax.emulators.lognormal_gan.base import Base
from cosmogan_jax.emulators.lognormal_gan.model import LognormalGan
from cosmogan_jax.emulators.lognormal_gan.waves import LARGEST_WAVE, NUM_WAVES
from cosmogan_jax.emulators.normalisation import Normalisation
from cosmogan_jax.geometry import MapGeometry
from cosmogan_jax.summaries.observer import shape_noise_sigma, smooth, smooth_inside

SIZE, SPREAD, SIGMA = 32, 0.3, 0.012
GEOMETRY = MapGeometry(SIZE, 0.4375)


@pytest.fixture(scope="module")
def emulator():
    """A network of random weights on a lognormal base of a sky's power: what it does is not linear."""
    k = np.linspace(0, LARGEST_WAVE, NUM_WAVES)
    amplitude = (k + 0.15) ** -0.9 * np.exp(-(k**2) / 4)
    amplitude /= np.sqrt((amplitude**2 * k).sum() * (k[1] - k[0]) / (2 * np.pi))
    numbers = [jnp.float32(v) for v in (0.0, SIGMA, 1 / np.sqrt(np.expm1(SPREAD**2)), SPREAD)]
    tables = [jnp.asarray(v, jnp.float32) for v in (amplitude, amplitude, np.ones(NUM_WAVES))]
    model = LognormalGan(2, 4)
    params = jax.tree.map(
        lambda leaf: leaf + 0.02 * jax.random.normal(jax.random.key(leaf.size), leaf.shape),
        model.generator.init(jax.random.key(0)),
    )
    variables = {"base": Base(*numbers, *tables), "params": params}
    return Emulator("e", model, variables, Normalisation("linear", 1.0), GEOMETRY, {})


@pytest.fixture(scope="module")
def own(emulator):
    """320 maps of its own size."""
    return np.concatenate([emulator.sample(1, 64, first) for first in range(0, 320, 64)])


def numbers_of(kappa):
    """Per map: mean, shares of pixels below some kappa, log power in every fourth of the bands."""
    x = np.asarray(kappa, np.float64) / SIGMA
    shares = [(x < edge).mean((1, 2)) for edge in (-1.5, -0.5, 0.5, 1.5, 3)]
    power = np.asarray(bands.log_band_power(jnp.asarray(kappa / SIGMA)))[:, ::4]
    return np.column_stack([x.mean((1, 2)), *shares, power])


@pytest.mark.parametrize("size", [64, (40, 64)])
def test_cuts_of_larger_maps_are_of_the_law_of_small_ones(emulator, own, size):
    large = np.concatenate([emulator.sample(2, 40, first, size=size) for first in range(0, 160, 40)])
    height, width = (size, size) if isinstance(size, int) else size
    assert large.shape == (160, height, width)
    expected = numbers_of(own)
    scatter = expected.std(0)
    # In the corner, where a canvas' wrap would be seen, in the middle and at the opposite corner.
    for row, column in ((0, 0), (4, 16), (height - SIZE, width - SIZE)):
        found = numbers_of(large[:, row : row + SIZE, column : column + SIZE])
        error = np.sqrt(scatter**2 / len(expected) + scatter**2 / len(found))
        off = (found.mean(0) - expected.mean(0)) / error
        # Some 16 numbers at three places of two sizes: of Gaussians one in 100 such tests exceeds 3.9.
        assert np.abs(off).max() < 3.9, off
        # As many maps tell the power of most bands to better than 5 %, and how much it differs from map to map
        # to 4 / sqrt(2 * 160), Gaussian as log powers are but for some tails.
        assert np.median(error[6:]) < 0.05
        np.testing.assert_allclose(found.std(0) / scatter, 1, atol=0.3)


def test_a_map_follows_from_seed_number_and_size(emulator, own):
    np.testing.assert_allclose(emulator.sample(1, 3, size=SIZE), own[:3], atol=1e-5 * SIGMA)
    wide = np.asarray(emulator.sample(1, 4, size=(24, 40)))
    assert wide.shape == (4, 24, 40)
    np.testing.assert_allclose(emulator.sample(1, 2, 2, size=(24, 40)), wide[2:], atol=1e-5 * SIGMA)
    latents = emulator.latents(emulator.key(1), jnp.arange(4), (24, 40))
    np.testing.assert_allclose(emulator.kappa(latents), wide, atol=1e-5 * SIGMA)


def test_sizes_that_no_training_map_had_are_made_where_that_is_said(emulator):
    assert emulator.sample(0, 1, size=(8, 64)).shape == (1, 8, 64)
    with pytest.raises(ValueError, match=r"size=8x66 is more than twice the 32 pixels .*allow_untested_size"):
        emulator.sample(0, 1, size=(8, 66))
    assert emulator.sample(0, 1, size=(8, 66), allow_untested_size=True).shape == (1, 8, 66)
    cropped = dataclasses.replace(emulator, training_pixels=50)
    assert cropped.check_size((8, 100)) == (8, 100)
    with pytest.raises(ValueError, match="size=101x101 is more than twice the 50 pixels"):
        cropped.of_size(101)
    larger = cropped.of_size(100)
    assert larger.geometry.pixel_arcmin == pytest.approx(GEOMETRY.pixel_arcmin)
    assert larger.check_size(100) == (100, 100)  # its training maps are the same


@pytest.mark.parametrize(
    ("size", "said"),
    [
        (0, "size=0x0 must be positive"),
        ((12, -3), "size=12x-3 must be positive"),
        (12.5, r"size=12.5 must be a whole number of pixels, or \(height, width\)"),
        ((1, 2, 3), r"size=\(1, 2, 3\) must be a whole number"),
        ("64", "size='64' must be a whole number"),
    ],
)
def test_what_is_no_size(emulator, size, said):
    with pytest.raises(ValueError, match=said):
        emulator.sample(0, 1, size=size)


def test_what_lies_around_a_map_leaves_it_as_it_is(emulator):
    model, margin = emulator.model, 18
    assert model.widest_margin(SIZE, 100) == (72 - 36) // 2
    latents = emulator.latents(emulator.key(3), jnp.arange(16))
    sample = jax.jit(model.sample, static_argnums=3)
    alone, around = (sample(emulator.variables, latents, jnp.zeros((16, 0)), m)[..., 0] for m in (0, margin))
    assert around.shape == (16, SIZE + 2 * margin, SIZE + 2 * margin)
    inside = slice(margin, -margin)
    np.testing.assert_allclose(around[:, inside, inside], alone, atol=1e-5 * SIGMA)
    # It goes on beyond the border as within: the step across is no larger than the others.
    steps = np.diff(np.asarray(around), axis=1).std((0, 2))
    for border in (margin - 1, -margin):
        assert 0.7 < steps[border] / np.median(steps) < 1.4


def test_noise_is_added_to_the_same_maps(emulator, own):
    survey = GalaxyNoise(galaxies_per_arcmin2=20, sigma_e=0.3)
    noise = np.asarray(emulator.sample(1, 64, noise=survey)) - own[:64]
    expected = shape_noise_sigma(GEOMETRY, 0.3, 20)
    assert expected == pytest.approx(0.3 / np.sqrt(20) / GEOMETRY.pixel_arcmin)
    assert noise.std() == pytest.approx(expected, rel=4 / np.sqrt(2 * noise.size))
    # White, of each map its own, and not of the map.
    for one, other in (
        (noise[:, 1:], noise[:, :-1]),
        (noise[1:], noise[:-1]),
        (noise, own[:64]),
        (noise[:, :, 7:], noise[:, :, :-7]),
    ):
        assert abs(np.corrcoef(one.ravel(), other.ravel())[0, 1]) < 5 / np.sqrt(one.size)
    part = np.asarray(emulator.sample(1, 3, 5, noise=survey)) - own[5:8]
    np.testing.assert_allclose(part, noise[5:8], atol=1e-5 * expected)
    # Another seed's is another; half as much noise is the same noise.
    assert np.abs(emulator.sample(2, 3, noise=survey) - emulator.sample(2, 3) - noise[:3]).max() > expected
    half = np.asarray(emulator.sample(1, 3, noise=GalaxyNoise(80, 0.3))) - own[:3]
    np.testing.assert_allclose(half, noise[:3] / 2, atol=1e-5 * expected)


def test_smoothing_sees_no_border(emulator, own):
    """SciPy's on the map with its surroundings; without them the border would be another."""
    theta, margin, survey = 1.0, 18, GalaxyNoise(30, 0.26)
    latents = emulator.latents(emulator.key(1), jnp.arange(3))
    sample = jax.jit(emulator.model.sample, static_argnums=3)
    around = np.asarray(sample(emulator.variables, latents, jnp.zeros((3, 0)), margin), np.float64)[..., 0]
    width = theta / GEOMETRY.pixel_arcmin
    inside = slice(margin, -margin)
    expected = np.stack([gaussian_filter(x, width, truncate=8)[inside, inside] for x in around])
    smoothed = np.asarray(emulator.sample(1, 64, smoothing_arcmin=theta))
    found = smoothed[:3]
    # SciPy samples the kernel, here it is its transform: alike where pixels resolve it.
    np.testing.assert_allclose(found, expected, atol=2e-3 * expected.std())
    periodic = np.asarray(smooth(jnp.asarray(around[:, inside, inside], jnp.float32), GEOMETRY, theta))
    assert np.abs(periodic - expected)[:, 0].max() > 0.3 * expected.std()
    # With noise, which is smoothed as the map is: in the middle of the same noise.
    many = np.asarray(emulator.sample(1, 64, noise=survey, smoothing_arcmin=theta)) - smoothed
    noise = np.asarray(emulator.sample(1, 3, noise=survey)) - own[:3]
    middle = slice(8, -8)  # 6 theta_G from the border
    expected = np.asarray(smooth(jnp.asarray(noise), GEOMETRY, theta))[:, middle, middle]
    # The kernel ends at the Nyquist mode, at exp(-(pi theta_G)^2 / 2) = 6e-4 of 1, and rings as much.
    np.testing.assert_allclose(many[:3, middle, middle], expected, atol=1e-3 * expected.std())
    # At the border there is as much of it as within.
    assert many[:, 0].std() == pytest.approx(many.std(), rel=0.1)  # some 64 x 32 / 4 independent pixels
    assert many.std() == pytest.approx(0.26 / np.sqrt(4 * np.pi * theta**2 * 30), rel=0.05)


def test_maps_without_surroundings_are_smoothed_as_evaluate_does():
    paper, theta, survey = load("planes-z0.99-64"), 1.0, GalaxyNoise(30, 0.26)
    kappa = paper.sample(0, 2)
    noisy = paper.sample(0, 2, noise=survey)
    # Its seeds' keys are of the first scheme, where purposes share roots: noise has a stream of its own still.
    assert float((noisy - kappa).std()) == pytest.approx(survey.sigma(paper.geometry), rel=0.05)
    found = paper.sample(0, 2, noise=survey, smoothing_arcmin=theta)
    np.testing.assert_allclose(found, smooth(noisy, paper.geometry, theta), atol=1e-5 * float(kappa.std()))
    with pytest.raises(ValueError, match=r"smoothing_arcmin=60 leaves nothing of maps 52\.5 arcmin"):
        paper.sample(0, 1, smoothing_arcmin=60.0)
    with pytest.raises(ValueError, match="size=128x128: this generator makes maps of 64x64 pixels only"):
        paper.sample(0, 1, size=128)


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda e: GalaxyNoise(0, 0.26), "galaxies_per_arcmin2=0 must be positive"),
        (lambda e: GalaxyNoise(30, -0.1), "sigma_e=-0.1 must be 0 or positive"),
        (lambda e: GalaxyNoise(np.inf, 0.1), "galaxies_per_arcmin2=inf must be positive and finite"),
        (lambda e: e.sample(0, 1, noise=0.26), "noise=0.26 must be a GalaxyNoise"),
        (lambda e: e.sample(0, 1, smoothing_arcmin=-1.0), "smoothing_arcmin=-1.0 must be 0 or positive"),
        (lambda e: e.sample(0, 1, smoothing_arcmin=9.0), "needs 57 pixels around maps of 32x32, of which 18"),
        (
            lambda e: smooth_inside(jnp.zeros((9, 12)), GEOMETRY, 1.0, 5),
            "margin=5 must be 0 or positive",
        ),
    ],
)
def test_what_cannot_be_seen(emulator, call, said):
    with pytest.raises(ValueError, match=said):
        call(emulator)


def test_paths_between_latents_stay_white_noise_and_their_maps_of_the_law(emulator, own):
    """sin and cos of each field: variance 1 all along, not as along a straight line (1/2 in the middle)."""
    starts, stops = (emulator.latents(emulator.key(seed), jnp.arange(48)) for seed in (11, 12))
    along = paths(starts, stops, 4)
    for start, stop, leaf in zip(*map(jax.tree.leaves, (starts, stops, along)), strict=True):
        assert leaf.shape == (48, 5, *start.shape[1:])
        np.testing.assert_allclose(leaf[:, 0], start, atol=1e-4)
        np.testing.assert_allclose(leaf[:, -1], stop, atol=1e-4)
        variance = np.asarray(leaf, np.float64).reshape(48, 5, -1).var(-1)
        # Two white fields of n numbers are at right angles to 1 / sqrt(n), and as long.
        np.testing.assert_allclose(variance, 1, atol=6 * np.sqrt(2 / leaf[0, 0].size))
        middle = (np.asarray(start[0]) + np.asarray(stop[0])) / np.sqrt(2)
        np.testing.assert_allclose(leaf[0, 2], middle, atol=0.1)
    halfway = emulator.kappa(jax.tree.map(lambda leaf: leaf[:, 2], along))
    expected, found = numbers_of(own), numbers_of(halfway)
    error = expected.std(0) * np.sqrt(1 / len(own) + 1 / 48)
    assert np.abs((found.mean(0) - expected.mean(0)) / error).max() < 3.9
