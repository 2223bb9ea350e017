"""Emulators that come trained: packed from a run, opened by name or folder, refused when they are not whole."""

import dataclasses
import json
import re
import shutil

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cosmogan_jax.emulators import packed as packed_emulators
from cosmogan_jax.files.checksums import file_sha256, tree_sha256
from cosmogan_jax.maps.store import open_map_store
from cosmogan_jax.pretrained import find, load, names
from cosmogan_jax.stages import pack
from cosmogan_jax.summaries import power_spectrum

pytestmark = pytest.mark.usefixtures("quick")

TRAINED = (
    "--side_deg=1", "--source_redshift=0.7", "--crop_size=16", "--crops_per_map=2", "--normalisation=arcsinh",
    "--normalisation_scale=0.03", "--num_filters=4", "--batch_size=4", "--num_steps=3", "--learning_rate=0.1",
    "--ema_decay=0.5", "--weights=ema",
    "--log_every_steps=3", "--sample_every_steps=0", "--checkpoint=last", "--num_generated=12",
    "--evaluate_l_bins=4", "--stages=prepare,train,generate,evaluate,pack",
    "--classifier_steps=0", "--observer_smoothing_arcmin=", "--num_permutations=49", "--num_resamples=50",
    "--pack_data=Noise, made for a test.",
)  # fmt: skip  # a rate so large that three steps make maps that differ


@pytest.fixture(scope="module")
def run_directory(tmp_path_factory):
    """A tiny run with its package; --maps is a path of this machine."""
    return tmp_path_factory.mktemp("trained")


@pytest.fixture
def packed(run_main, run_directory):
    maps = run_directory / "k.npy"
    if not maps.exists():
        np.save(maps, np.random.default_rng(2).normal(size=(8, 32, 32)).astype(np.float32) * 0.02)
    code, _, error = run_main(f"--workdir={run_directory}/run", f"--maps={maps}", "--pack=tiny", *TRAINED)
    assert code == 0, error
    return run_directory / "run/pack/tiny"


def test_maps_of_the_package_are_those_of_the_checkpoint(packed, run_directory, run_main):
    kappa = open_map_store(run_directory / "run/generate/maps").read()[..., 0]
    emulator = load(packed)
    # Batches of 12 and of 64 may be summed in another order: some hundred terms, each rounded to 6e-8.
    np.testing.assert_allclose(emulator.sample(0, 12), kappa, rtol=0, atol=1e-5 * kappa.std())
    np.testing.assert_allclose(emulator.sample(emulator.key(0), 5, first=7), kappa[7:], atol=1e-5 * kappa.std())
    assert kappa.std(0).mean() > 0.01 * kappa.std()  # maps that differ

    code, _, error = run_main(
        f"--workdir={run_directory}/alone", f"--pretrained={packed}",
        "--num_generated=9", "--generate_batch=4", "--export=npy,fits",
    )  # fmt: skip
    assert code == 0, error
    for seed in (0, 5):  # of a seed, and these alone
        flags = f"--workdir={run_directory}/seed{seed}", f"--pretrained={packed}", "--stages=generate"
        code, _, error = run_main(*flags, f"--generate_seed={seed}", "--num_generated=5", "--generate_batch=4")
        assert code == 0, error
        found = open_map_store(run_directory / f"seed{seed}/generate/maps")
        np.testing.assert_allclose(found.read()[..., 0], emulator.sample(seed, 5), atol=1e-5 * kappa.std())
        assert found.manifest.seed == seed
    assert np.abs(emulator.sample(5, 5) - kappa[:5]).max() > 0.01 * kappa.std()
    store = open_map_store(run_directory / "alone/generate/maps")
    np.testing.assert_allclose(store.read()[..., 0], kappa[:9], rtol=0, atol=1e-5 * kappa.std())
    manifest, card = store.manifest, emulator.card
    assert (manifest.source_redshift, manifest.side_deg, manifest.seed) == (0.7, 0.5, 0)
    origin = manifest.origin
    assert (origin["pretrained"], origin["generator_step"]) == ("tiny", 3)
    assert "moving average of decay 0.5" in (packed / "card.md").read_text()
    assert origin["weights_sha256"] == file_sha256(packed / "weights.npz") == card["weights"]["sha256"]
    assert origin["generator_sha256"] == tree_sha256(emulator.variables) == card["weights"]["generator_sha256"]
    assert origin["trained_on"]["description"] == "Noise, made for a test."
    assert (
        json.loads((run_directory / "alone/export/manifest.json").read_text())["validated"]
        == origin["validated"]
    )


def test_card_says_what_the_run_measured_and_nothing_of_the_machine(packed, run_directory):
    card = load(packed).card
    tables = json.loads((run_directory / "run/evaluate/statistics.json").read_text())
    assert card["fidelity"]["power_ratio"] == tables["power_ratio"]
    assert card["fidelity"]["validated"] == tables["validated"]
    v1 = tables["statistics"]["V1"]
    difference = np.abs(np.subtract(v1["generated"]["mean"], v1["validation"]["mean"]))
    sigma = np.array(v1["validation"]["sigma"])
    expected = max(difference[sigma > 0] / sigma[sigma > 0])
    assert card["fidelity"]["largest_difference_of_means_in_sigma"]["V1"] == pytest.approx(expected, rel=1e-12)
    assert card["weights"]["as_stored"]["rms_change_in_sigma"] == 0
    words = (packed / "card.md").read_text()
    assert card["weights"]["sha256"] in words
    assert card["sky"] == json.loads((run_directory / "run/evaluate/sky.json").read_text())
    assert "## The sky of its training maps\nUp to which ell they are a sky is not known" in words
    assert "no information" in words
    assert "0.5 degrees" in words
    for text in (words, json.dumps(card)):
        assert str(run_directory) not in text


def test_gradients_with_respect_to_z_and_weights(packed):
    emulator = load(packed)
    z = jax.random.normal(jax.random.key(3), (2, emulator.model.arch.latent_size))

    @jax.jit
    def loss(z, variables):
        return jnp.mean(jnp.square(emulator.kappa(z, variables))) * 1e4

    slope, weights = jax.jit(jax.grad(loss, argnums=(0, 1)))(z, emulator.variables)
    # Along the gradient itself, by central differences of the same function.
    step = 1e-2 * slope / jnp.linalg.norm(slope)
    measured = (loss(z + step, emulator.variables) - loss(z - step, emulator.variables)) / 2
    np.testing.assert_allclose(measured, jnp.vdot(slope, step), rtol=5e-3)
    assert max(float(jnp.abs(leaf).max()) for leaf in jax.tree.leaves(weights["params"])) > 0
    # A map does not depend on the others of its batch.
    np.testing.assert_allclose(jax.jit(emulator.kappa)(z)[:1], emulator.kappa(z[:1]), rtol=0, atol=1e-5 * 0.03)


@pytest.mark.parametrize(
    ("name", "spoilt", "words"),
    [
        ("planes-z0.99-64", lambda z: z[0], r"latents.shape=\(64,\) must be \(maps, 64\)"),
        ("planes-z0.99-64", lambda z: z[:, :-1], r"latents.shape=\(2, 63\) must be \(maps, 64\)"),
        ("planes-z0.99-64", lambda z: z[None], r"latents.shape=\(1, 2, 64\) must be \(maps, 64\)"),
        ("planes-z0.99-64", list, r"latents of shape \[\(64,\), \(64,\)\] must be .* \('maps', 64\)"),
        (
            "pm-zs1-64", lambda z: z.field[:, 0],
            r"latents of shape \(2, 150\) must be .* Latent\(field=\('maps', 150, 150\), noise=",
        ),
        (
            "pm-zs1-64", lambda z: z._replace(noise=z.noise[:, :2]),
            r"latents.noise.shape=\(2, 2, 96, 96\) must be \(maps, 3, 96, 96\) for maps of 64x64",
        ),
        (
            "pm-zs1-64", lambda z: z._replace(field=z.field[0]),
            r"latents.field.shape=\(150, 150\) must be \(maps, 150, 150\)",
        ),
        (
            "pm-zs1-64", lambda z: z._replace(amplitude=(z.amplitude[0][:1], *z.amplitude[1:])),
            r"latents.amplitude\[0\].shape=\(1, 96, 96\) must be of as many maps as latents.field.shape=\(2, ",
        ),
    ],
)  # fmt: skip
def test_latents_of_a_wrong_shape_are_refused_by_both_shapes(name, spoilt, words):
    """JAX's own words, of a product of matrices or a Fourier transform, name neither."""
    emulator = load(name)
    latents = emulator.latents(emulator.key(0), jnp.arange(2))
    with pytest.raises(ValueError, match=f"{name}: {words}"):
        emulator.kappa(spoilt(latents))
    with pytest.raises(ValueError, match=words):
        jax.jit(emulator.kappa)(spoilt(latents))


def test_forward_mode_agrees_with_reverse_mode(packed):
    stock, emulator = load(packed, forward_mode=True), load(packed)
    z = jax.random.normal(jax.random.key(3), (1, emulator.model.arch.latent_size))
    direction = jnp.ones_like(z)
    kappa, pushed = jax.jit(lambda z, direction: jax.jvp(stock.kappa, (z,), (direction,)))(z, direction)
    np.testing.assert_allclose(kappa, emulator.kappa(z), rtol=0, atol=1e-5 * 0.03)
    # <J^T u, v> = <u, J v>: sums of a few hundred terms, in float32.
    pulled = jax.jit(lambda z, kappa: jax.vjp(emulator.kappa, z)[1](kappa)[0])(z, kappa)
    np.testing.assert_allclose(jnp.vdot(pulled, direction), jnp.vdot(kappa, pushed), rtol=1e-3)


def test_a_dead_generator_is_not_packed(packed):
    """ReLUs that never open: found with two filters, where the card's changes came out as NaN."""
    exact = load(packed)
    dead = dataclasses.replace(exact, variables=jax.tree.map(jnp.zeros_like, exact.variables))
    with pytest.raises(
        ValueError, match=r"the generator makes kappa of 0 at every pixel of every map: it is dead"
    ):
        pack._change(dead, dead, "float16")
    with pytest.raises(ValueError, match=r"the generator in float16 makes kappa of 0 at every pixel"):
        pack._change(dead, exact, "float16")


def test_half_precision_is_measured(packed, run_directory, run_main):
    code, _, error = run_main(
        f"--workdir={run_directory}/run", f"--maps={run_directory}/k.npy", "--pack=tiny",
        "--pack_dtype=float16", *TRAINED,
    )  # fmt: skip
    assert code == 1
    assert "pack_dtype=float16 differs from pack_dtype=float32" in error
    shutil.copytree(run_directory / "run", run_directory / "half", ignore=lambda *_: ["pack"])
    code, _, error = run_main(
        f"--workdir={run_directory}/half", f"--maps={run_directory}/k.npy", "--pack=half",
        "--pack_dtype=float16", *TRAINED,
    )  # fmt: skip
    assert code == 0, error
    half, full = load(run_directory / "half/pack/half"), load(packed)
    one, two = np.asarray(half.sample(0, 64)), np.asarray(full.sample(0, 64))
    said = half.card["weights"]["as_stored"]
    assert said["rms_change_in_sigma"] == pytest.approx(float((one - two).std() / two.std()), rel=1e-3)
    # float16 keeps 11 bits: 2^-12 of a weight at most, over four layers.
    assert 0 < said["rms_change_in_sigma"] < 4 * 2**-11
    assert said["largest_power_factor"] < 1.01
    size = [(folder / "weights.npz").stat().st_size for folder in (run_directory / "half/pack/half", packed)]
    assert size[0] < 0.75 * size[1]


@pytest.mark.slow
def test_evaluated_against_maps_of_the_users_own(packed, run_directory, run_main):
    np.save(
        run_directory / "own.npy", np.random.default_rng(5).normal(size=(6, 32, 32)).astype(np.float32) * 0.02
    )
    flags = (
        f"--maps={run_directory}/own.npy", "--side_deg=1", "--num_generated=6",
        "--evaluate_l_bins=4", "--stages=prepare,generate,evaluate,novelty,report", f"--pretrained={packed}",
        "--novelty_maps=6", "--novelty_steps=2",
        "--classifier_steps=0", "--observer_smoothing_arcmin=", "--num_permutations=49", "--num_resamples=50",
    )  # fmt: skip
    code, _, error = run_main(f"--workdir={run_directory}/own", *flags, "--crop_size=16", "--crops_per_map=2")
    assert code == 0, error
    # No training is shown, for there was none; the interpolation is, for a generator there is.
    page = (run_directory / "own/report/report.html").read_text()
    headings = re.findall("<h2>(.*?)</h2>", page)
    assert "Figure 8: Interpolation" in headings
    assert "Training" not in headings
    novelty = json.loads((run_directory / "own/novelty/novelty.json").read_text())
    assert set(novelty["birthday"]) == {"pixels", "spectrum"}  # it came without its discriminator
    code, _, error = run_main(
        f"--workdir={run_directory}/other", *flags, "--side_deg=2", "--crop_size=32", "--crops_per_map=1"
    )
    assert code == 1
    assert "generated maps have 16 pixels over 0.5 deg, validation maps 32 over 2" in error


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (
            ["--pretrained=nosuch", "--stages=generate"],
            "'nosuch' is neither a folder with a card.json nor one of",
        ),
        (["--pretrained=PACKED", "--stages=train,generate"], "pretrained=PACKED goes without stage 'train'"),
        (["--pretrained=PACKED", "--stages=select,generate"], "goes without stage 'select'"),
        (["--pretrained=PACKED", "--stages=generate,export,evaluate"], "no finished stage 'prepare'"),
        (["--pretrained=PACKED", "--stages=generate", "--checkpoint=last"], "checkpoint=last is of a training"),
        (["--pretrained=PACKED", "--stages=generate", "--num_generated=0"], "num_generated=0 must be positive"),
        (["--pack=x", "--pack_data=y", "--stages=pack"], "no finished stage 'prepare'"),
        (["--pretrained=PACKED", "--stages=export"], "nothing to do, --export names no format"),
    ],
)
def test_errors_are_one_line(packed, run_main, tmp_path, flags, said):
    code, _, error = run_main(f"--workdir={tmp_path}", *(flag.replace("PACKED", str(packed)) for flag in flags))
    assert code == 1
    last = error.strip().splitlines()[-1]
    assert last.startswith("error: ")
    assert said.replace("PACKED", str(packed)) in last
    assert not (tmp_path / "generate").exists()


def test_pack_needs_words_on_the_data(run_main, tmp_path):
    code, _, error = run_main(
        f"--workdir={tmp_path}", "--stages=prepare,pack", f"--maps={tmp_path}", "--pack=x"
    )
    assert code == 1
    assert "pack=x needs --pack_data" in error


def test_a_package_that_is_judged_again_keeps_its_training_and_gets_the_new_verdict(
    packed, run_directory, run_main
):
    again = run_directory / "again"
    dropped = ("--stages", "--learning_rate", "--ema_decay", "--weights", "--checkpoint", "--pack_data")
    kept = [flag for flag in TRAINED if flag.split("=")[0] not in dropped]
    code, _, error = run_main(
        f"--workdir={again}", f"--maps={run_directory}/k.npy", f"--pretrained={packed}", "--generate_seed=4",
        "--pack=tiny2", "--pack_data=Noise, judged again.", "--stages=prepare,generate,evaluate,pack", *kept,
    )  # fmt: skip
    assert code == 0, error
    old, new = load(packed).card, load(again / "pack/tiny2").card
    for same in ("training", "geometry", "normalisation", "architecture", "sky", "keys"):
        assert new[same] == old[same]
    assert new["weights"]["sha256"] == old["weights"]["sha256"]
    assert (new["name"], new["data"]["description"]) == ("tiny2", "Noise, judged again.")
    tables = json.loads((again / "evaluate/statistics.json").read_text())
    assert new["fidelity"]["power_ratio"] == tables["power_ratio"] != old["fidelity"]["power_ratio"]


def test_damaged_packages_are_refused(packed, tmp_path):
    def copy(name):
        return shutil.copytree(packed, tmp_path / name)

    folder = copy("bytes")
    data = bytearray((folder / "weights.npz").read_bytes())
    data[len(data) // 2] ^= 1
    (folder / "weights.npz").write_bytes(data)
    with pytest.raises(ValueError, match="not the weights of the card"):
        load(folder)
    folder = copy("none")
    (folder / "weights.npz").unlink()
    with pytest.raises(ValueError, match=r"holds a card.json but no weights.npz"):
        load(folder)
    for change, said in (
        ({"version": 99}, "expected format 'cosmogan_jax emulator' version 1"),
        ({"architecture": {"map_size": 16, "num_layers": 4, "num_filters": 2, "latent_size": 64}}, "has shape"),
        (
            {"architecture": {"map_size": 32, "num_layers": 4, "num_filters": 4, "latent_size": 64}},
            "maps of 32",
        ),
    ):
        folder = copy(f"card-{len(said)}")
        card = json.loads((folder / "card.json").read_text())
        (folder / "card.json").write_text(json.dumps(card | change))
        with pytest.raises(ValueError, match=said):
            load(folder)


def test_other_weights_at_the_same_path_are_generated_from_anew(packed, tmp_path, run_main):
    folder = shutil.copytree(packed, tmp_path / "mine")
    flags = (f"--workdir={tmp_path}/run", "--stages=generate", f"--pretrained={folder}", "--num_generated=2")
    assert run_main(*flags)[0] == 0
    assert "skipped" in run_main(*flags)[2]
    first = open_map_store(tmp_path / "run/generate/maps").read()
    with np.load(folder / "weights.npz") as file:
        arrays = {name: 2 * file[name] if name.endswith("scale") else file[name] for name in file.files}
    np.savez(folder / "weights.npz", **arrays)
    card = json.loads((folder / "card.json").read_text())
    card["weights"]["sha256"] = file_sha256(folder / "weights.npz")
    (folder / "card.json").write_text(json.dumps(card))
    code, _, error = run_main(*flags)
    assert code == 0
    assert "skipped" not in error
    assert np.abs(open_map_store(tmp_path / "run/generate/maps").read() - first).max() > 1e-4 * first.std()


def at_the_middle(emulator):
    """The middle of its training cosmologies, by name; nothing of an emulator of one."""
    if not emulator.parameters:
        return {}
    return dict(zip(emulator.parameters, np.mean(emulator.design, 0).tolist()))


MEASURED_HERE = ("planes-z0.99-64", "pm-zs1-64", "pm-zs1-cosmology")
SEVERAL_BINS = "pm-four-bins"


def test_every_emulator_of_the_package_opens():
    for name in names():
        emulator = load(name)
        assert emulator.card["name"] == name
        if name in (*MEASURED_HERE, SEVERAL_BINS):
            continue  # its maps are looked at below
        kappa = np.asarray(emulator.sample(0, 8, **at_the_middle(emulator)))
        assert kappa.shape == (8, emulator.geometry.num_pixels, emulator.geometry.num_pixels)
        assert np.isfinite(kappa).all()
        assert kappa.std(0).min() > 0
    with pytest.raises(ValueError, match=f"known emulators: {', '.join(names()) or 'none come'}"):
        find("nosuch")


def test_a_name_of_the_package_is_found_in_it(packed, monkeypatch, tmp_path):
    monkeypatch.setattr(packed_emulators, "_FOLDER", tmp_path)
    shutil.copytree(packed, tmp_path / "tiny")
    assert names() == ["tiny"]
    assert load("tiny").card["weights"] == load(packed).card["weights"]


# The training maps' sigma: 0.0093, the selected generator's within 3 % of it; 0.01345; 0.0140. Pixels and
# degrees are those that the emulator was measured at.
@pytest.mark.parametrize(
    ("name", "sigma", "pixels", "side_deg", "num_maps"),
    [
        ("planes-z0.99-64", 0.0095, 64, 0.875, 256),
        ("pm-zs1-64", 0.0135, 64, 0.875, 256),
        ("pm-zs1-cosmology", 0.0152, 64, 0.875, 256),
        pytest.param("pm-zs1-256", 0.0140, 256, 0.866, 32, marks=pytest.mark.slow),
    ],
)
@pytest.mark.usefixtures("optimised")
def test_the_package_brings_emulators_whose_maps_are_as_their_cards_say(
    name, sigma, pixels, side_deg, num_maps
):
    """Other z than those they were measured with: their scatter, and the slope of their power, are a sky's."""
    assert name in names()
    assert (name in MEASURED_HERE) == (pixels == 64)
    emulator = load(name) if pixels == 64 else load(name).of_size(pixels)
    fidelity, geometry = emulator.card["fidelity"], emulator.geometry
    assert geometry.num_pixels == pixels
    assert fidelity.get("num_pixels", 64) == pixels
    assert geometry.side_deg == pytest.approx(side_deg)
    kappa = emulator.sample(seed=7, num_maps=num_maps, **at_the_middle(emulator))
    assert kappa.shape == (num_maps, pixels, pixels)
    assert np.isfinite(kappa).all()
    assert np.asarray(kappa).std(0).min() > 0
    edges = np.array(fidelity["l_edges"])
    power = power_spectrum(kappa, edges, geometry.side_deg, mode_weights="full_plane").mean(0)
    # Power falls from band to band, as a sky's; a checkerboard would raise it in the last ones.
    assert (np.diff(np.asarray(power)) < 0).all()
    # 256 maps know it to 2 %, 32 of a larger sky each to 4 %.
    assert float(kappa.std()) == pytest.approx(sigma, rel=0.1)


# Of the training maps' pixels (experiments/027-source-bins): sigma by bin, correlation by pair.
SIGMA_OF_BINS = np.array([0.0056, 0.0104, 0.0151, 0.0209])
CORRELATION_OF_PAIRS = np.array([0.815, 0.644, 0.508, 0.917, 0.779, 0.936])


@pytest.mark.usefixtures("optimised")
def test_four_bins_of_one_sky_are_those_of_the_card():
    emulator = load(SEVERAL_BINS)
    kappa = np.asarray(emulator.sample(seed=7, num_maps=256), np.float64)
    assert kappa.shape == (256, 64, 64, 4)
    assert emulator.geometry.side_deg == pytest.approx(0.875)
    pixels = kappa.reshape(-1, 4)
    # 256 maps know a sigma to 3 %, the nearest bin's to 5 %, and a correlation coefficient to 0.02 and less.
    np.testing.assert_allclose(pixels.std(0), SIGMA_OF_BINS, rtol=0.1)
    found = np.corrcoef(pixels.T)[np.triu_indices(4, 1)]
    np.testing.assert_allclose(found, CORRELATION_OF_PAIRS, atol=0.06)
    edges = np.array(emulator.card["fidelity"]["l_edges"])
    for number in range(4):
        power = power_spectrum(
            kappa[..., number].astype(np.float32), edges, 0.875, mode_weights="full_plane"
        ).mean(0)
        assert (np.diff(np.asarray(power)) < 0).all()


# d ln variance / d ln parameter of the simulations at Omega_m 0.3, sigma8 0.8 (experiments/025-any-cosmology):
# a quadratic regression over the boxes of all cosmologies, the held-out ones among them.
SLOPES = {"sigma8": 1.94, "omega_m": 1.46}


@pytest.mark.usefixtures("optimised")
def test_maps_of_any_cosmology_answer_to_its_parameters():
    """As simulations do, to a tenth; outside the hull nothing is drawn."""
    emulator = load("pm-zs1-cosmology")
    assert emulator.parameters == ("omega_m", "sigma8")

    def log_variance(**parameters):
        # Of the same latents: 64 maps know a difference as well as 256, to a twentieth.
        return float(np.log(emulator.sample(seed=3, num_maps=64, **parameters).var()))

    # The variance is that of small scales, where Poisson's noise answers to sigma8 hardly at all.
    of_sigma8 = log_variance(omega_m=0.3, sigma8=0.84) - log_variance(omega_m=0.3, sigma8=0.76)
    assert of_sigma8 / np.log(0.84 / 0.76) == pytest.approx(SLOPES["sigma8"], abs=0.2)
    of_omega_m = log_variance(omega_m=0.315, sigma8=0.8) - log_variance(omega_m=0.285, sigma8=0.8)
    assert of_omega_m / np.log(0.315 / 0.285) == pytest.approx(SLOPES["omega_m"], abs=0.2)
    with pytest.raises(ValueError, match="outside the hull of the 16 cosmologies"):
        emulator.sample(seed=0, num_maps=1, omega_m=0.25, sigma8=1.2)
    assert "## Cosmologies" in (packed_emulators._FOLDER / "pm-zs1-cosmology/card.md").read_text()


def test_a_card_says_at_which_size_it_was_measured():
    """Trained on crops of 128 pixels of maps of 256, and judged at 256."""
    words = (find("pm-zs1-256") / "card.md").read_text()
    assert "Convergence maps of 128x128 pixels" in words
    assert "measured at 256 pixels on a side" in words
    assert load("pm-zs1-256").of_size(256).geometry.side_deg == pytest.approx(0.866)
