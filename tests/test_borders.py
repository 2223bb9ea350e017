"""Zero padding at the borders of generated maps: there in the paper's form, nowhere with a canvas."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cosmogan_jax.emulators.dcgan.borders import feature_ranges
from cosmogan_jax.emulators.dcgan.networks import Architecture, build_networks
from cosmogan_jax.layers.convolutions import strided_convolution, transposed_convolution

LAYERS, SIZE = 4, 64
ROUNDING = 1e-5  # float32 sums of up to 9 * 32 products in another order, relative to the largest entry


def generator(borders, seed=0):
    """A generator with weights away from their small start, and the scales and statistics of its norms."""
    network = build_networks(Architecture(SIZE, LAYERS, 4, 3, borders=borders)).gen
    params, stats = network.init(jax.random.key(seed))
    rng = np.random.default_rng(seed)
    params = jax.tree.map(lambda leaf: leaf + 0.1 * rng.normal(size=leaf.shape).astype(np.float32), params)
    return network, params, stats


def test_the_formulas_of_the_convolutions():
    """T, S and K of the module's docstring, term by term along one axis (one tap along the other)."""
    rng = np.random.default_rng(0)
    for size in (4, 7):
        w = rng.normal(size=5)
        kernel = np.zeros((5, 5, 1, 1), np.float32)
        kernel[:, 1, 0, 0] = w  # S takes column 0 from column 0, by tap 1
        x = rng.normal(size=2 * size)
        maps = np.zeros((1, 2 * size, 2, 1), np.float32)
        maps[0, :, 0, 0] = x
        expected = [
            sum(x[2 * m - 1 + i] * w[i] for i in range(5) if 0 <= 2 * m - 1 + i < 2 * size) for m in range(size)
        ]
        np.testing.assert_allclose(
            strided_convolution(maps, kernel)[0, :, 0, 0], expected, rtol=1e-5, atol=1e-5
        )
        small = rng.normal(size=size)
        maps = np.zeros((1, size, 1, 1), np.float32)
        maps[0, :, 0, 0] = small
        kernel = np.zeros((5, 5, 1, 1), np.float32)
        kernel[:, 3, 0, 0] = w  # and T by tap 3
        expected = [
            sum(small[m] * w[i] for m in range(size) for i in range(5) if 2 * m - i == n - 3)
            for n in range(2 * size)
        ]
        found = transposed_convolution(maps, kernel)[0, :, 0, 0]
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)


def test_ranges_and_cost_at_the_papers_size():
    assert feature_ranges(256, 4, "zeros") == [(0, 16), (0, 32), (0, 64), (0, 128), (0, 256)]
    assert feature_ranges(256, 4, "canvas") == [(-2, 17), (-2, 33), (-2, 65), (-1, 129), (0, 256)]
    gen = build_networks(Architecture(256, 4, 64, 64, borders="canvas")).gen
    params, _ = jax.eval_shape(gen.init, jax.random.key(0))
    assert sum(leaf.size for leaf in jax.tree.leaves(params)) == 12_824_449 + (19**2 - 16**2) * 512 * (64 + 1)
    with pytest.raises(ValueError, match="borders='mirror'"):
        Architecture(256, 4, 64, 64, borders="mirror")


@pytest.mark.parametrize(("layers", "wider"), [(4, 3), (5, 1)])
def test_no_pixel_depends_on_what_lies_beyond_the_canvas(layers, wider):
    """The canvas cut out of a wider one, full of other numbers, gives the same map, and none of it is idle."""
    ranges = feature_ranges(SIZE, layers, "canvas")
    side = ranges[0][1] - ranges[0][0]
    rng = np.random.default_rng(1)
    kernels = [0.3 * rng.normal(size=(5, 5, 2, 2)).astype(np.float32) for _ in range(layers)]

    @functools.partial(jax.jit, static_argnums=1)
    def chain(x, first):
        for kernel in kernels:
            x, first = jnp.tanh(transposed_convolution(x, kernel)), 2 * first
        return x[:, -first : -first + SIZE, -first : -first + SIZE]

    wide = rng.normal(size=(2, side + 2 * wider, side + 2 * wider, 2)).astype(np.float32)
    cut = wide[:, wider : wider + side, wider : wider + side]
    found, expected = chain(cut, ranges[0][0]), chain(wide, ranges[0][0] - wider)
    np.testing.assert_allclose(found, expected, atol=ROUNDING)
    for outermost in (np.s_[:, 0], np.s_[:, -1], np.s_[:, :, 0], np.s_[:, :, -1]):
        poorer = cut.copy()
        poorer[outermost] = 0
        assert abs(chain(poorer, ranges[0][0]) - expected).max() > 1e-3


@pytest.mark.parametrize("train", [False, True])
def test_the_generator_is_that_chain_on_its_canvas(train):
    network, params, stats = generator("canvas")
    z = jax.random.normal(jax.random.key(1), (3, 3))

    @jax.jit
    def chain(z):
        side = SIZE // 16 + 3
        x = (z @ params["dense"]["kernel"] + params["dense"]["bias"]).reshape(3, side, side, 32)
        ranges = feature_ranges(SIZE, LAYERS, "canvas")
        for layer in range(LAYERS + 1):
            if layer:
                (before, _), (first, stop) = ranges[layer - 1 : layer + 1]
                p = params[f"deconv{layer}"]
                x = (transposed_convolution(x, p["kernel"]) + p["bias"])[
                    :, first - 2 * before :, first - 2 * before :
                ]
                x = x[:, : stop - first, : stop - first]
            if layer < LAYERS:
                p, s = params[f"bn{layer}"], stats[f"bn{layer}"]
                # The moments are those of the canvas: no feature that has seen a zero is among them.
                mean, var = (x.mean((0, 1, 2)), x.var((0, 1, 2))) if train else (s["mean"], s["var"])
                x = jax.nn.relu((x - mean) / jnp.sqrt(var + 1e-5) * p["scale"] + p["bias"])
        return jnp.tanh(x)[..., 0]

    maps, _ = jax.jit(lambda z: network.apply(params, stats, z, train=train))(z)
    np.testing.assert_allclose(maps, chain(z), atol=2e-4)


def test_equal_features_give_a_periodic_map_up_to_its_borders():
    """From the same features everywhere comes a map of period 16, or zeros have been seen."""
    deviation = {}
    for borders in ("zeros", "canvas"):
        network, params, stats = generator(borders)
        features = np.random.default_rng(2).normal(size=32).astype(np.float32)
        bias = np.tile(features, params["dense"]["bias"].size // 32)
        params["dense"] = {"kernel": jnp.zeros_like(params["dense"]["kernel"]), "bias": jnp.asarray(bias)}
        apply = jax.jit(functools.partial(network.apply, train=False))
        kappa, _ = apply(params, stats, jnp.ones((1, 3)))
        middle = np.asarray(kappa[0, 32:48, 32:48])
        deviation[borders] = abs(np.asarray(kappa[0]) - np.tile(middle, (4, 4)))
        assert middle.std() > 0.01
    assert deviation["canvas"].max() < ROUNDING
    # The paper's form has seen them exactly where emulators/dcgan/borders.py says.
    assert deviation["zeros"][30:-15, 30:-15].max() < ROUNDING
    for at_the_edge in (np.s_[29, 32:48], np.s_[-15, 32:48], np.s_[32:48, 29], np.s_[32:48, -15]):
        assert deviation["zeros"][at_the_edge].max() > ROUNDING
