"""The DCGAN of several cosmologies: what its networks make of theta, and that without theta nothing changed."""

import dataclasses
import json
import shutil

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from conftest import run_here

from cosmogan_jax import keys
from cosmogan_jax.emulators.dcgan.averaging import _latents
from cosmogan_jax.emulators.dcgan.networks import Architecture, build_networks
from cosmogan_jax.emulators.dcgan.state import AVERAGED_OVER, GanState
from cosmogan_jax.emulators.emulator import Emulator
from cosmogan_jax.emulators.interface import Batch
from cosmogan_jax.emulators.kinds import build, model_of
from cosmogan_jax.emulators.normalisation import Normalisation
from cosmogan_jax.emulators.trained import open_trained
from cosmogan_jax.emulators.weights import write_card, write_weights
from cosmogan_jax.geometry import MapGeometry
from cosmogan_jax.maps.crop_table import open_crop_table
from cosmogan_jax.maps.store import open_map_store
from cosmogan_jax.pretrained import load
from cosmogan_jax.settings import Train
from cosmogan_jax.settings.dcgan import Dcgan
from cosmogan_jax.stages.emulators import trained

pytestmark = pytest.mark.usefixtures("quick")

NAMES = ("omega_m", "w0")
SIZE, LATENT, BATCH = 16, 8, 6
OWN = Dcgan(num_filters=4, latent_size=LATENT, label_flip_probability=0.0)
SETTINGS = Train(0, SIZE, OWN, batch_size=BATCH, ema_decay=0.9, condition_on=NAMES)
POINTS = np.array([[m, w] for m in (0.2, 0.3, 0.4) for w in (-1.2, -1.0, -0.7)])
# float32 sums of some hundred products in another order, relative to the largest.
REORDERED = 1e-5


class Maps:
    """Training maps whose mean follows the cosmology, in parts, as stage train gives them."""

    def __init__(self):
        rng = np.random.default_rng(0)
        self.theta = POINTS[rng.integers(0, len(POINTS), 90)].astype(np.float32)
        mean = 0.3 * np.log(self.theta[:, 0] / 0.3) - 0.2 * (self.theta[:, 1] + 1)
        noise = 0.1 * rng.normal(size=(90, SIZE, SIZE))
        self.kappa = (mean[:, None, None] + noise).astype(np.float32)[..., None]

    def __call__(self):
        yield self.kappa[:50]
        yield self.kappa[50:]

    def batch(self, number):
        rows = slice(BATCH * number, BATCH * (number + 1))
        return Batch(jnp.asarray(self.kappa[rows]), jnp.asarray(self.theta[rows]))


def by_hand(theta, of=None):
    """Standardised parameters by numpy alone: ln omega_m and w0, whitened by the symmetric root."""
    f = [np.stack([np.log(v[:, 0]), v[:, 1]], 1) for v in (np.asarray(theta, float), np.asarray(of, float))]
    values, vectors = np.linalg.eigh(np.cov(f[1].T, bias=True))
    return (f[0] - f[1].mean(0)) @ (vectors * values**-0.5 @ vectors.T)


@pytest.fixture(scope="module")
def made():
    """Model, engine, the state before the first step, and the maps."""
    maps = Maps()
    model, engine = build(SETTINGS)
    return model, engine, engine.begin(jax.jit(engine.init)(jax.random.key(0)), maps, maps), maps


@pytest.fixture(scope="module")
def emulator(made):
    model, engine, state, _ = made
    design = tuple(map(tuple, POINTS.tolist()))
    # With batch statistics of its own: those of step 0 leave next to nothing of a map.
    variables = engine.variables(state, "ema")
    normalisation, geometry = Normalisation("linear", 0.1), MapGeometry(SIZE, 0.4)
    return Emulator("small", model, variables, normalisation, geometry, {}, NAMES, design=design)


# The networks.


def test_without_parameters_nothing_is_there_of_them():
    settings = dataclasses.replace(SETTINGS, condition_on=())
    model, engine = build(settings)
    state = jax.eval_shape(engine.init, jax.random.key(0))
    assert type(state) is GanState
    assert engine.begin is None
    assert jax.eval_shape(model.init, jax.random.key(0)).keys() == {"params", "batch_stats"}
    assert "parameters" not in model.describe()
    assert "projection" not in state.disc.params
    assert state.gen.params["dense"]["kernel"].shape[0] == LATENT


def test_a_parameter_adds_a_row_to_g_and_a_column_to_d():
    """At the paper's size: 16^2 x 512 numbers in either network."""
    for network, alone in zip(("gen", "disc"), (12_824_449, 4_436_225)):
        init = getattr(build_networks(Architecture(256, 4, 64, 64), 2), network).init
        params, _ = jax.eval_shape(init, jax.random.key(0))
        assert sum(leaf.size for leaf in jax.tree.leaves(params)) == alone + 2 * 16**2 * 512


def test_d_is_psi_of_phi_plus_t_v_phi(made):
    """By numpy, from phi and the two matrices."""
    model, _, state, maps = made
    disc, of_disc = model.networks.disc, (state.disc.params, state.disc.batch_stats)
    x, t = jnp.asarray(maps.kappa[:BATCH, ..., 0]), np.random.default_rng(1).normal(size=(BATCH, 2))

    @jax.jit
    def of_maps(t):
        return disc.apply(*of_disc, x, t, train=False)[0], disc.last_convolution(*of_disc, x)

    logits, phi = of_maps(jnp.asarray(t, jnp.float32))
    phi, params = np.asarray(phi, float), state.disc.params
    kernel, v = (np.asarray(params[name]["kernel"], float) for name in ("dense", "projection"))
    psi = (phi @ kernel)[:, 0] + float(params["dense"]["bias"][0])
    projected = np.einsum("np,fp,nf->n", t, v, phi)
    np.testing.assert_allclose(logits, psi + projected, rtol=0, atol=REORDERED * np.abs(logits).max())
    assert np.abs(projected).max() > 0.01 * np.abs(psi).max()  # it is there to be seen


def test_where_the_rows_of_theta_are_zero_g_is_the_one_without_theta(made, emulator):
    model = made[0]
    variables = dict(emulator.variables)
    kernel = variables["params"]["dense"]["kernel"]

    def with_kernel(values):
        return {**variables["params"], "dense": {**variables["params"]["dense"], "kernel": values}}

    latent, theta = jax.random.normal(jax.random.key(1), (4, LATENT)), jnp.asarray(POINTS[:4], jnp.float32)
    alone, sample = dataclasses.replace(model, parameters=()), jax.jit(model.sample)
    bare = {**variables, "params": with_kernel(kernel[:LATENT])}
    del bare["standardisation"]
    expected = jax.jit(alone.sample)(bare, latent, theta[:, :0])
    for rows, equal in ((jnp.zeros((2, kernel.shape[1])), True), (kernel[LATENT:], False)):
        variables["params"] = with_kernel(jnp.concatenate([kernel[:LATENT], rows]))
        off = np.abs(sample(variables, latent, theta) - expected).max() / np.abs(expected).max()
        assert (off < REORDERED) == equal


def test_a_network_given_no_theta_or_another_number_of_parameters_says_so(made):
    model, _, state, maps = made
    x = jnp.asarray(maps.kappa[:2, ..., 0])
    for t, words in ((None, "t of 0 parameters must be of 2"), (jnp.zeros((2, 3)), "t of 3 parameters must")):
        with pytest.raises(ValueError, match=words):
            model.networks.disc.apply(state.disc.params, state.disc.batch_stats, x, t, train=False)


# The step.


def test_maps_are_made_and_judged_at_the_parameters_of_the_batch(made):
    """Both losses of the first step from the definition: real map n and fake map n at theta n."""
    model, engine, begun, maps = made
    batch = maps.batch(0)

    @jax.jit
    def losses_of_the_step():
        _, metrics = engine.step(begun, batch)
        return metrics["disc_loss"], metrics["gen_loss"]

    t = jnp.asarray(by_hand(batch.theta, maps.theta), jnp.float32)
    z_key, _ = jax.random.split(jax.random.fold_in(begun.key, 0))
    z = jax.random.normal(z_key, (BATCH, LATENT))

    @jax.jit
    def losses(t_of_fakes, t):
        gen, disc = model.networks.gen, model.networks.disc
        fake, _ = gen.apply(begun.gen.params, begun.gen.batch_stats, z, t_of_fakes, train=True)
        of_disc = begun.disc.params, begun.disc.batch_stats
        real_logits, fake_logits = (
            disc.apply(*of_disc, x, t, train=True)[0] for x in (batch.kappa[..., 0], fake)
        )
        soft = jax.nn.softplus
        return soft(-real_logits).mean() + soft(fake_logits).mean(), soft(-fake_logits).mean()

    found = losses_of_the_step()
    np.testing.assert_allclose(found, losses(t, t), rtol=REORDERED)
    rolled = jnp.roll(t, 1, 0)  # which would be seen
    assert np.abs(np.subtract(found, losses(rolled, t))).max() > 10 * REORDERED
    assert np.abs(np.subtract(found, losses(t, rolled))).max() > 10 * REORDERED


# What is measured before the first step, and shipped.


def test_the_standardisation_is_that_of_the_training_maps(made):
    model, engine, state, maps = made
    assert jax.tree.map(jnp.shape, jax.eval_shape(engine.init, jax.random.key(0))) == jax.tree.map(
        jnp.shape, state
    )
    for weights in ("last", "ema"):
        shipped = engine.variables(state, weights)["standardisation"]
        t = model.standardised(shipped, jnp.asarray(maps.theta))
        np.testing.assert_allclose(t, by_hand(maps.theta, maps.theta), atol=1e-5)
    every = {tuple(row) for row in np.round(by_hand(POINTS, maps.theta), 3)}
    drawn = {tuple(row) for row in np.round(np.asarray(state.conditioned.t, float), 3)}
    assert drawn == every
    assert len(state.conditioned.t) == AVERAGED_OVER


def test_an_average_has_batch_statistics_of_the_training_cosmologies(made):
    """The first batch norm has moments of (z, t) through the dense layer; t makes a fifth of the variance."""
    _, engine, state, _ = made
    stats = engine.variables(state, "ema")["batch_stats"]["bn0"]
    z = _latents(keys.key(0, "statistics", 1), jnp.arange(AVERAGED_OVER), LATENT)
    both = np.concatenate([z, state.conditioned.t], 1).astype(float)
    dense = jax.tree.map(lambda leaf: np.asarray(leaf, float), state.ema.params["dense"])
    features = (both @ dense["kernel"] + dense["bias"]).reshape(16, -1, len(stats["mean"]))  # batches of 64
    np.testing.assert_allclose(stats["mean"], features.mean((0, 1)), atol=1e-5 * features.std())
    np.testing.assert_allclose(stats["var"], features.var(1).mean(0), rtol=1e-4)


@pytest.mark.slow
def test_what_is_matched_follows_the_cosmology(made):
    """What is expected of a map's mean at each cosmology is what a regression by numpy says."""
    maps = made[3]
    settings = dataclasses.replace(SETTINGS, of_kind=dataclasses.replace(OWN, match=("mean",), theta_order=1))
    _, engine = build(settings)
    fresh = jax.jit(engine.init)(jax.random.key(0))
    begun = engine.begin(fresh, maps, maps)
    assert jax.tree.map(jnp.shape, fresh) == jax.tree.map(jnp.shape, begun)
    monomials = np.c_[np.ones(len(maps.theta)), by_hand(maps.theta, maps.theta)]
    mean = (maps.kappa.mean((1, 2, 3)) - maps.kappa.mean()) / maps.kappa.std()
    expected = monomials @ np.linalg.lstsq(monomials, mean, rcond=None)[0]
    targets, phi = begun.matched.targets, monomials @ np.asarray(begun.conditioned.basis, float)
    np.testing.assert_allclose(targets.mean[0] + phi[:, 1:] @ targets.slopes[:, 0], expected, atol=1e-3)
    assert expected.std() > 0.5
    step = jax.jit(engine.step)
    after, metrics = step(begun, maps.batch(0))
    assert after.matched.running.shape == (3, *begun.matched.targets.mean.shape)
    assert np.isfinite(metrics["match_rms"])


@pytest.mark.parametrize(
    ("theta", "words"),
    [
        (
            np.tile([[0.3, -1.0]], (90, 1)),
            "training maps of 1 different omega_m, w0 do not tell",
        ),
        (np.c_[np.linspace(0.2, 0.4, 90), -np.ones(90)], "each must vary, and not with the others alone"),
        (np.tile([[-0.3, -1.0]], (90, 1)), "omega_m=-0.3 of the training maps must be positive"),
    ],
)
def test_maps_that_tell_nothing_of_their_parameters_are_one_line(made, theta, words):
    maps = Maps()
    maps.theta = theta
    with pytest.raises(ValueError, match=words) as error:
        made[1].begin(made[2], maps, maps)
    assert "\n" not in str(error.value)


def test_a_card_gives_the_model_back(made):
    model = made[0]
    described = {**model.describe(), "parameters": list(NAMES)}
    again = model_of(described)
    assert (again.parameters, again.arch.latent_size) == (NAMES, LATENT)
    del described["parameters"]
    assert model_of(described).parameters == ()
    with pytest.raises(ValueError, match="parameters='omega_m' of a dcgan must be names"):
        model_of({**described, "parameters": "omega_m"})


# Maps.


def test_a_seed_at_two_cosmologies_has_the_same_z_and_changes_smoothly(emulator):
    key = emulator.key(5)
    latents = emulator.latents(key, jnp.arange(2))
    one, near, far = (emulator.sample(5, 2, omega_m=0.25, w0=w) for w in (-1.0, -0.99, -0.75))
    again = emulator.kappa(latents, theta=jnp.asarray([[0.25, -1.0]] * 2))
    np.testing.assert_allclose(one, again, rtol=0, atol=REORDERED * np.abs(one).max())
    steps = [float(np.sqrt(((kappa - one) ** 2).mean())) for kappa in (near, far)]
    # 25 times the step in w0: about so much of a change, and less than between other z.
    assert 10 < steps[1] / steps[0] < 50
    other_z = float(np.sqrt(((one[1:] - one[:-1]) ** 2).mean()))
    assert steps[0] < 0.1 * other_z
    of_each = emulator.sample(5, 2, omega_m=[0.25, 0.35], w0=-1.0)
    np.testing.assert_allclose(of_each[0], one[0], rtol=0, atol=REORDERED * np.abs(one).max())


def test_outside_the_hull_it_refuses_unless_told(emulator):
    with pytest.raises(ValueError, match=r"omega_m=0\.5, w0=-1 lies outside the hull of the 9 cosmologies"):
        emulator.sample(0, 2, omega_m=0.5, w0=-1.0)
    assert np.isfinite(emulator.sample(0, 2, omega_m=0.5, w0=-1.0, extrapolate=True)).all()
    with pytest.raises(ValueError, match="w0 is missing; its parameters: omega_m, w0"):
        emulator.sample(0, 2, omega_m=0.3)


def test_reverse_mode_goes_through_theta_and_forward_mode_says_that_it_does_not(emulator):
    """jax.jvp needs the convolutions that autodiff wrote, `load(..., forward_mode=True)`; grad does not."""

    def moment(emulator, w0):
        return (emulator.sample(0, 2, omega_m=0.3, w0=w0) ** 2).mean()

    slope = jax.grad(lambda w0: moment(emulator, w0))(-1.0)
    finite = (moment(emulator, -0.998) - moment(emulator, -1.002)) / 0.004
    np.testing.assert_allclose(slope, finite, rtol=0.02)  # ReLUs have corners, float32 has 7 digits
    assert np.abs(slope) > 1e-3 * moment(emulator, -1.0)
    with pytest.raises(TypeError, match="forward-mode"):
        jax.jvp(lambda w0: moment(emulator, w0), (-1.0,), (1.0,))
    stock = model_of(emulator.model.describe(), forward_mode=True)
    stock = dataclasses.replace(emulator, model=stock)
    _, forward = jax.jvp(lambda w0: moment(stock, w0), (-1.0,), (1.0,))
    np.testing.assert_allclose(forward, slope, rtol=1e-3)  # sums of a few hundred terms, in float32


@pytest.mark.slow
def test_a_training_learns_how_the_maps_scatter_follows_theta():
    """Maps whose sigma grows fourfold over the range; without theta they have one sigma."""
    rng = np.random.default_rng(0)
    theta = rng.choice([0.2, 0.25, 0.3, 0.35, 0.4], (2048, 1)).astype(np.float32)
    t = (np.log(theta[:, 0]) - np.log(theta[:, 0]).mean()) / np.log(theta[:, 0]).std()
    k = np.hypot(np.fft.fftfreq(SIZE)[:, None], np.fft.fftfreq(SIZE)) * 2 * np.pi
    g = np.fft.ifft2(np.fft.fft2(rng.normal(size=(2048, SIZE, SIZE))) * np.exp(-(k**2) / 2)).real
    maps = Maps()
    maps.theta = theta
    maps.kappa = (0.2 * np.exp(0.5 * t)[:, None, None] * g / g.std()).astype(np.float32)[..., None]
    true = [maps.kappa[theta[:, 0] == np.float32(value)].std() for value in (0.2, 0.3, 0.4)]

    own = dataclasses.replace(OWN, latent_size=16, loss="hinge", r1_penalty=1.0, disc_norm="none")
    settings = Train(0, SIZE, own, batch_size=32, learning_rate=2e-3, condition_on=("omega_m",))
    model, engine = build(settings)
    state = engine.begin(jax.jit(engine.init)(jax.random.key(1)), maps, maps)
    step, draw = jax.jit(engine.step, donate_argnums=0), jax.jit(model.sample)
    z, found = jax.random.normal(jax.random.key(9), (256, 16)), []
    for number in range(500):
        rows = np.random.default_rng(number).integers(0, len(theta), 32)
        state, _ = step(state, Batch(jnp.asarray(maps.kappa[rows]), jnp.asarray(theta[rows])))
        if number >= 300 and number % 50 == 49:
            variables = engine.variables(state, "last")
            found.append([draw(variables, z, jnp.full((256, 1), v)).std() for v in (0.2, 0.3, 0.4)])
    # An unsteady game: over its last steps in the mean. The middle one is off by a factor of 2 at either end.
    np.testing.assert_allclose(np.log(np.mean(found, 0) / true), 0, atol=0.35)


# Runs on maps of several cosmologies, of which the source redshift alone needs no CAMB.

RUN = (
    "--sky=lognormal", "--design=sobol:5", "--design_ranges=source_redshift=0.5:1.5", "--held_out=0",
    "--map_pixels=32", "--side_deg=1", "--num_train_maps=4", "--num_development_maps=2",
    "--num_validation_maps=3", "--num_auxiliary_maps=3", "--crop_size=16", "--crops_per_map=2",
    "--condition_on=source_redshift", "--num_filters=4", "--latent_size=8", "--batch_size=4", "--num_steps=4",
    "--learning_rate=0.05", "--ema_decay=0.5", "--weights=ema", "--normalisation=linear",
    "--normalisation_scale=0.1", "--num_generated=6",
)  # fmt: skip
QUICKLY = ("--score_every_steps=0", "--sample_every_steps=0", "--checkpoint=last")
WHOLE = (
    "--checkpoint_every_steps=2", "--sample_every_steps=2", "--score_every_steps=2", "--score_maps=8",
    "--select_maps=8", "--select_again=1", "--evaluate_l_bins=4", "--classifier_steps=0",
    "--observer_smoothing_arcmin=", "--num_permutations=49", "--num_resamples=50", "--novelty_maps=8",
    "--novelty_batches=1", "--novelty_queries=4", "--novelty_steps=4", "--pack=tiny",
    "--pack_data=Made for a test.",
)  # fmt: skip


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("conditional")
    code, output = run_here(
        f"--workdir={folder}/run", *RUN, *QUICKLY, "--stages=simulate,prepare,train,generate"
    )
    assert code == 0, output
    return folder / "run"


def test_a_training_moves_what_theta_is_multiplied_by_in_both_networks(run):
    before, like, checkpoints = open_trained(run)
    state = checkpoints.restore(4, like)
    checkpoints.close()
    assert before.model.parameters == ("source_redshift",)
    for net, layer, rows in (("gen", "dense", slice(LATENT, None)), ("disc", "projection", slice(None))):
        now, first = (getattr(s, net).params[layer]["kernel"][rows] for s in (state, like))
        assert np.abs(now - first).max() > 0.01, net  # Adam, four steps of up to 0.05


def test_a_run_makes_its_maps_at_the_held_out_cosmologies(run):
    store = open_map_store(run / "generate/maps")
    assert store.parameters["source_redshift"] == [1.0] * 6
    own = trained(run, "last", "ema").emulator
    assert own.parameters == ("source_redshift",)
    table = open_crop_table(run / "prepare")
    assert set(own.design) == {(z,) for z in table.theta(table.crops["train"], own.parameters)[:, 0].tolist()}
    kappa = store.read()[..., 0]
    np.testing.assert_allclose(
        own.sample(0, 6, source_redshift=1.0), kappa, atol=REORDERED * np.abs(kappa).max()
    )
    # The same z at another redshift: maps that are like these, and not these.
    other = own.sample(0, 6, source_redshift=0.9)
    assert 1e-3 * kappa.std() < (other - kappa).std() < 2 * kappa.std()


def test_packed_it_is_the_same_and_knows_its_cosmologies(run, run_main, tmp_path):
    own = trained(run, "last", "ema").emulator
    pack_without_fidelity(tmp_path / "tiny", own)
    packed = load(tmp_path / "tiny")
    z = np.mean(own.design)
    # In half precision: all but what standardises parameters, and the batch statistics.
    halved = jax.tree.map(lambda leaf: leaf.astype(jnp.float16).astype(jnp.float32), own.variables["params"])
    rounded = dataclasses.replace(own, variables={**own.variables, "params": halved})
    expected = rounded.sample(3, 2, source_redshift=z)
    np.testing.assert_array_equal(packed.sample(3, 2, source_redshift=z), expected)
    assert expected.std() > 0
    with pytest.raises(ValueError, match="outside the hull of the 4 cosmologies"):
        packed.sample(3, 2, source_redshift=2.0)
    content = json.loads((tmp_path / "tiny/card.json").read_text())
    shutil.copytree(tmp_path / "tiny", tmp_path / "spoilt")
    (tmp_path / "spoilt/card.json").write_text(json.dumps(content | {"parameters": ["sigma8"]}))
    with pytest.raises(ValueError, match=r"architecture: parameters=\['source_redshift'\] must be .*'sigma8'"):
        load(tmp_path / "spoilt")
    (tmp_path / "points.csv").write_text("source_redshift\n0.8\n1.1\n")
    flags = (
        f"--pretrained={tmp_path}/tiny",
        "--stages=generate",
        "--num_generated=3",
        f"--workdir={tmp_path}/run",
    )
    code, _, error = run_main(*flags, f"--generate_design={tmp_path}/points.csv")
    assert code == 0, error
    store = open_map_store(tmp_path / "run/generate/maps")
    assert store.parameters["source_redshift"] == pytest.approx([0.8, 1.1, 0.8])
    kappa = store.read()[..., 0]
    np.testing.assert_allclose(
        packed.sample(0, 3, source_redshift=[0.8, 1.1, 0.8]), kappa, atol=REORDERED * np.abs(kappa).max()
    )
    shutil.rmtree(tmp_path / "run")
    for flag, words in (
        ("--generate_parameters=source_redshift=2", "outside the hull"),
        ("--generate_seed=0", "give --generate_parameters=source_redshift=<value>"),
    ):
        code, _, error = run_main(*flags, flag)
        assert (code, words in error) == (1, True), error
    code, _, error = run_main(*flags, "--generate_parameters=source_redshift=2", "--extrapolate")
    assert code == 0, error


def pack_without_fidelity(folder, own):
    """What stage pack writes, but for what evaluate measures."""
    weights = write_weights(folder, own.variables, "float16", own.model.full_precision)
    card = {
        "name": "tiny", "weights": weights, "architecture": own.model.describe(), "data": {},
        "normalisation": own.normalisation._asdict(), "geometry": dataclasses.asdict(own.geometry),
        "training": {"step": 4}, "fidelity": {"validated": {}}, "source_redshift": None, "cosmology": None,
        "parameters": list(own.parameters), "design": [list(point) for point in own.design],
        "keys": own.key_scheme,
    }  # fmt: skip
    write_card(folder, card, "")


@pytest.mark.slow
def test_a_whole_run_scores_selects_judges_searches_packs_and_reports_it(tmp_path):
    stages = "simulate,prepare,train,select,generate,evaluate,novelty,pack,report"
    code, output = run_here(f"--workdir={tmp_path}/run", *RUN, *WHOLE, f"--stages={stages}")
    assert code == 0, output
    packed, folder = load(tmp_path / "run/pack/tiny"), tmp_path / "run"
    kappa = open_map_store(folder / "generate/maps").read()[..., 0]
    np.testing.assert_allclose(
        packed.sample(0, 6, source_redshift=1.0), kappa, atol=REORDERED * np.abs(kappa).max()
    )
    assert "Trained on 4 cosmologies, source_redshift 0.6534 to 1.254; outside their hull" in packed_card(
        folder
    )
    assert "--generate_parameters=source_redshift=0.9692" in packed_card(folder)
    # Eight maps are searched for pairs, two more than there are: made at the same cosmology.
    searched = json.loads((folder / "novelty/novelty.json").read_text())
    assert searched["num_maps"] == 8
    assert set(searched["birthday"]) == {"pixels", "spectrum", "discriminator"}
    # Path 0 leads from map 0 to map 1, both at the held-out cosmology.
    strips = np.load(folder / "novelty/novelty.npz")["strips"]
    np.testing.assert_allclose(strips[0, [0, -1]], kappa[:2], atol=REORDERED * np.abs(kappa).max())


def packed_card(folder):
    return (folder / "pack/tiny/card.md").read_text()
