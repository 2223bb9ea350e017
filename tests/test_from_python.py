"""A run from Python, as in a notebook: that of the command line, errors as exceptions, as often as wanted."""

import asyncio
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from conftest import quickly_compiled

import cosmogan_jax
from cosmogan_jax import flags
from cosmogan_jax.maps.store import open_map_store

SETTINGS = {
    "side_deg": 1, "crop_size": 16, "crops_per_map": 2, "normalisation": "linear",
    "normalisation_scale": np.float32(0.1), "num_filters": np.int64(4), "batch_size": 4,
    "sample_every_steps": 0, "num_steps": 2, "checkpoint": "last", "num_generated": 12,
    "stages": ("prepare", "train", "generate"),
}  # fmt: skip


@pytest.fixture
def maps(tmp_path):
    np.save(tmp_path / "k,1.npy", np.random.default_rng(2).normal(size=(8, 32, 32)).astype(np.float32) * 0.02)
    return [tmp_path / "k,1.npy"]  # a comma parts the words of a list


def test_a_run_in_a_notebook_is_that_of_the_command_line(maps, tmp_path, run_main):
    """Within a running event loop, as a notebook's cells are, twice, and on from a flag file."""

    async def cells():
        with quickly_compiled():
            first = cosmogan_jax.run(workdir=tmp_path / "a", maps=maps, **SETTINGS)
        return first, cosmogan_jax.run(tmp_path / "a/flags.txt", require="")

    first, again = asyncio.run(cells())
    assert first == again
    assert (first.workdir, first.paused) == (tmp_path / "a", None)
    assert list(first.stages) == ["prepare", "train", "generate"]
    assert first.stages["generate"] == {**first.stages["generate"], "step": 2, "num_maps": 12}
    ran = [json.loads(line)["command"] for line in (tmp_path / "a/runs.jsonl").read_text().splitlines()]
    assert ran[-1] == ["cosmogan_jax.run", f"--flagfile={tmp_path}/a/flags.txt", "--require="]

    def word(value):
        return ",".join(value) if isinstance(value, tuple) else value

    told = [f"--{name}={word(value)}" for name, value in SETTINGS.items()]
    code, _, error = run_main(f"--workdir={tmp_path}/b", f'--maps="{maps[0]}"', *told)
    assert code == 0, error
    one, two = (open_map_store(tmp_path / f"{run}/generate/maps").read() for run in "ab")
    np.testing.assert_array_equal(one, two)
    assert one.std() > 1e-6


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"num_filter": 8}, "Unknown command line flag 'num_filter'. Did you mean: num_filters"),
        ({"stages": "trian"}, "unknown stage 'trian'"),
        ({"crop_size": 17.5}, "crop_size=17.5"),
        ({"batch_size": True}, "batch_size=True"),
        ({"normalisation_scale": float("nan")}, "normalisation_scale=nan must be a finite number"),
        ({"seed": None}, "seed=None: leave it away, or give a value"),
        ({"sed": None}, "sed=None: leave it away, or give a value"),
        ({"maps": np.zeros((2, 4))}, "must be a number, a word, a path, or a list of such"),
        ({"maps": []}, "maps= names nothing"),
        ({"flagfile": "none.flags"}, "Unable to open flagfile: .*none.flags"),
        ({"crop_size": 64}, "crop_size=64 is larger than the maps of 32 pixels"),
        ({"batch_size": 400}, "batch_size=400 is more than"),
        ({"coordinator_address": "here:1"}, "all three must be given, or none"),
    ],
)
def test_what_the_command_line_refuses_is_an_exception(maps, tmp_path, settings, words):
    with pytest.raises(ValueError, match=words):
        cosmogan_jax.run(**{"workdir": tmp_path / "run", "maps": maps, **SETTINGS, **settings})


def test_a_run_that_fails_leaves_its_directory_free(maps, tmp_path):
    settings = {"workdir": tmp_path / "run", "maps": maps, **SETTINGS, "stages": ["prepare"]}
    cosmogan_jax.run(**settings)
    with pytest.raises(ValueError, match="crop_size=8 differs from crop_size=16, with which stage 'prepare'"):
        cosmogan_jax.run(**{**settings, "crop_size": 8})
    assert list(cosmogan_jax.run(**settings).stages) == ["prepare"]


@pytest.mark.slow
def test_a_training_that_its_clock_stops_says_how_it_goes_on(maps, tmp_path):
    settings = {"workdir": tmp_path / "run", "maps": maps, **SETTINGS, "num_steps": 50}
    with quickly_compiled():
        found = cosmogan_jax.run(**settings, max_minutes=1e-6)
    assert "max_minutes" in found.paused
    assert list(found.stages) == ["prepare"]


def test_ctrl_c_in_a_training_is_python_s_own_exception(maps, tmp_path, monkeypatch):
    from cosmogan_jax.machine import interruption
    from cosmogan_jax.stages import pipeline

    def stopped(*_):
        raise interruption.Paused("stopped by SIGINT after step 1", "SIGINT")

    monkeypatch.setattr(pipeline, "run", stopped)
    with pytest.raises(KeyboardInterrupt, match="after step 1"):
        cosmogan_jax.run(workdir=tmp_path / "run")


def test_flags_of_a_call_are_no_other_program_s(tmp_path):
    """A notebook's own absl flags, of the same names, neither disturb a call nor are disturbed."""
    code = """
import sys
from absl import flags
import cosmogan_jax

assert "jax" not in sys.modules
flags.DEFINE_string("workdir", "theirs", "")
flags.DEFINE_integer("seed", 7, "")
for _ in range(2):
    try:
        cosmogan_jax.run(workdir=sys.argv[1], seed=3, map_pixels=0)
    except ValueError as error:
        assert str(error) == "map_pixels=0 must be positive", error
    else:
        raise SystemExit("no error")
assert "map_pixels" not in flags.FLAGS
flags.FLAGS(["x"])
assert (flags.FLAGS.workdir, flags.FLAGS.seed) == ("theirs", 7)
"""
    done = subprocess.run([sys.executable, "-c", code, tmp_path / "run"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_settings_are_read_as_flags_are(parse):
    ours, command, text = flags.parse_call(
        None, {"workdir": Path("x"), "observer_smoothing_arcmin": [], "lens_planes": None}
    )
    theirs = parse("--workdir=x", "--observer_smoothing_arcmin=")
    assert ours == theirs
    assert text == flags.as_text()
    assert command == ["--workdir=x", "--observer_smoothing_arcmin="]
