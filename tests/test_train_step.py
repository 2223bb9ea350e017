"""The train step against plain autodiff of the two losses, and its promises of purity."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from cosmogan_jax.emulators.dcgan.losses import binary_cross_entropy, discriminator_loss, generator_loss
from cosmogan_jax.emulators.dcgan.networks import Architecture, build_networks
from cosmogan_jax.emulators.dcgan.state import adam, init_state
from cosmogan_jax.emulators.dcgan.train_step import make_train_step

# The optimised step is held against another implementation in test_fidelity.py.
pytestmark = pytest.mark.usefixtures("quick")

NETWORKS = build_networks(Architecture(16, 4, 2, 8))
REAL = 0.3 * jax.random.normal(jax.random.key(5), (6, 16, 16))
# float32 by another route; a step's change of the parameters is known to 1e-7 of the parameters only, and the
# smallest gradients here are a few 1e-4 of them.
GRADIENT = 1e-3


def norm_relative(a, b):
    return optax.tree.norm(jax.tree.map(jnp.subtract, a, b)) / optax.tree.norm(b)


@functools.partial(jax.jit, static_argnums=(1, 2))
def by_plain_autodiff(state, order, flipped):
    """Parameters after one step of plain gradient descent, written as two textbook losses."""
    z_key, _ = jax.random.split(jax.random.fold_in(state.key, state.step))
    z = jax.random.normal(z_key, (len(REAL), 8))

    def disc_objective(params):
        fake, _ = NETWORKS.gen.apply(state.gen.params, state.gen.batch_stats, z, train=True)
        real_logits, stats = NETWORKS.disc.apply(params, state.disc.batch_stats, REAL, train=True)
        fake_logits, stats = NETWORKS.disc.apply(params, stats, fake, train=True)
        real_d, fake_d = jax.nn.sigmoid(real_logits), jax.nn.sigmoid(fake_logits)
        if flipped:
            real_d, fake_d = 1 - real_d, 1 - fake_d
        return -jnp.mean(jnp.log(real_d)) - jnp.mean(jnp.log(1 - fake_d)), stats

    grads, stats = jax.grad(disc_objective, has_aux=True)(state.disc.params)
    disc_params = jax.tree.map(lambda p, g: p - g, state.disc.params, grads)
    judge = state.disc.params if order == "joint" else disc_params

    def gen_objective(params):
        fake, _ = NETWORKS.gen.apply(params, state.gen.batch_stats, z, train=True)
        logits, _ = NETWORKS.disc.apply(judge, stats, fake, train=True)
        return -jnp.mean(jnp.log(jax.nn.sigmoid(logits)))

    gen_params = jax.tree.map(lambda p, g: p - g, state.gen.params, jax.grad(gen_objective)(state.gen.params))
    return disc_params, gen_params


@pytest.mark.parametrize(("order", "flipped"), [("joint", 0.0), ("sequential", 1.0)])
def test_step_equals_plain_autodiff(order, flipped):
    optimizer = optax.sgd(1.0)
    state = init_state(NETWORKS, optimizer, jax.random.key(0))
    step = jax.jit(make_train_step(NETWORKS, optimizer, label_flip_probability=flipped, update_order=order))
    after, _ = step(state, REAL)
    disc_params, gen_params = by_plain_autodiff(state, order, flipped)
    moved = jax.tree.map(jnp.subtract, disc_params, state.disc.params)
    ours = jax.tree.map(jnp.subtract, after.disc.params, state.disc.params)
    assert norm_relative(ours, moved) < GRADIENT
    moved = jax.tree.map(jnp.subtract, gen_params, state.gen.params)
    ours = jax.tree.map(jnp.subtract, after.gen.params, state.gen.params)
    assert norm_relative(ours, moved) < GRADIENT


def test_running_averages_move_with_real_then_fake():
    optimizer = adam(2e-4, 0.5)
    state = init_state(NETWORKS, optimizer, jax.random.key(0))
    after, _ = jax.jit(make_train_step(NETWORKS, optimizer, label_flip_probability=0.0))(state, REAL)

    @jax.jit
    def averages():
        z_key, _ = jax.random.split(jax.random.fold_in(state.key, 0))
        z = jax.random.normal(z_key, (len(REAL), 8))
        fake, gen_stats = NETWORKS.gen.apply(state.gen.params, state.gen.batch_stats, z, train=True)
        _, stats = NETWORKS.disc.apply(state.disc.params, state.disc.batch_stats, REAL, train=True)
        _, stats = NETWORKS.disc.apply(state.disc.params, stats, fake, train=True)
        return gen_stats, stats

    gen_stats, stats = averages()
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-7), after.disc.batch_stats, stats
    )
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-7), after.gen.batch_stats, gen_stats
    )


def test_step_is_a_function_of_its_state():
    optimizer = adam(2e-4, 0.5)
    step = jax.jit(make_train_step(NETWORKS, optimizer, label_flip_probability=0.01))
    state = init_state(NETWORKS, optimizer, jax.random.key(0))
    one, _ = step(state, REAL)
    two, _ = step(state, REAL)
    jax.tree.map(np.testing.assert_array_equal, one.gen, two.gen)
    assert int(one.step) == 1


def test_losses_in_closed_form():
    # D undecided: J(D) = 2 ln 2, J(G) = ln 2; extreme logits stay finite.
    zero = jnp.zeros(4)
    np.testing.assert_allclose(discriminator_loss(zero, zero), 2 * np.log(2), rtol=1e-6)
    np.testing.assert_allclose(generator_loss(zero), np.log(2), rtol=1e-6)
    np.testing.assert_allclose(binary_cross_entropy(jnp.array([-200.0]), 1.0), 200.0)
    np.testing.assert_allclose(discriminator_loss(zero + 3, zero - 3, 1.0), 2 * np.log1p(np.exp(3)), rtol=1e-6)


def test_bad_arguments():
    with pytest.raises(ValueError, match="label_flip_probability=2"):
        make_train_step(NETWORKS, adam(1e-3, 0.5), label_flip_probability=2)
    with pytest.raises(ValueError, match="update_order='both'"):
        make_train_step(NETWORKS, adam(1e-3, 0.5), label_flip_probability=0, update_order="both")
