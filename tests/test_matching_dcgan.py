"""`--match` for the DCGAN: what is measured, what a step adds, what stays where nothing is matched."""

import dataclasses
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cosmogan_jax.emulators import bands, matching
from cosmogan_jax.emulators.dcgan.engine import make_engine
from cosmogan_jax.emulators.dcgan.model import make_model
from cosmogan_jax.emulators.dcgan.state import GanState
from cosmogan_jax.emulators.interface import Batch
from cosmogan_jax.settings import Evaluate, Train
from cosmogan_jax.settings.dcgan import Dcgan
from cosmogan_jax.stages.evaluate.training_targets import trained_on, trained_on_of_pairs, was_selected

pytestmark = pytest.mark.usefixtures("quick")

OWN = Dcgan(num_filters=2, latent_size=8, label_flip_probability=0.0, match=("power", "mean", "pdf"))
SETTINGS = Train(0, 16, OWN, batch_size=6, ema_decay=0.9)
MEAN, SIGMA = 0.2, 0.1


@pytest.fixture(scope="module")
def crops():
    """Smooth skewed maps in network units."""
    rng = np.random.default_rng(1)
    k = np.hypot(np.fft.fftfreq(16)[:, None], np.fft.fftfreq(16)) * 2 * np.pi
    g = np.fft.ifft2(np.fft.fft2(rng.normal(size=(200, 16, 16))) * np.exp(-(k**2)) * 3.5).real
    x = np.exp(0.4 * g)
    return (SIGMA * (x - x.mean()) / x.std() + MEAN).astype(np.float32)[..., None]


@pytest.fixture(scope="module")
def begun(crops):
    engine = make_engine(make_model(SETTINGS), SETTINGS, None)
    state = jax.jit(engine.init)(jax.random.key(4))
    return engine, engine.begin(state, *2 * [lambda: iter([crops[:150], crops[150:]])])


def test_scale_and_targets_are_of_the_training_maps_in_units_of_their_sigma(begun, crops):
    of = begun[1].matched
    assert float(of.mean) == pytest.approx(MEAN, rel=1e-5)
    assert float(of.sigma) == pytest.approx(SIGMA, rel=1e-4)
    x = jnp.asarray((crops[..., 0] - MEAN) / SIGMA)
    log_power = np.asarray(bands.log_band_power(x), np.float64)
    np.testing.assert_allclose(of.scale.centre, log_power.mean(0), atol=2e-3)
    numbers = log_power.shape[1]
    np.testing.assert_allclose(
        of.targets.mean[:numbers], np.exp(log_power - of.scale.centre).mean(0), rtol=2e-3
    )
    np.testing.assert_allclose(of.targets.mean[numbers], 0, atol=1e-4)  # the maps' mean, and its square
    np.testing.assert_array_equal(of.running, of.targets.mean)


def gradients(engine, state, batch):
    """What Adam took G's gradient for: its first mean after one step is 1 - beta1 of it."""
    after, metrics = jax.jit(engine.step)(state, batch)
    return after, metrics, after.gen.opt_state[0].mu


@pytest.mark.slow
def test_a_step_adds_the_capped_gradient_and_moves_the_running_means(begun, crops):
    """Against a step of the same state that matches nothing: G's gradient differs by what is matched."""
    engine, state = begun
    batch = Batch(jnp.asarray(crops[:6]), jnp.zeros((6, 0)))
    after, metrics, mu = gradients(engine, state, batch)
    plain_own = dataclasses.replace(OWN, match=())
    plain_settings = dataclasses.replace(SETTINGS, of_kind=plain_own)
    plain = make_engine(make_model(plain_settings), plain_settings, None)
    assert plain.begin is None
    bare = GanState(state.step, state.key, state.gen, state.disc, state.ema)
    without, of_plain, plain_mu = gradients(plain, bare, batch)
    assert type(without) is GanState
    assert not {name for name in of_plain if name.startswith("match")}
    for one, other in zip(jax.tree.leaves(after.disc), jax.tree.leaves(without.disc)):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-7)
    # What is fixed stays; the running means are this batch's own after the first step.
    for name in ("mean", "sigma", "scale", "targets"):
        for one, other in zip(
            jax.tree.leaves(getattr(state.matched, name)), jax.tree.leaves(getattr(after.matched, name))
        ):
            np.testing.assert_array_equal(one, other)
    networks = make_model(SETTINGS).networks
    z_key, _ = jax.random.split(jax.random.fold_in(state.key, 0))
    z = jax.random.normal(z_key, (6, 8))

    @jax.jit
    def expected(params):
        fake, back = jax.vjp(lambda p: networks.gen.apply(p, state.gen.batch_stats, z, train=True)[0], params)
        matcher, of = matching.matcher(OWN), state.matched
        in_units = (fake - MEAN) / SIGMA
        found = matcher.statistics(in_units, of.scale.about(in_units)).mean(0)

        def loss(x):
            x = (x - of.mean) / of.sigma
            now = matcher.statistics(x, of.scale.about(x)).mean(0)
            off = of.targets.combined(now - of.targets.mean)
            off = jnp.maximum(jnp.abs(off) - 1 / np.sqrt(len(x)), 0)  # the first step's rate is 1
            return jnp.where(off < 0.5, off**2 / 2, 0.5 * off - 0.125).sum()

        def adversarial(x):
            return jax.nn.softplus(
                -networks.disc.apply(state.disc.params, state.disc.batch_stats, x, train=True)[0]
            ).mean()

        towards, slope = OWN.match_weight * jax.grad(loss)(fake), jax.grad(adversarial)(fake)
        norms = [jnp.sqrt((v**2).sum()) for v in (towards, slope)]
        added = towards * jnp.minimum(1.0, OWN.match_cap * norms[1] / norms[0])
        return found, norms[0] / norms[1], back(added)[0]

    found, share, added = expected(state.gen.params)
    np.testing.assert_allclose(after.matched.running, found, rtol=1e-3, atol=1e-4)
    assert float(metrics["match_share"]) == pytest.approx(float(share), rel=1e-2)
    off = state.matched.targets.combined(found - state.matched.targets.mean)
    assert float(metrics["match_rms"]) == pytest.approx(float(jnp.sqrt((off**2).mean())), rel=1e-2)
    difference = jax.tree.map(lambda a, b: (a - b) / (1 - SETTINGS.adam_beta1), mu, plain_mu)
    norm = lambda tree: float(jnp.sqrt(sum((leaf**2).sum() for leaf in jax.tree.leaves(tree))))  # noqa: E731
    off_by = jax.tree.map(lambda a, b: a - b, difference, added)
    assert norm(added) > 0.05 * norm(plain_mu)
    assert norm(off_by) < 2e-2 * norm(added)


def test_a_state_without_targets_is_refused(begun, crops):
    engine, state = begun
    batch = Batch(jnp.asarray(crops[:6]), jnp.zeros((6, 0)))
    with pytest.raises(ValueError, match="the state holds no targets"):
        jax.eval_shape(engine.step, dataclasses.replace(state, matched=None), batch)


def test_maps_without_variance_and_names_that_are_none_are_refused(begun):
    engine, state = begun
    with pytest.raises(ValueError, match="variance=0 of the training maps"):
        engine.begin(state, *2 * [lambda: iter([np.full((3, 16, 16, 1), 0.5, np.float32)])])
    with pytest.raises(ValueError, match="no training map"):
        engine.begin(state, *2 * [lambda: iter([])])
    own = dataclasses.replace(OWN, match=("voids",))
    with pytest.raises(ValueError, match="match='voids' is none of the statistics there are: power, mean"):
        make_model(dataclasses.replace(SETTINGS, of_kind=own))


def test_panels_and_rules_of_a_training_that_matches(begun):
    engine, _ = begun
    assert [panel.title for panel in engine.curves][2] == "Matched statistics"
    assert "matched statistics" in {rule.name for rule in engine.warnings}
    settings = dataclasses.replace(SETTINGS, of_kind=dataclasses.replace(OWN, match_weight=0.0))
    none = make_engine(make_model(settings), settings, None)
    assert {"match_rms", "match_share"}.isdisjoint(c.name for panel in none.curves for c in panel.curves)


def test_what_a_dcgan_matched_is_trained_on(tmp_path, parse):
    record = {"inputs": {}, "summary": {}, "result": "x", "finished": "now"}
    for stage, flags in (
        ("generate", {"checkpoint": "selected", "pretrained": None}),
        ("train", {"emulator": "dcgan", "match": ["power", "minima"], "match_weight": 0.3}),
    ):
        (tmp_path / stage).mkdir()
        (tmp_path / stage / "stage.json").write_text(json.dumps({**record, "flags": flags}))
    settings = parse(f"--workdir={tmp_path}").by_stage["evaluate"]
    assert isinstance(settings, Evaluate)
    assert trained_on(settings, tmp_path) == {"power_spectrum", "power_bands", "minima"}
    assert trained_on_of_pairs(settings, tmp_path) == {
        "cross_power",
        "coherence",
        "joint_moments",
        "joint_roughness",
    }
    assert was_selected(settings, tmp_path)
    nothing = {**record, "flags": {"emulator": "dcgan", "match": [], "match_weight": 0.3}}
    (tmp_path / "train/stage.json").write_text(json.dumps(nothing))
    assert trained_on_of_pairs(settings, tmp_path) == trained_on(settings, tmp_path) == set()
    last = {**record, "flags": {"checkpoint": "last", "pretrained": None}}
    (tmp_path / "generate/stage.json").write_text(json.dumps(last))
    assert not was_selected(settings, tmp_path)
    given = parse(f"--workdir={tmp_path}", "--generated=maps.npy").by_stage["evaluate"]
    assert not was_selected(given, tmp_path)


def test_each_kind_has_its_default_and_an_empty_list_is_kept(parse):
    from cosmogan_jax import flags

    assert parse("--workdir=x").by_stage["train"].of_kind.match == ()
    assert "--match=" not in flags.as_text()
    own = parse("--workdir=x", "--emulator=lognormal_gan").by_stage["train"].of_kind
    assert own.match == ("power", "mean", "heights", "roughness", "covariance", "wavelets") == type(own)().match
    assert parse("--workdir=x", "--emulator=lognormal_gan", "--match=").by_stage["train"].of_kind.match == ()
    assert "--match=\n" in flags.as_text()
    assert parse("--workdir=x", "--match=power,minima").by_stage["train"].of_kind.match == ("power", "minima")
