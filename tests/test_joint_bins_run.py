"""Several source bins by the command line: trained on together, gone on with, written, packed, loaded."""

import json
import shutil

import numpy as np
import pytest
from whole_runs import last_state

from cosmogan_jax import GalaxyNoise
from cosmogan_jax.emulators import packed, weights
from cosmogan_jax.emulators.card import as_markdown
from cosmogan_jax.maps.crop_table import open_crop_table
from cosmogan_jax.maps.sets import check_not_observed
from cosmogan_jax.maps.store import open_map_store
from cosmogan_jax.stages import emulators, pack

pytestmark = pytest.mark.usefixtures("quick")

RUN = (
    "--side_deg=0.5", "--source_bins=all", "--bin_redshifts=0.5,1", "--stages=prepare,train,select,generate",
    "--crop_size=16", "--crops_per_map=2", "--num_steps=4", "--batch_size=4", "--match=power",
    "--score_maps=8", "--score_every_steps=4", "--checkpoint_every_steps=2", "--log_every_steps=2",
    "--sample_every_steps=4", "--steps_per_dispatch=1", "--num_generated=10", "--generate_batch=10",
    "--select_maps=8", "--development_share=0.2", "--validation_share=0.2",
)  # fmt: skip
OF_KIND = {
    "lognormal_gan": (
        "--gen_layers=1", "--gen_channels=2", "--disc_layers=1", "--disc_filters=2", "--fresh_maps=2",
        "--replayed_steps=2", "--warm_up_steps=1", "--decay_from_step=2", "--decay_to_step=4",
    ),
    "dcgan": ("--num_filters=2", "--latent_size=8", "--match=", "--normalisation=linear",
              "--bin_scales=0.03,0.09"),
}  # fmt: skip


def of(kind):
    return (*RUN, f"--emulator={kind}", *OF_KIND[kind])


def two_bins(num_maps):
    """Skewed maps of which the second bin is twice the first and noise of its own."""
    rng = np.random.default_rng(0)
    first, own = np.exp(0.4 * rng.normal(size=(2, num_maps, 32, 32)))
    return (0.01 * np.stack([first, 2 * first + own], -1)).astype(np.float32)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("joint_bins")


@pytest.fixture(params=["lognormal_gan", pytest.param("dcgan", marks=pytest.mark.slow)])
def kind(request):
    return request.param


@pytest.fixture
def run(kind, folder, run_main):
    """The whole run, made once for each kind."""
    if not (folder / kind).exists():
        np.save(folder / "maps.npy", two_bins(30))
        code, _, error = run_main(f"--workdir={folder}/{kind}", f"--maps={folder}/maps.npy", *of(kind))
        assert code == 0, error
    return folder / kind


def test_all_bins_are_prepared_trained_on_and_written(run, kind):
    table = open_crop_table(run / "prepare")
    assert table.manifest.bin is None
    assert table.manifest.source_redshift is None
    assert table.cut(table.crops["train"][:1]).shape == (1, 16, 16, 2)
    store = open_map_store(run / "generate/maps")
    kappa = store.read()
    assert kappa.shape == (10, 16, 16, 2)
    assert store.bin_redshifts == (0.5, 1.0)
    assert store.bin_names == table.store.bin_names
    if kind == "lognormal_gan":  # the base is measured: bins share what the maps do, and are as wide
        assert np.corrcoef(kappa.reshape(-1, 2).T)[0, 1] > 0.5
        assert kappa[..., 1].std() > 1.5 * kappa[..., 0].std()
    else:
        assert table.manifest.normalisation == {"kind": "linear", "scale": [0.03, 0.09]}
        beyond = (np.abs(table.cut(table.crops["train"])) > [0.03, 0.09]).any((1, 2, 3)).mean()
        assert 0 < beyond < 1
        assert table.manifest.share_of_crops_outside_network_range == pytest.approx(beyond)
    line = json.loads((run / "train/metrics.jsonl").read_text().splitlines()[-1])
    own = {"lognormal_gan": "match_rms", "dcgan": "saturated"}[kind]
    assert np.isfinite([line["spectrum_chi2"], line["variance_ratio"], line[own]]).all()
    assert list((run / "train").glob("samples/*.png"))


@pytest.mark.slow
def test_a_training_of_several_bins_that_stops_goes_on_to_the_same_state(run, kind, folder, run_main):
    workdir = folder / "again"
    given = [f"--workdir={workdir}", f"--maps={folder}/maps.npy", *of(kind), "--stages=prepare,train"]
    assert run_main(*given, "--num_steps=2")[0] == 0
    code, _, error = run_main(*given)
    assert code == 0, error
    for one, other in zip(last_state(run, 4), last_state(workdir, 4), strict=True):
        np.testing.assert_array_equal(one, other)
    shutil.rmtree(workdir)


def test_a_packed_emulator_of_several_bins_samples_all(run, kind, folder, run_main):
    """What stage pack writes of the emulator, but for the verdict."""
    source = emulators.trained(run, "last", "last")
    emulator = source.emulator
    two = folder / f"two-{kind}"
    written = weights.write_weights(two, emulator.variables, "float32")
    like = json.loads((packed.find("pm-zs1-64") / weights.CARD).read_text())
    card = {
        **like,
        "name": "two",
        "weights": {**like["weights"], **written},
        "architecture": emulator.model.describe(),
        "source_redshift": None,
        **source.bins,
        "fidelity_of_bins": [like["fidelity"]] * 2,
        "geometry": {"num_pixels": 16, "side_deg": emulator.geometry.side_deg},
        "normalisation": open_crop_table(run / "prepare").manifest.normalisation,
        "keys": emulator.key_scheme,
        "left_out": emulator.model.left_out(emulator.variables),
    }
    weights.write_card(two, card, as_markdown(card, emulator.model))
    words = (two / "card.md").read_text()
    assert "2 source bins made together, at redshifts 0.5, 1" in words
    assert (
        words.count("## Source bin 1 (redshift 1)\n") == words.count("- Source bin 1: mean power within") == 1
    )
    if kind == "dcgan":
        assert "normalisation linear (scales of the bins 0.03, 0.09)" in words
        assert "No generated pixel exceeds |kappa| = 0.03, 0.09 (bin by bin)" in words
    loaded = packed.load(two)
    kappa = loaded.sample(0, 3)
    assert kappa.shape == (3, 16, 16, 2)
    np.testing.assert_array_equal(kappa, emulator.sample(0, 3))
    np.testing.assert_array_equal(loaded.sample(0, 1, first=2)[0], kappa[2])
    if kind == "dcgan":
        change = pack._change(loaded, emulator, "float32")
        assert change == {"maps": 64, "rms_change_in_sigma": 0.0, "largest_power_factor": 1.0}
        latents = emulator.latents(emulator.key(0), np.arange(3))
        x = np.asarray(emulator.model.sample(emulator.variables, latents, np.zeros((3, 0))))
        np.testing.assert_allclose(kappa, [0.03, 0.09] * x, rtol=1e-5)
    opened = emulators.pretrained(str(two))
    assert opened.bin_redshifts == (0.5, 1.0)
    # By the command line with the galaxies of each bin, of which the manifest tells.
    flags = [f"--pretrained={two}", "--stages=generate", "--num_generated=3", "--generate_batch=3"]
    code, _, error = run_main(f"--workdir={two}-seen", *flags, "--generate_noise=400,100,0.26")
    assert code == 0, error
    store = open_map_store(two.with_name(f"{two.name}-seen") / "generate/maps")
    expected = loaded.sample(0, 3, noise=GalaxyNoise((400, 100), 0.26))
    np.testing.assert_allclose(store.read(), expected, atol=1e-5 * float(expected.std()))
    assert store.manifest.observed == {"galaxies_per_arcmin2": [400, 100], "sigma_e": 0.26}
    with pytest.raises(ValueError, match=r"observed .galaxies_per_arcmin2=400,100, sigma_e=0.26., and stage"):
        check_not_observed(store, "evaluate")
    code, _, error = run_main(f"--workdir={two}-three", *flags, "--generate_noise=4,5,6,0.26")
    assert code == 1
    assert "galaxies_per_arcmin2=4,5,6: galaxies of 3 source bins, and maps have 2" in error
    card["normalisation"] = {"kind": "linear", "scale": [0.05, 0.1, 0.15]}
    weights.write_card(two, card, words)
    with pytest.raises(ValueError, match=r"scales 0\.05,0\.1,0\.15 of the normalisation are not those of 2"):
        packed.load(two)


@pytest.mark.parametrize(
    ("constant", "flags", "words"),
    [
        (True, [], "source bin 1 of 2 is constant in every map: sigma=0"),
        (False, ["--bin_scales=0.1,0.2,0.3"], "bin_scales=0.1,0.2,0.3 must be 2, one for each source bin"),
        (False, ["--channel=1"], "bin_scales=0.03,0.09 must be 1, one for each source bin"),
        (False, ["--normalisation=none"], "bin_scales=0.03,0.09 goes with --normalisation=linear or arcsinh"),
    ],
)
def test_bins_that_cannot_be_trained_on_are_one_line(run_main, tmp_path, constant, flags, words):
    kappa = two_bins(12)
    kappa[..., 1] *= not constant
    np.save(tmp_path / "maps.npy", kappa)
    code, _, error = run_main(f"--workdir={tmp_path}/run", f"--maps={tmp_path}/maps.npy", *of("dcgan"), *flags)
    assert code == 1
    assert words in error
