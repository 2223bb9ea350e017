"""Who asks for what cannot be gets exit code 1 and one line with the name and the value, and leaves nothing."""

import gzip
import json
import os
import pickle
import shutil
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest
from absl import flags as absl_flags
from astropy.io import fits

from cosmogan_jax.files.json_files import write_json
from cosmogan_jax.stages.agreement import chain
from cosmogan_jax.stages.evaluate import judgement
from cosmogan_jax.stages.report import evaluated

ROOT = Path(__file__).resolve().parents[1]
SIZE = 32
SMALL = (
    "--crop_size=16", "--crops_per_map=4", "--normalisation=linear", "--normalisation_scale=0.1",
    "--num_filters=2", "--batch_size=4", "--num_steps=2", "--sample_every_steps=0", "--novelty_maps=0",
    "--observer_smoothing_arcmin=", "--num_permutations=49", "--num_resamples=50", "--classifier_steps=0",
)  # fmt: skip


def noise(count, size=SIZE, seed=0):
    return np.random.default_rng(seed).normal(size=(count, size, size)).astype(np.float32) * 0.02


def _fits(path, image, **cards):
    path.parent.mkdir(exist_ok=True)
    fits.PrimaryHDU(image, fits.Header(cards)).writeto(path)


@pytest.fixture(scope="module")
def given(tmp_path_factory):
    """A folder of files as users have them, few of them good."""
    folder = tmp_path_factory.mktemp("given")
    good, small = noise(12), noise(6, 16)
    arrays = {
        "good": good, "smaller": noise(4, 24), "two": noise(2), "whole_numbers": (1000 * good).astype(int),
        "complex": good.astype(complex), "mask": good > 0, "line": good[0, 0], "five_axes": good[None, None],
        "not_square": good[:, :16], "none": good[:0], "nan": good * np.nan, "flat": good * 0 + 0.5,
        "records": np.zeros((3, 8, 8), [("kappa", "f4")]), "set": small, "other": small[::-1] * 1.1,
        "one": small[:1], "flat_set": small * 0 + 1, "large_set": noise(6, 24),
    }  # fmt: skip
    for name, array in arrays.items():
        np.save(folder / f"{name}.npy", array)
    np.save(folder / "objects.npy", np.array([good[0], None], object), allow_pickle=True)
    hole = small.copy()
    hole[3, 1, 2] = np.inf
    np.save(folder / "hole.npy", hole)
    np.savez(folder / "archive.npz", good)
    (folder / "pickle.npy").write_bytes(pickle.dumps(good))
    content = (folder / "good.npy").read_bytes()
    (folder / "cut.npy").write_bytes(content[:3000])
    (folder / "head.npy").write_bytes(content[:40])
    (folder / "empty.npy").touch()
    (folder / "words.npy").write_text("a text")
    (folder / "raw.f32").write_bytes(good.tobytes()[:-1])
    _fits(folder / "silent.fits", good[0])
    content = (folder / "silent.fits").read_bytes()
    (folder / "cut.fits").write_bytes(content[:4000])
    (folder / "cut.fits.gz").write_bytes(gzip.compress(content, mtime=0)[:-900])
    with h5py.File(folder / "two.h5", "w") as file:
        file["a"], file["b"] = good, good
    (folder / "cut.h5").write_bytes((folder / "two.h5").read_bytes()[:4000])
    (folder / "table.csv").write_text("file,omega_m\n0.fits,0.3\n1.fits,high\n")
    (folder / "nothing").mkdir()
    for name, angle, redshift in (("near", 1.0, 1.0), ("wide", 2.0, 1.0), ("far", 1.0, 2.0)):
        for number in range(2):
            _fits(folder / name / f"{number}.fits", small[number], ANGLE=angle, ZSOURCE=redshift)
    return folder


@pytest.fixture
def refused(run_main, given, tmp_path):
    """A function (flag, ...) -> the line of the error; {} in a flag is the folder of files."""

    def run(*flags, workdir=tmp_path / "run"):
        before = {path: path.read_bytes() for path in workdir.glob("*/stage.json")}
        written = [flag.replace("{}", str(given)) for flag in (f"--workdir={workdir}", *SMALL, *flags)]
        try:
            code, _, error = run_main(*written)
        except (
            absl_flags.Error
        ) as refusal:  # absl's own main prints it, and exits with 1: see the processes below
            assert not workdir.exists() or before
            return str(refusal)
        assert code == 1, error
        lines = error.splitlines()
        assert [line.startswith("error: ") for line in lines].count(True) == 1, error
        assert lines[-1].startswith("error: "), error
        assert {path: path.read_bytes() for path in workdir.glob("*/stage.json")} == before
        return lines[-1].removeprefix("error: ")

    return run


VALUES = {
    # Flags that are misspelt, or whose values are.
    "--num_filter=3": "Unknown command line flag 'num_filter'. Did you mean: num_filters",
    "--stages=trian": "unknown stage 'trian'; there are simulate,prepare,train,select,generate",
    "--stages=": "names no stage",
    "--sky=logonormal": "--sky=logonormal: value should be one of <lognormal|planes|nbody>",
    "--crop_size=large": "--crop_size=large: invalid literal for int()",
    "--learning_rate=": "--learning_rate=: could not convert string to float",
    "--num_permutations=1e3": "--num_permutations=1e3: invalid literal for int()",
    "--seed=-1": "--seed=-1: -1 is not an integer in the range [0, 4294967295]",
    "--generate_seed=4294967296": "--generate_seed=4294967296: 4294967296 is not an integer in the range",
    "--checkpoint=best": "--checkpoint=best: must be selected, last, or a step",
    "--export=png": "knows fits, npy and hdf5 only",
    "--pack=../x": "--pack=../x: must be of small letters, digits",
    "--novelty_steps=3": "--novelty_steps=3: must be even",
    "--novelty_fraction=nan": "--novelty_fraction=nan: must lie between 0 and 1",
    "--observer_smoothing_arcmin=1,-1": "expected positive numbers, as 1,2",
    "--galaxies_per_arcmin2=0": "expected positive numbers, as 30 or 4,6,7,9",
    "--galaxies_per_arcmin2=": "must be one number, or one of each source bin",
    "--galaxies_per_arcmin2=4,6": "galaxies of 2 source bins, and maps have 1; give one number for all",
    "--evaluate_l_bins=99": "--evaluate_l_bins=99: 99 is not an integer in the range [2, 20]",
    # Simulate.
    "--map_pixels=0": "map_pixels=0 must be positive",
    "--map_pixels=99999999999999999999": "map_pixels=99999999999999999999 must be smaller than 2**63",
    "--side_deg=nan": "side_deg=nan must be a finite number",
    "--side_deg=-1": "side_deg=-1.0 must be positive",
    "--side_deg=200": "side_deg=200.0 must be at most 180",
    "--source_redshift=inf": "source_redshift=inf must be a finite number",
    "--source_redshift=9": "source_redshift=9.0 must lie in (0, 3]",
    "--lognormal_shift=0": "lognormal_shift=0.0 must be positive",
    "--omega_m=2": "omega_m=2.0 must be at most 1",
    "--omega_b=0.5": "omega_b=0.5 must be below omega_m=0.26",
    "--num_train_maps=0": "num_train_maps=0 must be at least 1",
    "--sky=planes": "sky=planes needs --lens_planes=<folder of lens planes>",
    "--sky=planes --lens_planes={}/nothing": "/nothing holds no .fits",
    "--lens_planes={}/nothing": "goes with --sky=planes; sky=lognormal makes nothing of it",
    "--sharpen_to=halofit": "sharpen_to=halofit goes with --sky=nbody",
    "--sky=nbody --num_particles_side=0": "num_particles_side=0 must be at least 2",
    "--sky=nbody --mesh_factor=-1": "mesh_factor=-1 must be at least 1",
    "--sky=nbody --plane_pixels=0": "plane_pixels=0 must be at least 1",
    "--sky=nbody --box_size=0": "box_size=0.0 must be positive",
    "--sky=nbody --ray_tracing=born --num_train_boxes=0": "num_train_boxes=0 must be positive",
    # Prepare, train, select and generate: said before the simulation begins.
    "--crop_size=0": "crop_size=0 must be positive",
    "--crop_size=48": "crop_size=48 is larger than map_pixels=32",
    "--crop_size=24": "crop_size=24 must be divisible by 2**num_layers=16",
    "--map_pixels=8": "crop_size=16 is larger than map_pixels=8",
    "--crops_per_map=-2": "crops_per_map=-2 must be positive",
    "--normalisation_scale=0": "normalisation_scale=0.0 must be positive",
    "--validation_share=0.95": "leave some maps to train on",
    "--downsample=2": "downsample=2 goes with --maps",
    "--map_parameters={}/table.csv": "/table.csv goes with --maps; without it, maps come from stage simulate",
    "--parameters_from_name=Om{omega_m}": "parameters_from_name=Om{omega_m} goes with --maps",
    "--vary=omega_m,sigma8": "vary=omega_m,sigma8 goes with --maps",
    "--vary=Omega": "vary=Omega: 'Omega' is no name of a parameter, which has small letters, digits and _",
    "--num_layers=3": "num_layers=3 must be at least 4",
    "--loss=hinge": "label_flip_probability=0.01 must be 0 with a loss other than non_saturating",
    "--loss=wasserstein": "disc_norm='batch' must be 'none' with loss=wasserstein and its gradient penalty",
    "--r1_penalty=-1": "flag --r1_penalty=-1: -1.0 is not a non-negative number",
    "--emulator=vae": "emulator='vae' is none of the kinds there are: dcgan",
    "--num_filters=0": "num_filters=0 must be positive",
    "--batch_size=0": "batch_size=0 must be at least 2",
    "--learning_rate=-1": "learning_rate=-1.0 must be positive",
    "--adam_beta1=1": "adam_beta1=1.0 must lie in [0, 1)",
    "--label_flip_probability=2": "label_flip_probability=2.0 must lie in [0, 1]",
    "--num_steps=0": "num_steps=0 must be positive: nothing to train",
    "--sample_every_steps=-1": "sample_every_steps=-1 must not be negative",
    "--stop_when=luck<1": "stop_when='luck<1': unknown score 'luck'; there are",
    "--score_maps=100": "score_maps=100 must be at most 64 or a multiple of it",
    "--weights=ema": "weights=ema, but ema_decay=0 keeps no average",
    "--compute_dtype=bfloat16_gradients --convolution_form=stock": "needs convolution_form=auto, phases",
    "--select_again=0": "select_again=0 must be at least 1",
    "--num_generated=-5": "num_generated=-5 must be positive",
    "--generate_batch=0": "generate_batch=0 must be positive",
    "--process_id=3": "process_id=3: all three must be given, or none",
}


SKY = (
    "--map_pixels=32",
    "--side_deg=1",
    "--num_train_maps=4",
    "--num_development_maps=2",
    "--num_validation_maps=2",
)
FILES = {
    "good.npy": "does not say how wide its maps are: give --side_deg",
    "good.npy --side_deg=inf": "side_deg=inf must be a finite number",
    "missing.npy --side_deg=1": "maps={}/missing.npy: no such file, folder or glob",
    "nothing --side_deg=1": "the folder holds no file that ends in .npy",
    "empty.npy --side_deg=1": "{}/empty.npy is empty",
    "words.npy --side_deg=1": "it begins with b'a text'",
    "head.npy --side_deg=1": "{}/head.npy is not a whole npy file: EOF",
    "cut.npy --side_deg=1": "(12, 32, 32) of float32 needs 49152 bytes, 2872 are there",
    "pickle.npy --side_deg=1": "a pickle, which is never loaded",
    "objects.npy --side_deg=1": "pickled Python objects, which are never loaded",
    "whole_numbers.npy --side_deg=1": "holds int64; convergence maps are real floating-point numbers",
    "complex.npy --side_deg=1": "holds complex128; convergence maps are real",
    "mask.npy --side_deg=1": "holds bool; convergence maps are real",
    "records.npy --side_deg=1": "holds void32; convergence maps are real",
    "line.npy --side_deg=1": "line.npy has shape (32,); expected (row, column)",
    "five_axes.npy --side_deg=1": "has shape (1, 1, 12, 32, 32); expected",
    "none.npy --side_deg=1": "has shape (0, 32, 32): it holds no map",
    "nan.npy --side_deg=1": "nan.npy[0] holds no valid pixel",
    "flat.npy --side_deg=1": "flat.npy[0] is constant: every valid pixel is 0.5",
    "two.npy --side_deg=1": "2 maps are too few to be split into train, development and validation maps",
    "good.npy,{}/smaller.npy --side_deg=1": "maps disagree, a data set has one size: pixels a side 32 in",
    "good.npy --side_deg=1 --validation_maps={}/good.npy": "what is tested must not be trained on",
    "good.npy --side_deg=1 --validation_maps=": "validation_maps= names nothing",
    "good.npy --side_deg=1 --downsample=5": "downsample=5 must divide the 32 pixels",
    "good.npy --side_deg=1 --crop_size=64": "crop_size=64 is larger than the maps of 32 pixels",
    "good.npy --side_deg=1 --crops_per_map=500": "crops_per_map=500 is more than the 289 positions",
    "good.npy --side_deg=1 --channel=1": "channel=1 is for arrays with a channel axis, and none is given",
    "good.npy --side_deg=1 --hdf5_dataset=": "hdf5_dataset= names nothing",
    "raw.f32 --side_deg=1": "raw float32 of 49151 bytes: give its shape, --raw_shape=rows,columns",
    "raw.f32 --side_deg=1 --raw_shape=32,32": "has 49151 bytes, not a multiple of the 4096",
    "raw.f32 --side_deg=1 --raw_shape=a,b": "--raw_shape=a,b: expected whole numbers, as 2048,2048",
    "silent.fits": "silent.fits does not say how wide its maps are",
    "cut.fits --side_deg=1": "cut.fits is not a whole FITS image: File may have been truncated",
    "cut.fits.gz --side_deg=1": "cut.fits.gz is not a whole FITS image",
    "near/0.fits,{}/wide/1.fits": "maps disagree, a data set has one angle: degrees wide 1 in",
    "near/0.fits --source_redshift=2": "source_redshift=2 disagrees with {}/near/0.fits, which says 1",
    "far/0.fits,{}/near/1.fits": "2 in {}/far/0.fits, 1 in {}/near/1.fits; --vary=source_redshift where",
    "near/0.fits --vary=source_redshift --source_redshift=1": "source_redshift=1 is of all maps, and vary=",
    "near/0.fits --vary=omega_m": "vary=omega_m: no map says its omega_m; known are source_redshift",
    "near/0.fits --map_parameters={}/missing.csv": "map_parameters={}/missing.csv: no such file",
    "near/0.fits --map_parameters={}/nothing": "map_parameters={}/nothing: no such file",
    "near/0.fits --map_parameters={}/good.npy": "good.npy is not a CSV file: ",
    "near/0.fits --map_parameters={}/words.npy": "words.npy: its first column is 'a text', not 'file'",
    "near/0.fits --map_parameters={}/table.csv": "table.csv, line 3: omega_m='high' is not a finite number",
    "near/0.fits --map_parameters=": "map_parameters= names nothing",
    "near/0.fits --parameters_from_name=Om{omega_m": "{omega_m: a brace without its partner",
    "near/0.fits --parameters_from_name=Om{omega_m}": "Om{omega_m} does not fit {}/near/0.fits",
    "near/0.fits --parameters_from_name=/{source_redshift}.f": "but 1 by the file itself",
    "near/0.fits --parameters_from_name=": "parameters_from_name= names nothing",
    "two.h5 --side_deg=1": "choose its dataset with --hdf5_dataset; arrays of 2 to 4 axes: a (12, 32, 32), b",
    "two.h5 --side_deg=1 --hdf5_dataset=c": "has no dataset hdf5_dataset=c",
    "cut.h5 --side_deg=1": "cut.h5 is not a whole HDF5 file",
}
SETS = {
    "--generated={}/set.npy": "holds no finished stage 'prepare'; run --stages=prepare first",
    "--reference={}/set.npy": "holds no finished stage 'generate'; run --stages=generate first",
    "--generated= --reference={}/set.npy": "generated= names nothing",
    "--generated={}/missing --reference={}/set.npy": "generated={}/missing: no such file",
    "--generated={}/one.npy --reference={}/set.npy": "generated: 1 map from {}/one.npy; two are needed",
    "--generated={}/other.npy --reference={}/one.npy": "reference: 1 map from {}/one.npy; two are needed",
    "--generated={}/other.npy --reference={}/set.npy --auxiliary={}/one.npy": "auxiliary: 1 map",
    "--generated={}/hole.npy --reference={}/set.npy": "{}/hole.npy[3] holds 1 invalid pixel of 256",
    "--generated={}/other.npy --reference={}/hole.npy": "; --invalid_pixels=avoid judges 1 map by",
    "--generated={}/other.npy --reference={}/flat_set.npy": "pixels between 1 and 1 are constant",
    "--generated={}/whole_numbers.npy --reference={}/set.npy": "whole_numbers.npy holds int64",
    "--generated={}/large_set.npy --reference={}/set.npy": "have 24 pixels over 1 deg",
    "--generated={}/other.npy --reference={}/set.npy --independent_unit=box": "do not say which box",
    "--generated={}/other.npy --reference={}/set.npy --observer_smoothing_arcmin=90": "=90 leaves nothing",
    "--generated={}/other.npy --reference={}/set.npy --shape_noise_sigma_e=nan": "must be a finite",
}  # fmt: skip
OF_FITS = {
    "--generated={}/near --reference={}/wide": "generated maps have 16 pixels over 1 deg",
    "--generated={}/near --reference={}/far": "generated maps are of source redshift 1, validation maps of 2",
}
STAGES = {
    "prepare": "simulate", "train": "prepare", "select": "prepare", "generate": "prepare",
    "evaluate": "prepare", "novelty --novelty_maps=8": "prepare",
    "export --export=npy": "generate", "report": "evaluate",
    "pack --pack=x --pack_data=y": "prepare",
}  # fmt: skip
LEFT_OUT = {
    "--stages=export": "stages=export: nothing to do, --export names no format",
    "--stages=export --export=npy --export_from={}/nothing": "/nothing holds no whole map store",
    "--stages=export --export=npy --export_from=": "export_from= names nothing",
    "--stages=pack": "stages=pack: nothing to do, --pack names none",
    "--stages=pack --pack=x": "pack=x needs --pack_data=",
    "--stages=generate --pretrained=nosuch": "pretrained='nosuch' is neither a folder with a card",
    "--stages=generate --pretrained=": "pretrained= names nothing",
    "--stages=generate --pretrained={}/nothing": "/nothing' is neither a folder with a card.json",
    "--stages=train --pretrained=planes-z0.99-64": "pretrained=planes-z0.99-64 goes without stage 'train'",
    "--pretrained=planes-z0.99-64 --checkpoint=3": "checkpoint=3 is of a training; pretrained=",
    "--workdir=": "workdir= names nothing",
    "--workdir={}/empty.npy": "workdir={}/empty.npy cannot be written: it is a file",
    "--workdir={}/empty.npy/run": "workdir={}/empty.npy/run cannot be written: Not a directory",
}  # fmt: skip


@pytest.mark.parametrize(("flags", "words"), VALUES.items(), ids=str)
def test_flags(refused, flags, words):
    assert words in refused(*SKY, *flags.split())


@pytest.mark.parametrize(("maps", "words"), FILES.items(), ids=str)
def test_files_of_maps(refused, given, maps, words):
    name, *flags = maps.split()
    assert words.replace("{}", str(given)) in refused("--stages=prepare", f"--maps={{}}/{name}", *flags)


@pytest.mark.parametrize(("flags", "words"), (SETS | OF_FITS).items(), ids=str)
def test_sets_to_judge(refused, given, flags, words):
    side = () if flags in OF_FITS else ("--side_deg=1",)
    line = refused("--stages=evaluate", *side, *flags.split())
    assert words.replace("{}", str(given)) in line


@pytest.mark.parametrize(("stage", "earlier"), STAGES.items(), ids=str)
def test_a_stage_without_the_one_before(refused, tmp_path, stage, earlier):
    words = f"workdir={tmp_path}/run holds no finished stage '{earlier}'; run --stages={earlier} first"
    assert refused(*f"--stages={stage}".split()) == words


@pytest.mark.parametrize(("flags", "words"), LEFT_OUT.items(), ids=str)
def test_nothing_to_work_on(refused, given, flags, words):
    assert words.replace("{}", str(given)) in refused(*flags.split())


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (("--num_filter=3",), "Unknown command line flag 'num_filter'. Did you mean: num_filters"),
        (("--batch_size=many",), "flag --batch_size=many: invalid literal for int()"),
    ],
)
def test_a_process_ends_with_a_line_and_1(tmp_path, flags, words):
    """absl's own refusals, with its hint where the flags are listed."""
    done = subprocess.run(
        [sys.executable, "-m", "cosmogan_jax.main", f"--workdir={tmp_path}/run", *flags],
        capture_output=True, text=True, cwd=ROOT, env={**os.environ, "JAX_PLATFORMS": "cpu"}, timeout=120,
    )  # fmt: skip
    assert done.returncode == 1
    assert words in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "run").exists()


# Directories of a run that are damaged, or that another version left.


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A run whose stages up to evaluate are whole by their records; only prepare's is by its content."""
    return tmp_path_factory.mktemp("finished")


def plant(parse, workdir, stage, flags, summary):
    """A stage's directory with the record of a whole one."""
    settings = parse(f"--workdir={workdir}", *flags).by_stage
    (workdir / stage).mkdir(parents=True)
    record = {
        "flags": chain(stage, settings),
        "inputs": {},
        "summary": summary,
        "result": "x",
        "finished": "now",
    }
    write_json(workdir / stage / "stage.json", {**record, "seconds": 1.0})


@pytest.fixture
def prepared(finished, given, run_main, tmp_path):
    """A copy of a run with a whole stage prepare, and its flags."""
    flags = (*SMALL, f"--maps={given}/good.npy", "--side_deg=1")
    if not (finished / "run").exists():
        assert run_main(f"--workdir={finished}/run", "--stages=prepare", *flags)[0] == 0
    shutil.copytree(finished / "run", tmp_path / "run")
    return tmp_path / "run", flags


def change(without=None, **fields):
    """A function (JSON object) -> the object with other fields."""

    def changed(content):
        return {name: value for name, value in {**content, **fields}.items() if name != without}

    return changed


@pytest.mark.parametrize(
    ("name", "to", "words"),
    [
        ("stage.json", b"", "stage.json is not a JSON file: Expecting value"),
        ("stage.json", b"\xff\xfe\x00", "stage.json is not a JSON file"),
        ("stage.json", b"[" * 100_000, "stage.json is not a JSON file: "),
        ("stage.json", b"[]", "stage.json holds [], not an object of the fields flags, inputs"),
        ("stage.json", change(without="flags"), "stage.json says nothing of 'flags': damaged, or"),
        ("stage.json", change(result=True), "stage.json: result=True is not of type str"),
        ("manifest.json", b"{}", "manifest.json says nothing of 'maps'"),
        ("manifest.json", change(maps="../../other/maps"), "maps='../../other/maps' is none of this run's"),
        ("manifest.json", change(maps="/etc"), "is none of this run's map stores, maps, ../simulate"),
        ("manifest.json", change(crop_size=64), "crop_size=64 does not fit"),
        ("manifest.json", change(parents=[0]), "1 parents for the 12 maps of"),
        ("manifest.json", change(normalisation={"kind": "log", "scale": 1}), "kinds none, linear, arcsinh"),
        ("crops_train.npy", b"", "crops_train.npy is not a whole npy file: EOF"),
        ("crops_train.npy", np.zeros((2, 3)), "crops_train.npy holds float64 of shape (2, 3), not rows"),
        ("crops_train.npy", np.array([[0, 17, 0]]), "holds crops of 16 pixels outside of the maps"),
        ("crops_train.npy", np.array([[-1, 0, 0]]), "holds crops of 16 pixels outside of the maps"),
        ("crops_train.npy", None, "crops_train.npy is missing"),
        ("maps/manifest.json", b"[]", "manifest.json holds [], not an object"),
        ("maps/manifest.json", change(version=1), "expected 'cosmogan_jax map store' version 2 or 3"),
        ("maps/manifest.json", change(shape=[12, 32]), "shape=[12, 32] is not that of maps"),
        ("maps/manifest.json", change(shape=[12, 32, 32]), "that of maps, [maps, rows, columns, bins]"),
        ("maps/manifest.json", change(version=2), "is not that of maps, [maps, rows, columns]"),
        ("maps/manifest.json", change(parameters={"h": [0.7]}), "h must have one value for each of 12 maps"),
        ("maps/manifest.json", change(parameters={"h": 12 * ["0.7"]}), "h=0.7 of map 0 is not a finite number"),
        ("maps/manifest.json", change(parameters=3), "parameters must be an object of lists"),
        ("maps/manifest.json", change(side_deg="1"), "side_deg='1' is not of type float"),
        ("maps/manifest.json", change(splits=["train"]), "splits must have one entry for each of 12 maps"),
        ("maps/manifest.json", change(shards={"../../../stage.json": 5}), "has 0 bytes of 5: not a"),
        ("maps/kappa/zarr.json", b"", "maps/kappa: the array cannot be opened"),
    ],
)  # fmt: skip
def test_damaged_directories(prepared, refused, name, to, words):
    workdir, flags = prepared
    path = workdir / "prepare" / name
    if to is None:
        path.unlink()
    elif isinstance(to, bytes):
        path.write_bytes(to)
    elif isinstance(to, np.ndarray):
        np.save(path, to)
    else:
        path.write_text(json.dumps(to(json.loads(path.read_text()))))
    assert words in refused("--stages=train", *flags, workdir=workdir)
    assert not (workdir / "train").exists()


def test_a_training_and_a_selection_that_do_not_fit(prepared, refused, parse):
    workdir, flags = prepared
    plant(parse, workdir, "train", flags, {"steps": 2, "steps_per_epoch": 1})
    line = refused("--stages=train", *flags, "--batch_size=8", workdir=workdir)
    assert "batch_size=8 differs from batch_size=4, with which stage 'train' was run in" in line
    plant(parse, workdir, "select", flags, {})
    for content, words in (
        ("{}", "says nothing of 'selected'"),
        ('{"selected": "x"}', "selected='x' is not of"),
    ):
        (workdir / "select/selection.json").write_text(content)
        assert words in refused("--stages=generate", *flags, workdir=workdir)


def test_a_report_of_another_versions_results(refused, parse, tmp_path):
    workdir, flags = tmp_path / "run", ("--generated=a", "--reference=b")
    plant(parse, workdir, "evaluate", (*SMALL, *flags), {})
    anew = f"; to make it anew, remove {workdir}/evaluate and run --stages=evaluate"
    empty = ("sets", "stationarity", "inference", "statistics", "position", "duplicates", "overall")
    results = {"schema": 3, "baseline": "", "views": {"as it is": {}}, "classifier": None, "similarity": None}
    results |= {name: {} for name in empty}
    for content, words in (
        (None, "results.json is missing" + anew),
        ({"power": [1.0]}, "says nothing of 'schema': damaged, or written by another version" + anew),
        ({**results, "schema": 99}, "results.json: schema=99, expected 3" + anew),
        ({**results, "sets": {"../../etc/x": {}}}, "sets or views are unknown" + anew),
        (results, "statistics.json is missing" + anew),
    ):
        if content is not None:
            (workdir / "evaluate/results.json").write_text(json.dumps(content))
        assert words in refused("--stages=report", *flags, workdir=workdir)
    tables = {"num_generated": 2, "num_validation": 2, "num_pixels": 16, "side_deg": 1.0, "l_edges": [],
              "statistics": {}, "power_ratio": [], "source_redshift": None}  # fmt: skip
    (workdir / "evaluate/statistics.json").write_text(json.dumps(tables))
    line = refused("--stages=report", *flags, workdir=workdir)
    assert "cannot be drawn (KeyError" in line
    assert f"remove {workdir}/evaluate" in line
    assert evaluated.SCHEMA == judgement.SCHEMA
