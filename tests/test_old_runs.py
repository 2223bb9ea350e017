"""Run directories of before (tests/golden/README.md): read, gone on with, judged and drawn as before."""

import json
import shutil
import tarfile
from pathlib import Path

import jax
import numpy as np
import pytest

from cosmogan_jax.emulators.trained import Generators
from cosmogan_jax.maps.crop_table import open_crop_table
from cosmogan_jax.maps.store import open_map_store
from cosmogan_jax.pretrained import load
from cosmogan_jax.stages.train.training_log import read_log

pytestmark = pytest.mark.usefixtures("quick")

GOLDEN = Path(__file__).parent / "golden"
FLAGS = f"--flagfile={GOLDEN / 'old_run.flags'}"
# Maps of other versions and processors agree up to rounding: some hundred terms of 6e-8 in three layers.
MAPS = 1e-5
# Eight steps of an adversarial training at a rate a hundred times the usual, compiled with and without
# optimisation: equal starts that differ by rounding come apart by 1e-4 in the losses (on another processor by
# 2e-3, and by 6e-2 four steps later); other z, crops or turns change them by 1e-2 and more from the first step.
RESUMED, RESUMED_AT_LAST = 1e-3, 5e-3


@pytest.fixture(scope="module")
def expected():
    with np.load(GOLDEN / "old_run_expected.npz", allow_pickle=False) as file:
        return dict(file)


@pytest.fixture
def old(tmp_path):
    """A copy of the old run directory."""
    with tarfile.open(GOLDEN / "old_run.tar.xz") as archive:
        archive.extractall(tmp_path, filter="data")
    return tmp_path / "old_run"


def maps_of(workdir):
    kappa = open_map_store(workdir / "generate/maps").read()
    return kappa.reshape(kappa.shape[:3])


@pytest.mark.slow
def test_all_of_it_counts_as_finished_and_is_drawn(old, run_main):
    code, _, error = run_main(FLAGS, f"--workdir={old}")
    assert code == 0, error
    assert error.count("skipped") == 7  # simulate to novelty; the report was not kept
    assert "report: done" in error
    text = (old / "report/report.html").read_text()
    for title in ("Verdict", "Training", "Selection", "Interpolation", "The closest pairs"):
        assert title in text


def test_the_generator_makes_the_maps_that_it_made(old, run_main, expected):
    shutil.rmtree(old / "generate")
    code, _, error = run_main(FLAGS, f"--workdir={old}", "--stages=generate", "--num_generated=24")
    assert code == 0, error
    found = maps_of(old)
    assert found.std(0).mean() > 1e-4  # maps that differ
    np.testing.assert_allclose(found, expected["more_maps"], rtol=0, atol=MAPS * found.std())


@pytest.mark.slow
def test_stages_after_it_take_its_maps_anew(old, run_main):
    shutil.rmtree(old / "generate")
    code, _, error = run_main(FLAGS, f"--workdir={old}", "--stages=generate", "--num_generated=24")
    assert code == 0, error
    found = maps_of(old)
    for stage in ("evaluate", "novelty"):
        shutil.rmtree(old / stage)
    code, _, error = run_main(
        FLAGS, f"--workdir={old}", "--num_generated=24", "--stages=evaluate,novelty,pack", "--pack=of-before",
        "--pack_data=A test.",
    )  # fmt: skip
    assert code == 0, error
    np.testing.assert_allclose(
        load(old / "pack/of-before").sample(3, 24), found, rtol=0, atol=MAPS * found.std()
    )


def test_the_dense_phase_and_the_average_are_read(old):
    for weights in ("last", "ema"):
        generators = Generators(old, weights)
        assert generators.checkpoints() == [4, 6, 8, 12]
        assert bool(generators.best()) == (weights == "last")
        for step in (*generators.checkpoints(), *generators.best()):
            assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(generators.restore(step)))
        generators.close()


@pytest.mark.parametrize("left", [pytest.param("finished", marks=pytest.mark.slow), "cut off"])
def test_the_training_goes_on_where_it_was(old, run_main, expected, left):
    """The same order of crops, z, flips and turns: losses of more steps are those that the old code found."""
    if left == "cut off":  # as a kill leaves it: begun by settings that know nothing of what came later
        (old / "train").rename(old / "train.partial")
        (old / "train.partial/stage.json").unlink()
    code, said, error = run_main(FLAGS, f"--workdir={old}", "--stages=train", "--num_steps=20")
    assert code == 0, error
    assert "train: goes on from step 12" in said
    lines = read_log(old / "train/metrics.jsonl")
    assert [line["step"] for line in lines] == expected["steps"][:5].tolist() == [4, 8, 12, 16, 20]
    for name in ("disc_loss", "gen_loss"):
        found = [line[name] for line in lines]
        np.testing.assert_allclose(found[:4], expected[name][:4], rtol=RESUMED)
        np.testing.assert_allclose(found[4], expected[name][4], rtol=RESUMED_AT_LAST)


def test_settings_that_came_later_are_their_defaults_and_others_are_still_refused(old, run_main):
    later = {"emulator": "dcgan", "augment": "none"}
    for name in later:  # one that this run recorded is forgotten too
        for record in (*old.glob("*/stage.json"), *old.glob("*/settings.json")):
            told = json.loads(record.read_text())
            (told["flags"] if record.name == "stage.json" else told).pop(name, None)
            record.write_text(json.dumps(told))
    code, _, error = run_main(FLAGS, f"--workdir={old}", "--augment=none", "--stages=train,select")
    assert code == 0, error
    assert error.count("skipped") == 2
    code, _, error = run_main(FLAGS, f"--workdir={old}", "--stages=train")
    assert code == 1
    assert "augment=symmetries differs from augment=none" in error


def test_the_packed_generator_that_ships_makes_the_maps_that_it_made(expected):
    found = load("planes-z0.99-64").sample(seed=7, num_maps=2)
    np.testing.assert_allclose(found, expected["pretrained_seed7"], rtol=0, atol=MAPS * np.std(found))


def test_a_run_of_today_is_what_it_was_when_its_keys_were_fixed(tmp_path, run_main):
    """The same flags in an empty directory: simulated maps, crops and losses."""
    run = tmp_path / "run"
    more = ("--stages=simulate,prepare,train", "--num_steps=4", "--select_from_epoch=0")
    code, _, error = run_main(FLAGS, f"--workdir={run}", *more)
    assert code == 0, error
    with np.load(GOLDEN / "new_run_expected.npz", allow_pickle=False) as file:
        expected = dict(file)
    table = open_crop_table(run / "prepare")
    np.testing.assert_array_equal(table.crops["train"], expected["crops"])
    found = table.store.read()[::7, ..., 0]
    np.testing.assert_allclose(found, expected["maps"], rtol=0, atol=MAPS * found.std())
    lines = read_log(run / "train/metrics.jsonl")
    for name in ("disc_loss", "gen_loss"):  # before rounding has grown, see RESUMED
        np.testing.assert_allclose(lines[0][name], expected[name][0], rtol=1e-4)
    assert json.loads((run / "train/stage.json").read_text())["keys"] == 2
