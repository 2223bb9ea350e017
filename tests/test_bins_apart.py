"""Source bins taken apart: the matrix against a known one, and why: combinations of bins peak as slabs do."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cosmogan_jax.emulators.lognormal_gan import bins_apart, joint_base
from cosmogan_jax.emulators.lognormal_gan.model import LognormalGan
from cosmogan_jax.emulators.lognormal_gan.units import judged, units

pytestmark = pytest.mark.usefixtures("quick")

MIXING = np.array([[1.0, 0, 0], [0.8, 1, 0], [0.6, 0.9, 1]])
SIGMAS, SPREAD, SIZE = np.array([0.01, 0.008, 0.005]), 0.4, 32
MODEL = LognormalGan(1, 2, num_bins=3)


@pytest.fixture(scope="module")
def slabs():
    """Three independent lognormal fields, smooth over a pixel or two."""
    rng = np.random.default_rng(0)
    k = np.hypot(*np.meshgrid(*2 * (2 * np.pi * np.fft.fftfreq(SIZE),), indexing="ij"))
    colour = np.exp(-(k**2) / 2)  # smooth over a pixel or two
    white = np.fft.fft2(rng.normal(size=(800, 3, SIZE, SIZE)))
    g = np.fft.ifft2(white * colour / np.sqrt((colour**2).mean())).real
    y = np.expm1(SPREAD * g - SPREAD**2 / 2) / np.sqrt(np.expm1(SPREAD**2))
    return np.moveaxis(y, 1, -1) * SIGMAS


@pytest.fixture(scope="module")
def sky(slabs):
    return slabs @ MIXING.T


@pytest.fixture(scope="module")
def base(sky):
    return MODEL.measured(lambda: [sky[:500], sky[500:]])


def skewness(x):
    x = np.asarray(x, np.float64)
    off = x - x.mean((0, 1, 2))
    return (off**3).mean((0, 1, 2)) / (off**2).mean((0, 1, 2)) ** 1.5


def test_the_matrix_is_that_of_the_slabs_and_leaves_bins_uncorrelated(sky, base):
    # Of 800 maps of some 300 independent pixels: 1/sqrt(2.4e5) = 0.002 times the ratio of sigmas.
    np.testing.assert_allclose(base.mixing, MIXING, atol=0.02)
    u = bins_apart.apart_in_float64(sky, bins_apart.measured([sky])).reshape(-1, 3)
    np.testing.assert_allclose(np.corrcoef(u.T), np.eye(3), atol=1e-9)
    np.testing.assert_allclose(base.each.sigma, SIGMAS, rtol=0.02)


def test_taken_apart_and_put_together_maps_are_the_same(sky):
    x, rng = jnp.asarray(sky[:4], jnp.float32), np.random.default_rng(1)
    of_each = np.tril(rng.normal(size=(4, 3, 3)), -1) + np.eye(3)
    for mixing in (jnp.asarray(MIXING, jnp.float32), jnp.asarray(of_each, jnp.float32)):
        u = bins_apart.apart(x, mixing)
        np.testing.assert_allclose(bins_apart.together(u, mixing), x, atol=1e-7)
        expected = np.einsum("...ij,...hwj->...hwi", np.broadcast_to(np.asarray(mixing), (4, 3, 3)), u)
        np.testing.assert_allclose(x, expected, atol=1e-7)
    np.testing.assert_allclose(
        bins_apart.apart(x, jnp.asarray(MIXING, jnp.float32)),
        bins_apart.apart_in_float64(sky[:4], MIXING),
        atol=1e-8,
    )


def test_what_bins_differ_by_is_as_skewed_as_in_the_sky(sky, base):
    """Each bin, and each beyond those before it, of the base; bins as they are get the last wrong."""
    latents = jax.jit(jax.vmap(lambda key: MODEL.latent(key, SIZE)))(jax.random.split(jax.random.key(1), 300))
    whole = joint_base.measured([sky], 3)

    def drawn(own):
        y = jax.jit(MODEL.inputs)(own, latents).base
        return bins_apart.together(own.each.sigma * y, own.mixing)

    of_both = drawn(base), drawn(whole)
    in_sky, apart, as_they_are = (skewness(bins_apart.apart_in_float64(x, MIXING)) for x in (sky, *of_both))
    np.testing.assert_allclose(apart, in_sky, rtol=0.2)
    np.testing.assert_allclose(skewness(of_both[0]), skewness(sky), rtol=0.2)
    assert as_they_are[2] < 0.5 * in_sky[2]


def test_units_are_of_each_bins_own_part(sky, base):
    u = np.asarray(units(jnp.asarray(sky, jnp.float32), base), np.float64)
    np.testing.assert_allclose(u.std((0, 1, 2)), 1, atol=0.02)
    np.testing.assert_allclose(u.mean((0, 1, 2)), 0, atol=0.02)
    np.testing.assert_allclose(np.corrcoef(u.reshape(-1, 3).T), np.eye(3), atol=0.01)


def test_bins_as_they_are_are_judged_beside_their_parts(sky, base):
    u = units(jnp.asarray(sky[:300], jnp.float32), base)
    seen = np.asarray(judged(u, base), np.float64)
    np.testing.assert_array_equal(seen[..., :3], u)
    as_they_are = (sky[:300] - sky.mean((0, 1, 2))) / sky.std((0, 1, 2))
    # Means and scatters of all 800 maps in float32.
    np.testing.assert_allclose(seen[..., 3:], as_they_are[..., 1:], atol=2e-3 * np.abs(as_they_are).max())
    # A base of each map's own: the same of each.
    some = jax.tree.map(lambda leaf: jnp.stack([leaf, 2 * leaf]), base)
    both = np.asarray(judged(u[:2], some))
    np.testing.assert_allclose(both[0], seen[0], rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(both[1], judged(u[1:2], jax.tree.map(lambda leaf: 2 * leaf, base))[0], atol=1e-5)
