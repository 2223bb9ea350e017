"""Networks against the paper's tables and against flax's own layers."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cosmogan_jax.emulators.dcgan.networks import Architecture, build_networks
from cosmogan_jax.layers import convolutions
from cosmogan_jax.layers.convolutions import strided_convolution, transposed_convolution

# float32 sums of up to 25 * 24 products in another order: relative to the largest entry.
REORDERED_SUM = 1e-5


def test_parameter_counts_of_the_paper():
    networks = build_networks(Architecture(256, 4, 64, 64))
    for network, expected in ((networks.gen, 12_824_449), (networks.disc, 4_436_225)):
        params, _ = jax.eval_shape(network.init, jax.random.key(0))
        assert sum(leaf.size for leaf in jax.tree.leaves(params)) == expected


@pytest.mark.parametrize(("size", "layers"), [(64, 4), (48, 4), (32, 5)])
def test_sizes(size, layers):
    networks = build_networks(Architecture(size, layers, 2, 3))

    def both(key):
        params, stats = networks.gen.init(key)
        maps, _ = networks.gen.apply(params, stats, jnp.ones((2, 3)), train=False)
        params, stats = networks.disc.init(key)
        return maps, networks.disc.apply(params, stats, maps, train=False)[0]

    maps, logits = jax.eval_shape(both, jax.random.key(0))
    assert maps.shape == (2, size, size)
    assert logits.shape == (2,)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((250, 4, 64, 64), "map_size=250"),
        ((256, 3, 64, 64), "num_layers=3"),
        ((64, 4, 0, 64), "num_filters=0"),
    ],
)
def test_bad_architectures(arguments, message):
    with pytest.raises(ValueError, match=message):
        Architecture(*arguments)


def test_initial_weights():
    networks = build_networks(Architecture(64, 4, 32, 64))
    params, stats = jax.jit(networks.gen.init)(jax.random.key(0))
    kernel = params["deconv1"]["kernel"]
    # 8e5 draws know sigma to 1e-3; one in 22 of a whole normal lies beyond two sigma, known to 5e-3.
    np.testing.assert_allclose(kernel.std(), 0.02, rtol=5e-3)
    np.testing.assert_allclose((abs(kernel) > 0.04).mean(), 0.0455, rtol=2e-2)
    np.testing.assert_allclose(params["deconv3"]["kernel"].std(), 0.02, rtol=1e-2)
    np.testing.assert_allclose(params["dense"]["kernel"].std(), 0.02, rtol=1e-2)
    assert all(not leaf.any() for leaf in jax.tree.leaves(params["deconv1"]["bias"]))
    assert set(stats) == {"bn0", "bn1", "bn2", "bn3"}


def test_initial_weights_of_strided_convolutions_are_cut_at_two_sigma():
    networks = build_networks(Architecture(64, 4, 32, 64))
    params, stats = jax.jit(networks.disc.init)(jax.random.key(0))
    for layer in (2, 3, 4):
        kernel = params[f"conv{layer}"]["kernel"]
        # A normal cut at two sigma keeps 0.8796 of its standard deviation; 5e4 draws know it to 3e-3.
        np.testing.assert_allclose(kernel.std(), 0.02 * 0.8796, rtol=1.5e-2)
        assert 0.0399 < abs(kernel).max() <= 0.04
    np.testing.assert_allclose(params["dense"]["kernel"].std(), 0.02, rtol=3e-2)
    assert all(not params[f"conv{layer}"]["bias"].any() for layer in (1, 2, 3, 4))
    assert set(stats) == {"bn2", "bn3", "bn4"}


def with_gradients(convolution, x, kernel, cotangent):
    """The convolution, and what it pulls back."""

    @jax.jit
    def both(*given):
        y, pullback = jax.vjp(convolution, *given)
        return y, *pullback(cotangent)

    return both(x, kernel)


@pytest.mark.parametrize(("size", "features"), [(4, 5), (7, 5), (6, 1), (5, 3)])
@pytest.mark.parametrize("form", ["phases", "stock"])
def test_transposed_convolution_equals_flax_forward_and_in_gradients(size, features, form):
    layer = nn.ConvTranspose(features, (5, 5), (2, 2), padding="SAME", use_bias=False)
    keys = jax.random.split(jax.random.key(0), 3)
    x = jax.random.normal(keys[0], (3, size, size, 24))
    kernel = jax.random.normal(keys[1], (5, 5, 24, features))
    cotangent = jax.random.normal(keys[2], (3, 2 * size, 2 * size, features))
    theirs = with_gradients(lambda x, k: layer.apply({"params": {"kernel": k}}, x), x, kernel, cotangent)
    ours = with_gradients(lambda x, k: transposed_convolution(x, k, form), x, kernel, cotangent)
    for a, b in zip(ours, theirs):
        np.testing.assert_allclose(a, b, atol=REORDERED_SUM * float(abs(b).max()))


@pytest.mark.parametrize(("size", "features"), [(4, 5), (7, 5), (6, 1)])
def test_transposed_convolution_is_the_strided_ones_gradient(size, features):
    """What GPUs compute is what CPUs do, and in the layout that XLA knows as an input gradient."""
    keys = jax.random.split(jax.random.key(0), 2)
    x = jax.random.normal(keys[0], (3, size, size, 24))
    kernel = jax.random.normal(keys[1], (5, 5, 24, features))
    phases, gradient = (jax.jit(f)(x, kernel) for f in (convolutions.by_phases, convolutions.by_input_gradient))
    np.testing.assert_allclose(gradient, phases, atol=REORDERED_SUM * float(abs(phases).max()))


@pytest.mark.parametrize(("features", "gradient_on_gpus"), [(5, True), (4, False)])
def test_every_platform_has_its_own_way(features, gradient_on_gpus):
    shapes = [jax.ShapeDtypeStruct(shape, jnp.float32) for shape in ((2, 8, 8, 6), (5, 5, 6, features))]
    traced = jax.jit(transposed_convolution).trace(*shapes)
    # As XLA knows an input gradient: maps dilated in its words, which cuDNN's kernel does not do.
    found = {
        p: "lhs_dilate = [2, 2]" in traced.lower(lowering_platforms=(p,)).as_text() for p in ("cpu", "cuda")
    }
    assert found == {"cpu": False, "cuda": gradient_on_gpus}


@pytest.mark.parametrize("size", [4, 14])
@pytest.mark.parametrize("form", ["phases", "stock"])
def test_strided_convolution_equals_flax_forward_and_in_gradients(size, form):
    layer = nn.Conv(5, (5, 5), (2, 2), padding="SAME", use_bias=False)
    keys = jax.random.split(jax.random.key(0), 3)
    x = jax.random.normal(keys[0], (3, size, size, 24))
    kernel = jax.random.normal(keys[1], (5, 5, 24, 5))
    cotangent = jax.random.normal(keys[2], (3, size // 2, size // 2, 5))
    theirs = with_gradients(lambda x, k: layer.apply({"params": {"kernel": k}}, x), x, kernel, cotangent)
    ours = with_gradients(lambda x, k: strided_convolution(x, k, form), x, kernel, cotangent)
    for a, b in zip(ours, theirs):
        np.testing.assert_allclose(a, b, atol=REORDERED_SUM * float(abs(b).max()))


def test_large_kernel_gradients_by_matrix_products(monkeypatch):
    # The same gradients with the thresholds lowered, so that small maps take the large maps' way.
    monkeypatch.setattr(convolutions, "_MANY_PIXELS", 1)
    monkeypatch.setattr(convolutions, "_MANY_CHANNELS", 1)
    for case in ((4, 5), (6, 7)):
        test_transposed_convolution_equals_flax_forward_and_in_gradients(*case, "phases")
        test_strided_convolution_equals_flax_forward_and_in_gradients(2 * case[0], "phases")
