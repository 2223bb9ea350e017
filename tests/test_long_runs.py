"""Trainings that are stopped and go on: nothing lost, nothing repeated, the same numbers as undisturbed."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import jax
import numpy as np
import pytest

from cosmogan_jax.emulators.trained import open_trained
from cosmogan_jax.runs.checkpoints import Checkpoints
from cosmogan_jax.stages.train.training_log import read_log

pytestmark = pytest.mark.usefixtures("quick")

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture
def tiny(tiny_run):
    return [*tiny_run, "--stages=prepare,train", "--crops_per_map=2", "--log_every_steps=3"]


def trained(workdir):
    """Steps of the checkpoints, metrics without measured times, and every leaf of the last state."""
    _, like, checkpoints = open_trained(workdir)
    steps = checkpoints.steps()
    state = checkpoints.restore(steps[-1], like)
    checkpoints.close()
    leaves = jax.tree.leaves(state.replace(key=jax.random.key_data(state.key)))
    return steps, read_log(workdir / "train/metrics.jsonl", timed=False), [np.asarray(leaf) for leaf in leaves]


def assert_same(one, two):
    assert one[:2] == two[:2]
    for a, b in zip(one[2], two[2]):
        np.testing.assert_array_equal(a, b)


@pytest.mark.slow  # test_kills.py stops at some steps in every run
def test_stopped_after_every_step_equals_undisturbed(run_main, tiny, tmp_path):
    steps = 4  # over the border of an epoch of 3
    code, _, error = run_main(f"--workdir={tmp_path}/whole", *tiny, f"--num_steps={steps}")
    assert code == 0, error
    for step in range(1, steps):
        code, _, error = run_main(f"--workdir={tmp_path}/cut", *tiny, f"--num_steps={steps}", "--max_minutes=0")
        assert code == 0, error
        said = error.splitlines()[-1]
        assert said.startswith(f"train: stopped by max_minutes=0 after step {step} of {steps}, which is saved")
        assert not (tmp_path / "cut/train").exists()
    code, _, error = run_main(f"--workdir={tmp_path}/cut", *tiny, f"--num_steps={steps}")
    assert code == 0, error
    assert_same(trained(tmp_path / "whole"), trained(tmp_path / "cut"))


@pytest.mark.slow
def test_sigterm_saves_and_the_same_command_goes_on(run_main, tiny, tmp_path):
    flags = [f"--workdir={tmp_path}/cut", *tiny, "--num_steps=4000", "--checkpoint_every_steps=4000"]
    process = subprocess.Popen(
        [sys.executable, "-m", "cosmogan_jax.main", *flags], stderr=subprocess.PIPE, text=True, cwd=ROOT,
        env={**os.environ, "JAX_PLATFORMS": "cpu"},
    )  # fmt: skip
    metrics = tmp_path / "cut/train.partial/metrics.jsonl"
    for _ in range(2400):
        time.sleep(0.1)
        if metrics.exists() and metrics.stat().st_size > 500:
            break
    process.send_signal(signal.SIGTERM)
    _, error = process.communicate(timeout=120)
    assert process.returncode == 0, error
    assert "train: stopped by SIGTERM after step" in error.splitlines()[-1]
    stopped = int(error.splitlines()[-1].split("after step ")[1].split()[0])
    last = json.loads(metrics.read_text().splitlines()[-1])["step"]
    assert last <= stopped < last + 3
    steps = f"--num_steps={stopped + 10}"
    code, _, error = run_main(f"--workdir={tmp_path}/cut", *tiny, steps, "--checkpoint_every_steps=4000")
    assert code == 0, error
    code, _, error = run_main(f"--workdir={tmp_path}/whole", *tiny, steps, "--checkpoint_every_steps=4000")
    assert code == 0, error
    assert_same(trained(tmp_path / "whole"), trained(tmp_path / "cut"))


def test_a_checkpoint_is_of_its_step_though_the_state_is_donated(tmp_path):
    """Written while the next steps overwrite the memory it came from."""
    checkpoints = Checkpoints(tmp_path / "c")
    step = jax.jit(lambda x: x + 1, donate_argnums=0)
    state = {"x": jax.numpy.zeros(200_000)}
    for number in range(8):
        checkpoints.save(number, state)
        state["x"] = step(step(state["x"])) - 1
    for number in range(8):
        found = checkpoints.restore(number, state)["x"]
        np.testing.assert_array_equal(found, np.full(200_000, number, np.float32))
    checkpoints.close()


@pytest.mark.slow
def test_minutes_of_training_that_end_it(run_main, tiny, tmp_path):
    flags = [f"--workdir={tmp_path}/run", *tiny, "--num_steps=4000", "--checkpoint_every_steps=4000"]
    code, said, error = run_main(*flags, "--train_minutes=0.02")
    assert code == 0, error
    record = json.loads((tmp_path / "run/train/stage.json").read_text())["summary"]
    steps = record["steps"]
    assert 1 <= steps < 4000
    assert f"train: ended after step {steps} of 4000 by train_minutes=0.02" in said
    assert record["stopped_by"] == "train_minutes"
    # The step it ended with has its line and its checkpoint, and later stages find it.
    found, lines, _ = trained(tmp_path / "run")
    assert found[-1] == lines[-1]["step"] == steps
    code, _, error = run_main(*flags, "--stages=select", "--select_maps=8")
    assert code == 0, error
    # The same minutes are used up; more are not, and those before count.
    code, _, error = run_main(*flags, "--train_minutes=0.02", "--stages=train")
    assert code == 0, error
    assert "train: finished" in error
    more = read_log(tmp_path / "run/train/metrics.jsonl")[-1]["minutes"] + 0.02
    code, said, error = run_main(*flags, f"--train_minutes={more}", "--stages=train")
    assert code == 0, error
    assert f"train: goes on from step {steps}" in said
    again = json.loads((tmp_path / "run/train/stage.json").read_text())["summary"]
    assert steps < again["steps"] < 4000
    minutes = [line["minutes"] for line in read_log(tmp_path / "run/train/metrics.jsonl")]
    assert minutes == sorted(minutes)
    assert minutes[-1] >= more - 1e-3  # as rounded in the log


def test_minutes_that_were_used_up_before_a_kill_are_not_trained_again(run_main, tiny, tmp_path):
    flags = [f"--workdir={tmp_path}/run", *tiny, "--num_steps=4000", "--log_every_steps=1"]
    code, _, error = run_main(*flags, "--max_minutes=0")
    assert code == 0, error
    log = tmp_path / "run/train.partial/metrics.jsonl"
    log.write_text(json.dumps(json.loads(log.read_text()) | {"minutes": 5.0}) + "\n")
    code, said, error = run_main(*flags, "--train_minutes=4")
    assert code == 0, error
    assert "train: ended after step 1 of 4000 by train_minutes=4" in said
