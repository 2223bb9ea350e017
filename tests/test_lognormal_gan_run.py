"""The lognormal GAN by the command line: its own defaults, stopped and gone on with, packed and loaded."""

import json
import shutil

import numpy as np
import pytest
from absl import flags as absl_flags
from whole_runs import last_state

from cosmogan_jax.compare.statistics import trained_on_by
from cosmogan_jax.emulators.weights import read_card
from cosmogan_jax.maps.crop_table import open_crop_table
from cosmogan_jax.maps.store import open_map_store
from cosmogan_jax.pretrained import GalaxyNoise, load
from cosmogan_jax.stages.evaluate.compared_sets import open_map_sets

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
    card = read_card(run / "pack/small").content
    sizes = {"num_layers": 2, "num_channels": 4, "octaves": 0}
    assert card["architecture"] == {"kind": "lognormal_gan", **sizes, "base_power": "fourfold"}
    assert card["cosmology"]["sigma8"] == 0.798
    assert "source_redshift" not in card["cosmology"]
    assert "sigma8 0.798" in (run / "pack/small/card.md").read_text()


def test_generated_in_another_size_and_as_they_are_observed(run, folder, run_main, parse):
    packed = f"--pretrained={run / 'pack/small'}"
    flags = [
        f"--workdir={folder}/wide",
        packed,
        "--stages=generate,export",
        "--export=npy",
        "--num_generated=5",
    ]
    flags += ["--generate_noise=30,0.26", "--generate_smoothing_arcmin=1.5", "--generate_batch=2"]
    code, _, error = run_main(*flags, "--generate_pixels=24,40")
    assert code == 0, error
    emulator = load(run / "pack/small")
    assert emulator.training_pixels == 64
    seen = {"size": (24, 40), "noise": GalaxyNoise(30, 0.26), "smoothing_arcmin": 1.5}
    expected = np.asarray(emulator.sample(0, 5, **seen))
    store = open_map_store(folder / "wide/generate/maps")
    np.testing.assert_allclose(store.read()[..., 0], expected, rtol=0, atol=1e-4 * expected.std())
    np.testing.assert_allclose(np.load(folder / "wide/export/kappa.npy"), store.read()[..., 0])
    manifest = store.manifest
    assert manifest.side_deg == pytest.approx(24 / 64)
    assert manifest.observed == {"galaxies_per_arcmin2": 30, "sigma_e": 0.26, "smoothing_arcmin": 1.5}
    assert "validated" not in manifest.origin  # it is another size's
    judge = ["--evaluate_l_bins=4", "--stages=generate,evaluate"]
    for more, words in (
        (["--generate_pixels=24"], "generate_pixels=24 differs from generate_pixels=24,40, with which stage"),
        (["--export=fits", "--stages=export", f"--export_from={folder}/wide/generate/maps",
          f"--workdir={folder}/fits"], "holds maps of 24x40 pixels: here maps must be square"),
        (["--generate_pixels=24,40", *judge], "generate_noise: stage evaluate compares convergence"),
        (["--generate_pixels=129", f"--workdir={folder}/129"], "generate_pixels=129: size=129x129 is more than "
         "twice the 64 pixels"),
        (["--generate_noise=30", f"--workdir={folder}/129"], "must be galaxies_per_arcmin2,sigma_e"),
    ):  # fmt: skip
        try:
            code, _, error = run_main(*flags, *more)
        except absl_flags.IllegalFlagValueError as refused:
            code, error = 1, str(refused)
        assert code == 1
        assert words in error
    code, _, error = run_main(
        f"--workdir={folder}/none", f"--maps={run}/simulate/maps", "--generate_pixels=128"
    )
    assert code == 1  # before a training of the paper's kind
    assert "generate_pixels=128: size=128x128: this generator makes maps of 256x256 pixels only" in error
    flags = [f"--workdir={folder}/129", packed, "--stages=generate", "--num_generated=2"]
    code, _, error = run_main(*flags, "--generate_pixels=129", "--allow_untested_size")
    assert code == 0, error


def test_real_maps_are_cut_in_the_size_of_the_generated(run, folder, run_main, parse):
    where = folder / "sizes"
    shutil.copytree(run, where, ignore=shutil.ignore_patterns("generate", "evaluate", "pack"))
    flags = [*RUN[:-2], f"--workdir={where}", "--stages=generate"]
    code, _, error = run_main(*flags, "--generate_pixels=40", "--num_generated=20")
    assert code == 0, error
    table = open_crop_table(where / "prepare")
    sets = open_map_sets(parse(*flags).by_stage["evaluate"], where, table)
    assert sets.generated.geometry == sets.validation.geometry
    assert (sets.validation.geometry.num_pixels, sets.validation.geometry.side_deg) == (40, 40 / 64)
    rows = table.of_size(40).crops["validation"]
    # Four maps of 8 crops each, from 0 to 48 before: those beyond 24 begin at 24, each place once.
    before = np.minimum(table.crops["validation"], [999, 24, 24])
    assert {*map(tuple, rows)} == {*map(tuple, before)}
    assert len(rows) == len({*map(tuple, before)}) >= sets.validation.num_maps
    maps = table.store.read()[..., 0]
    index, row, column = table.of_size(40).choose("validation", 20)[3]
    np.testing.assert_array_equal(
        sets.validation.read(3, 4)[0], maps[index, row : row + 40, column : column + 40]
    )
    assert len(table.of_size(64).crops["validation"]) == 4
    (where / "generate").rename(where / "other")
    code, _, error = run_main(*flags, "--generate_pixels=70", "--num_generated=2")
    assert code == 0, error
    with pytest.raises(ValueError, match="generated maps have 70 pixels, stage prepare's maps 64: too few"):
        open_map_sets(parse(*flags).by_stage["evaluate"], where, table)


def test_what_was_matched_is_marked_as_trained_on(run):
    results = json.loads((run / "evaluate/results.json").read_text())
    marked = {name for name, of in results["statistics"].items() if of["trained_on"]}
    matched = ("power", "mean", "heights", "roughness", "covariance", "wavelets")
    assert marked == trained_on_by(matched)
    assert {"power_bands", "pdf", "V0", "starlet_l1"} <= marked
    assert not {"V1", "peaks", "bispectrum", "scattering"} & marked
    overall = results["overall"]
    said = [*overall["agrees"], *overall["fails"], *(one["name"] for one in overall["open"])]
    for name, of in results["statistics"].items():
        for words in said:
            if words.startswith(f"{of['title']}: "):
                assert words.endswith(" (trained on)") == (name in marked)


def test_maps_that_it_cannot_begin_with(folder, tmp_path, run_main):
    kappa = -0.01 * np.exp(np.random.default_rng(0).normal(size=(8, 32, 32)))
    np.save(tmp_path / "k.npy", kappa.astype(np.float32))
    flags = [flag for flag in RUN if not flag.startswith(("--stages", "--sky", "--map_pixels", "--num_"))]
    code, _, error = run_main(f"--workdir={tmp_path}/run", f"--maps={tmp_path}/k.npy", *flags, "--num_steps=3",
                              "--stages=prepare,train")  # fmt: skip
    assert code == 1
    assert "skewness=-" in error.splitlines()[-1]
