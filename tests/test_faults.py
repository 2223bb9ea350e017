"""Disks, files, locks and signals that fail: one clear line, and the next run goes on from what is whole."""

import contextlib
import ctypes
import errno
import os
import resource
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import jax
import numpy as np
import pytest
from whole_runs import assert_same_stage

from cosmogan_jax.machine.interruption import Paused, watch
from cosmogan_jax.runs.best_generators import at_hand
from cosmogan_jax.runs.checkpoints import Checkpoints
from cosmogan_jax.runs.directory import begin_stage, finish_stage, hold, record_run, stage_record

ROOT = Path(__file__).resolve().parents[1]
STEPS = 6
STAGES = ("prepare", "train", "generate", "export")


@pytest.fixture
def flags(tiny_run):
    return [
        *tiny_run, "--crops_per_map=2", "--log_every_steps=1", "--checkpoint_every_steps=2",
        "--checkpoint=last", "--num_generated=10", "--generate_batch=4", "--export=npy",
        "--stages=prepare,train,generate,export",
    ]  # fmt: skip


@pytest.fixture(scope="module")
def made():
    return {}


@pytest.fixture
def whole(run_main, flags, tmp_path, made, tmp_path_factory):
    """The undisturbed run; made once, by whichever test asks first."""
    if "run" not in made:
        made["maps"] = Path(flags[0].removeprefix("--maps="))
        workdir = tmp_path_factory.mktemp("undisturbed") / "run"
        code, _, error = run_main(f"--workdir={workdir}", *flags, f"--num_steps={STEPS}")
        assert code == 0, error
        made["run"] = workdir
    flags[0] = f"--maps={made['maps']}"
    return made["run"]


@pytest.fixture
def run(run_main, flags, tmp_path, whole):
    """A function (flag, ...) -> the lines of stderr of a run in tmp_path/run, which must end with `code`."""

    def run_again(*more, code=0):
        found, _, error = run_main(f"--workdir={tmp_path}/run", *flags, f"--num_steps={STEPS}", *more)
        assert "Traceback" not in error
        assert found == code, error
        return error.splitlines()

    return run_again


@pytest.fixture
def cut(whole, tmp_path):
    """A function (stage) that makes tmp_path/run the undisturbed run cut off before it finished that stage."""

    def cut_at(stage):
        shutil.copytree(whole, tmp_path / "run")
        for later in STAGES[STAGES.index(stage) + 1 :]:
            shutil.rmtree(tmp_path / "run" / later)
        (tmp_path / "run" / stage).rename(tmp_path / f"run/{stage}.partial")
        (tmp_path / f"run/{stage}.partial/stage.json").unlink()
        if stage == "train":
            last = tmp_path / f"run/train.partial/checkpoints/{STEPS}"
            shutil.rmtree(last)
        return tmp_path / f"run/{stage}.partial"

    return cut_at


def assert_ends_as(whole, workdir, run, stages=STAGES):
    run(f"--stages={','.join(stages)}")
    for stage in stages:
        assert_same_stage(stage, workdir, whole)


@contextlib.contextmanager
def no_file_above(size):
    """Writing more than that to a file fails, as on a full disk, with another number (EFBIG)."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize("stage", ["prepare", "generate", "export"])
def test_a_full_disk(whole, run, cut, tmp_path, stage):
    cut(stage)
    largest = max(path.stat().st_size for path in (whole / stage).rglob("*") if path.is_file())
    with no_file_above(largest - 1):
        said = run(f"--stages={stage}", code=1)
    assert said[-1].startswith("error: ")
    assert "File too large" in said[-1]
    assert str(tmp_path / "run") in said[-1]
    assert not (tmp_path / "run" / stage).exists()
    assert_ends_as(whole, tmp_path / "run", run, [stage])


@pytest.mark.slow
def test_a_disk_too_full_for_a_checkpoint(whole, run, flags, cut, tmp_path):
    """In a process of its own, for what the checkpoint library's threads have to say about it."""
    out = cut("train")
    largest = max(path.stat().st_size for path in (out / "checkpoints").rglob("*") if path.is_file())
    limited = f"import os, resource, sys; resource.setrlimit(resource.RLIMIT_FSIZE, ({largest // 2},) * 2)"
    limited += "; os.execv(sys.executable, [sys.executable, *sys.argv[1:]])"
    process = start(tmp_path, flags, "--stages=train", before=["-c", limited])
    _, error = process.communicate(timeout=120)
    assert process.returncode == 1, error
    assert "Traceback" not in error
    words = f"error: checkpoints in {out}/checkpoints cannot be written: File too large"
    assert error.splitlines()[-1] == words
    assert_ends_as(whole, tmp_path / "run", run)


def test_no_space_left(whole, run, tmp_path, monkeypatch):
    def full(_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    said = run(code=1)
    assert said[-1] == f"error: {tmp_path}/run/flags.txt cannot be written: No space left on device"
    monkeypatch.undo()
    assert_ends_as(whole, tmp_path / "run", run, ["prepare"])


def test_the_lock_file_on_a_full_disk(tmp_path):
    (tmp_path / ".lock").symlink_to("/dev/full")
    with pytest.raises(ValueError, match=r"workdir=\S+ cannot be written: "), hold(tmp_path):
        pass


@contextlib.contextmanager
def permissions_that_bite():
    """Root passes over permissions by two capabilities, which this thread lays down for the while."""
    if os.geteuid() != 0:
        yield
        return
    libc, header, data = ctypes.CDLL(None), (ctypes.c_uint32 * 2)(0x20080522, 0), (ctypes.c_uint32 * 6)()
    if libc.capget(header, data):
        pytest.skip("root, and its capabilities cannot be read: permissions do not bite")
    without = (ctypes.c_uint32 * 6)(*data)
    without[0] &= ~0b110  # CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH
    if libc.capset(header, without):
        pytest.skip("root, and its capabilities cannot be laid down: permissions do not bite")
    try:
        yield
    finally:
        libc.capset(header, data)


@pytest.mark.parametrize(
    "place",
    [
        ".",
        "run/prepare.partial",
        pytest.param("run", marks=pytest.mark.slow),
        pytest.param("run/train.partial/checkpoints", marks=pytest.mark.slow),
    ],
)
def test_a_directory_that_is_read_only(whole, run, cut, tmp_path, place):
    stage = "train" if "train" in place else "prepare"
    if place != ".":
        cut(stage)
    (tmp_path / place).chmod(0o555)
    try:
        with permissions_that_bite():
            said = run(f"--stages={stage}", code=1)
    finally:
        if (tmp_path / place).exists():
            (tmp_path / place).chmod(0o755)
    assert said[-1].startswith("error: ")
    assert str(tmp_path / "run") in said[-1]
    assert "Permission denied" in said[-1]
    if stage == "prepare":
        assert_ends_as(whole, tmp_path / "run", run, ["prepare"])


def damage(path, how):
    if how == "deleted":
        path.unlink()
        return
    content = bytearray(path.read_bytes())
    if how == "flipped":
        content[len(content) // 2] ^= 4
    path.write_bytes(content if how == "flipped" else content[: len(content) // 2])


@pytest.mark.parametrize("how", ["deleted", "truncated", "flipped"])
def test_any_file_of_a_checkpoint_damaged(tmp_path, how):
    """Every file in turn: it is said, or what is restored is what was written."""
    state = {"a": np.random.default_rng(0).normal(size=(30, 40)).astype(np.float32), "key": jax.random.key(1)}
    checkpoints = Checkpoints(tmp_path / "whole", writes=True)
    checkpoints.save(1, state)
    checkpoints.close()
    files = [p.relative_to(tmp_path / "whole") for p in (tmp_path / "whole").rglob("*") if p.is_file()]
    told = {}
    for number, name in enumerate(sorted(files)):
        damaged = tmp_path / str(number)
        shutil.copytree(tmp_path / "whole", damaged)
        if (damaged / name).stat().st_size:
            damage(damaged / name, how)
        checkpoints = Checkpoints(damaged)
        try:
            found = checkpoints.restore(1, state)
        except ValueError as error:
            told[damaged / name] = str(error)
        else:
            np.testing.assert_array_equal(found["a"], state["a"])
            assert (jax.random.key_data(found["key"]) == jax.random.key_data(state["key"])).all()
        checkpoints.close()
    assert len(told) >= 4
    for path, error in told.items():
        # A file that is lost may come back; bytes that changed do not, and only of them there is proof.
        lost = f"{path} is missing; bring it back"
        assert (lost if how == "deleted" else f"the bytes of {path} are not those that were written") in error
        assert ("; remove it, and" in error) == (how != "deleted")


def largest_file(checkpoint):
    return max((p for p in (checkpoint / "state").rglob("*") if p.is_file()), key=lambda p: p.stat().st_size)


def test_a_training_goes_on_before_a_damaged_checkpoint(whole, run, cut, tmp_path):
    checkpoints = cut("train") / "checkpoints"
    before, last = sorted(int(p.name) for p in checkpoints.iterdir())[-2:]
    damage(largest_file(checkpoints / str(last)), "flipped")
    said = run(code=1)
    assert said[-1].startswith(f"error: checkpoint {checkpoints}/{last} cannot be read: ")
    aside = checkpoints.with_name("checkpoints-unreadable") / str(last)
    assert said[-1].endswith(f"; set aside in {aside}, the same command goes on from step {before}")
    assert aside.is_dir()
    shutil.rmtree(aside.parent)
    assert_ends_as(whole, tmp_path / "run", run)


def everything(folder):
    return {path: path.stat().st_mtime_ns for path in sorted(folder.rglob("*")) if path.is_file()}


@pytest.mark.parametrize("place", [pytest.param("", marks=pytest.mark.slow), "state"])
def test_a_checkpoint_that_may_not_be_read_is_left_alone(whole, run_main, flags, cut, tmp_path, place):
    """A finished training stays finished; nothing is set aside, no step is trained again."""
    cut("generate")
    last = tmp_path / f"run/train/checkpoints/{STEPS}" / place
    before = everything(tmp_path / "run/train")
    grown = [f"--workdir={tmp_path}/run", *flags, f"--num_steps={STEPS + 2}", "--stages=train"]
    last.chmod(0)
    try:
        with permissions_that_bite():
            code, _, error = run_main(*grown)
    finally:
        last.chmod(0o755)
    assert code == 1
    assert error.splitlines()[-1].startswith(
        f"error: checkpoint {tmp_path}/run/train/checkpoints/{STEPS} cannot be read"
    )
    assert error.splitlines()[-1].endswith(": Permission denied")
    after = everything(tmp_path / "run/train")
    for name in ("stage.json", "settings.json"):  # written again, with what they held
        path = tmp_path / "run/train" / name
        assert before.pop(path)
        assert after.pop(path)
        assert path.read_bytes() == (whole / "train" / name).read_bytes()
    assert after == before
    assert not (tmp_path / "run/train.partial").exists()
    code, said, error = run_main(*grown)
    assert code == 0, error
    assert f"goes on from step {STEPS}" in said


def test_all_checkpoints_damaged(run, cut):
    out = cut("train")
    for checkpoint in (out / "checkpoints").iterdir():
        damage(largest_file(checkpoint), "truncated")
    assert f"can be gone on from: remove {out} to train anew" in run(code=1)[-1]
    assert len(list((out / "checkpoints").iterdir())) > 1


def test_a_finished_training_with_its_last_checkpoint_damaged(whole, run, cut, tmp_path):
    cut("generate")
    last = tmp_path / f"run/train/checkpoints/{STEPS}"
    damage(largest_file(last), "flipped")
    said = run(code=1)
    assert said[-1].startswith(f"error: checkpoint {last} cannot be read: ")
    assert said[-1].endswith("; remove it, and the same command goes on with those that are left")
    shutil.rmtree(last)
    assert_ends_as(whole, tmp_path / "run", run)


def test_a_last_checkpoint_that_is_gone_is_trained_again(run_main, flags, cut, tmp_path):
    cut("generate")
    shutil.rmtree(tmp_path / f"run/train/checkpoints/{STEPS}")
    _, said, _ = run_main(f"--workdir={tmp_path}/run", *flags, f"--num_steps={STEPS}", "--dry_run")
    assert "train: would run" in said


def test_best_generators_that_are_lost_are_noticed(tmp_path):
    (tmp_path / "generators/3").mkdir(parents=True)
    (tmp_path / "scores.jsonl").write_text('{"step": 3, "x": 1.0}\n{"step": 5, "x": 0.5}\n')
    assert at_hand(tmp_path, 4, keep=2, by="x")
    assert not at_hand(tmp_path, 5, keep=1, by="x")
    assert at_hand(tmp_path / "none", 5, keep=1, by="x")


def test_a_damaged_map_store(whole, run, cut, tmp_path):
    cut("train")
    damage(next(p for p in (tmp_path / "run/prepare/maps/kappa/c").rglob("*") if p.is_file()), "flipped")
    for feed in ("device", "stream"):
        said = run(f"--feed={feed}", code=1)
        assert said[-1].startswith(f"error: {tmp_path}/run/prepare/maps is damaged: ")
        assert "remove it with the directory of the stage that made it" in said[-1]
    shutil.rmtree(tmp_path / "run/prepare")
    assert_ends_as(whole, tmp_path / "run", run, ["prepare"])
    # By its content the same data: the training goes on with it.
    assert stage_record(tmp_path / "run", "prepare").result == stage_record(whole, "prepare").result


def test_two_runs_and_a_lock_left_by_a_kill(tmp_path):
    code = """
import pathlib, sys, time
from cosmogan_jax.runs.directory import hold
with hold(pathlib.Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""
    command = [sys.executable, "-c", code, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=ROOT) as process:
        process.stdout.readline()
        words = rf"is held by another run \(process {process.pid} on {os.uname().nodename} since 20"
        with pytest.raises(ValueError, match=words), hold(tmp_path):
            pass
        process.kill()
        process.wait()
    with hold(tmp_path):
        pass


RECORD = {"stage": "simulate", "flags": {"seed": 1}, "inputs": {}, "summary": {}, "seconds": 1.0}


def test_what_is_given_up_loses_its_name_first(tmp_path, monkeypatch):
    """Cut off while the files of an earlier result are removed: neither it nor its half is taken for whole."""
    out = begin_stage(tmp_path, "simulate", {"seed": 1}, resumable=True)
    (out / "maps").write_text("half of them")
    finish_stage(tmp_path, "simulate", RECORD)

    def cut_off(path, **_):
        raise KeyboardInterrupt

    monkeypatch.setattr(shutil, "rmtree", cut_off)
    with pytest.raises(KeyboardInterrupt):
        begin_stage(tmp_path, "simulate", {"seed": 2}, resumable=True)
    monkeypatch.undo()
    assert stage_record(tmp_path, "simulate") is None
    assert not (begin_stage(tmp_path, "simulate", {"seed": 1}, resumable=True) / "maps").exists()
    finish_stage(tmp_path, "simulate", RECORD)
    begin_stage(tmp_path, "simulate", {"seed": 1}, resumable=False)
    monkeypatch.setattr(shutil, "rmtree", cut_off)
    with pytest.raises(KeyboardInterrupt):
        finish_stage(tmp_path, "simulate", {**RECORD, "summary": {"run": "new"}})
    monkeypatch.undo()
    assert stage_record(tmp_path, "simulate").summary == {"run": "new"}
    with hold(tmp_path):
        assert sorted(p.name for p in tmp_path.iterdir()) == [".lock", "simulate"]


def test_a_line_that_was_cut_off_is_ended(tmp_path):
    (tmp_path / "runs.jsonl").write_text('{"started": "2026-1')
    record_run(tmp_path, ["main"], "--seed=1\n")
    first, second = (tmp_path / "runs.jsonl").read_text().splitlines()
    assert first == '{"started": "2026-1'
    assert second.startswith('{"started": "20')


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_watched_stage_is_told_and_saves(number):
    heard = []
    before = signal.signal(number, lambda *_: heard.append(number))
    try:
        with watch(None) as reason:
            assert reason() is None
            signal.raise_signal(number)
            assert reason() == number.name
            assert not heard
            if number == signal.SIGINT:  # the second does not wait
                signal.raise_signal(number)
                assert heard.pop()
        assert heard == [number]  # nobody asked: answered at the end
        heard.clear()
        with contextlib.suppress(Paused), watch(None) as reason:
            signal.raise_signal(number)
            raise Paused("saved", reason())
        assert not heard
    finally:
        signal.signal(number, before)
    assert Paused("", "SIGTERM").exit_code == Paused("", "max_minutes=1").exit_code == 0
    assert Paused("", "SIGINT").exit_code == 130


def start(tmp_path, flags, *more, before=()):
    # A shell has what it starts in its background ignore SIGINT, these tests too.
    return subprocess.Popen(
        ["env", "--default-signal=INT", sys.executable, *before, "-m", "cosmogan_jax.main",
         f"--workdir={tmp_path}/run", *flags, f"--num_steps={STEPS}", *more],
        stderr=subprocess.PIPE, text=True, cwd=ROOT, env={**os.environ, "JAX_PLATFORMS": "cpu"},
    )  # fmt: skip


@pytest.mark.parametrize(
    ("stage", "number", "code", "words", "flag"),
    [
        ("prepare", signal.SIGTERM, 143, "interrupted by SIGTERM; the same command goes on from what is", ""),
        pytest.param("train", signal.SIGINT, 130, "train: stopped by SIGINT after step", "--num_steps=4000",
                     marks=pytest.mark.slow),
        ("generate", signal.SIGINT, 130, "interrupted by SIGINT; the same", "--num_generated=40000"),
    ],
)  # fmt: skip
def test_signals(whole, run, flags, cut, tmp_path, stage, number, code, words, flag):
    shutil.rmtree(cut(stage))
    process = start(tmp_path, flags, f"--stages={stage}", *filter(None, [flag]))
    sign = "metrics.jsonl" if stage == "train" else "settings.json"
    while process.poll() is None and not (tmp_path / f"run/{stage}.partial" / sign).exists():
        time.sleep(0.01)
    process.send_signal(number)
    _, error = process.communicate(timeout=120)
    assert process.returncode == code, error
    assert "Traceback" not in error
    assert error.splitlines()[-1].startswith(words)
    if stage != "train":
        assert_ends_as(whole, tmp_path / "run", run, [stage])


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (ValueError("crop_size=3\n is odd"), "crop_size=3 is odd"),
        (OSError(errno.ENOSPC, "No space left on device"), "No space left on device"),
        (OSError(errno.EACCES, "Permission denied", "a/b"), "a/b: Permission denied"),
        (MemoryError(), "out of memory: the host has no more; smaller batches or maps need less"),
        (
            jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: allocating 9 bytes"),
            "out of memory: RESOURCE_EXHAUSTED: allocating 9 bytes; smaller batches or maps need less",
        ),
        (KeyError("seed"), "KeyError: 'seed' (not foreseen; --debug shows where)"),
    ],
)  # fmt: skip
def test_a_traceback_is_shown_with_debug_alone(run_main, tmp_path, monkeypatch, error, line):
    from cosmogan_jax.stages import pipeline

    def fail(*_):
        raise error

    monkeypatch.setattr(pipeline, "run", fail)
    assert run_main(f"--workdir={tmp_path}") == (1, "", f"error: {line}\n")
    with pytest.raises(type(error)):
        run_main(f"--workdir={tmp_path}", "--debug")
    signal.signal(signal.SIGINT, signal.default_int_handler)
