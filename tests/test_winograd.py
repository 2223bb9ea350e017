"""Winograd's form of the convolutions: exact to rounding, half the products, and only where it pays."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cosmogan_jax.layers import convolutions, winograd
from cosmogan_jax.layers.convolutions import Products, strided_convolution, transposed_convolution

# Of float32 against float64, relative to the largest number: sums of 25 * 48 products, and of transforms that
# add up to four numbers at each of two stages.
ROUNDING = 3e-6


@pytest.fixture
def everywhere(monkeypatch):
    """As if it paid for every layer."""
    monkeypatch.setattr(convolutions, "_WINOGRAD_CHANNELS", 1)
    monkeypatch.setattr(convolutions, "_WINOGRAD_OPERATIONS", {"winograd": 0})


def arrays(batch, height, width, channels, features):
    """A large and a small map, and a kernel from the large one's channels to the small one's."""
    rng = np.random.default_rng(height + features)
    shapes = (
        (batch, 2 * height, 2 * width, channels),
        (batch, height, width, features),
        (5, 5, channels, features),
    )
    return [rng.normal(size=shape).astype(np.float32) for shape in shapes]


def by_definition(large, small, kernel):
    """S, T (of the turned kernel) and K of the module's docstring, in float64, tap by tap."""
    large, small, kernel = (of.astype(np.float64) for of in (large, small, kernel))
    _, height, width, _ = small.shape
    padded = np.pad(large, ((0, 0), (1, 3), (1, 3), (0, 0)))
    s, k = np.zeros_like(small), np.zeros_like(kernel)
    t = np.zeros_like(padded)
    for i in range(5):
        for j in range(5):
            seen = np.s_[:, i : i + 2 * height : 2, j : j + 2 * width : 2]
            s += padded[seen] @ kernel[i, j]
            k[i, j] = np.einsum("bhwc,bhwf->cf", padded[seen], small)
            t[seen] += small @ kernel[i, j].T
    return s, t[:, 1:-3, 1:-3], k


@pytest.mark.parametrize("shape", [(2, 8, 12, 5, 7), (1, 2, 2, 1, 3), (3, 16, 6, 48, 32)])
def test_each_operation_is_exact_to_rounding(shape):
    large, small, kernel = arrays(*shape)
    batch, height, width, *_ = shape
    tiles = jax.jit(winograd.large_tiles)(large)
    turned = kernel[::-1, ::-1].swapaxes(2, 3)
    found = (
        winograd.strided(tiles, kernel, batch, height, width),
        winograd.transposed(small, turned),
        winograd.kernel_gradient(tiles, small),
    )
    for one, expected in zip(found, by_definition(large, small, kernel), strict=True):
        np.testing.assert_allclose(one, expected, atol=ROUNDING * np.abs(expected).max())


def test_tiles_are_49_sixteenths_of_the_map_and_made_once_for_s_and_k(everywhere):
    large, small, kernel = arrays(2, 8, 8, 4, 6)
    assert sum(of.size for row in winograd.large_tiles(large) for of in row) == 49 / 16 * large.size

    def loss(kernel):
        return jnp.vdot(strided_convolution(large, kernel, "winograd"), small)

    traced = str(jax.make_jaxpr(jax.grad(loss))(kernel))
    # One barrier before and one behind each of 16 points of the tiles, once; S's result, K, and two of a T that
    # nobody asks for.
    assert traced.count("optimization_barrier") == 1 + 16 + 1 + 1 + 2


@pytest.mark.parametrize("transposed", [False, True])
def test_a_result_takes_half_the_products(everywhere, transposed):
    large, small, kernel = arrays(2, 16, 16, 8, 8)
    of = (transposed_convolution, small) if transposed else (strided_convolution, large)

    def products(form):
        cost = jax.jit(lambda x, w: of[0](x, w, form)).lower(of[1], kernel).as_text()
        return sum(_products_of(line) for line in cost.splitlines() if "dot_general" in line)

    # 49 of a tile's points against 25 taps of 4 results, or of as many of T's 16 of each phase.
    assert products("winograd") == 49 / 100 * 25 * (2 * 16 * 16 * 8 * 8)


def _products_of(line):
    """Of a line `stablehlo.dot_general ... : (tensor<MxKxf32>, tensor<KxNxf32>) -> ...`."""
    left, right = (part.split(">")[0] for part in line.split(": (")[1].split("tensor<")[1:3])
    (rows, inner, _), (_, columns, _) = left.split("x"), right.split("x")
    return int(rows) * int(inner) * int(columns)


def test_only_where_it_pays(monkeypatch):
    kernel = jnp.zeros((5, 5, 64, 32))
    assert convolutions._pays((32, 16, 16), kernel, Products(), "winograd")
    for form in ("phases", "stock", "auto"):
        assert not convolutions._pays((32, 16, 16), kernel, Products(), form)
    assert convolutions._pays((64, 16, 16), kernel, Products(), "auto")
    for other in (
        ((1, 2, 2), kernel, Products()),
        ((32, 16, 15), kernel, Products()),
        ((32, 16, 16), kernel[:, :, :, :31], Products()),
        ((32, 16, 16), kernel[:, :, :1], Products()),
        ((32, 16, 16), kernel, Products(None, jnp.dtype(jnp.bfloat16))),
    ):
        assert not convolutions._pays(*other, "winograd")
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    assert not convolutions._pays((32, 16, 16), kernel, Products(), "winograd")
