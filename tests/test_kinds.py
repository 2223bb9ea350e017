"""Any kind of emulator goes through every stage: a toy whose latent is a field, with nothing of the DCGAN."""

import json
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import toy_kind
from absl import flags as absl_flags

from cosmogan_jax import flags
from cosmogan_jax.emulators.interpolation import paths, slerp
from cosmogan_jax.emulators.kinds import KINDS, model_of
from cosmogan_jax.emulators.trained import Generators, open_trained
from cosmogan_jax.flags.absl_flags import define_declared
from cosmogan_jax.maps.store import open_map_store
from cosmogan_jax.pretrained import load
from cosmogan_jax.settings.kinds import OF_KIND
from cosmogan_jax.stages.emulators import trained

pytestmark = pytest.mark.usefixtures("quick")

# 24 pixels are nothing that four halvings divide.
RUN = (
    "--emulator=toy", "--toy_slope=0.8", "--sky=lognormal", "--map_pixels=48", "--side_deg=1",
    "--num_train_maps=8", "--num_development_maps=8", "--num_validation_maps=6", "--num_auxiliary_maps=0",
    "--crop_size=24", "--crops_per_map=6", "--normalisation=linear", "--normalisation_scale=0.02",
    "--learning_rate=0.02", "--batch_size=8", "--num_steps=60", "--checkpoint_every_steps=20",
    "--sample_every_steps=30", "--log_every_steps=10", "--score_every_steps=20", "--score_maps=16",
    "--score_l_bins=4", "--select_from_epoch=9", "--keep_best=2", "--select_maps=16", "--select_l_bins=4",
    "--num_generated=32", "--evaluate_l_bins=4", "--num_permutations=49", "--num_resamples=50",
    "--observer_smoothing_arcmin=", "--classifier_steps=0",
    "--novelty_maps=24", "--novelty_queries=8", "--novelty_l_bins=4",
    "--novelty_steps=4", "--export=npy", "--pack=a-toy", "--pack_data=Lognormal maps of a test.",
    "--ema_decay=0.9", "--weights=ema",
)  # fmt: skip


@pytest.fixture
def toy(monkeypatch):
    """The toy's name among the kinds; what a user of the package would do once, when it is imported."""
    monkeypatch.setitem(KINDS, "toy", toy_kind.TOY)
    monkeypatch.setitem(OF_KIND, "toy", toy_kind.ToySettings)
    if "workdir" not in absl_flags.FLAGS:
        flags.define()
    define_declared(toy_kind.ToySettings)  # nothing, where it is defined already
    return "toy"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("toy")


@pytest.fixture
def run(toy, folder, run_main):
    """The whole run, made once."""
    if not (folder / "run").exists():
        code, said, error = run_main(f"--workdir={folder}/run", *RUN)
        assert code == 0, error
        (folder / "said.txt").write_text(said)
    return folder / "run"


def test_every_stage_takes_the_toy_to_the_report(run, folder):
    lines = [json.loads(line) for line in (run / "train/metrics.jsonl").read_text().splitlines()]
    assert lines[-1]["mismatch"] < 0.1 * lines[0]["mismatch"]
    assert "mean_mismatch" in lines[-1]
    scored = next(line for line in lines if "pixel_ks" in line)
    # What asks for upsampling, or for a largest |x|, is not scored at all.
    assert not {"checkerboard_ratio", "checkerboard_excess", "pattern", "saturated"} & scored.keys()
    assert {"variance_ratio", "nearest_ratio", "border_mean"} <= scored.keys()
    assert not any("disc" in name or "gen_" in name for line in lines for name in line)
    # It learned what it can: mean and sigma of the training maps.
    real, made = (open_map_store(run / where / "maps").read() for where in ("simulate", "generate"))
    assert made.shape[1] == 24
    assert made.std() == pytest.approx(real.std(), rel=0.15)
    record = json.loads((run / "train/stage.json").read_text())["flags"]
    assert (record["emulator"], record["toy_slope"]) == ("toy", 0.8)
    assert not {"num_layers", "latent_size", "update_order"} & record.keys()


def test_what_has_no_meaning_is_left_out_of_the_report_with_its_reason(run):
    novelty = json.loads((run / "novelty/novelty.json").read_text())
    assert novelty["features"] is None
    assert set(novelty["birthday"]) == {"pixels", "spectrum"}
    assert novelty["interpolation"]["halving"]["worst"] == pytest.approx(0.5, abs=0.1)  # a field moves as one
    text = (run / "report/report.html").read_text()
    plain = re.sub("<[^>]*>", " ", text)
    assert "Not drawn: Upsampling's pattern, since this kind of emulator upsamples nowhere" in plain.replace(
        "&#x27;", "'"
    )
    assert "Not drawn: Pairs by features of the training, since a toy looks at no features." in plain
    assert "Interpolation" in plain
    card = json.loads((run / "pack/a-toy/card.json").read_text())
    assert card["architecture"] == {"kind": "toy", "slope": 0.8}
    words = (run / "pack/a-toy/card.md").read_text()
    assert "emulator toy" in words
    assert "No generated pixel exceeds" not in words
    assert "filters" not in words


def test_the_packed_toy_makes_the_same_maps_and_others_of_any_size(run, folder, run_main):
    kappa = open_map_store(run / "generate/maps").read().reshape(32, 24, 24)
    emulator = load(run / "pack/a-toy")
    np.testing.assert_allclose(emulator.sample(0, 32), kappa, rtol=0, atol=1e-5 * kappa.std())
    assert isinstance(emulator.variables["affine"], tuple)
    code, _, error = run_main(
        f"--workdir={folder}/alone", f"--pretrained={run / 'pack/a-toy'}", "--num_generated=5"
    )
    assert code == 0, error
    alone = open_map_store(folder / "alone/generate/maps").read().reshape(5, 24, 24)
    np.testing.assert_allclose(alone, kappa[:5], rtol=0, atol=1e-5 * kappa.std())
    larger = emulator.of_size(50)
    assert larger.sample(0, 2).shape == (2, 50, 50)
    assert larger.geometry.pixel_arcmin == pytest.approx(emulator.geometry.pixel_arcmin)
    with pytest.raises(ValueError, match="size=128x128: this generator makes maps of 64x64 pixels only"):
        load("planes-z0.99-64").of_size(128)


@pytest.mark.slow
def test_a_training_that_grows_goes_on_to_the_same_bits(run, folder, run_main):
    for name, steps in (("grown", 66), ("whole", 66)):
        if name == "grown":
            code, _, error = run_main(f"--workdir={folder}/grown", *RUN, "--num_steps=45",
                                      "--stages=simulate,prepare,train")  # fmt: skip
            assert code == 0, error
        code, _, error = run_main(f"--workdir={folder}/{name}", *RUN, f"--num_steps={steps}",
                                  "--stages=simulate,prepare,train")  # fmt: skip
        assert code == 0, error
    found = []
    for name in ("grown", "whole"):
        _, like, checkpoints = open_trained(folder / name)
        state = checkpoints.restore(66, like)
        checkpoints.close()
        found.append([np.asarray(leaf) for leaf in jax.tree.leaves(state._replace(key=None))])
    for a, b in zip(*found, strict=True):
        np.testing.assert_array_equal(a, b)


def test_kinds_that_are_not_there_and_flags_that_do_not_go_together(toy, run_main, parse, tmp_path):
    for flag, words in (
        ("--emulator=resnet", "emulator='resnet' is none of the kinds there are: dcgan, lognormal_gan, toy"),
        ("--emulator=", "emulator='' is none of the kinds there are: dcgan, lognormal_gan, toy"),
    ):
        with pytest.raises(ValueError, match=re.escape(words)):
            parse(f"--workdir={tmp_path}", flag)
    code, _, error = run_main(f"--workdir={tmp_path}/run", *RUN, "--stop_when=checkerboard_ratio<3")
    assert code == 1
    assert "checkerboard_ratio has no meaning for emulator=toy" in error
    with pytest.raises(ValueError, match="architecture: kind='resnet' is none of the kinds there are"):
        model_of({"kind": "resnet"})
    with pytest.raises(ValueError, match=r"architecture: kind=\['dcgan'\] is none"):
        model_of({"kind": ["dcgan"]})


def test_another_kind_in_the_same_directory_is_refused_by_its_name(run, run_main):
    code, _, error = run_main(f"--workdir={run}", *RUN, "--emulator=dcgan", "--crop_size=24", "--stages=select")
    assert code == 1
    assert "emulator=dcgan differs from emulator=toy" in error


def test_latents_of_several_fields_move_along_great_circles_each():
    keys = jax.random.split(jax.random.key(0), 4)
    start, stop = (
        {"a": jax.random.normal(k1, (3, 8, 8)), "b": (5 * jax.random.normal(k2, (3, 4)),)}
        for k1, k2 in (keys[:2], keys[2:])
    )
    walk, compiled = jax.jit(paths, static_argnums=2)(start, stop, 4), jax.jit(slerp)
    assert walk["a"].shape == (3, 5, 8, 8)
    assert walk["b"][0].shape == (3, 5, 4)
    for found, ends in ((walk["a"], (start["a"], stop["a"])), (walk["b"][0], (start["b"][0], stop["b"][0]))):
        flat = [end.reshape(3, -1) for end in ends]
        for point, t in enumerate(np.linspace(0, 1, 5)):
            expected = compiled(*flat, jnp.full(3, t))
            np.testing.assert_allclose(found[:, point].reshape(3, -1), expected, atol=2e-5)


def test_parameters_of_the_maps_reach_the_step_and_go_with_the_emulator(toy, folder, run_main):
    """The toy adds theta's sum to its maps, all of omega_m = 0.26: the affine map must take it away again."""
    flags = [flag for flag in RUN if not flag.startswith(("--num_steps", "--learning_rate"))]
    flags += [f"--workdir={folder}/conditional", "--condition_on=omega_m", "--num_steps=40"]
    flags += ["--learning_rate=0.05"]
    code, _, error = run_main(*flags, "--stages=simulate,prepare,train,select")
    assert code == 0, error
    generators = Generators(folder / "conditional", "last")
    shift = float(generators.restore(generators.checkpoints()[-1])["affine"][0])
    generators.close()
    assert shift == pytest.approx(-0.26, abs=0.05)
    code, _, error = run_main(*flags, "--stages=generate")
    assert code == 0, error
    drawn = open_map_store(folder / "conditional/generate/maps").parameters["omega_m"]
    assert drawn == pytest.approx([0.26] * len(drawn))
    made = trained(folder / "conditional", "last", "last").emulator
    assert made.parameters == ("omega_m",)
    theta = jnp.asarray([[0.26], [0.36]])
    maps = made.draw(made.key(0), jnp.zeros(2, jnp.int32), theta)
    assert maps.shape == (2, 24, 24, 1)
    np.testing.assert_allclose(maps[1] - maps[0], 0.02 * 0.1, rtol=1e-3)  # in kappa
    for wrong, words in ((None, "theta is missing, a row of omega_m a map"), (theta[:, :0], "theta.shape=")):
        with pytest.raises(ValueError, match=words):
            made.sample(0, 2, theta=wrong)


def test_the_conditioned_on_must_be_known_of_every_map(toy, tmp_path, run_main):
    code, _, error = run_main(*RUN, f"--workdir={tmp_path}/run", "--condition_on=m_nu",
                              "--stages=simulate,prepare,train")  # fmt: skip
    assert code == 1
    assert "m_nu" in error
