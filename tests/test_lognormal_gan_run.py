"""The lognormal GAN by the command line: its own defaults, stopped and gone on with, packed and loaded."""

import json

import jax
import numpy as np
import pytest

from cosmogan_jax.emulators.matched_statistics import SEEN_BY
from cosmogan_jax.emulators.trained import open_trained
from cosmogan_jax.pretrained import load
from cosmogan_jax.storage.map_store import open_map_store
from cosmogan_jax.storage.weights import read_card

pytestmark = pytest.mark.usefixtures("quick")

RUN = (
    "--emulator=lognormal_gan", "--sky=lognormal", "--map_pixels=64", "--side_deg=1", "--num_train_maps=12",
    "--num_development_maps=4", "--num_validation_maps=4", "--num_auxiliary_maps=0", "--crop_size=16",
    "--crops_per_map=8", "--batch_size=6", "--fresh_maps=2", "--replayed_steps=3", "--num_steps=9",
    "--disc_layers=2", "--gen_layers=2", "--gen_channels=4", "--disc_filters=3",
    "--checkpoint_every_steps=3", "--sample_every_steps=0", "--log_every_steps=3", "--score_every_steps=0",
    "--checkpoint=last", "--num_generated=24", "--classifier_steps=0", "--evaluate_l_bins=4",
    "--num_permutations=49", "--num_resamples=50", "--observer_smoothing_arcmin=",
    "--pack=small", "--pack_data=Lognormal maps of a test.",
    "--stages=simulate,prepare,train,generate,evaluate,pack",
)  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("lognormal_gan")


@pytest.fixture
def run(folder, run_main):
    """The whole run, made once."""
    if not (folder / "run").exists():
        code, _, error = run_main(f"--workdir={folder}/run", *RUN)
        assert code == 0, error
    return folder / "run"


def last_state(workdir, step):
    _, like, checkpoints = open_trained(workdir)
    state = checkpoints.restore(step, like)
    checkpoints.close()
    return [np.asarray(leaf) for leaf in jax.tree.leaves(state.replace(key=jax.random.key_data(state.key)))]


def test_flags_that_are_not_given_are_this_kinds_own(run, parse):
    recorded = json.loads((run / "train/stage.json").read_text())["flags"]
    assert recorded["learning_rate"] == 6e-4
    assert recorded["ema_decay"] == 0.995
    assert recorded["augment"] == "symmetries"
    assert recorded["batch_size"] == 6  # said
    assert "--weights=ema" in (run / "flags.txt").read_text()
    # Others keep the paper's.
    assert parse("--workdir=x").by_stage["train"].learning_rate == 2e-4
    own = parse("--workdir=x", "--emulator=lognormal_gan").by_stage
    assert (own["generate"].weights, own["prepare"].normalisation) == ("ema", "linear")
    assert own["train"].num_steps == 2000


def test_it_is_stopped_and_goes_on_to_the_same_bits(run, folder, run_main):
    flags = [flag for flag in RUN if not flag.startswith("--stages")]
    # Pictures of samples are drawn beside; what the training begins with does not know of them.
    flags = [*flags, "--sample_every_steps=9"]
    for _ in range(2):  # begins on what was measured before the first step, and not on a second measurement
        code, _, error = run_main(f"--workdir={folder}/cut", *flags, "--stages=simulate,prepare,train",
                                  "--max_minutes=0")  # fmt: skip
        assert code == 0, error
    code, _, error = run_main(f"--workdir={folder}/cut", *flags, "--stages=simulate,prepare,train")
    assert code == 0, error
    for one, other in zip(last_state(run, 9), last_state(folder / "cut", 9), strict=True):
        np.testing.assert_array_equal(one, other)


def test_its_maps_are_the_packed_emulators_and_of_any_size(run):
    kappa = open_map_store(run / "generate/maps").read()[..., 0]
    real = open_map_store(run / "simulate/maps").read()
    # Hardly trained: the base alone has the maps' variance, noise is added to it.
    assert kappa.std() == pytest.approx(real.std(), rel=0.3)
    emulator = load(run / "pack/small")
    np.testing.assert_allclose(emulator.sample(0, 24), kappa, rtol=0, atol=1e-5 * kappa.std())
    larger = emulator.of_size(40).sample(0, 3)
    assert larger.shape == (3, 40, 40)
    assert float(larger.std()) == pytest.approx(kappa.std(), rel=0.5)
    card = read_card(run / "pack/small")
    assert card["architecture"] == {"kind": "lognormal_gan", "num_layers": 2, "num_channels": 4}


def test_what_was_matched_is_marked_as_trained_on(run):
    results = json.loads((run / "evaluate/results.json").read_text())
    marked = {name for name, of in results["statistics"].items() if of["trained_on"]}
    matched = ("power", "mean", "pdf", "covariance", "wavelets")
    assert marked == {seen for name in matched for seen in SEEN_BY[name]}
    assert {"power_bands", "pdf", "V0", "starlet_l1"} <= marked
    assert not {"V1", "peaks", "bispectrum", "scattering"} & marked
    overall = results["overall"]
    said = [*overall["agrees"], *overall["fails"], *(one["name"] for one in overall["open"])]
    for name, of in results["statistics"].items():
        for words in said:
            if words.startswith(f"{of['title']}: "):
                assert words.endswith(" (trained on)") == (name in marked)


def test_maps_that_it_cannot_begin_with(folder, tmp_path, run_main):
    kappa = -np.exp(np.random.default_rng(0).normal(size=(8, 32, 32)))
    np.save(tmp_path / "k.npy", kappa.astype(np.float32))
    flags = [flag for flag in RUN if not flag.startswith(("--stages", "--sky", "--map_pixels", "--num_"))]
    code, _, error = run_main(f"--workdir={tmp_path}/run", f"--maps={tmp_path}/k.npy", *flags, "--num_steps=3",
                              "--stages=prepare,train")  # fmt: skip
    assert code == 1
    assert "skewness=-" in error.splitlines()[-1]
