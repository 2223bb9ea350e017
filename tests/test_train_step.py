"""The train step against plain autodiff of the two losses, and its promises of purity."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from cosmogan_jax.emulators import matching
from cosmogan_jax.emulators.conditioning import ONE, Cosmologies
from cosmogan_jax.emulators.dcgan.losses import (
    LOSSES,
    binary_cross_entropy,
    non_saturating_discriminator,
    non_saturating_generator,
)
from cosmogan_jax.emulators.dcgan.networks import Architecture, build_networks
from cosmogan_jax.emulators.dcgan.objective import Objective
from cosmogan_jax.emulators.dcgan.state import adam, init_state
from cosmogan_jax.emulators.dcgan.step_parts import StepSettings
from cosmogan_jax.emulators.dcgan.textbook_step import make_textbook_step
from cosmogan_jax.emulators.dcgan.train_step import make_train_step
from cosmogan_jax.settings.matching import Matching

# The optimised step is held against another implementation in test_fidelity.py.
pytestmark = pytest.mark.usefixtures("quick")

NETWORKS = build_networks(Architecture(16, 4, 2, 8))
REAL = 0.3 * np.random.default_rng(5).normal(size=(6, 16, 16)).astype(np.float32)
# float32 by another route; a step's change of the parameters is known to 1e-7 of the parameters only, and the
# smallest gradients here are a few 1e-4 of them.
GRADIENT = 1e-3


@jax.jit
def error_of_the_move(found, expected, start):
    """|found - expected| / |expected - start|."""
    off, moved = (optax.tree.norm(optax.tree.sub(a, b)) for a, b in ((found, expected), (expected, start)))
    return off / moved


def started(networks, optimizer):
    return jax.jit(functools.partial(init_state, networks, optimizer))(jax.random.key(0))


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


@pytest.mark.parametrize(
    ("order", "flipped"), [pytest.param("joint", 0.0, marks=pytest.mark.slow), ("sequential", 1.0)]
)
def test_step_equals_plain_autodiff(order, flipped):
    optimizer = optax.sgd(1.0)
    state = started(NETWORKS, optimizer)
    step = jax.jit(make_train_step(NETWORKS, optimizer, StepSettings(flipped, update_order=order)))
    after, _ = step(state, REAL)
    disc_params, gen_params = by_plain_autodiff(state, order, flipped)
    assert error_of_the_move(after.disc.params, disc_params, state.disc.params) < GRADIENT
    assert error_of_the_move(after.gen.params, gen_params, state.gen.params) < GRADIENT


def test_running_averages_move_with_real_then_fake():
    optimizer = adam(2e-4, 0.5)
    state = started(NETWORKS, optimizer)
    after, _ = jax.jit(make_train_step(NETWORKS, optimizer, StepSettings(0.0)))(state, REAL)

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
    step = jax.jit(make_train_step(NETWORKS, optimizer, StepSettings(0.01)))
    state = started(NETWORKS, optimizer)
    one, _ = step(state, REAL)
    two, _ = step(state, REAL)
    jax.tree.map(np.testing.assert_array_equal, one.gen, two.gen)
    assert int(one.step) == 1


def test_losses_in_closed_form():
    # D undecided: J(D) = 2 ln 2, J(G) = ln 2; extreme logits stay finite.
    zero = jnp.zeros(4)
    np.testing.assert_allclose(non_saturating_discriminator(zero, zero), 2 * np.log(2), rtol=1e-6)
    np.testing.assert_allclose(non_saturating_generator(zero), np.log(2), rtol=1e-6)
    np.testing.assert_allclose(binary_cross_entropy(jnp.array([-200.0]), 1.0), 200.0)
    np.testing.assert_allclose(
        non_saturating_discriminator(zero + 3, zero - 3, 1.0), 2 * np.log1p(np.exp(3)), rtol=1e-6
    )


def test_bad_arguments():
    with pytest.raises(ValueError, match="label_flip_probability=2"):
        make_train_step(NETWORKS, adam(1e-3, 0.5), StepSettings(2))
    with pytest.raises(ValueError, match="update_order='both'"):
        make_train_step(NETWORKS, adam(1e-3, 0.5), StepSettings(0, update_order="both"))
    with pytest.raises(ValueError, match="must be 0 with a loss other than non_saturating"):
        make_train_step(NETWORKS, adam(1e-3, 0.5), StepSettings(0.01, "hinge"))
    with pytest.raises(ValueError, match="loss='best'"):
        make_train_step(NETWORKS, adam(1e-3, 0.5), StepSettings(0.01, "best"))
    with pytest.raises(ValueError, match="disc_norm='batch'"):
        make_textbook_step(NETWORKS, adam(1e-3, 0.5), StepSettings(0, "wasserstein"))
    with pytest.raises(ValueError, match="disc_norm='layer'"):
        Architecture(16, 4, 2, 8, disc_norm="layer")


def in_float64(tree):
    return jax.tree.map(
        lambda leaf: leaf.astype(jnp.float64) if jnp.issubdtype(leaf.dtype, jnp.floating) else leaf, tree
    )


def both_steps(networks, optimizer, steps, matcher=None, cosmologies=ONE, **settings):
    """(state, metrics) of the fused step and of the textbook's, after each of some steps in float64."""
    state = jax.jit(
        lambda key: in_float64(init_state(networks, optimizer, key, with_ema=True, matcher=matcher))
    )(jax.random.key(0))
    reals = 0.3 * jax.random.normal(jax.random.key(5), (steps, 6, 16, 16), jnp.float64)
    found = []
    for make in (make_train_step, make_textbook_step):
        step, now = (
            jax.jit(make(networks, optimizer, StepSettings(ema_decay=0.9, **settings), matcher=matcher)),
            state,
        )
        found.append([])
        for real in reals:
            now, metrics = step(now, real, cosmologies)
            found[-1].append((now.replace(key=jax.random.key_data(now.key)), metrics))
    return found


# Adam divides a gradient by its own size and makes a step of mere rounding, as in a bias before a batch norm;
# with an epsilon far above rounding it does not.
STEADY_ADAM = optax.adam(2e-3, b1=0.5, eps=1e-4)


def assert_equal_steps(fused, textbook):
    """float64 in another order of sums, through three steps."""
    assert jax.tree.structure(fused) == jax.tree.structure(textbook)
    for (path, a), b in zip(jax.tree.leaves_with_path(fused), jax.tree.leaves(textbook)):
        assert a.dtype == b.dtype
        np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-12, err_msg=jax.tree_util.keystr(path))


def every_step():
    """Every loss, with r1 and without, in both orders, of one cosmology and of several.

    All but one compile long and are run by hand. The paper's own is held to the authors' algorithm in
    `test_fidelity.py`, and to autodiff above.
    """
    for n, (loss, norm, r1_penalty, flipped) in enumerate([
        ("non_saturating", "batch", 0.0, 0.5),
        ("non_saturating", "batch", 2.0, 0.5),
        ("hinge", "none", 2.0, 0.0),
        ("least_squares", "batch", 0.0, 0.0),
        ("wasserstein", "none", 2.0, 0.0),
        ("hinge", "batch", 0.0, 0.0),
        ("least_squares", "none", 2.0, 0.0),
        ("wasserstein", "none", 0.0, 0.0),
    ]):  # fmt: skip
        for order, num_parameters in (("joint", 0), ("sequential", 0), ("joint", 2), ("sequential", 2)):
            often = n == 4 and order == "joint" and num_parameters
            yield pytest.param(
                loss, norm, r1_penalty, flipped, order, num_parameters,
                marks=[] if often else [pytest.mark.slow],
            )  # fmt: skip


@pytest.mark.parametrize(
    ("loss", "norm", "r1_penalty", "flipped", "order", "num_parameters"), list(every_step())
)
def test_the_fused_step_is_the_textbook_step(loss, norm, r1_penalty, flipped, order, num_parameters):
    with jax.enable_x64(True):
        networks = build_networks(Architecture(16, 4, 2, 8, disc_norm=norm), num_parameters)
        fused, textbook = both_steps(
            networks, STEADY_ADAM, 3, label_flip_probability=flipped, loss=loss, r1_penalty=r1_penalty,
            update_order=order, cosmologies=of_cosmologies(num_parameters),
        )  # fmt: skip
        for one, other in zip(fused, textbook):
            assert_equal_steps(one, other)
        terms = {"r1"} if r1_penalty else set()
        terms |= {"gradient_penalty"} if loss == "wasserstein" else set()
        _, metrics = fused[-1]
        assert set(metrics) == {
            "disc_loss", "gen_loss", "disc_accuracy_real", "disc_accuracy_fake", "disc_grad_norm",
            "gen_grad_norm", *terms,
        }  # fmt: skip
        assert all(metrics[name] > 0 for name in terms)


def of_cosmologies(num_parameters):
    """Standardised parameters of six maps, and linear regressors; none where there are no parameters."""
    if not num_parameters:
        return ONE
    t = jax.random.normal(jax.random.key(3), (6, num_parameters), jnp.float64)
    return Cosmologies(t, jnp.concatenate([jnp.ones((6, 1)), t], -1))


@pytest.mark.slow
@pytest.mark.parametrize("num_parameters", [0, 2])
@pytest.mark.parametrize("order", ["joint", "sequential"])
def test_what_is_matched_is_added_in_both_steps_alike(order, num_parameters):
    """Targets far from the maps, so that the clip and the cap are in use, with a term of G's beside."""
    matcher = matching.matcher(Matching(match=("power", "pdf"), match_weight=2.0))
    with jax.enable_x64(True):
        objective = Objective(LOSSES["hinge"], {}, {"power": power_term})
        networks = build_networks(NETWORKS.arch, num_parameters)
        fused, textbook = both_steps(
            networks, STEADY_ADAM, 2, label_flip_probability=0.0, loss=objective, update_order=order,
            matcher=matcher, cosmologies=of_cosmologies(num_parameters),
        )  # fmt: skip
        for one, other in zip(fused, textbook):
            assert_equal_steps(one, other)
        assert {"match_rms", "match_worst", "match_share", "power"} <= set(fused[-1][1])
        assert np.abs(np.asarray(fused[-1][0].matched.running)).max() > 0


def power_term(judge, real, fake, key):
    """A statistics term as a user may add it: how far the mean spectra of both batches lie apart."""
    power_of = [jnp.mean(jnp.abs(jnp.fft.rfft2(maps)) ** 2, axis=0) for maps in (real, fake)]
    return jnp.mean((jnp.log1p(power_of[0]) - jnp.log1p(power_of[1])) ** 2)


@pytest.mark.slow
@pytest.mark.parametrize("order", ["joint", "sequential"])
def test_a_term_of_both_networks_is_one_function(order):
    def judged(judge, real, fake, key):
        mixed = real + jax.random.uniform(key, real.shape, real.dtype) * (fake - real)
        return jnp.mean(judge(mixed) ** 2)

    with jax.enable_x64(True):
        objective = Objective(LOSSES["hinge"], {"drift": judged}, {"power": power_term, "judged": judged})
        fused, textbook = both_steps(
            NETWORKS, STEADY_ADAM, 2, label_flip_probability=0.0, loss=objective, update_order=order
        )
        for one, other in zip(fused, textbook):
            assert_equal_steps(one, other)
        assert {"drift", "power", "judged"} <= set(fused[-1][1])


def test_a_discriminator_without_norm_has_no_statistics_and_judges_each_map_alone():
    networks = build_networks(Architecture(16, 4, 2, 8, disc_norm="none"))
    params, stats = networks.disc.init(jax.random.key(0))
    assert stats == {}
    assert not any(name.startswith("bn") for name in params)
    together, moved = networks.disc.apply(params, stats, REAL, train=True)
    alone, _ = networks.disc.apply(params, stats, REAL[:1], train=True)
    sampled, _ = networks.disc.apply(params, stats, REAL, train=False)
    assert moved == {}
    np.testing.assert_allclose(together[:1], alone, rtol=1e-5)
    np.testing.assert_array_equal(together, sampled)


def test_cards_without_disc_norm_are_the_papers():
    said = {"map_size": 16, "num_layers": 4, "num_filters": 2, "latent_size": 8}
    assert Architecture.from_json(said) == NETWORKS.arch
    assert Architecture.from_json(said | {"disc_norm": "none"}).disc_norm == "none"
    with pytest.raises(ValueError, match="disc_norm='layer' must be one of batch, none"):
        Architecture.from_json(said | {"disc_norm": "layer"})
    with pytest.raises(ValueError, match="disc_norm=1 is not of type str"):
        Architecture.from_json(said | {"disc_norm": 1})
