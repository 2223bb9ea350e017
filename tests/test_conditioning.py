"""Parameters as regressors, and the base field as a function of them."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cosmogan_jax.emulators import conditioning
from cosmogan_jax.emulators.lognormal_gan import base, base_of_theta, tails, waves
from cosmogan_jax.emulators.lognormal_gan.fields import draw, inputs

NAMES = ("omega_m", "w0")


def _theta(count=400, seed=0):
    rng = np.random.default_rng(seed)
    points = np.stack([rng.uniform(0.2, 0.4, 12), rng.uniform(-1.3, -0.7, 12)], 1)
    return points[rng.integers(0, 12, count)]


@pytest.mark.parametrize("order", conditioning.ORDERS)
def test_regressors_are_orthonormal_over_the_training_maps_and_begin_with_1(order):
    theta = _theta()
    made = conditioning.measured(theta, NAMES, order)
    phi = np.asarray(conditioning.regressors(made, jnp.asarray(theta, jnp.float32), NAMES, order), float)
    assert phi.shape[1] == conditioning.num_terms(2, order)
    np.testing.assert_allclose(phi.T @ phi / len(phi), np.eye(phi.shape[1]), atol=2e-4)  # float32
    np.testing.assert_allclose(phi[:, 0], 1, atol=1e-6)
    shapes = jax.tree.map(jnp.shape, conditioning.unmeasured(2, order))
    assert jax.tree.map(jnp.shape, made) == shapes


def test_logarithms_of_what_is_positive_only():
    theta = _theta()
    made = conditioning.measured(theta, NAMES, 1)
    t = conditioning.standardised(made, jnp.asarray(theta, jnp.float32), NAMES)
    values = np.stack([np.log(theta[:, 0]), theta[:, 1]], 1)
    # Whitened by a symmetric matrix: t is a linear map of the values.
    fit, *_ = np.linalg.lstsq(np.c_[np.ones(len(t)), values], np.asarray(t, float), rcond=None)
    np.testing.assert_allclose(np.c_[np.ones(len(t)), values] @ fit, t, atol=1e-4)
    np.testing.assert_allclose(np.cov(t.T, bias=True), np.eye(2), atol=1e-4)


def test_a_quadratic_function_of_t_is_regressed_exactly_and_its_slope_too():
    theta = _theta()
    made = conditioning.measured(theta, NAMES, 2)

    def true(value):
        t = conditioning.standardised(made, value, NAMES)
        return 0.3 + t[..., 0] - 0.2 * t[..., 1] + 0.1 * t[..., 0] * t[..., 1] - 0.05 * t[..., 1] ** 2

    def phi(value):
        return conditioning.regressors(made, value, NAMES, 2)

    points = jnp.asarray(np.unique(theta, axis=0), jnp.float32)
    coefficients = np.linalg.lstsq(np.asarray(phi(points), float), np.asarray(true(points), float), rcond=None)[
        0
    ]
    there = jnp.array([0.45, -0.5])  # outside the design
    np.testing.assert_allclose(phi(there) @ coefficients, true(there), rtol=2e-4)
    slope = jax.grad(lambda value: phi(value) @ jnp.asarray(coefficients, jnp.float32))(there)
    np.testing.assert_allclose(slope, jax.grad(true)(there), rtol=2e-3)


@pytest.mark.parametrize(
    ("theta", "order", "words"),
    [
        (np.array([[0.3, -1.0]] * 4), 1, "of 1 different omega_m, w0 do not tell the 3 terms"),
        (np.array([[0.3, -1.0], [0.3, -0.9], [0.3, -0.8]]), 1, "do not tell the 3 terms"),
        (np.array([[0.2, -1.0], [0.3, -0.9], [0.4, -1.1], [0.3, -1]]), 2, "of 4 different .* the 6 terms"),
        (
            np.array([[0.2, -1.0], [np.nan, -0.9], [0.4, -1.1]]),
            1,
            "omega_m of the training maps must be finite",
        ),
        (np.array([[0.2, -1.0], [-0.1, -0.9], [0.4, -1.1]]), 1, "omega_m=-0.1 of the training maps must be"),
    ],
)
def test_maps_that_tell_nothing_of_their_parameters_are_one_line(theta, order, words):
    with pytest.raises(ValueError, match=words) as error:
        conditioning.measured(theta, NAMES, order)
    assert "\n" not in str(error.value)


def lognormal_maps(rng, sigma, skewness, slope, count=60, size=48):
    """Shifted lognormal maps of a power law, cut from twice as wide ones; by numpy alone."""
    shift, spread = tails.shift_of(skewness)
    wide = (2 * size, 2 * size)
    k = waves.wave_numbers(wide)
    colour = np.where(k > 0, np.maximum(k, 1e-9) ** slope, 0) * np.exp(-((k / 2) ** 2))
    colour /= np.sqrt((colour**2).mean())
    g = np.fft.ifft2(np.fft.fft2(rng.normal(size=(count, *wide))) * colour).real[:, :size, :size]
    return sigma * shift * (np.exp(spread * g - spread**2 / 2) - 1)


def test_the_base_of_a_cosmology_that_was_not_there_has_its_variance_skewness_and_power():
    rng = np.random.default_rng(5)
    points = np.stack([np.repeat([0.2, 0.27, 0.34, 0.4], 4), np.tile([-1.3, -1.1, -0.9, -0.7], 4)], 1)

    def law(theta):
        t, u = np.log(theta[0] / 0.3), theta[1] + 1
        return np.exp(-3.5 + 0.8 * t), np.exp(0.2 - 0.5 * t), -0.8 + 0.4 * u

    bases = [base.measured([lognormal_maps(rng, *law(point))], fourfold=True) for point in points]
    made = conditioning.measured(points, NAMES, 2)

    def phi(theta):
        return conditioning.regressors(made, jnp.asarray(theta, jnp.float32), NAMES, 2)

    regressed = base_of_theta.regressed(bases, np.asarray(phi(points)), np.ones(16))
    there = np.array([0.31, -1.05])
    found = base_of_theta.at(regressed, phi(there))
    sigma, skewness, _ = law(there)
    np.testing.assert_allclose(found.sigma, sigma, rtol=0.02)  # 16 sets of 60 maps know it to 1 %
    np.testing.assert_allclose(found.spread, tails.shift_of(skewness)[1], rtol=0.05)
    of_many = base.measured([lognormal_maps(rng, *law(there), count=960)], fourfold=True)
    # A map of 48 pixels tells waves 15 of the table's apart; from its second on there are enough of them.
    bands = [
        (np.asarray(made.amplitude, float)[30:480] ** 2).reshape(30, 15).mean(1) for made in (found, of_many)
    ]
    resolved = bands[1] > 1e-3 * bands[1].max()
    np.testing.assert_allclose(np.log(bands[0] / bands[1])[resolved], 0, atol=0.1)
    errors = base_of_theta.errors_left_out(bases, np.asarray(phi(points)), np.ones(16))
    assert errors.log_sigma < 0.05
    assert errors.power < 0.4

    # The fields that are made of it have these moments, and answer smoothly to the parameters.
    latents = jax.vmap(lambda n: draw(jax.random.fold_in(jax.random.key(0), n), 32, 32))(jnp.arange(64))

    @jax.jit
    def fields(theta):
        return inputs(base_of_theta.at(regressed, phi(theta)), latents).base

    y = np.asarray(fields(there))
    np.testing.assert_allclose(y.std(), 1, rtol=0.1)
    _, slope_of = jax.jvp(
        lambda theta: fields(theta).var(), (jnp.asarray(there, jnp.float32),), (jnp.array([0.0, 1.0]),)
    )
    step = np.array([0, 0.02])
    finite = (fields(there + step).var() - fields(there - step).var()) / 0.04
    np.testing.assert_allclose(slope_of, finite, rtol=0.05, atol=2e-3)


def test_errors_of_what_is_left_out_are_those_of_regressions_without_it():
    rng = np.random.default_rng(1)
    white = base.unmeasured()
    bases = [white._replace(sigma=np.float32(np.exp(value))) for value in rng.normal(size=9)]
    phi, weights = np.c_[np.ones(9), rng.normal(size=(9, 2))], rng.integers(1, 5, 9).astype(float)
    off = []
    for n in range(9):
        rest = np.arange(9) != n
        without = base_of_theta.regressed([bases[m] for m in np.flatnonzero(rest)], phi[rest], weights[rest])
        off.append(float(np.log(bases[n].sigma) - phi[n] @ np.asarray(without.log_sigma, float)))
    found = base_of_theta.errors_left_out(bases, phi, weights).log_sigma
    np.testing.assert_allclose(found, np.sqrt(np.mean(np.square(off))), rtol=1e-4)


def test_one_cosmology_has_its_own_base():
    rng = np.random.default_rng(2)
    own = base.measured([lognormal_maps(rng, 0.02, 1.0, -0.8)])
    again = base_of_theta.at(base_of_theta.regressed([own], np.ones((1, 1)), np.ones(1)), jnp.ones(1))
    for name, value in own._asdict().items():
        if name in ("fourfold", "modulation"):
            assert value is None
            continue
        other = getattr(again, name)
        if name == "log_amplitude":
            value = value / np.sqrt((value**2).mean())
        np.testing.assert_allclose(other, value, rtol=2e-5, atol=2e-5 * float(np.max(value)), err_msg=name)
