"""The DCGAN of several source bins: against its networks of one, and against itself with bins in another order.

Runs by the command line stand in `test_joint_bins_run.py`.
"""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cosmogan_jax.emulators.dcgan.model import Dcgan, model_of
from cosmogan_jax.emulators.dcgan.networks import Architecture, build_networks
from cosmogan_jax.emulators.dcgan.penalties import gradient_penalty
from cosmogan_jax.emulators.interface import Batch
from cosmogan_jax.emulators.joint_statistics import JOINT_STATISTICS
from cosmogan_jax.emulators.kinds import build
from cosmogan_jax.settings import Train
from cosmogan_jax.settings.dcgan import Dcgan as OwnSettings

pytestmark = pytest.mark.usefixtures("quick")

SIZE, BATCH = 16, 6
ONE, TWO = (Architecture(SIZE, 4, 2, 8, num_bins=bins) for bins in (1, 2))
# float32 sums of some hundred products in another order, relative to the largest.
REORDERED = 1e-5
OWN = OwnSettings(
    num_filters=2,
    latent_size=8,
    label_flip_probability=0.0,
    match=("mean",),
    theta_order=1,
)
SETTINGS = Train(0, SIZE, OWN, batch_size=BATCH, ema_decay=0.9, condition_on=("omega_m",))


def near(found, expected, of_largest=REORDERED):
    np.testing.assert_allclose(found, expected, atol=of_largest * np.abs(expected).max(), rtol=0)


@pytest.fixture(scope="module")
def networks():
    """Networks of two bins and of one, and variables of the former, large enough to tell channels apart."""
    two = build_networks(TWO)
    variables = [jax.jit(net.init)(jax.random.key(n)) for n, net in enumerate((two.gen, two.disc))]
    gen, disc = ((jax.tree.map(lambda leaf: 10 * leaf, params), stats) for params, stats in variables)
    return two, build_networks(ONE), gen, disc


def changed(params, layer, change):
    """Parameters with those of a layer changed, each by itself."""
    return {**params, layer: {name: change(name, leaf) for name, leaf in params[layer].items()}}


def test_each_bin_is_what_a_generator_of_one_makes_with_that_bins_last_layer(networks):
    two, one, (params, stats), _ = networks
    z = jax.random.normal(jax.random.key(5), (3, 8))
    x, _ = jax.jit(lambda z: two.gen.apply(params, stats, z, train=True))(z)
    assert x.shape == (3, SIZE, SIZE, 2)
    of_one = jax.jit(lambda params: one.gen.apply(params, stats, z, train=True)[0])
    for number in range(2):
        near(x[..., number], of_one(changed(params, "deconv4", lambda _, leaf, n=number: leaf[..., n, None])))
    assert np.abs(x[..., 0] - x[..., 1]).max() > 0.1 * np.abs(x).max()


def test_a_discriminator_of_two_bins_judges_both(networks):
    two, one, _, (params, stats) = networks
    x = jax.random.normal(jax.random.key(6), (4, SIZE, SIZE, 2))
    logits = jax.jit(lambda params, x: two.disc.apply(params, stats, x, train=True)[0])

    def channels(chosen):
        return lambda name, leaf: chosen(leaf) if name == "kernel" else leaf

    first_alone = changed(params, "conv1", channels(lambda kernel: kernel.at[:, :, 1].set(0)))
    of_one = changed(params, "conv1", channels(lambda kernel: kernel[:, :, :1]))
    near(logits(first_alone, x), jax.jit(lambda x: one.disc.apply(of_one, stats, x, train=True)[0])(x[..., 0]))
    swapped = changed(params, "conv1", channels(lambda kernel: kernel[:, :, ::-1]))
    near(logits(swapped, x[..., ::-1]), logits(params, x))
    spread = float(logits(params, x).std())
    assert np.abs(logits(params, x[..., ::-1]) - logits(params, x)).max() > 0.1 * spread


def test_numbers_of_parameters_and_what_a_card_says():
    """At the paper's size: a bin more is 25 x 64 weights more in either network, and a bias in G's."""
    networks = build_networks(Architecture(256, 4, 64, 64, num_bins=4))
    for network, expected in ((networks.gen, 12_824_449 + 3 * 1601), (networks.disc, 4_436_225 + 3 * 1600)):
        params, _ = jax.eval_shape(network.init, jax.random.key(0))
        assert sum(leaf.size for leaf in jax.tree.leaves(params)) == expected
    assert "num_bins" not in Dcgan(ONE).describe()
    assert Dcgan(TWO).describe()["num_bins"] == 2
    for arch in (ONE, TWO):
        assert model_of(Dcgan(arch).describe(), False).arch == arch
    for wrong, words in ((0, "num_bins=0 must be positive"), ("2", "num_bins='2' is not of type int")):
        with pytest.raises(ValueError, match=words):
            model_of({**Dcgan(TWO).describe(), "num_bins": wrong}, False)


def test_a_gradient_penalty_mixes_whole_maps():
    """Of D(x) = sum of u x, whose slope is u's norm wherever maps are mixed."""
    u = jax.random.normal(jax.random.key(1), (SIZE, SIZE, 2)) / SIZE
    real, fake = jax.random.normal(jax.random.key(2), (2, 3, SIZE, SIZE, 2))
    found = gradient_penalty(lambda x: (x * u).sum((1, 2, 3)), real, fake, jax.random.key(0))
    assert float(found) == pytest.approx((float(jnp.linalg.norm(u)) - 1) ** 2, rel=1e-4)


class Maps:
    """Lognormal maps of two bins that share most of a field, the second wider and of a higher mean."""

    def __init__(self, order=(0, 1)):
        rng = np.random.default_rng(0)
        self.theta = rng.choice([0.2, 0.3, 0.4], 90)[:, None].astype(np.float32)
        g = rng.normal(size=(90, SIZE, SIZE, 2)) @ [[1, 0.8], [0, 0.6]]
        y = (np.exp(0.4 * g) - 1) * [0.1, 0.3] * np.sqrt(self.theta[..., None, None]) + [0, 0.1]
        self.kappa = y[..., list(order)].astype(np.float32)

    def __call__(self):
        yield self.kappa[:50]
        yield self.kappa[50:]


@pytest.fixture(scope="module")
def begun():
    """Model, engine, the states before the first step on maps and on those with bins swapped, and the maps."""
    model, engine = build(SETTINGS, num_bins=2)
    fresh, maps = jax.jit(engine.init)(jax.random.key(0)), (Maps(), Maps((1, 0)))
    return model, engine, fresh, [engine.begin(fresh, own, own) for own in maps], maps


def test_scales_are_each_bins_own_and_what_bins_share_is_matched(begun):
    _, engine, fresh, (state, swapped), (maps, _) = begun
    pixels = maps.kappa.reshape(-1, 2).astype(np.float64)
    np.testing.assert_allclose(state.matched.mean, pixels.mean(0), rtol=1e-5)
    np.testing.assert_allclose(state.matched.sigma, pixels.std(0), rtol=1e-5)
    np.testing.assert_array_equal(swapped.matched.sigma, state.matched.sigma[::-1])
    # A checkpoint is restored into a fresh state's form.
    shapes = [jax.tree.map(jnp.shape, dataclasses.replace(each, key=None)) for each in (fresh, state)]
    assert shapes[0] == shapes[1]
    assert set(JOINT_STATISTICS) == {"cross_power", "coherence", "joint_moments", "joint_roughness"}
    # The mean and its square of each bin; of the pair, two moments at each of three sizes of pixels, and rings.
    assert state.matched.targets.mean.shape[0] > 2 * 2 + 2
    assert engine.features is None
    assert engine.no_features == "the discriminator looks at all source bins together, and novelty at one"


def bins_swapped(state):
    """The state with channels in the other order, wherever networks and their averages have any."""

    def swap(path, leaf):
        names = [getattr(step, "key", "") for step in path]
        if "deconv4" in names:
            return leaf[..., ::-1]
        return leaf[:, :, ::-1] if "conv1" in names and names[-1] == "kernel" else leaf

    nets = {
        name: jax.tree_util.tree_map_with_path(swap, getattr(state, name)) for name in ("gen", "disc", "ema")
    }
    return dataclasses.replace(state, **nets)


def test_a_step_on_bins_in_another_order_is_the_same_in_that_order(begun):
    """Losses and gradients (Adam's first mean), of what is matched too; without the swap they differ."""
    _, engine, _, states, maps = begun
    batches = [Batch(jnp.asarray(own.kappa[:BATCH]), jnp.asarray(own.theta[:BATCH])) for own in maps]
    step = jax.jit(engine.step)
    after, metrics = step(states[0], batches[0])
    turned, of_turned = step(bins_swapped(states[1]), batches[1])
    assert metrics["match_share"] > 0
    for name, value in metrics.items():
        assert float(of_turned[name]) == pytest.approx(float(value), rel=1e-3, abs=1e-5), name
    expected = bins_swapped(after)
    for name in ("gen", "disc"):
        gradients = [getattr(each, name).opt_state[0].mu for each in (turned, expected)]
        largest = max(float(jnp.abs(leaf).max()) for leaf in jax.tree.leaves(gradients[1]))
        for one, other in zip(*map(jax.tree.leaves, gradients), strict=True):
            # What is matched is a sum over combinations of numbers whose order differs.
            np.testing.assert_allclose(one, other, rtol=0, atol=1e-3 * largest)
    mixed, _ = step(states[0], batches[1]._replace(theta=batches[0].theta))
    off = [np.asarray(each.disc.opt_state[0].mu["conv1"]["kernel"]) for each in (mixed, after)]
    assert np.abs(off[0] - off[1]).max() > 0.1 * np.abs(off[1]).max()


def test_maps_of_another_number_of_bins_are_refused(begun):
    _, engine, fresh, _, (maps, _) = begun
    for bins in (1, 3):
        kappa = jnp.zeros((BATCH, SIZE, SIZE, bins))
        with pytest.raises(ValueError, match=f"maps of {bins} source bins: this dcgan makes 2"):
            jax.eval_shape(engine.step, fresh, Batch(kappa, jnp.asarray(maps.theta[:BATCH])))


def test_maps_have_all_bins_and_follow_theta(begun):
    model, engine, _, (state, _), _ = begun
    variables, theta = engine.variables(state, "last"), jnp.array([[0.2], [0.4]])
    latents = jax.vmap(lambda key: model.latent(key, SIZE))(jnp.stack([jax.random.key(1)] * 2))
    x = jax.jit(model.sample)(variables, latents, theta)
    assert x.shape == (2, SIZE, SIZE, 2)
    assert np.abs(x[0] - x[1]).max() > 1e-3 * np.abs(x).max()
