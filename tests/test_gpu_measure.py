"""The measuring command for GPUs: limits, signals, skipping, with stub tasks; by hand all of it, tiny."""

import json
import os
import signal
import subprocess
import sys
import tarfile
import time
from pathlib import Path

import numpy as np
import pytest

from cosmogan_jax.maps.store import open_map_store

ROOT = Path(__file__).resolve().parents[1]
GPU = ROOT / "experiments/gpu"
TASKS = """
import sys, time
from pathlib import Path
name, out = sys.argv[1], Path(next(a for a in sys.argv if a.startswith("--out=")).removeprefix("--out="))
file = open(out / f"{name}.jsonl", "w", buffering=1)
file.write('{"what": "first", "ms": 1.5}\\n')
if name == "fails":
    sys.exit(3)
if name == "waits":
    file.write('{"what": "cut o')
    time.sleep(60)
if name == "keeps":
    (out / "keep").mkdir(exist_ok=True)
    (out / "keep/report.html").write_text("page")
"""


@pytest.fixture
def measure(monkeypatch, tmp_path):
    monkeypatch.syspath_prepend(GPU)
    import measure as module

    (tmp_path / "stub.py").write_text(TASKS)
    monkeypatch.setattr(module, "HERE", tmp_path)
    monkeypatch.setattr(module, "_stopped", [])
    before = [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)]

    def run(*names, seconds=30, most=20, results="none.json"):
        tasks = tuple(module.Task(name, "stub.py", 0, most) for name in names)
        monkeypatch.setattr(module, "PARTS", {"measure": tasks})
        given = [f"--out={tmp_path / 'out'}", f"--seconds={seconds}", f"--results={tmp_path / results}"]
        monkeypatch.setattr(sys, "argv", ["measure.py", *given])
        code = module.main()
        return code, json.loads((tmp_path / "out/results.json").read_text())

    run.module = module
    yield run
    for number, handler in zip((signal.SIGTERM, signal.SIGINT), before):
        signal.signal(number, handler)


def test_a_limit_keeps_what_was_told_and_the_next_task_runs(measure, tmp_path):
    began = time.monotonic()
    code, found = measure("waits", "fails", "keeps", most=1.5)
    assert time.monotonic() - began < 15
    assert code == 1
    assert {name: (task["whole"], task["ended"]) for name, task in found["tasks"].items()} == {
        "waits": (False, "by its limit"), "fails": (False, "with 3"), "keeps": (True, "by itself"),
    }  # fmt: skip
    assert all(task["rows"] == [{"what": "first", "ms": 1.5}] for task in found["tasks"].values())
    assert (tmp_path / "out/report.html").read_text() == "page"


def test_what_is_whole_for_this_code_is_left_out(measure, tmp_path, capsys):
    _, found = measure("keeps", "fails")
    measure.module.record(tmp_path / "out/results.json", tmp_path / "kept.json")
    (tmp_path / "out/results.json").unlink()
    capsys.readouterr()
    _, again = measure("keeps", "fails", results="kept.json")
    said = capsys.readouterr().out
    assert "keeps: begins" not in said
    assert "fails: begins" in said
    assert again["tasks"]["keeps"] == found["tasks"]["keeps"]
    # Other code: measured again.
    (tmp_path / "more.py").write_text("")
    measure("keeps", results="kept.json")
    assert "keeps: begins" in capsys.readouterr().out


def test_results_of_other_code_take_the_place_of_those_before(measure, tmp_path):
    record = measure.module.record
    for name, code, task in (("a", "1", "x"), ("b", "1", "y"), ("c", "2", "z")):
        result = {"code": code, "size": "tiny", "tasks": {task: {"whole": True}}}
        (tmp_path / f"{name}.json").write_text(json.dumps(result))
    record(tmp_path / "a.json", tmp_path / "kept.json")
    record(tmp_path / "b.json", tmp_path / "kept.json")
    assert set(json.loads((tmp_path / "kept.json").read_text())["tasks"]) == {"x", "y"}
    record(tmp_path / "c.json", tmp_path / "kept.json")
    assert set(json.loads((tmp_path / "kept.json").read_text())["tasks"]) == {"z"}


def test_what_would_not_come_back_is_told(measure, tmp_path):
    check = measure.module.check_files
    for n in range(9):
        (tmp_path / f"out{n}").write_bytes(b"")
    assert check(tmp_path) == ["10 files are more than 8"]  # with stub.py
    for n in range(9):
        (tmp_path / f"out{n}").unlink()
    with open(tmp_path / "large", "wb") as file:
        file.truncate(16 * 2**20 + 1)
    assert check(tmp_path) == ["large has 16777217 bytes"]


def test_sigterm_is_passed_on(tmp_path):
    """To the real command: the first task ends, none begins, and what there is is written."""
    process = subprocess.Popen(
        [sys.executable, str(GPU / "measure.py"), "--size=tiny", "--part=measure", f"--out={tmp_path}/out",
         f"--results={tmp_path}/none.json"],
        stdout=subprocess.PIPE, text=True, env={**os.environ, "JAX_PLATFORMS": "cpu"},
    )  # fmt: skip
    try:
        assert process.stdout.readline().startswith("card: begins")
        time.sleep(0.5)
        process.send_signal(signal.SIGTERM)
        said, _ = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 1
    found = json.loads((tmp_path / "out/results.json").read_text())
    assert set(found["tasks"]) == {"card"}
    assert found["tasks"]["card"]["ended"] in ("by SIGTERM", "with -15")
    assert "card: not whole" in said


def run_for_real(tmp_path, *flags):
    done = subprocess.run(
        [sys.executable, str(GPU / "measure.py"), "--size=tiny", f"--out={tmp_path}/out",
         f"--results={tmp_path}/none.json", *flags],
        capture_output=True, text=True, env={**os.environ, "JAX_PLATFORMS": "cpu"},
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return json.loads((tmp_path / "out/results.json").read_text())["tasks"]


@pytest.mark.slow
def test_the_rehearsal_of_the_short_measurements(tmp_path):
    tasks = run_for_real(tmp_path, "--part=measure", "--seconds=500")
    rows = {row["what"]: row for task in tasks.values() for row in task["rows"]}
    assert all(task["whole"] for task in tasks.values())
    assert rows["bits drawn"]["equal"]
    assert rows["summarised twice"]["equal_bits"]
    steps = [row for what, row in rows.items() if what.startswith("train step")]
    assert steps
    assert all(row["finite"] and row["median_ms"] > 0 for row in steps)
    # bfloat16 has 8 bits: an error of a few of their halves.
    assert all(
        row["error"] < 0.02 for what, row in rows.items() if what.startswith(("transposed, 2", "strided"))
    )


@pytest.mark.slow
def test_the_rehearsal_of_other_emulators(tmp_path):
    """Trainings, verdicts, and maps that come back in 16 bits as they were, to half a step."""
    tasks = run_for_real(tmp_path, "--part=build", "--seconds=1500")
    assert all(task["whole"] for task in tasks.values())
    told = {row["what"] for row in tasks["coarse"]["rows"]}
    assert "coarse-large_slow judged" in told
    out, store = tmp_path / "out", tmp_path / "maps"
    command = [sys.executable, str(GPU / "unpack_maps.py"), *map(str, out.glob("coarse-maps.*"))]
    subprocess.run([*command, f"--to={store}"], check=True, env={**os.environ, "PYTHONPATH": str(ROOT)})
    came, made = open_map_store(store), open_map_store(tmp_path / "out.work/coarse/simulate/maps")
    first = {box: made.manifest.boxes.index(box) for box in came.manifest.boxes}
    for number, box in enumerate(came.manifest.boxes):
        if box not in came.manifest.boxes[:number]:
            exact = made.read(first[box], first[box] + 1)
            np.testing.assert_allclose(came.read(number, number + 1), exact, atol=2.6e-5)
    with tarfile.open(out / "coarse-runs.tar.xz") as archive:
        assert "coarse-large_slow/pack/pm-zs1-64/card.json" in archive.getnames()


@pytest.mark.slow
def test_the_rehearsal_of_the_papers_run(tmp_path):
    tasks = run_for_real(tmp_path, "--part=paper", "--seconds=500")
    assert all(task["whole"] for task in tasks.values())
    out = tmp_path / "out"
    assert len(list(out.iterdir())) <= 8
    card = json.loads((out / "paper-card.json").read_text())
    joined = b"".join((out / f"paper-weights.npz.{n}").read_bytes() for n in (0, 1))
    (tmp_path / "weights.npz").write_bytes(joined)
    with np.load(tmp_path / "weights.npz", allow_pickle=False) as weights:
        assert sum(weights[name].size for name in weights) == card["weights"]["numbers"]
    assert "<img" in (out / "paper-report.html").read_text()
