"""What a training step draws, z and flips of its own, and that the settings of Adam reach it."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from cosmogan_jax.emulators.dcgan.engine import make_engine
from cosmogan_jax.emulators.dcgan.model import Dcgan
from cosmogan_jax.emulators.dcgan.networks import Architecture, build_networks
from cosmogan_jax.emulators.dcgan.state import adam, init_state
from cosmogan_jax.emulators.dcgan.step_parts import draws_of_a_step
from cosmogan_jax.emulators.interface import Batch
from cosmogan_jax.settings.dcgan import Dcgan as DcganSettings
from cosmogan_jax.settings.train import Train

pytestmark = pytest.mark.usefixtures("quick")

NETWORKS = build_networks(Architecture(16, 4, 2, 8))
REAL = 0.3 * np.random.default_rng(5).normal(size=(6, 16, 16)).astype(np.float32)


@pytest.fixture(scope="module")
def state(quick):
    return jax.jit(functools.partial(init_state, NETWORKS, adam(2e-4, 0.5)))(jax.random.key(0))


def test_each_network_and_the_steps_begin_with_a_key_of_their_own(state):
    gen_key, disc_key, run_key = jax.random.split(jax.random.key(0), 3)
    for net, key in (("gen", gen_key), ("disc", disc_key)):
        expected, _ = jax.jit(getattr(NETWORKS, net).init)(key)
        for one, other in zip(
            jax.tree.leaves(getattr(state, net).params), jax.tree.leaves(expected), strict=True
        ):
            np.testing.assert_array_equal(one, other)
    np.testing.assert_array_equal(jax.random.key_data(state.key), jax.random.key_data(run_key))


def test_every_step_has_its_own_z_and_flips_as_often_as_asked(state):
    @functools.partial(jax.jit, static_argnums=1)
    def flips(steps, probability):
        def of(step):
            return draws_of_a_step(state.replace(step=step), REAL, 8, probability).flipped

        return jax.vmap(of)(steps)

    for probability in (0.2, 0.6):
        # 4000 steps know a share to 0.8 % at most.
        found = float(flips(jnp.arange(4000), probability).mean())
        assert found == pytest.approx(probability, abs=0.03)
    draws = [draws_of_a_step(state.replace(step=jnp.int32(n)), REAL, 400, 0.5) for n in (0, 1, 7)]
    z = np.stack([np.asarray(draw.z).ravel() for draw in draws])
    assert np.abs(np.corrcoef(z) - np.eye(3)).max() < 4 / np.sqrt(z.shape[1])
    np.testing.assert_allclose(z.std(1), 1, atol=0.05)
    assert len({np.asarray(jax.random.key_data(draw.term_key)).tobytes() for draw in draws}) == 3


def test_the_settings_of_adam_reach_both_networks():
    """After one step its means are (1 - beta1) g and (1 - beta2) g^2, and weights have moved by the rate."""
    settings = Train(0, 16, DcganSettings(num_filters=2, latent_size=8, label_flip_probability=0.0),
                     learning_rate=4e-3, adam_beta1=0.9)  # fmt: skip
    engine = make_engine(Dcgan(NETWORKS.arch), settings, None)
    state = jax.jit(engine.init)(jax.random.key(0))
    after, _ = jax.jit(engine.step)(state, Batch(REAL[..., None], jnp.zeros((len(REAL), 0))))
    for net in ("gen", "disc"):
        now, before = getattr(after, net), getattr(state, net)
        means = now.opt_state[0]
        ratio = optax.tree.norm(means.mu) ** 2 / sum(leaf.sum() for leaf in jax.tree.leaves(means.nu))
        assert float(ratio) == pytest.approx((1 - 0.9) ** 2 / (1 - 0.999), rel=1e-2)
        moved = jax.tree.leaves(optax.tree.sub(now.params, before.params))
        assert max(float(jnp.abs(leaf).max()) for leaf in moved) == pytest.approx(4e-3, rel=1e-2)
