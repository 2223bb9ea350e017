"""The whole loop through the command line, at tiny size; resumed equals undisturbed; errors are one line."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from conftest import run_here
from whole_runs import assert_same_stage

from cosmogan_jax.maps.store import open_map_store
from cosmogan_jax.stages.train.training_log import read_log

ROOT = Path(__file__).resolve().parents[1]
TINY = [
    "--map_pixels=32",
    "--side_deg=1",
    "--num_train_maps=6",
    "--num_development_maps=3",
    "--num_validation_maps=3",
    "--crop_size=16",
    "--crops_per_map=6",
    "--normalisation=linear",
    "--normalisation_scale=0.12",
    "--num_filters=4",
    "--batch_size=4",
    "--checkpoint_every_steps=2",
    "--log_every_steps=1",
    "--sample_every_steps=4",
    "--select_maps=8",
    "--num_generated=10",
    "--generate_batch=4",
    "--novelty_maps=0",
    "--observer_smoothing_arcmin=",
    "--classifier_steps=0",
    "--num_permutations=49",
    "--num_resamples=50",
    "--export=fits,npy",
]


def main(workdir, *flags, code=0):
    done = subprocess.run(
        [sys.executable, "-m", "cosmogan_jax.main", f"--workdir={workdir}", *TINY, *flags],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env={**os.environ, "JAX_PLATFORMS": "cpu"},
        timeout=300,
    )
    assert done.returncode == code, done.stderr[-3000:]
    return done.stderr


def here(workdir, *flags, code=0):
    """What a run says in this process: no start of another, and no program read again."""
    found, said = run_here(f"--workdir={workdir}", *TINY, *flags)
    assert found == code, said[-3000:]
    return said


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    workdir = tmp_path_factory.mktemp("runs") / "whole"
    main(workdir, "--num_steps=6")
    # A dead generator makes one value everywhere, and all comparisons of maps would hold.
    assert open_map_store(workdir / "generate/maps").read().std() > 1e-6
    return workdir


def test_loop_ends_in_a_report(whole):
    page = (whole / "report/report.html").read_text()
    assert page.count("<img") == len(list((whole / "report/figures").glob("*.png"))) == 12
    assert not re.search(r"(src|href)=['\"]?http", page)
    tables = json.loads((whole / "evaluate/statistics.json").read_text())
    assert tables["num_generated"] == 10
    assert sorted(p.name for p in (whole / "train/samples").iterdir()) == [
        "step_0000004.png",
        "step_0000006.png",
    ]


# Each of those of JAX ended some stage; the last one is what a notebook has in all that it starts.
SWITCHES_OF_A_SHELL = {
    "JAX_ENABLE_X64": "1",
    "JAX_DEBUG_NANS": "1",
    "JAX_DEBUG_INFS": "1",
    "JAX_NUMPY_RANK_PROMOTION": "raise",
    "JAX_NUMPY_DTYPE_PROMOTION": "strict",
    "JAX_TRANSFER_GUARD": "disallow",
    "JAX_DEFAULT_MATMUL_PRECISION": "bfloat16",
    "JAX_EXPLICIT_X64_DTYPES": "error",
    "JAX_LEGACY_PRNG_KEY": "error",
    "JAX_DEBUG_KEY_REUSE": "1",
    "MPLBACKEND": "module://nowhere.to_be_found",
}


@pytest.mark.slow
def test_no_switch_of_a_shell_changes_a_run(whole, tmp_path, monkeypatch):
    """The same bits, a line that names what does not hold, and what each stage computes on."""
    for name, value in SWITCHES_OF_A_SHELL.items():
        monkeypatch.setenv(name, value)
    stages = ("simulate", "prepare", "train", "select", "generate", "evaluate")
    said = main(tmp_path / "run", "--num_steps=6", f"--stages={','.join(stages)}")
    first, *lines = said.splitlines()
    assert first.endswith(": not for runs, which keep JAX's defaults")
    for name, value in SWITCHES_OF_A_SHELL.items():
        assert (f"{name}={'True' if value == '1' else value}" in first) == name.startswith("JAX_")
    for stage in stages:
        assert_same_stage(stage, tmp_path / "run", whole)
        on = "" if stage == "prepare" else " on cpu"
        assert f"{stage}: begins in {tmp_path}/run/{stage}{on}" in lines


@pytest.mark.parametrize("backend", ["module://matplotlib_inline.backend_inline", "nonsense"])
def test_figures_are_drawn_under_any_backend(backend, tmp_path):
    code = (
        "import os, cosmogan_jax.figures.files as files; from matplotlib.figure import Figure; "
        "figure = Figure(); figure.subplots(); files.write_png_and_pdf(figure, files.Path(os.environ['TO'])); "
        "print(os.environ['MPLBACKEND'])"
    )
    environ = {**os.environ, "MPLBACKEND": backend, "TO": str(tmp_path / "figure")}
    done = subprocess.run([sys.executable, "-c", code], env=environ, capture_output=True, text=True, cwd=ROOT)
    assert done.stdout == f"{backend}\n", done.stderr  # what the environment says is left as it is
    assert sorted(os.listdir(tmp_path)) == ["figure.pdf", "figure.png"]


def test_exports_are_the_stored_maps(whole):
    from astropy.io import fits

    kappa = open_map_store(whole / "generate/maps").read()[..., 0]
    np.testing.assert_array_equal(np.load(whole / "export/kappa.npy", allow_pickle=False), kappa)
    with fits.open(whole / "export/fits/kappa_000003.fits") as opened:
        np.testing.assert_array_equal(opened[0].data, kappa[3])
        header = opened[0].header
    assert header["ANGLE"] == pytest.approx(0.5)
    # The range that evaluate found is in every file, or that there is none.
    validated = json.loads((whole / "evaluate/statistics.json").read_text())["validated"]
    assert header["VALFACT"] == validated["factor"] == 1.25
    for key, name in (("ELL", "ell"), ("KAP", "kappa")):
        if validated[name] is None:
            assert header[f"V{key}"] == "nowhere"
        else:
            assert [header[f"V{key}MIN"], header[f"V{key}MAX"]] == pytest.approx(validated[name])


def test_help_lists_the_flags():
    done = subprocess.run(
        [sys.executable, "-m", "cosmogan_jax.main", "--help"], capture_output=True, text=True, cwd=ROOT
    )
    for flag in ("--workdir", "--maps", "--num_epochs", "--[no]dry_run", "--export_from"):
        assert f"  {flag}:" in done.stdout


def test_a_key_that_interrupts(run_main, tmp_path, monkeypatch):
    from cosmogan_jax.stages import pipeline

    def pressed(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(pipeline, "run", pressed)
    assert run_main(f"--workdir={tmp_path}") == (
        130,
        "",
        "interrupted; the same command goes on from what is whole\n",
    )


def test_finished_stages_are_skipped_and_contradictions_named(whole):
    before = (whole / "train/stage.json").read_text()
    assert here(whole, "--num_steps=6").count("skipped") == 8
    message = here(whole, "--num_steps=6", "--num_filters=2", code=1)
    assert "num_filters=2" in message
    assert "num_filters=4" in message
    assert message.count("\n") == 1
    assert "num_steps=4 is less" in here(whole, "--num_steps=4", code=1)
    assert (whole / "train/stage.json").read_text() == before


@pytest.mark.slow
def test_grown_training_equals_undisturbed(whole, tmp_path):
    grown = tmp_path / "grown"
    here(grown, "--num_steps=4", "--stages=simulate,prepare,train,select")
    message = here(grown, "--num_steps=6", "--stages=simulate,prepare,train,select,generate")
    assert message.count("skipped") == 2
    one, two = (open_map_store(run / "generate/maps").read() for run in (whole, grown))
    np.testing.assert_array_equal(one, two)
    logs = [read_log(run / "train/metrics.jsonl", timed=False) for run in (whole, grown)]
    assert logs[0] == logs[1]


def test_interrupted_evaluation_goes_on(whole):
    import shutil

    from cosmogan_jax.files.json_files import read_json, write_json

    before = (whole / "evaluate/statistics.json").read_text()
    # What a run cut off after its first set of maps leaves: settings and finished parts, no record.
    record = read_json(whole / "evaluate/stage.json")
    partial = whole / "evaluate.partial"
    partial.mkdir()
    write_json(partial / "settings.json", {**record["flags"], "inputs": record["inputs"]})
    with np.load(whole / "evaluate/generated.npz") as values:
        planted = {key: values[key] for key in values if key not in ("parents", "pixels")}
    planted["V0"] = planted["V0"] + 1
    planted["digest"] = np.arange(10, dtype=np.uint64)
    planted |= {"position_count": np.full(1, 10.0, np.float32)}
    planted |= {f"position_{name}": np.zeros((1, 16, 16), np.float32) for name in ("mean", "m2")}
    np.savez(partial / "part_generated_00000000.npz", **planted)
    shutil.rmtree(whole / "evaluate")
    here(whole, "--num_steps=6", "--stages=evaluate")
    with np.load(whole / "evaluate/generated.npz") as values:
        np.testing.assert_array_equal(values["V0"], planted["V0"])
    assert not list((whole / "evaluate").glob("part_*"))
    # Without the parts, all is computed anew.
    shutil.rmtree(whole / "evaluate")
    here(whole, "--num_steps=6", "--stages=evaluate")
    assert (whole / "evaluate/statistics.json").read_text() == before


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--stages=trian"], "unknown stage 'trian'"),
        (["--num_filter=3"], "Did you mean"),
        (["something"], "unexpected argument 'something'"),
    ],
)
def test_bad_command_lines(tmp_path, flags, words):
    assert words in main(tmp_path / "run", *flags, "--num_steps=2", code=1)


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--stages=train"], "no finished stage 'prepare'"),
        (["--map_pixels=8", "--crops_per_map=1"], "crop_size=16 is larger than map_pixels=8"),
        (["--crop_size=24"], "crop_size=24 must be divisible by 2**num_layers=16"),
        (["--num_layers=3"], "num_layers=3 must be at least 4"),
        (["--sky=planes"], "needs --lens_planes"),
        (["--num_train_maps=0"], "num_train_maps=0"),
        (["--batch_size=400"], "batch_size=400 is more than"),
    ],
)
def test_bad_input(tmp_path, run_main, flags, words):
    code, _, error = run_main(f"--workdir={tmp_path}/run", *TINY, *flags, "--num_steps=2")
    assert code == 1
    assert words in error


def test_a_held_work_directory(tmp_path):
    from cosmogan_jax.runs.directory import hold

    with hold(tmp_path):
        assert "is held by another run" in here(tmp_path, code=1)
