"""Losses, penalties and objectives in closed form."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cosmogan_jax.emulators.dcgan.architecture import Architecture
from cosmogan_jax.emulators.dcgan.losses import LOSSES
from cosmogan_jax.emulators.dcgan.networks import build_networks
from cosmogan_jax.emulators.dcgan.objective import make_objective, sum_of_terms
from cosmogan_jax.emulators.dcgan.penalties import gradient_penalty
from cosmogan_jax.emulators.dcgan.step_parts import judge_of
from cosmogan_jax.emulators.slopes import r1

pytestmark = pytest.mark.usefixtures("quick")

ARCH = Architecture(16, 4, 2, 8, disc_norm="none")
REAL, FAKE = (
    scale * np.random.default_rng(seed).normal(size=(5, 4, 4)).astype(np.float32)
    for seed, scale in enumerate((0.3, 0.2))
)
KEY = jax.random.key(2)
ROUNDING = 1e-5  # float32, sums of some dozens

REAL_LOGITS, FAKE_LOGITS = np.array([2.0, 0.5, -1.0, 0.25]), np.array([-3.0, 0.5, 1.0, -0.25])


def sigmoid(logits):
    return 1 / (1 + np.exp(-logits))


# Each by its own definition, in NumPy float64: (J(D), J(G)).
EXPECTED = {
    "non_saturating": (
        -np.log(sigmoid(REAL_LOGITS)).mean() - np.log(1 - sigmoid(FAKE_LOGITS)).mean(),
        -np.log(sigmoid(FAKE_LOGITS)).mean(),
    ),
    "hinge": ((0 + 0.5 + 2 + 0.75) / 4 + (0 + 1.5 + 2 + 0.75) / 4, 1.75 / 4),
    "least_squares": (
        (1 + 0.25 + 4 + 0.5625) / 8 + (4 + 2.25 + 4 + 0.5625) / 8,
        (16 + 0.25 + 0 + 1.5625) / 8,
    ),
    "wasserstein": (-1.75 / 4 - 1.75 / 4, 1.75 / 4),
}
# dJ(D)/d(real logits), dJ(D)/d(fake logits), dJ(G)/d(fake logits), times the batch.
GRADIENTS = {
    "non_saturating": (sigmoid(REAL_LOGITS) - 1, sigmoid(FAKE_LOGITS), sigmoid(FAKE_LOGITS) - 1),
    "hinge": (-1.0 * (REAL_LOGITS < 1), 1.0 * (FAKE_LOGITS > -1), -np.ones(4)),
    "least_squares": (REAL_LOGITS - 1, FAKE_LOGITS + 1, FAKE_LOGITS - 1),
    "wasserstein": (-np.ones(4), np.ones(4), -np.ones(4)),
}


def test_every_loss_is_tested():
    assert set(EXPECTED) == set(GRADIENTS) == set(LOSSES)


@pytest.mark.parametrize("name", LOSSES)
def test_values_and_gradients(name):
    loss = LOSSES[name]
    real, fake = jnp.float32(REAL_LOGITS), jnp.float32(FAKE_LOGITS)
    disc, gen = EXPECTED[name]
    np.testing.assert_allclose(loss.discriminator(real, fake), disc, rtol=ROUNDING)
    np.testing.assert_allclose(loss.generator(fake), gen, rtol=ROUNDING)
    by_real, by_fake = jax.grad(loss.discriminator, argnums=(0, 1))(real, fake)
    for found, expected in zip((by_real, by_fake, jax.grad(loss.generator)(fake)), GRADIENTS[name]):
        np.testing.assert_allclose(4 * found, expected, rtol=ROUNDING, atol=1e-7)


def test_hinge_is_zero_beyond_its_margin():
    discriminator = LOSSES["hinge"].discriminator
    beyond, gradient = jax.value_and_grad(discriminator, argnums=(0, 1))(jnp.full(3, 1.5), jnp.full(3, -7.0))
    assert beyond == 0
    assert all(not leaf.any() for leaf in gradient)


def test_least_squares_are_least_where_every_map_has_its_label():
    loss = LOSSES["least_squares"]
    assert loss.discriminator(jnp.ones(3), -jnp.ones(3)) == 0
    assert loss.generator(jnp.ones(3)) == 0


@pytest.mark.parametrize("name", ["hinge", "least_squares", "non_saturating"])
def test_a_perfect_discriminator_has_extreme_logits_and_finite_losses(name):
    loss = LOSSES[name]
    assert jnp.isfinite(loss.discriminator(jnp.full(2, 1e4), jnp.full(2, -1e4)))
    assert jnp.isfinite(loss.generator(jnp.full(2, -1e4)))


def test_wasserstein_knows_no_offset_of_the_logits():
    discriminator = LOSSES["wasserstein"].discriminator
    real, fake = jnp.float32(REAL_LOGITS), jnp.float32(FAKE_LOGITS)
    np.testing.assert_allclose(discriminator(real + 3, fake + 3), discriminator(real, fake), rtol=ROUNDING)


WEIGHTS = jnp.arange(16.0, dtype=jnp.float32).reshape(4, 4) / 10


def linear(maps):
    return (maps * WEIGHTS).sum((1, 2)) + 0.7


def quadratic(maps):
    return 0.5 * (maps**2).sum((1, 2))


def test_penalties_of_a_linear_discriminator():
    """D = w x + b: r1 is |w|^2 / 2 and the gradient penalty (|w| - 1)^2, whatever the maps and the key."""
    norm = np.linalg.norm(WEIGHTS)
    np.testing.assert_allclose(r1(linear, REAL), norm**2 / 2, rtol=ROUNDING)
    np.testing.assert_allclose(gradient_penalty(linear, REAL, FAKE, KEY), (norm - 1) ** 2, rtol=ROUNDING)


def test_penalties_of_a_quadratic_discriminator():
    """D = |x|^2 / 2 has slope x: r1 is E |x|^2 / 2 over real maps; the penalty, the slope between the maps."""
    np.testing.assert_allclose(r1(quadratic, REAL), (REAL**2).sum((1, 2)).mean() / 2, rtol=ROUNDING)
    share = jax.random.uniform(KEY, (5, 1, 1), jnp.float32)
    between = share * REAL + (1 - share) * FAKE
    expected = ((np.linalg.norm(between, axis=(1, 2)) - 1) ** 2).mean()
    np.testing.assert_allclose(gradient_penalty(quadratic, REAL, FAKE, KEY), expected, rtol=ROUNDING)
    assert len(np.unique(share)) == 5  # one for each pair of maps


def test_a_flat_discriminator_is_penalised_without_nan():
    """Slope 0: the penalty is 1, and its gradient a number."""

    def penalty(scale):
        return gradient_penalty(lambda maps: scale * linear(maps), REAL, FAKE, KEY)

    value, gradient = jax.value_and_grad(penalty)(0.0)
    assert value == 1
    assert gradient == 0


def test_weights_and_names_of_the_terms():
    def terms(**kwargs):
        return sum_of_terms(make_objective(ARCH, **kwargs).disc_terms, linear, REAL, FAKE, KEY)

    square = float((WEIGHTS**2).sum())
    assert terms(loss="hinge") == (0, {})
    total, values = terms(loss="hinge", r1_penalty=3.0)
    np.testing.assert_allclose(total, 3 * square / 2, rtol=ROUNDING)
    assert set(values) == {"r1"}
    total, values = terms(loss="wasserstein", r1_penalty=3.0, gradient_penalty=5.0)
    np.testing.assert_allclose(values["gradient_penalty"], 5 * (square**0.5 - 1) ** 2, rtol=ROUNDING)
    np.testing.assert_allclose(total, sum(values.values()), rtol=ROUNDING)
    _, default = terms(loss="wasserstein")
    np.testing.assert_allclose(default["gradient_penalty"], 10 * (square**0.5 - 1) ** 2, rtol=ROUNDING)


def slopes(networks, params, stats, maps):
    """d (sum of logits) / d maps, and the same of each logit alone: (maps, logits, pixels)."""
    judge = judge_of(networks, params, stats)
    return jax.grad(lambda x: judge(x).sum())(maps), jax.jacobian(judge)(maps)


@pytest.mark.parametrize("norm", ["none", "batch"])
def test_slopes_are_of_the_sum_of_logits(norm):
    """Without batch norm each map's own; with it other maps' logits lean on this map, and count."""
    networks = build_networks(Architecture(16, 4, 2, 8, "stock", disc_norm=norm))
    params, stats = jax.jit(networks.disc.init)(jax.random.key(3))
    params = jax.tree.map(lambda leaf: 10 * leaf, params)  # slopes of order 1
    maps = 0.3 * jax.random.normal(jax.random.key(4), (3, 16, 16), jnp.float32)

    @jax.jit
    def measured():
        return *slopes(networks, params, stats, maps), r1(judge_of(networks, params, stats), maps)

    summed, each, found = measured()
    np.testing.assert_allclose(summed, each.sum(0), rtol=1e-4, atol=1e-4 * abs(summed).max())
    # Terms of the batch cancel in part: more than rounding is left.
    np.testing.assert_allclose(found, 0.5 * (summed**2).sum((1, 2)).mean(), rtol=1e-3)
    other = abs(each[jnp.array([0, 0, 1]), jnp.array([1, 2, 2])]).max()
    assert (other == 0) == (norm == "none")


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"loss": "saturating"}, "loss='saturating' must be one of non_saturating, hinge"),
        ({"loss": "hinge", "r1_penalty": -1.0}, "r1_penalty=-1.0 must not be negative"),
        ({"loss": "hinge", "r1_penalty": float("nan")}, "r1_penalty=nan"),
        ({"loss": "wasserstein", "gradient_penalty": -0.5}, "gradient_penalty=-0.5 must not be negative"),
        ({"loss": "wasserstein", "gradient_penalty": 0.0}, "gradient_penalty=0.0 must be positive"),
    ],
)
def test_bad_objectives(kwargs, message):
    with pytest.raises(ValueError, match=message) as refused:
        make_objective(ARCH, **kwargs)
    assert "\n" not in str(refused.value)


def test_wasserstein_refuses_batch_norm():
    with pytest.raises(ValueError, match="disc_norm='batch' must be 'none' with loss=wasserstein"):
        make_objective(Architecture(16, 4, 2, 8), "wasserstein")
    make_objective(Architecture(16, 4, 2, 8), "hinge", r1_penalty=1.0)  # of the batch's sum: allowed
