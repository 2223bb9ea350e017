"""The 3x3 convolution of few features: by NumPy's sums, in both forms, and its derivatives."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cosmogan_jax.layers import narrow_convolutions
from cosmogan_jax.layers.narrow_convolutions import by_pairs, dilated, narrow_convolution, ordinary

# Sums of 9 x 5 products of numbers about 1, in float32.
ROUNDING = {"atol": 2e-5, "rtol": 0}


def drawn(height, width, channels=5, features=3, batch=2):
    rng = np.random.default_rng(height + 100 * width)
    x = rng.normal(size=(batch, height + 2, width + 2, channels))
    kernel = rng.normal(size=(3, 3, channels, features))
    return x, kernel


def summed(x, kernel):
    """The definition, in float64."""
    height, width = x.shape[1] - 2, x.shape[2] - 2
    return sum(
        np.einsum("bmnc,cf->bmnf", x[:, i : i + height, j : j + width], kernel[i, j])
        for i in range(3)
        for j in range(3)
    )


@pytest.mark.parametrize("form", [narrow_convolution, by_pairs, ordinary])
@pytest.mark.parametrize("size", [(4, 6), (5, 7), (1, 1), (1, 2)])
def test_it_is_the_sum_over_neighbours(form, size):
    x, kernel = drawn(*size)
    found = form(jnp.asarray(x, jnp.float32), jnp.asarray(kernel, jnp.float32))
    assert found.shape == (2, *size, 3)
    np.testing.assert_allclose(found, summed(x, kernel), **ROUNDING)


@pytest.mark.parametrize("changed", [{"_FEW_PIXELS": 0}, {"_FEW_FEATURES": 0}])
def test_large_ones_too(monkeypatch, changed):
    """Where pairs would be slower, which no small test reaches."""
    for name, value in changed.items():
        monkeypatch.setattr(narrow_convolutions, name, value)
    x, kernel = drawn(4, 5)
    found = jax.jit(narrow_convolution)(jnp.asarray(x, jnp.float32), jnp.asarray(kernel, jnp.float32))
    np.testing.assert_allclose(found, summed(x, kernel), **ROUNDING)


def test_derivatives_are_those_of_the_sum():
    """Exact for a function that is linear in either argument: along any direction, and turned around."""
    x, kernel = drawn(4, 5)
    dx, dkernel = (np.random.default_rng(7 + of.ndim).normal(size=of.shape) for of in (x, kernel))
    dy = np.random.default_rng(9).normal(size=(2, 4, 5, 3))
    at, along = ([jnp.asarray(v, jnp.float32) for v in pair] for pair in ((x, kernel), (dx, dkernel)))
    expected = summed(dx, kernel) + summed(x, dkernel)
    value, tangent = jax.jit(lambda: jax.jvp(narrow_convolution, at, along))()
    np.testing.assert_allclose(value, summed(x, kernel), **ROUNDING)
    np.testing.assert_allclose(tangent, expected, **ROUNDING)
    back = jax.jit(lambda: jax.vjp(narrow_convolution, *at)[1](jnp.asarray(dy, jnp.float32)))()
    # <dy, A(dx, dkernel)> = <A' dy, (dx, dkernel)>: some 600 products.
    turned = sum(float((np.asarray(g, np.float64) * d).sum()) for g, d in zip(back, (dx, dkernel)))
    assert turned == pytest.approx(float((dy * expected).sum()), abs=1e-3)
    # d2 y / dx dkernel along both is y of both directions; a second derivative goes through the first's rule.
    mixed = jax.jvp(
        lambda k: jax.jvp(lambda x: narrow_convolution(x, k), at[:1], along[:1])[1], at[1:], along[1:]
    )
    np.testing.assert_allclose(mixed[1], summed(dx, dkernel), **ROUNDING)


def test_dilated_taps_are_those_of_every_other_pixel():
    """Of the four maps of every other row and column, each by the ordinary convolution."""
    x, kernel = drawn(10, 8)
    found = np.asarray(dilated(jnp.asarray(x, jnp.float32), jnp.asarray(kernel, jnp.float32), 2))
    assert found.shape == (2, 8, 6, 3)
    for row in (0, 1):
        for column in (0, 1):
            part = summed(x[:, row::2, column::2], kernel)
            np.testing.assert_allclose(found[:, row::2, column::2], part, **ROUNDING)
