"""MS-SSIM against an implementation by SciPy, PyTorch's and scikit-image's values, and closed forms."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.signal import convolve2d

from cosmogan_jax.summaries import ms_ssim, pair_similarity

pytestmark = pytest.mark.usefixtures("quick")  # nearly all of the time is compilation

RANGE = 8.0
# pytorch-msssim 1.0.0 (torch 2.14.1, float64; its window is float32's), of maps of 176 x 192 below.
PYTORCH = [0.9259683174978356, 0.6162986469709402, 0.2634108074624752]
# skimage.metrics.structural_similarity 0.26.0 (gaussian_weights, sigma 1.5, use_sample_covariance=False).
SCIKIT_IMAGE = 0.6015427984463164
FLOAT32 = 1e-5

similarity = jax.jit(functools.partial(ms_ssim, data_range=RANGE))


def noise(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape)


def expected(one, two, data_range):
    """Wang, Simoncelli & Bovik 2003, by two-dimensional windows."""
    place = np.arange(-5, 6)
    window = np.exp(-(place[:, None] ** 2 + place**2) / (2 * 1.5**2))
    window /= window.sum()
    weights = [0.0448, 0.2856, 0.3001, 0.2363, 0.1333]
    weights = weights[: next(n for n in range(5, 0, -1) if min(one.shape) >> (n - 1) >= 11)]

    def mean(x):
        return convolve2d(x, window, mode="valid")

    result = 1.0
    for scale, weight in enumerate(weights):
        m1, m2 = mean(one), mean(two)
        v1, v2, v12 = mean(one**2) - m1**2, mean(two**2) - m2**2, mean(one * two) - m1 * m2
        c1, c2 = (0.01 * data_range) ** 2, (0.03 * data_range) ** 2
        term = (2 * v12 + c2) / (v1 + v2 + c2)
        if scale == len(weights) - 1:
            term = term * (2 * m1 * m2 + c1) / (m1**2 + m2**2 + c1)
        result *= max(term.mean(), 0) ** (weight * 1.0001 / sum(weights))  # the five have this sum
        height, width = np.array(one.shape) // 2
        one, two = (x[: 2 * height, : 2 * width].reshape(height, 2, width, 2).mean((1, 3)) for x in (one, two))
    return result


def test_five_scales_equal_pytorch():
    rng = np.random.default_rng(20261127)
    rng.normal(size=(2, 64, 64))
    one, other = rng.normal(size=(2, 176, 192))
    for two, value in zip((one + 0.5 * other, 0.5 * one + other, other), PYTORCH):
        assert expected(one, two, RANGE) == pytest.approx(value, rel=1e-6)
        assert similarity(jnp.float32(one), jnp.float32(two)) == pytest.approx(value, rel=FLOAT32)
    two = one + 0.5 * other
    assert expected(one[:20, :21], two[:20, :21], RANGE) == pytest.approx(SCIKIT_IMAGE**1.0001, rel=1e-12)


@pytest.mark.parametrize("shape", [(11, 14), (22, 21), (45, 47)])
def test_fewer_scales_equal_scipy(shape):
    one, two = noise(2, *shape)
    with jax.enable_x64(True):
        found = similarity(jnp.asarray(one), jnp.asarray(one + two))
        assert found == pytest.approx(expected(one, one + two, RANGE), rel=1e-10)
    alone = similarity(jnp.float32(one), jnp.float32(one + two))
    assert alone == pytest.approx(float(found), rel=FLOAT32)


def test_closed_forms():
    # Constant maps: cs = 1, and l alone is left, to the power of the last of two scales.
    a, b, c1 = 0.3, 0.7, (0.01 * RANGE) ** 2
    luminance = (2 * a * b + c1) / (a**2 + b**2 + c1)
    found = similarity(jnp.full((22, 22), a), jnp.full((22, 22), b))
    assert found == pytest.approx(luminance ** (1.0001 * 0.2856 / (0.0448 + 0.2856)), rel=FLOAT32)
    kappa = jnp.float32(noise(22, 22))
    assert similarity(kappa, kappa) == pytest.approx(1, abs=1e-6)
    # Opposite structure has a negative mean, which counts as 0.
    assert similarity(kappa, -kappa) == 0


def test_order_turns_factors_and_batches():
    one, two = jnp.float32(noise(2, 2, 12, 12))
    two = one + two
    found = np.asarray(similarity(one, two))
    assert found.shape == (2,)
    for other in (
        similarity(two, one),
        similarity(one[:, ::-1], two[:, ::-1]),
        similarity(np.rot90(one, axes=(1, 2)), np.rot90(two, axes=(1, 2))),
        jax.jit(lambda one, two: ms_ssim(3 * one, 3 * two, 3 * RANGE))(one, two),
        jax.vmap(similarity)(one, two),
        np.stack([similarity(*pair) for pair in zip(one, two)]),
    ):
        np.testing.assert_allclose(other, found, rtol=FLOAT32)


def test_pairs():
    kappa = jnp.float32(noise(3, 12, 12))
    kappa = kappa.at[2].set(kappa[0])
    pairs = np.array([[0, 1], [2, 1], [0, 2]])
    found = jax.jit(lambda k: pair_similarity(k, pairs, RANGE))(kappa)
    np.testing.assert_allclose(found[:2], [similarity(kappa[0], kappa[1])] * 2, rtol=FLOAT32)
    assert found[2] == pytest.approx(1, abs=1e-6)
    # Fewer different maps are more alike: what the mean is for.
    assert found[2] > found[0] + 0.5


def test_gradients():
    with jax.enable_x64(True):
        one, two, direction = (jnp.asarray(noise(12, 12, seed=seed)) for seed in (1, 2, 3))
        two = one + two
        gradient = jax.jit(jax.grad(lambda k, other: ms_ssim(k, other, RANGE)))
        step = similarity(one + 1e-5 * direction, two) - similarity(one - 1e-5 * direction, two)
        along = float((gradient(one, two) * direction).sum())
        assert along == pytest.approx(float(step) / 2e-5, rel=1e-6)
        # Of two constant maps, and where the negative mean counts as 0.
        for k, other in ((jnp.zeros((12, 12)), jnp.zeros((12, 12))), (one, -two)):
            assert np.isfinite(gradient(k, other)).all()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda k: ms_ssim(k, k[..., :-1], 1.0), "must be alike"),
        (lambda k: ms_ssim(k[..., :10], k[..., :10], 1.0), "12 x 10 pixels must hold a window of 11"),
        (lambda k: ms_ssim(k, k, 0.0), "data_range=0.0 must be positive"),
        (lambda k: ms_ssim(k, k, np.nan), "data_range=nan"),
        (lambda k: pair_similarity(k[0], [[0, 1]], 1.0), "maps, height, width"),
        (lambda k: pair_similarity(k, [0, 1], 1.0), "rows of two integers"),
        (lambda k: pair_similarity(k, [[0.0, 1.0]], 1.0), "rows of two integers"),
        (lambda k: pair_similarity(k, [[0, 1], [1, 1]], 1.0), r"pairs=\[1, 1\]"),
        (lambda k: pair_similarity(k, [[0, 3]], 1.0), r"pairs=\[0, 3\] .* 0 to 2"),
    ],
)
def test_bad_input(call, message):
    with pytest.raises(ValueError, match=message):
        call(jnp.zeros((3, 12, 12)))


def test_nan_is_never_a_silent_number():
    kappa = jnp.float32(noise(12, 12))
    assert np.isnan(similarity(kappa.at[3, 4].set(jnp.nan), kappa))
