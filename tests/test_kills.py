"""Runs that are killed (SIGKILL) at random moments: nothing half is taken for whole, the end is the same."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from whole_runs import assert_nothing_half, whole_stages

from cosmogan_jax.maps.store import open_map_store
from cosmogan_jax.stages.stage import STAGES

ROOT = Path(__file__).resolve().parents[1]
LOGNORMAL = [
    "--map_pixels=32", "--side_deg=1", "--num_train_maps=6", "--num_development_maps=3",
    "--num_validation_maps=3", "--crop_size=16", "--crops_per_map=6", "--normalisation=linear",
    "--normalisation_scale=0.12",
    "--num_filters=4", "--batch_size=4", "--num_steps=6", "--checkpoint_every_steps=2", "--log_every_steps=1",
    "--score_every_steps=3", "--sample_every_steps=0", "--select_maps=8", "--num_generated=10",
    "--generate_batch=4", "--novelty_maps=8", "--observer_smoothing_arcmin=", "--classifier_steps=0",
    "--num_permutations=49", "--num_resamples=50", "--export=fits,npy",
    "--pack=tiny", "--pack_data=noise of the tests",
]  # fmt: skip


def start(workdir, flags):
    command = [sys.executable, "-m", "cosmogan_jax.main", f"--workdir={workdir}", *flags]
    with open(said_by(workdir), "w") as said:
        return subprocess.Popen(
            command, stdout=said, stderr=said, cwd=ROOT, env={**os.environ, "JAX_PLATFORMS": "cpu"}
        )


def said_by(workdir):
    return workdir.with_suffix(".said")


def assert_maps_vary(workdir):
    """A dead generator makes one value everywhere: equal to the bit, whatever was lost."""
    assert open_map_store(workdir / "generate/maps").read().std() > 1e-6


def finish(process, workdir):
    code = process.wait(timeout=600)
    assert code == 0, said_by(workdir).read_text()


def seconds_by_stage(workdir):
    """How long each stage took that was done, as the run itself says."""
    said = said_by(workdir).read_text()
    return {stage: float(s) for stage, s in re.findall(r"^(\w+): done in ([\d.]+) s$", said, re.MULTILINE)}


def kill(process, workdir, stage, seconds):
    """Kill a run that many seconds after it began a stage; gives what it was at, None if it was over."""
    while process.poll() is None and f"{stage}: begins" not in said_by(workdir).read_text():
        time.sleep(0.005)
    time.sleep(seconds)
    over = process.poll()
    assert over in (None, 0), said_by(workdir).read_text()
    process.send_signal(signal.SIGKILL)
    process.wait(timeout=60)
    if over == 0:
        return None
    begun = re.findall(r"^(\w+): (begins|done) in", said_by(workdir).read_text(), re.MULTILINE)
    stage, what = begun[-1] if begun else ("start", "")
    return stage if what != "done" else f"after {stage}"


def killed_again_and_again(workdir, flags, reference, moments):
    """A run killed at each of (stage, seconds), and run again; then to its end. Gives what was hit.

    Where a kill came late, in a later stage, those meant for stages that are whole by then fall out.
    """
    hit, known = [], []
    for stage, seconds in moments:
        if (workdir / stage).exists():
            continue
        hit.append(kill(start(workdir, flags), workdir, stage, seconds))
        known = assert_nothing_half(workdir, reference, known)
    finish(start(workdir, flags), workdir)
    assert assert_nothing_half(workdir, reference) == whole_stages(reference)
    assert not list(workdir.glob("*.partial"))
    assert not list(workdir.glob("*.discarded"))
    return hit


def test_three_kills(run_main, tmp_path):
    """In three stages, at a random moment of each; every next run has to mend what the one before left."""
    flags = [*LOGNORMAL, "--stages=simulate,prepare,train,generate", "--checkpoint=last"]
    flags.append("--score_every_steps=0")
    code, _, error = run_main(f"--workdir={tmp_path}/whole", *flags)
    assert code == 0, error
    assert_maps_vary(tmp_path / "whole")
    share = np.random.default_rng(8).uniform(0, 1, 3)
    seconds = [("simulate", 0.4), ("train", 2.5), ("generate", 0.5)]
    # On a slow machine a kill comes early; on a fast one a stage may be over, and the kills come sooner.
    hit: list[str] = []
    for sooner in (1, 0.5, 0.25, 0.1):
        if "train" in hit:
            break
        moments = [(stage, sooner * x * s) for x, (stage, s) in zip(share, seconds)]
        hit = killed_again_and_again(tmp_path / f"killed_{sooner}", flags, tmp_path / "whole", moments)
        assert len(hit) >= 2, hit
    assert "train" in hit, hit


@pytest.mark.slow
def test_kills_in_every_stage(tmp_path):
    """A chain of kills through all stages, several times; COSMOGAN_KILLS names a file for what was found."""
    finish(start(tmp_path / "compiled", LOGNORMAL), tmp_path / "compiled")
    finish(start(tmp_path / "whole", LOGNORMAL), tmp_path / "whole")
    assert_maps_vary(tmp_path / "whole")
    seconds = seconds_by_stage(tmp_path / "whole")
    assert list(seconds) == list(STAGES)
    found = {"seconds_of_stages": seconds, "kills": []}
    generator = np.random.default_rng(2026)
    while len(found["kills"]) < 50:
        workdir = tmp_path / f"killed_{len(found['kills'])}"
        # More in the training: it is what runs for days, and it has the most states to be killed in.
        stages = [stage for stage in STAGES for _ in range(12 if stage == "train" else 3)]
        moments = [(stage, float(seconds[stage] * generator.uniform())) for stage in stages]
        hit = killed_again_and_again(workdir, LOGNORMAL, tmp_path / "whole", moments)
        found["kills"] += [at for at in hit if at]
        print(hit, flush=True)
        if "COSMOGAN_KILLS" in os.environ:
            Path(os.environ["COSMOGAN_KILLS"]).write_text(json.dumps(found, indent=1) + "\n")
    assert set(STAGES) <= set(found["kills"])


@pytest.mark.slow
def test_signals_in_every_stage(tmp_path):
    """SIGTERM and Ctrl-C at a random moment of every stage: one line, its exit code, and the same end."""
    finish(start(tmp_path / "whole", LOGNORMAL), tmp_path / "whole")
    seconds = seconds_by_stage(tmp_path / "whole")
    workdir, known, generator, told = tmp_path / "told", [], np.random.default_rng(5), []
    for stage in STAGES:
        for number in (signal.SIGTERM, signal.SIGINT):
            if (workdir / stage).exists():
                continue
            process = start(workdir, LOGNORMAL)
            while process.poll() is None and f"{stage}: begins" not in said_by(workdir).read_text():
                time.sleep(0.005)
            time.sleep(0.8 * seconds[stage] * generator.uniform())
            process.send_signal(number)
            code, said = process.wait(timeout=300), said_by(workdir).read_text()
            assert "Traceback" not in said
            if (said.splitlines() or [""])[-1].startswith("train: stopped by "):
                assert code == {signal.SIGTERM: 0, signal.SIGINT: 130}[number]
            else:
                words = f"interrupted by {number.name}; the same command goes on"
                assert said.splitlines()[-1].startswith(words)
                assert code == 128 + number
            told.append((stage, number.name, code))
            known = assert_nothing_half(workdir, tmp_path / "whole", known)
    finish(start(workdir, LOGNORMAL), workdir)
    assert assert_nothing_half(workdir, tmp_path / "whole") == whole_stages(tmp_path / "whole")
    print(told)
    assert len(told) >= len(STAGES)
