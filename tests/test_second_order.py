"""Derivatives of second order through the convolutions' own gradients, against the stock form's, in float64."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cosmogan_jax.layers import convolutions
from cosmogan_jax.layers.convolutions import strided_convolution, transposed_convolution

pytestmark = pytest.mark.usefixtures("quick", "double")

# float64 sums of up to 25 * 6 products, thrice in a row, in another order: relative to the largest entry.
REORDERED_SUM = 1e-12


@pytest.fixture(scope="module")
def double():
    with jax.enable_x64(True):
        yield


def normal(seed, *shape):
    return jax.random.normal(jax.random.key(seed), shape, jnp.float64)


def penalty(convolution, form):
    """(|dD/dx| - 1)^2 of D = sum tanh(conv(x, w)), as a gradient penalty takes it: a function of x and w."""

    def logit(x, kernel):
        return jnp.tanh(convolution(x, kernel, form)).sum()

    def of(x, kernel):
        slopes = jax.grad(logit)(x, kernel)
        return jnp.mean((jnp.sqrt((slopes**2).sum((1, 2, 3))) - 1) ** 2)

    return of


def third(convolution, form):
    """A function of the gradient of `penalty`: its own gradient is of third order."""

    def of(x, kernel):
        by_x, by_kernel = jax.grad(penalty(convolution, form), argnums=(0, 1))(x, kernel)
        return jnp.sum(jnp.sin(by_x)) + jnp.sum(jnp.sin(by_kernel))

    return of


def assert_forms_agree(convolution, size, channels, features, objective=penalty, form="phases"):
    x, kernel = normal(0, 3, *size, channels), 0.2 * normal(1, 5, 5, channels, features)
    found, expected = (
        jax.jit(jax.grad(objective(convolution, form), argnums=(0, 1)))(x, kernel) for form in (form, "stock")
    )
    for a, b in zip(found, expected):
        assert a.dtype == jnp.float64
        assert abs(b).max() > 0
        np.testing.assert_allclose(a, b, rtol=0, atol=REORDERED_SUM * float(abs(b).max()))


# One channel and six: both ways of the phases (see _FEW_FEATURES), in both directions.
@pytest.mark.parametrize(("channels", "features"), [(1, 6), (6, 1), (6, 5), (2, 3)])
@pytest.mark.parametrize("size", [pytest.param((4, 4), marks=pytest.mark.slow), (6, 10)])
def test_a_gradient_penalty_of_the_strided_convolution(size, channels, features):
    assert_forms_agree(strided_convolution, size, channels, features)


@pytest.mark.parametrize(("channels", "features"), [(1, 6), (6, 1), (6, 5), (2, 3)])
@pytest.mark.parametrize("size", [pytest.param((2, 2), marks=pytest.mark.slow), (3, 5)])
def test_a_gradient_penalty_of_the_transposed_convolution(size, channels, features):
    assert_forms_agree(transposed_convolution, size, channels, features)


@pytest.mark.parametrize("convolution", [strided_convolution, transposed_convolution])
def test_large_maps_way_too(monkeypatch, convolution):
    monkeypatch.setattr(convolutions, "_MANY_PIXELS", 1)
    monkeypatch.setattr(convolutions, "_MANY_CHANNELS", 1)
    assert_forms_agree(convolution, (6, 4), 3, 5)


@pytest.mark.parametrize("convolution", [strided_convolution, transposed_convolution])
def test_third_order_too(convolution):
    assert_forms_agree(convolution, (4, 6), 2, 3, third)


@pytest.mark.parametrize("objective", [penalty, pytest.param(third, marks=pytest.mark.slow)])
@pytest.mark.parametrize("convolution", [strided_convolution, transposed_convolution])
def test_winograd_s_form_too(monkeypatch, convolution, objective):
    monkeypatch.setattr(convolutions, "_WINOGRAD_CHANNELS", 1)
    monkeypatch.setattr(convolutions, "_WINOGRAD_OPERATIONS", {"winograd": 0})
    assert_forms_agree(convolution, (4, 8), 3, 2, objective, "winograd")


@pytest.mark.parametrize("convolution", [strided_convolution, transposed_convolution])
def test_second_order_is_that_of_finite_differences(convolution):
    """The stock form is no proof by itself: a central difference of the penalty along one direction."""
    x, kernel, by = normal(0, 2, 4, 4, 2), 0.2 * normal(1, 5, 5, 2, 3), 1e-5
    of = jax.jit(penalty(convolution, "phases"))
    along = normal(2, *kernel.shape)
    slope = jnp.sum(jax.grad(of, argnums=1)(x, kernel) * along)
    difference = (of(x, kernel + by * along) - of(x, kernel - by * along)) / (2 * by)
    np.testing.assert_allclose(slope, difference, rtol=1e-7)


@pytest.mark.parametrize("convolution", [strided_convolution, transposed_convolution])
def test_gradients_in_fewer_bits_are_right_to_their_rounding(convolution):
    """bfloat16 products at every order, 2^-8 each; in the maps' own dtype at the end."""
    x = normal(0, 4, 8, 8, 4).astype(jnp.float32)
    kernel = 0.2 * normal(1, 5, 5, 4, 5).astype(jnp.float32)
    half = jnp.dtype(jnp.bfloat16)

    def gradients(products):
        def rounded(x, kernel, form):
            return convolution(x, kernel, form, products)

        return jax.jit(jax.grad(penalty(rounded, "phases"), argnums=(0, 1)))(x, kernel)

    exact = gradients(convolutions.Products())
    for found, expected in zip(gradients(convolutions.Products(None, half)), exact):
        assert found.dtype == jnp.float32
        assert 0 < jnp.linalg.norm(found - expected) < 0.03 * jnp.linalg.norm(expected)
