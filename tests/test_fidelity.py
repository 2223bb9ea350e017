"""One full step against an independent implementation in NumPy float64, from equal weights and inputs."""

import jax
import jax.numpy as jnp
import numpy as np
import numpy_gan
import optax
import pytest

from cosmogan_jax.emulators.dcgan.networks import Architecture, build_networks
from cosmogan_jax.emulators.dcgan.state import adam, init_state
from cosmogan_jax.emulators.dcgan.step_parts import StepSettings
from cosmogan_jax.emulators.dcgan.train_step import make_train_step
from cosmogan_jax.layers import convolutions

LAYERS, BATCH, SIZE, FILTERS, LATENT = 4, 8, 32, 4, 16
# float32 against float64; each tensor relative to its own norm.
GRADIENT = 1e-4
LOSS = 1e-6
STATISTICS = 1e-5
FORMS = ["phases", "stock"]


def keep_gradients():
    """An optimizer that changes nothing and whose state is the gradient it was given."""
    return optax.GradientTransformation(
        lambda params: jax.tree.map(jnp.zeros_like, params),
        lambda grads, state, params: (jax.tree.map(jnp.zeros_like, grads), grads),
    )


def perturbed(tree, seed, sigma):
    """Weights away from their start, where biases are 0 and scales 1: every term of the step counts."""
    leaves, structure = jax.tree.flatten(tree)
    rng = np.random.default_rng(seed)
    moved = [leaf + sigma * rng.normal(size=leaf.shape).astype(np.float32) for leaf in leaves]
    return jax.tree.unflatten(structure, moved)


def start(form, optimizer, sigma=0.05):
    networks = build_networks(Architecture(SIZE, LAYERS, FILTERS, LATENT, form))
    state = init_state(networks, optimizer, jax.random.key(3))
    gen = state.gen.replace(params=perturbed(state.gen.params, 1, sigma))
    disc = state.disc.replace(params=perturbed(state.disc.params, 2, sigma))
    real = np.random.default_rng(0).normal(size=(BATCH, SIZE, SIZE)).astype(np.float32) * 0.3
    return networks, state.replace(gen=gen, disc=disc), real


def in_float64(net):
    return jax.tree.map(
        lambda leaf: np.asarray(leaf, np.float64), {"params": net.params, "batch_stats": net.batch_stats}
    )


def latent(state):
    z_key, _ = jax.random.split(jax.random.fold_in(state.key, state.step))
    return np.asarray(jax.random.normal(z_key, (BATCH, LATENT)), np.float64)


@pytest.mark.parametrize(
    ("form", "flipped"),
    [("phases", 0), ("phases", 1), ("stock", 0), pytest.param("winograd", 0, marks=pytest.mark.slow)],
)
def test_a_step_is_the_authors_algorithm(monkeypatch, form, flipped):
    # Winograd's form as if it paid for every layer whose maps can be cut in tiles.
    monkeypatch.setattr(convolutions, "_WINOGRAD_CHANNELS", 1)
    monkeypatch.setattr(convolutions, "_WINOGRAD_OPERATIONS", {"winograd": 0})
    networks, state, real = start(form, keep_gradients())
    step = jax.jit(make_train_step(networks, keep_gradients(), StepSettings(float(flipped))))
    after, metrics = step(state, real)
    expected = numpy_gan.step(
        in_float64(state.gen), in_float64(state.disc), real.astype(np.float64), latent(state), flipped, LAYERS
    )
    for name in ("disc_loss", "gen_loss"):
        np.testing.assert_allclose(metrics[name], expected[name], rtol=LOSS)
    for name, net in (("gen", after.gen), ("disc", after.disc)):
        jax.tree.map(
            lambda a, b: np.testing.assert_allclose(a, b, rtol=STATISTICS, atol=STATISTICS),
            net.batch_stats,
            expected[f"{name}_stats"],
        )
        grads, truth = net.opt_state, expected[f"{name}_grads"]
        assert jax.tree.structure(grads) == jax.tree.structure(truth)
        largest = max(np.abs(leaf).max() for leaf in jax.tree.leaves(truth))
        for layer, tensors in truth.items():
            for tensor, exact in tensors.items():
                error = np.linalg.norm(np.asarray(grads[layer][tensor], np.float64) - exact)
                # A bias before a batch norm changes nothing: its gradient is 0 but for rounding.
                into_norm = tensor == "bias" and layer in feeds_a_norm(name)
                if into_norm:
                    assert np.abs(exact).max() < 1e-12 * largest
                    assert error < GRADIENT * largest, (layer, tensor)
                else:
                    assert error < GRADIENT * np.linalg.norm(exact), (layer, tensor)


def feeds_a_norm(network):
    if network == "gen":
        return {f"deconv{n}" for n in range(1, LAYERS)}  # the dense layer's bias differs from pixel to pixel
    return {f"conv{n}" for n in range(2, LAYERS + 1)}


def test_the_numpy_gradients_are_those_of_its_own_losses():
    """Central differences of the float64 losses along random directions: the reference checks itself."""
    _, state, real = start("phases", keep_gradients())
    gen, disc, z = in_float64(state.gen), in_float64(state.disc), latent(state)
    real = real.astype(np.float64)
    base = numpy_gan.step(gen, disc, real, z, 0, LAYERS)
    rng = np.random.default_rng(5)
    for name, net, loss in (("gen", gen, "gen_loss"), ("disc", disc, "disc_loss")):
        direction = jax.tree.map(lambda leaf: rng.normal(size=leaf.shape), net["params"])
        slope = sum(jax.tree.leaves(jax.tree.map(lambda d, g: (d * g).sum(), direction, base[f"{name}_grads"])))

        def moved(by, name=name, net=net, direction=direction, loss=loss):
            params = jax.tree.map(lambda p, d: p + by * d, net["params"], direction)
            nets = {"gen": gen, "disc": disc, name: {**net, "params": params}}
            return numpy_gan.step(nets["gen"], nets["disc"], real, z, 0, LAYERS)[loss]

        by = 1e-7  # small enough that few pixels cross a ReLU's corner
        np.testing.assert_allclose((moved(by) - moved(-by)) / (2 * by), slope, rtol=1e-5)


def test_adam_updates_are_algorithm_1():
    """Three updates of both networks from given gradients, the weights' moments included."""
    optimizer = adam(2e-4, 0.5)
    rng = np.random.default_rng(7)
    params = {"kernel": rng.normal(size=(4, 5)).astype(np.float32), "bias": np.zeros(5, np.float32)}
    opt_state = optimizer.init(params)
    ours = params
    theirs = {name: (value.astype(np.float64), 0.0, 0.0) for name, value in params.items()}
    for count in (1, 2, 3):
        grads = {
            name: (rng.normal(size=v.shape) * 10.0**-count).astype(np.float32) for name, v in params.items()
        }
        updates, opt_state = optimizer.update(grads, opt_state, ours)
        ours = optax.apply_updates(ours, updates)
        for name, (param, m, v) in theirs.items():
            theirs[name] = numpy_gan.adam(param, grads[name].astype(np.float64), m, v, count, 2e-4, 0.5)
    for name in params:
        moved, expected = ours[name] - params[name], theirs[name][0] - params[name].astype(np.float64)
        # A weight of order 1 is known to 1e-7, a step of 2e-4 to 5e-4 of itself.
        np.testing.assert_allclose(moved, expected, rtol=2e-3, atol=2e-7)
