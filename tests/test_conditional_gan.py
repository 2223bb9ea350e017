"""The lognormal GAN of several cosmologies: what follows theta, and that nothing else changed."""

import dataclasses
import json
import shutil

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from test_conditioning import lognormal_maps

from cosmogan_jax.compare.cosmologies import cosmologies_of
from cosmogan_jax.compare.data_vectors import data_vector
from cosmogan_jax.emulators.emulator import Emulator
from cosmogan_jax.emulators.interface import Batch
from cosmogan_jax.emulators.kinds import build, model_of
from cosmogan_jax.emulators.lognormal_gan.discriminator import Standard
from cosmogan_jax.emulators.lognormal_gan.train_step import _moved
from cosmogan_jax.emulators.normalisation import Normalisation
from cosmogan_jax.emulators.parameter_response import EmulatorVectors
from cosmogan_jax.geometry import MapGeometry
from cosmogan_jax.maps.crop_table import open_crop_table
from cosmogan_jax.maps.store import open_map_store
from cosmogan_jax.settings import Evaluate, Train
from cosmogan_jax.settings.lognormal_gan import LognormalGan
from cosmogan_jax.stages.evaluate.compared_sets import open_map_sets

pytestmark = pytest.mark.usefixtures("quick")

NAMES = ("omega_m", "sigma8")
SIZE = 32


class Maps:
    """Training maps of several cosmologies, in parts, as stage train gives them."""

    def __init__(self, kappa, theta):
        self.kappa, self.theta = kappa, theta

    def __call__(self):
        for start in range(0, len(self.kappa), 100):
            yield self.kappa[start : start + 100, ..., None]


def law(theta):
    """sigma and skewness of a cosmology."""
    return 0.5 * (theta[1] / 0.8) ** 1.5 * (theta[0] / 0.3) ** 0.7, 1.2 * (theta[1] / 0.8) ** -0.5


@pytest.fixture(scope="module")
def made():
    rng = np.random.default_rng(0)
    points = np.array([[m, s] for m in (0.2, 0.3, 0.4) for s in (0.6, 0.8, 1.0)])
    theta = np.repeat(points, 40, 0)
    kappa = np.concatenate([lognormal_maps(rng, *law(p), -0.8, count=40, size=SIZE) for p in points])
    order = rng.permutation(len(theta))
    maps = Maps(kappa[order].astype(np.float32), theta[order].astype(np.float32))
    own = LognormalGan(
        fresh_maps=4, replayed_steps=3, gen_layers=2, gen_channels=4, disc_layers=2, disc_filters=4
    )  # fmt: skip
    settings = Train(
        0, SIZE, own, emulator="lognormal_gan", batch_size=8, condition_on=NAMES, ema_decay=0.9, num_steps=20
    )
    model, engine = build(settings)
    state = jax.jit(engine.init)(jax.random.key(0))
    return model, engine, engine.begin(state, maps, maps), maps


def test_beginning_keeps_the_shapes_of_the_fresh_state(made):
    _model, engine, state, _ = made
    fresh = jax.eval_shape(engine.init, jax.random.key(0))
    assert jax.tree.map(jnp.shape, fresh) == jax.tree.map(jnp.shape, state)


def test_the_untrained_base_follows_the_cosmology_also_where_no_map_was(made):
    model, engine, state, _ = made
    variables = engine.variables(state, "last")
    latents = jax.vmap(lambda n: model.latent(jax.random.fold_in(jax.random.key(1), n), SIZE))(jnp.arange(64))
    sample = jax.jit(lambda theta: model.sample(variables, latents, jnp.tile(theta, (64, 1)))[..., 0])
    for theta in ((0.25, 0.7), (0.35, 0.9), (0.3, 0.8)):
        x = np.asarray(sample(jnp.array(theta)), float)
        # 9 cosmologies of 40 maps of 32^2 pixels, 6 terms: sigma is known to 4 %; 64 maps show it to 4 %.
        np.testing.assert_allclose(x.std(), law(theta)[0], rtol=0.12, err_msg=str(theta))


def test_a_seed_at_two_cosmologies_is_one_sky_changed_smoothly_and_the_change_is_differentiable(made):
    model, engine, state, _ = made
    variables = engine.variables(state, "last")
    latent = jax.vmap(lambda n: model.latent(jax.random.fold_in(jax.random.key(2), n), SIZE))(jnp.arange(4))

    @jax.jit
    def mean_power(theta):
        x = model.sample(variables, latent, jnp.tile(theta, (4, 1)))
        return (x**2).mean(), x

    theta, direction = jnp.array([0.3, 0.8]), jnp.array([0.0, 1.0])
    (value, x), (forward, _) = jax.jvp(mean_power, (theta,), (direction,))
    backward = jax.grad(lambda t: mean_power(t)[0])(theta)
    step = 0.02
    near, nearer = mean_power(theta + step * direction), mean_power(theta - step * direction)
    finite = (near[0] - nearer[0]) / (2 * step)
    np.testing.assert_allclose(forward, finite, rtol=0.01)
    np.testing.assert_allclose(backward @ direction, forward, rtol=1e-4)
    assert 0.99 < np.corrcoef(np.ravel(near[1]), np.ravel(x))[0, 1] < 1
    assert forward > 0 < value


def test_each_map_of_a_batch_has_its_own_cosmology(made):
    model, engine, state, _ = made
    variables = engine.variables(state, "last")
    latents = jax.vmap(lambda n: model.latent(jax.random.fold_in(jax.random.key(3), n), SIZE))(jnp.arange(2))
    theta = jnp.array([[0.25, 0.7], [0.35, 0.9]])
    sample = jax.jit(model.sample)
    both = sample(variables, latents, theta)
    for n in range(2):
        one = jax.tree.map(lambda leaf, n=n: leaf[n : n + 1], latents)
        np.testing.assert_allclose(sample(variables, one, theta[n : n + 1])[0], both[n], rtol=1e-4, atol=1e-5)


def test_training_moves_what_depends_on_the_cosmology_and_stays_finite(made):
    _model, engine, state, maps = made
    step = jax.jit(engine.step)
    first = state
    for number in range(6):
        rows = slice(8 * number, 8 * number + 8)
        state, metrics = step(
            state, Batch(jnp.asarray(maps.kappa[rows, ..., None]), jnp.asarray(maps.theta[rows]))
        )
    for name, value in metrics.items():
        assert np.isfinite(value), name
    assert int(state.step) == 6
    moved = jax.tree.map(
        lambda a, b: np.abs(np.asarray(a) - np.asarray(b)).max(), state.gen.params, first.gen.params
    )
    names = [name for name in moved["params"] if "scale" in name or "shift" in name or "of_t" in name] if (
        "params" in moved
    ) else [name for name in moved if "scale" in name or "shift" in name or "of_t" in name]  # fmt: skip
    assert len(names) == 5
    for name in names:
        assert jax.tree.leaves(moved[name] if name in moved else moved["params"][name])[0] > 0, name
    assert float(jnp.abs(state.standard.slopes).max()) > 0
    # The last four generated maps stand where the ring of three steps has its last slot, with their parameters.
    np.testing.assert_array_equal(state.replayed_theta[8:], maps.theta[40:44])


def test_what_d_expects_of_a_map_follows_its_cosmology(made):
    """The running slopes are those of the features regressed on the cosmology, within their scatter."""
    model, _engine, state, maps = made
    cosmologies = model.cosmologies(state.base, jnp.asarray(maps.theta))
    rng = np.random.default_rng(1)
    slopes = rng.normal(size=(model.num_slopes, 3))
    features = 2.0 + np.asarray(cosmologies.phi)[:, 1:] @ slopes + 0.1 * rng.normal(size=(len(maps.theta), 3))
    standard = Standard(jnp.zeros(3), jnp.ones(3), jnp.zeros((model.num_slopes, 3)))
    move = jax.jit(_moved)
    for number in range(300):
        rows = rng.integers(0, len(maps.theta), 24)
        standard = move(standard, jnp.asarray(features[rows], jnp.float32), cosmologies.rows(rows), number)
    np.testing.assert_allclose(standard.slopes, slopes, atol=0.05)
    np.testing.assert_allclose(standard.mean, 2, atol=0.05)
    np.testing.assert_allclose(standard.variance, 0.01, atol=0.005)


def test_a_card_gives_the_model_back_and_one_of_a_single_cosmology_says_nothing_of_it(made):
    model = made[0]
    said = dict(model.describe())
    assert said["parameters"] == NAMES
    assert model_of({**said, "parameters": list(NAMES)}) == model
    single = dataclasses.replace(model, parameters=())
    assert "parameters" not in single.describe()
    assert "theta_order" not in single.describe()
    assert model_of(single.describe()) == single
    for wrong in ({"parameters": "omega_m"}, {"parameters": [1]}, {"theta_order": 3}):
        with pytest.raises(ValueError, match=next(iter(wrong))):
            model_of({**said, **wrong})


@pytest.fixture(scope="module")
def emulator(made):
    model, engine, state, maps = made
    design = tuple(map(tuple, np.unique(maps.theta, axis=0).tolist()))
    return Emulator(
        "small",
        model,
        engine.variables(state, "last"),
        Normalisation("linear", 1.0),
        MapGeometry(SIZE, 0.4),
        {},
        NAMES,
        design=design,
    )


def test_maps_are_asked_for_by_the_names_of_parameters(emulator):
    by_name = emulator.sample(3, 3, sigma8=[0.7, 0.8, 0.9], omega_m=0.3)
    by_theta = emulator.sample(3, 3, theta=[[0.3, 0.7], [0.3, 0.8], [0.3, 0.9]])
    np.testing.assert_array_equal(by_name, by_theta)
    assert by_name.std((1, 2))[0] < by_name.std((1, 2))[2]
    # Those on the border are inside: in float32 no parameter is exactly what was meant.
    emulator.sample(0, 1, omega_m=0.2, sigma8=1.0)
    shear = emulator.sample_shear(0, 1, omega_m=0.3, sigma8=0.8)
    assert shear.kappa.shape == (1, SIZE, SIZE)


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({}, "theta is missing, a row of omega_m, sigma8 a map"),
        ({"omega_m": 0.3}, "sigma8 is missing; its parameters: omega_m, sigma8"),
        ({"omega_m": 0.3, "sigma8": 0.8, "h": 0.7}, "h is no parameter of this emulator"),
        ({"omega_m": [0.3, 0.3], "sigma8": 0.8}, r"omega_m has shape \(2,\), and must be a number or one for"),
        ({"omega_m": np.nan, "sigma8": 0.8}, "omega_m=nan, sigma8=0.8 must be finite"),
        (
            {"omega_m": 0.3, "sigma8": 1.1},
            r"omega_m=0.3, sigma8=1.1 lies outside the hull of the 9 cosmologies",
        ),
        ({"omega_m": 0.3, "theta": [[0.3, 0.8]] * 3}, "theta and omega_m cannot both be given"),
        ({"theta": [[0.3, 0.8]]}, r"theta.shape=\(1, 2\) must be"),
        ({"theta": [[0.3, 1.2]] * 3}, "lies outside the hull"),
    ],
)
def test_a_cosmology_that_is_none_of_the_emulators_is_one_line(emulator, asked, words):
    with pytest.raises(ValueError, match=words) as error:
        emulator.sample(0, 3, **asked)
    assert "\n" not in str(error.value)


def test_outside_the_hull_only_where_that_is_asked_for(emulator):
    assert np.isfinite(emulator.sample(0, 1, omega_m=0.3, sigma8=1.1, extrapolate=True)).all()


def test_maps_are_differentiable_in_the_parameters(emulator):
    def power(sigma8):
        return (emulator.sample(0, 2, omega_m=0.3, sigma8=sigma8) ** 2).mean()

    value, slope = jax.jvp(power, (jnp.float32(0.8),), (jnp.float32(1.0),))
    np.testing.assert_allclose(slope, (power(0.81) - power(0.79)) / 0.02, rtol=0.02)
    assert value > 0


def test_derivatives_of_the_power_are_its_differences_of_the_same_latents(emulator):
    reference = np.asarray(emulator.sample(1, 8, omega_m=0.3, sigma8=0.8))
    vector = data_vector(("power_bands",), reference, emulator.geometry, num_bands=5)
    vectors = EmulatorVectors(emulator, vector.measure, seed=0, num_maps=8)
    slopes = vectors.differentiated(omega_m=0.3, sigma8=0.8).response.slopes.mean(0)
    differences = vectors.differenced(0.02, omega_m=0.3, sigma8=0.8).response.slopes.mean(0)
    # What a step of 2 % leaves of the third derivative, about 1e-3, and float32.
    np.testing.assert_allclose(differences, slopes, rtol=4e-3)
    assert (slopes > 0).all()


FLAGS = (
    "--emulator=lognormal_gan", "--condition_on=omega_m,sigma8", "--vary=omega_m,sigma8", "--side_deg=0.4",
    "--parameters_from_name=Om{omega_m}_si{sigma8}", "--source_redshift=1", "--crop_size=16",
    "--crops_per_map=4", "--batch_size=6", "--fresh_maps=2", "--replayed_steps=3", "--num_steps=4",
    "--disc_layers=2", "--gen_layers=2", "--gen_channels=4", "--disc_filters=3", "--sample_every_steps=2",
    "--score_every_steps=0", "--checkpoint=last", "--num_generated=6", "--match=power",
)  # fmt: skip


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    rng, folder = np.random.default_rng(5), tmp_path_factory.mktemp("cosmologies")
    points = [(m, s) for m in (0.2, 0.3, 0.4) for s in (0.6, 0.8, 1.0)]
    for split, chosen in (("train", points), ("validation", [(0.25, 0.7), (0.35, 0.9)])):
        (folder / split).mkdir()
        for m, s in chosen:
            kappa = 0.04 * lognormal_maps(rng, *law((m, s)), -0.8, count=4, size=SIZE)
            np.save(folder / split / f"Om{m}_si{s}.npy", kappa.astype(np.float32))
    return folder


def test_a_run_draws_its_maps_at_the_cosmologies_of_the_validation_maps_or_at_those_that_are_asked_for(
    files, run_main, tmp_path
):
    given = (f"--maps={files}/train/*.npy", f"--validation_maps={files}/validation/*.npy")
    run = (f"--workdir={tmp_path}/run", *given, *FLAGS)
    code, _, error = run_main(*run, "--stages=prepare,train,generate")
    assert code == 0, error
    store = open_map_store(tmp_path / "run/generate/maps")
    assert store.parameters["omega_m"] == pytest.approx([0.25, 0.35] * 3)
    assert store.parameters["sigma8"] == pytest.approx([0.7, 0.9] * 3)

    generated, validation, auxiliary = open_map_sets(
        Evaluate(), tmp_path / "run", open_crop_table(tmp_path / "run/prepare")
    )
    assert auxiliary is None
    found = cosmologies_of({maps.name: maps.parameters for maps in (generated, validation)})
    assert found.names == NAMES
    np.testing.assert_allclose(found.points, [[0.25, 0.7], [0.35, 0.9]], rtol=1e-6)
    np.testing.assert_array_equal(found.of_map["generated"], [0, 1] * 3)
    np.testing.assert_array_equal(generated.parents, range(6))

    again = tmp_path / "again"
    shutil.copytree(tmp_path / "run", again)
    shutil.rmtree(again / "generate")
    run = (f"--workdir={again}", *given, *FLAGS, "--stages=generate")
    code, _, error = run_main(*run, "--generate_parameters=sigma8=0.8,omega_m=0.3")
    assert code == 0, error
    store = open_map_store(again / "generate/maps")
    assert store.parameters["omega_m"] == pytest.approx([0.3] * 6)
    code, _, error = run_main(*run, "--stages=evaluate", "--generate_parameters=sigma8=0.8,omega_m=0.3")
    assert code == 1
    assert (
        "generated maps: none is of the cosmology omega_m=0.25, sigma8=0.7, of which there are valid" in error
    )
    for flag, words in (
        ("--generate_parameters=sigma8=0.8", "omega_m is missing"),
        (
            "--generate_parameters=sigma8=1.3,omega_m=0.3",
            "outside the hull of the 8 cosmologies",
        ),  # one is of the development maps
        ("--generate_parameters=sigma8", "must be name=number"),
        (f"--generate_design={files}/none.csv", "none.csv: no such file"),
    ):
        shutil.rmtree(again / "generate", ignore_errors=True)
        code, _, error = run_main(*run, flag)
        assert code == 1
        assert words in error, error

    _say_that_boxes_are_of_the_same_seeds(again, store_of=tmp_path / "run/prepare/maps")
    shutil.rmtree(again / "generate", ignore_errors=True)
    code, _, error = run_main(*run)
    assert code == 0, error
    store, before = open_map_store(again / "generate/maps"), open_map_store(tmp_path / "run/generate/maps")
    assert store.manifest.parents == [0, 0, 1, 1, 2, 2]
    assert store.parameters == before.parameters
    matched, apart = store.read()[..., 0], before.read()[..., 0]
    np.testing.assert_array_equal(matched[0], apart[0])
    # One seed at two cosmologies is one sky, changed; two seeds have nothing in common but chance.
    for one, other in ((0, 1), (2, 3), (4, 5)):
        assert np.corrcoef(matched[one].ravel(), matched[other].ravel())[0, 1] > 0.9
        assert np.corrcoef(apart[one].ravel(), apart[other].ravel())[0, 1] < 0.8


def _say_that_boxes_are_of_the_same_seeds(workdir, store_of):
    """Write into stage prepare's manifest that the n-th validation maps of all cosmologies are of one box."""
    splits = open_map_store(store_of).manifest.splits
    path = workdir / "prepare/manifest.json"
    manifest, places = json.loads(path.read_text()), iter(range(splits.count("validation")))
    manifest["boxes"] = [
        f"seed {next(places) % 4}" if split == "validation" else f"map {number}"
        for number, split in enumerate(splits)
    ]
    path.write_text(json.dumps(manifest))
