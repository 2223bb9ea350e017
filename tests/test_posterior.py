"""Probability of latents: Wiener's filter is its maximum where maps are linear; gradients by differences."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from cosmogan_jax.emulators.emulator import Emulator
from cosmogan_jax.emulators.lognormal_gan.model import LognormalGan
from cosmogan_jax.emulators.normalisation import Normalisation
from cosmogan_jax.emulators.posterior import log_likelihood, log_posterior, log_prior
from cosmogan_jax.geometry import MapGeometry

pytestmark = pytest.mark.usefixtures("quick")

SIZE, SIGMA = 12, 0.7
STEP = 0.05


@dataclasses.dataclass(frozen=True)
class Linear:
    """kappa = A z: a Gaussian field, of which everything is known."""

    any_size = False

    def latent(self, key, size):
        return {"z": jax.random.normal(key, (size**2,), jnp.float32)}

    def sample(self, variables, latent, theta):
        return (latent["z"] @ variables.T).reshape(-1, SIZE, SIZE, 1)


@pytest.fixture
def observed():
    """Matrix, map and mask of one Gaussian map with noise; what is not observed holds NaN."""
    rng = np.random.default_rng(0)
    row, column = np.divmod(np.arange(SIZE**2), SIZE)
    covariance = np.exp(-((row[:, None] - row) ** 2 + (column[:, None] - column) ** 2) / 18)
    matrix = np.linalg.cholesky(covariance + 1e-6 * np.eye(SIZE**2))
    mask = rng.uniform(size=(1, SIZE, SIZE)) > 0.3
    noisy = (matrix @ rng.normal(size=SIZE**2)).reshape(1, SIZE, SIZE) + SIGMA * rng.normal(
        size=(1, SIZE, SIZE)
    )
    return matrix, np.where(mask, noisy, np.nan).astype(np.float32), mask


def test_the_maximum_of_a_gaussian_maps_posterior_is_the_wiener_filter(observed):
    matrix, noisy, mask = observed
    emulator = Emulator(
        "linear", Linear(), jnp.float32(matrix), Normalisation("linear", 1.0), MapGeometry(SIZE, 1.0), {}
    )
    seen = mask.ravel()
    covariance = matrix @ matrix.T
    solved = np.linalg.solve(
        covariance[np.ix_(seen, seen)] + SIGMA**2 * np.eye(seen.sum()), noisy.ravel()[seen].astype(float)
    )
    best = {"z": jnp.float32((matrix.T[:, seen] @ solved)[None])}
    wiener = (covariance[:, seen] @ solved).reshape(1, SIZE, SIZE)
    np.testing.assert_allclose(emulator.kappa(best), wiener, atol=1e-5)

    def at(z):
        return log_posterior(emulator, z, noisy, SIGMA, mask)[0]

    # The gradient vanishes there, as compared with that at 0, and no other point is more probable.
    slope, slope_at_0 = jax.grad(at)(best)["z"], jax.grad(at)({"z": 0 * best["z"]})["z"]
    assert np.abs(slope).max() < 1e-5 * np.abs(slope_at_0).max()
    rng = np.random.default_rng(1)
    for _ in range(5):
        away = {"z": best["z"] + jnp.float32(0.1 * rng.normal(size=best["z"].shape))}
        assert float(at(away)) < float(at(best))
    # ln p in numbers, by hand.
    kappa = np.asarray(emulator.kappa(best), float)
    chi2 = (((noisy - kappa) / SIGMA)[mask] ** 2).sum() + (np.asarray(best["z"], float) ** 2).sum()
    assert float(at(best)) == pytest.approx(-chi2 / 2, rel=1e-5)


@pytest.fixture(scope="module")
def lognormal():
    """An untrained network on a coloured base, the latents of two maps, and maps of it with noise."""
    model = LognormalGan(2, 4)
    variables = model.init(jax.random.key(0))
    wave = np.linspace(0, np.sqrt(2) * np.pi, 512)
    colour = jnp.float32(np.sqrt((wave + 0.1) ** -1.5 * np.exp(-(wave**2) / 2)))
    base = variables["base"]._replace(log_amplitude=colour, amplitude=colour, spread=jnp.float32(0.5))
    # Outputs that are not 0, so that the network's own part has a slope.
    params = jax.tree.map(lambda p: p + 0.02, variables["params"])
    geometry = MapGeometry(8, 0.11)
    emulator = Emulator(
        "lognormal", model, {"base": base, "params": params}, Normalisation("linear", 1.0), geometry, {}
    )
    latents = emulator.latents(emulator.key(1), jnp.arange(2))
    noise = np.random.default_rng(2).normal(size=(2, 8, 8))
    return emulator, latents, np.float32(emulator.kappa(latents) + 0.5 * noise)


def along(latents, direction, scale):
    return jax.tree.map(lambda z, d: z + scale * d, latents, direction)


def test_the_gradient_in_every_latent_is_the_slope_by_differences(lognormal):
    emulator, latents, noisy = lognormal
    mask = np.random.default_rng(3).uniform(size=noisy.shape) > 0.3

    @jax.jit
    def at(z):
        return log_posterior(emulator, z, noisy, 0.5, mask).sum()

    gradient = jax.grad(at)(latents)
    for n, name in enumerate(latents._fields):
        # Along the gradient the slope is its length: the largest that rounding has to compete with.
        direction = jax.tree.map(jnp.zeros_like, latents)._replace(**{name: gradient[n]})
        length = float(optax.tree.norm(gradient[n]))
        ends = [float(at(along(latents, direction, scale))) for scale in (STEP / length, -STEP / length)]
        # ln p is some 5e4, its float32 rounding 4e-3, the third derivative adds STEP^2 / 6.
        assert (ends[0] - ends[1]) / (2 * STEP) == pytest.approx(length, rel=0.02), name
        assert length > 1, name


def test_parts_add_up_and_maps_do_not_mix(lognormal):
    emulator, latents, noisy = lognormal
    mask = np.ones(noisy.shape, bool)
    parts = log_likelihood(emulator, latents, noisy, 0.5, mask), log_prior(latents)
    both = log_posterior(emulator, latents, noisy, 0.5, mask)
    np.testing.assert_allclose(sum(parts), both, rtol=1e-6)
    squares = sum((np.asarray(leaf, float) ** 2).reshape(2, -1).sum(1) for leaf in jax.tree.leaves(latents))
    np.testing.assert_allclose(parts[1], -squares / 2, rtol=1e-5)
    other = log_likelihood(emulator, latents, noisy * np.array([1, 3], np.float32)[:, None, None], 0.5, mask)
    assert other[0] == pytest.approx(float(parts[0][0]), rel=1e-6)
    assert other[1] < parts[0][1] - 1
    # Nothing observed: the prior alone. Noise by the pixel.
    np.testing.assert_allclose(log_likelihood(emulator, latents, noisy * np.nan, 0.5, ~mask), 0)
    by_pixel = np.full(noisy.shape, 0.5, np.float32)
    np.testing.assert_allclose(log_likelihood(emulator, latents, noisy, by_pixel, mask), parts[0], rtol=1e-6)


def test_bad_shapes_are_named(lognormal):
    emulator, latents, noisy = lognormal
    mask = np.ones(noisy.shape, bool)
    with pytest.raises(ValueError, match=r"observed.shape=\(1, 8, 8\) must be \(2, 8, 8\)"):
        log_likelihood(emulator, latents, noisy[:1], 0.5, mask)
    with pytest.raises(ValueError, match=r"mask.shape=\(8, 8\) must be \(2, 8, 8\)"):
        log_likelihood(emulator, latents, noisy, 0.5, mask[0])
