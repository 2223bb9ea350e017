"""A small part of experiments/013-fuzzing: damaged files over every reader; and what its watch sees."""

import json
import os
import subprocess
import sys
import time
from collections import namedtuple
from pathlib import Path

import pytest

FOLDER = Path(__file__).resolve().parents[1] / "experiments/013-fuzzing"
INPUTS = 420  # twelve of each reader; the large number is in the experiment's README


def test_damaged_files_give_arrays_or_a_line(tmp_path):
    done = subprocess.run(
        [sys.executable, FOLDER / "run.py", f"--inputs={INPUTS}", "--seed=13", f"--out={tmp_path}/found.json"],
        capture_output=True, text=True, timeout=300,
        env={**os.environ, "JAX_PLATFORMS": "cpu", "PYTHONPATH": str(FOLDER.parents[1])},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    found = json.loads((tmp_path / "found.json").read_text())
    assert found["findings"] == []
    assert found["inputs"] >= INPUTS
    # Neither all refused nor all taken: the damage is real, and does not end at the first byte.
    for outcome in ("arrays", "refused"):
        assert sum(of.get(outcome, 0) for of in found["targets"].values()) > 0.1 * INPUTS


def _two_lines():
    raise ValueError("one\ntwo")


@pytest.fixture
def watch(monkeypatch):
    monkeypatch.syspath_prepend(str(FOLDER))
    import run

    monkeypatch.setattr(run, "SECONDS", 0.2)
    yield run
    for name in ("run", "mutations", "targets"):
        sys.modules.pop(name, None)


@pytest.mark.parametrize(
    ("outcome", "reads"),
    [
        ("arrays", lambda folder: None),
        ("refused", lambda folder: int("x")),
        ("refused", lambda folder: (folder / "not there").read_bytes()),
        ("FINDING KeyError", lambda folder: {}["x"]),
        ("FINDING RecursionError", lambda folder: (lambda again: again(again))(lambda again: again(again))),
        ("FINDING SystemExit", lambda folder: sys.exit(0)),
        ("FINDING message", lambda folder: _two_lines()),
        ("TIMEOUT", lambda folder: time.sleep(5)),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_the_watch_tells_what_a_reader_does(watch, tmp_path, outcome, reads):
    (tmp_path / "a").write_bytes(b"content")
    target = namedtuple("Target", "read amend")(reads, lambda folder: None)
    found = watch.read_damaged(target, [tmp_path / "a"], 0, (0, 0), tmp_path)
    assert found["outcome"] == outcome
    assert (tmp_path / "a").read_bytes() != b"content"


def test_mutations_follow_from_their_key(watch):
    from mutations import generator, mutate

    for data in (b"", b"{}", b'{"a": [1, 2, {"b": null}]}', bytes(range(256)) * 20):
        found = [mutate(data, generator(1, n)) for n in range(60)]
        assert found == [mutate(data, generator(1, n)) for n in range(60)]
        assert sum(one != data for one in found) > 40
