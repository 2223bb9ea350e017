"""The moving average of the generator's weights: closed form, checkpoint, and that it disturbs nothing."""

import shutil

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cosmogan_jax import keys
from cosmogan_jax.emulators.dcgan.averaging import averaged, with_own_statistics
from cosmogan_jax.emulators.dcgan.networks import Architecture, build_networks
from cosmogan_jax.emulators.dcgan.state import NetState, adam, init_state
from cosmogan_jax.emulators.dcgan.step_parts import StepSettings
from cosmogan_jax.emulators.dcgan.train_step import make_train_step
from cosmogan_jax.emulators.trained import open_trained
from cosmogan_jax.maps.store import open_map_store
from cosmogan_jax.runs.checkpoints import Checkpoints

pytestmark = pytest.mark.usefixtures("quick")

NETWORKS = build_networks(Architecture(16, 4, 2, 8))
OPTIMIZER = adam(1e-2, 0.5)
DECAY = 0.8


def plain(state):
    return [np.asarray(leaf) for leaf in jax.tree.leaves(state.replace(key=jax.random.key_data(state.key)))]


def test_weights_of_the_past_fall_by_the_decay():
    values = np.random.default_rng(0).normal(size=(6, 3))
    for decay in (0.5, 0.999, 0.99999):
        ema = NetState({"w": jnp.full(3, 77.0)}, {"m": jnp.full(3, -5.0)}, ())  # the start never counts
        for n, value in enumerate(values, 1):
            ema = averaged(ema, NetState({"w": value}, {"m": 2 * value}, "any"), jnp.int32(n), decay)
            weights = decay ** np.arange(n)[::-1]
            expected = (weights[:, None] * values[:n]).sum(0) / weights.sum()
            np.testing.assert_allclose(ema.params["w"], expected, rtol=2e-5, atol=2e-5)
            np.testing.assert_allclose(ema.batch_stats["m"], 2 * expected, rtol=2e-5, atol=4e-5)


@pytest.mark.slow
def test_a_run_averages_its_generator_and_is_otherwise_the_same(tmp_path):
    real = 0.3 * jax.random.normal(jax.random.key(5), (4, 16, 16))
    with_ema, without = (
        jax.jit(make_train_step(NETWORKS, OPTIMIZER, StepSettings(0.1, ema_decay=d)), donate_argnums=0)
        for d in (DECAY, 0.0)
    )
    averaging = init_state(NETWORKS, OPTIMIZER, jax.random.key(0), with_ema=True)
    state = init_state(NETWORKS, OPTIMIZER, jax.random.key(0))
    assert state.ema is None
    weights = []
    for _ in range(4):
        averaging, _ = with_ema(averaging, real)
        state, _ = without(state, real)
        weights.append(jax.tree.map(np.array, (averaging.gen.params, averaging.gen.batch_stats)))
    past = DECAY ** np.arange(4)[::-1]
    expected = jax.tree.map(lambda *w: sum(p * v for p, v in zip(past, w)) / past.sum(), *weights)
    found = (averaging.ema.params, averaging.ema.batch_stats)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6), found, expected)
    # The last weights and the average differ, or nothing was shown.
    assert abs(found[0]["dense"]["kernel"] - averaging.gen.params["dense"]["kernel"]).max() > 1e-4
    for a, b in zip(plain(averaging.replace(ema=None)), plain(state)):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5)
    with pytest.raises(ValueError, match=r"ema_decay=0.8, but the state holds no average"):
        jax.eval_shape(  # said when the step is traced: nothing is computed
            make_train_step(NETWORKS, OPTIMIZER, StepSettings(0.1, ema_decay=DECAY)), state, real
        )
    for given in (averaging, state):
        checkpoints = Checkpoints(tmp_path / str(given.ema is None))
        checkpoints.save(4, given)
        again = checkpoints.restore(
            4, init_state(NETWORKS, OPTIMIZER, jax.random.key(1), with_ema=bool(given.ema))
        )
        checkpoints.close()
        assert (again.ema is None) == (given.ema is None)
        for a, b in zip(plain(again), plain(given), strict=True):
            np.testing.assert_array_equal(a, b)


def test_an_average_gets_statistics_of_its_own():
    """The first batch norm's in closed form; all of them where running averages of fixed weights go."""
    gen = init_state(NETWORKS, OPTIMIZER, jax.random.key(0)).gen
    params = jax.tree.map(lambda w: 3 * w, gen.params)
    key = jax.random.key(4)
    found = with_own_statistics(NETWORKS, gen.replace(params=params), key)
    assert found.params is params
    z = np.array([jax.random.normal(jax.random.fold_in(key, n), (8,)) for n in range(1024)], np.float64)
    features = z @ np.asarray(params["dense"]["kernel"], np.float64) + np.asarray(params["dense"]["bias"])
    batches = features.reshape(16, -1, features.shape[1])  # one pixel a map at this size
    np.testing.assert_allclose(found.batch_stats["bn0"]["mean"], batches.mean((0, 1)), rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(found.batch_stats["bn0"]["var"], batches.var(1).mean(0), rtol=1e-4)
    running, again = gen.batch_stats, jax.jit(lambda s, z: NETWORKS.gen.apply(params, s, z, train=True)[1])
    for n in range(80):
        running = again(running, jax.random.normal(jax.random.fold_in(jax.random.key(9), n), (64, 8)))
    for layer, values in running.items():
        sigma = np.sqrt(values["var"])
        # Means over 19 batches' worth of maps that decay leaves: to a few percent.
        np.testing.assert_allclose(found.batch_stats[layer]["mean"] / sigma, values["mean"] / sigma, atol=0.15)
        np.testing.assert_allclose(found.batch_stats[layer]["var"], values["var"], rtol=0.25)


@pytest.mark.slow
def test_maps_are_generated_from_either_weights(run_main, tiny_run, tmp_path):
    tiny = (
        *tiny_run, "--crops_per_map=2", "--num_steps=3", "--learning_rate=0.01", "--select_maps=4",
        "--num_generated=3",
    )  # fmt: skip
    stages = "--stages=prepare,train,select,generate"
    code, _, error = run_main(f"--workdir={tmp_path}/off", *tiny, stages, "--weights=ema")
    assert code == 1
    assert "weights=ema, but ema_decay=0 keeps no average" in error
    trained = (*tiny, "--ema_decay=0.9")
    code, _, error = run_main(f"--workdir={tmp_path}/last", *trained, "--stages=prepare,train")
    assert code == 0, error
    shutil.copytree(tmp_path / "last", tmp_path / "ema")
    for weights in ("last", "ema"):
        run = f"--workdir={tmp_path}/{weights}"
        code, _, error = run_main(run, *trained, stages, f"--weights={weights}")
        assert code == 0, error
    maps = {name: open_map_store(tmp_path / name / "generate/maps") for name in ("last", "ema")}
    assert maps["ema"].manifest.origin["generator_weights"] == "ema"
    trained, like, checkpoints = open_trained(tmp_path / "ema")
    networks = trained.model.networks
    state = checkpoints.restore(3, like)
    checkpoints.close()
    key = keys.key(0, "latents")
    z = np.stack([jax.random.normal(jax.random.fold_in(key, n), (64,)) for n in range(3)])
    own = with_own_statistics(networks, state.ema, keys.key(0, "statistics", 1)).batch_stats
    for name, net in (("last", state.gen), ("ema", state.ema.replace(batch_stats=own))):
        expected, _ = networks.gen.apply(net.params, net.batch_stats, z, train=False)
        np.testing.assert_allclose(maps[name].read()[..., 0], 0.1 * expected, rtol=1e-4, atol=1e-7)
    assert abs(maps["last"].read() - maps["ema"].read()).max() > 1e-4
