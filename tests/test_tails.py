"""Tails of the lognormal base: moments of blocks against SciPy and draws, and a sky whose amplitude varies."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from cosmogan_jax.emulators.lognormal_gan import base, base_of_theta, fields, tails, waves
from cosmogan_jax.emulators.lognormal_gan.model import LognormalGan, model_of
from cosmogan_jax.summaries.pixels import block_means

pytestmark = pytest.mark.usefixtures("quick")

SPREAD, BETA, SIDE, SIZE = 0.4, 0.4, 512, 64
OVER = fields.COARSE.noises[-1].modulation


@pytest.mark.parametrize("spread", [0.2, 0.6])
def test_moments_of_pixels_are_scipys(spread):
    law = stats.lognorm(spread)
    skewness, excess = (float(v) for v in law.stats(moments="sk"))
    shift, found = tails.shift_of(skewness)
    assert found == pytest.approx(spread, rel=1e-6)
    assert tails.fourth_of(shift, tails.PIXEL) == pytest.approx(excess + 3, rel=1e-6)


def test_moments_of_blocks_are_those_of_random_draws():
    """Two pixels with a correlation of 0.6, their mean."""
    rng, shift, xi = np.random.default_rng(0), 1.8, 0.6
    spread = np.sqrt(np.log1p(1 / shift**2))
    of_g = np.log1p(xi / shift**2) / spread**2
    g = rng.normal(size=(2, 4_000_000))
    g[1] = of_g * g[0] + np.sqrt(1 - of_g**2) * g[1]
    means = (shift * np.expm1(spread * g - spread**2 / 2)).mean(0)
    block = np.array([[1, xi], [xi, 1]])
    third, fourth = (means**3).mean(), (means**4).mean()
    # Errors of 4e6 draws: 0.3 and 1 %.
    assert tails.shift_of(third, block)[0] == pytest.approx(shift, rel=0.01)
    assert tails.fourth_of(shift, block) == pytest.approx(fourth, rel=0.04)


def test_how_far_an_amplitude_varies_is_found_and_nothing_where_no_tail_is_missing():
    block = tails.correlations_of_block(np.exp(-np.hypot(*np.meshgrid(*2 * (np.arange(8.0),))) / 3), 2)
    shift = 2.0
    w = 1 / shift**2
    third = (np.einsum("ij,ij->", block @ block, block) / 64 * w + 3 * (block.mean(1) ** 2).mean()) * np.sqrt(w)
    fourth = tails.fourth_of(shift, block)
    assert tails.shift_of(third, block)[0] == pytest.approx(shift, rel=1e-9)
    varied = third * np.exp(1.5 * BETA**2), fourth * np.exp(4 * BETA**2)
    assert tails.modulation_of(*varied, block) == pytest.approx(BETA, abs=1e-3)
    assert tails.modulation_of(third, fourth, block) == pytest.approx(0, abs=1e-2)
    assert tails.modulation_of(third, 0.9 * fourth, block) == 0
    assert tails.modulation_of(third, 100 * fourth, block) == 0.6  # no further


@functools.cache
def sky(beta, skies=24, seed=1):
    """Maps of a lognormal sky, its amplitude varied by smooth noise."""
    rng, k, maps = np.random.default_rng(seed), waves.wave_numbers((SIDE, SIDE)), []
    colour = np.where(k > 0, (k + 0.2) ** -1.0 * np.exp(-(k**2) / 2), 0)
    smooth = np.exp(-0.5 * (k * OVER) ** 2)
    for _ in range(skies):
        g, a = (
            np.fft.ifft2(np.fft.fft2(rng.normal(size=k.shape)) * own / np.sqrt((own**2).mean())).real
            for own in (colour, smooth)
        )
        y = np.expm1(SPREAD * g - SPREAD**2 / 2) * np.exp(beta * a - beta**2)
        maps.append(y.reshape(SIDE // SIZE, SIZE, SIDE // SIZE, SIZE).swapaxes(1, 2).reshape(-1, SIZE, SIZE))
    return np.concatenate(maps) / np.sqrt(np.expm1(SPREAD**2))


def moments_of_blocks(maps, pixels):
    means = block_means(np.asarray(maps, np.float64), pixels)
    off = means - means.mean()
    variance = (off**2).mean()
    return (off**3).mean() / variance**1.5, (off**4).mean() / variance**2


def drawn(own, count, size):
    @jax.jit
    def some(index):
        latents = jax.vmap(lambda n: fields.draw(jax.random.fold_in(jax.random.key(0), n), size, size))(index)
        return fields.inputs(own, latents).base

    return np.concatenate([some(jnp.arange(n, n + 50)) for n in range(0, count, 50)])


def test_a_sky_whose_amplitude_varies_has_its_tails_in_the_base():
    maps = sky(BETA)
    own = base.measured([maps], blocks=4, modulated_over=OVER)
    # 24 skies of 100 independent amplitudes each: the fourth moment, exp(4 beta^2), is known to a tenth.
    assert float(own.modulation) == pytest.approx(BETA, abs=0.06)
    assert float(own.spread) == pytest.approx(SPREAD, rel=0.15)
    made, plain = drawn(own, 300, 96), drawn(base.measured([maps], blocks=4), 300, 96)
    assert made.std() == pytest.approx(1, rel=0.05)
    for pixels, error in ((4, 0.1), (16, 0.25)):  # of which 300 maps hold fewer
        skewness, fourth = moments_of_blocks(maps, pixels)
        found = moments_of_blocks(made, pixels)
        assert found[0] == pytest.approx(skewness, rel=error)
        assert found[1] == pytest.approx(fourth, rel=error)
    assert moments_of_blocks(plain, 16)[1] < moments_of_blocks(made, 16)[1]
    assert float(base.measured([sky(0.0)], blocks=4, modulated_over=OVER).modulation) < 0.15


MODEL = LognormalGan(1, 2, modulated=True)


def test_a_model_says_that_its_base_is_modulated_and_one_that_is_not_says_nothing():
    assert model_of(MODEL.describe(), False) == MODEL
    assert "modulated" not in LognormalGan(1, 2).describe()
    maps = sky(BETA, 2)
    one = MODEL.measured(lambda: [maps], 4)
    assert jax.tree.map(jnp.shape, one) == jax.tree.map(jnp.shape, MODEL.unmeasured())
    x = MODEL.sample({"base": one, "params": MODEL.init(jax.random.key(0))["params"]}, latents(MODEL), THETA)
    still = one._replace(modulation=jnp.float32(0))
    flat = MODEL.sample(
        {"base": still, "params": MODEL.init(jax.random.key(0))["params"]}, latents(MODEL), THETA
    )
    assert np.isfinite(x).all()
    assert not np.allclose(x, flat, rtol=0.01)


THETA = jnp.zeros((3, 0))


def latents(model, size=24):
    return jax.vmap(lambda key: model.latent(key, size))(jax.random.split(jax.random.key(1), 3))


def test_of_several_bins_the_first_is_modulated():
    maps = np.stack([sky(BETA, 2), sky(0.0, 2, seed=2)], -1)
    model = LognormalGan(1, 2, num_bins=2, modulated=True)
    own = model.measured(lambda: [maps], 4)
    assert jax.tree.map(jnp.shape, own) == jax.tree.map(jnp.shape, model.unmeasured())
    assert own.each.modulation[0] > 0.2
    assert own.each.modulation[1] == 0
    made = model.inputs(own, latents(model))
    calm = model.inputs(own._replace(each=own.each._replace(modulation=jnp.zeros(2))), latents(model))
    np.testing.assert_array_equal(made.base[..., 1], calm.base[..., 1])
    amplitude = np.asarray(made.base[..., 0] / calm.base[..., 0])
    beta = float(own.each.modulation[0])
    smooth = np.asarray(calm.features[..., -1])  # the slowest amplitude
    np.testing.assert_allclose(amplitude, np.exp(beta * smooth - beta**2), rtol=1e-3)


@dataclasses.dataclass
class Maps:
    """As `interface.TrainingMaps`."""

    kappa: np.ndarray
    theta: np.ndarray

    def __call__(self):
        return iter([self.kappa])


def test_of_several_cosmologies_the_modulation_follows():
    theta = np.repeat(np.array([[0.2], [0.3], [0.4]], np.float32), 64, 0)
    maps = np.concatenate([sky(beta, 1, seed) for seed, beta in enumerate((0.2, 0.3, 0.4))])[..., None]
    model = LognormalGan(1, 2, parameters=("omega_m",), theta_order=1, modulated=True)
    own = model.measured_at(Maps(maps, theta), 4)
    assert jax.tree.map(jnp.shape, own) == jax.tree.map(jnp.shape, model.unmeasured())
    cosmologies = model.cosmologies(own, jnp.asarray(theta[::64]))
    made = model.base_of(own, cosmologies)
    np.testing.assert_allclose(made.modulation, cosmologies.phi @ own.coefficients.modulation, atol=1e-6)
    # One sky of each: a fourth moment of 100 amplitudes, which a line through three makes smoother.
    np.testing.assert_allclose(made.modulation, [0.2, 0.3, 0.4], atol=0.12)
    assert (np.diff(np.asarray(made.modulation)) > 0).all()
    assert isinstance(own.coefficients, base_of_theta.BaseOfTheta)
