"""Run directories compared: every array, weight and number of each stage, bit for bit; not times and dates."""

import json
from pathlib import Path

import jax
import numpy as np

from cosmogan_jax.emulators.trained import open_trained
from cosmogan_jax.stages.stage import STAGES
from cosmogan_jax.stages.train.training_log import read_log

# Measured times, dates, and the random marks by which a stage's results are told apart.
_NEUTRAL = {"finished", "result", "inputs", "map", "total", "made"}
_NEUTRAL |= {"share_of_time_waited_for_maps", "commit", "export_from", "from"}


def whole_stages(workdir):
    """Stages whose directory is there under its own name."""
    return [stage for stage in STAGES if (workdir / stage).exists()]


def last_state(workdir, step):
    """The arrays of a training's state at a step, its key among them."""
    _, like, checkpoints = open_trained(workdir)
    state = checkpoints.restore(step, like)
    checkpoints.close()
    return [np.asarray(leaf) for leaf in jax.tree.leaves(_with_key_data(state))]


def assert_same_stage(stage, one, two):
    """The files of a disturbed run's stage and of an undisturbed one's, by content; both must be whole."""
    names = [sorted(_files(run / stage)) for run in (one, two)]
    assert names[0] == names[1], stage
    assert "stage.json" in names[0]
    for name in names[0]:
        _assert_same_file(one / stage / name, two / stage / name, (one, two))
    if stage == "train":
        _assert_same_checkpoints(one, two)


def assert_nothing_half(workdir, reference, known=()):
    """What carries a stage's name is whole, and is what the undisturbed run has there; gives these stages.

    `known`: stages that were looked at before, and that no run has touched since.
    """
    found = whole_stages(workdir)
    for stage in found:
        if stage not in known:
            assert_same_stage(stage, workdir, reference)
    return found


def _files(directory):
    for path in directory.rglob("*"):
        name = str(path.relative_to(directory))
        # Checkpoints are compared as what they restore to; their files have random names.
        if path.is_file() and not name.startswith(("checkpoints/", "best/generators/", "profile/")):
            yield name


def _assert_same_file(one: Path, two: Path, runs):
    kind = one.name.rpartition(".")[2]
    if kind == "npz":
        with np.load(one, allow_pickle=False) as a, np.load(two, allow_pickle=False) as b:
            assert a.files == b.files, one
            for name in a.files:
                assert a[name].tobytes() == b[name].tobytes(), f"{one}: {name}"
    elif one.name == "metrics.jsonl":
        assert read_log(one, timed=False) == read_log(two, timed=False), one
    elif kind == "json":
        found = [_timeless(json.loads(p.read_text().replace(str(run), ""))) for p, run in zip((one, two), runs)]
        assert found[0] == found[1], one
    elif kind in ("html", "pdf", "md") or "training" in one.name:  # hold times and dates
        assert one.stat().st_size > 0, one
    else:
        assert one.read_bytes() == two.read_bytes(), one


def _timeless(value):
    if isinstance(value, dict):
        return {
            key: _timeless(item)
            for key, item in value.items()
            if key not in _NEUTRAL and not key.startswith("seconds")
        }
    return [_timeless(item) for item in value] if isinstance(value, list) else value


def _assert_same_checkpoints(one, two):
    found = []
    for run in (one, two):
        _, like, checkpoints = open_trained(run)
        states = {step: checkpoints.restore(step, like) for step in checkpoints.steps()}
        beside = {step: checkpoints.beside(step) for step in states}
        checkpoints.close()
        leaves = {
            step: [np.asarray(leaf).tobytes() for leaf in jax.tree.leaves(_with_key_data(state))]
            for step, state in states.items()
        }
        found.append((leaves, beside))
    assert found[0] == found[1]


def _with_key_data(state):
    return state.replace(key=jax.random.key_data(state.key))
