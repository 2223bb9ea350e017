"""Several devices and several processes: the numbers of one device, each host reading only its share."""

import concurrent.futures
import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import jax
import numpy as np
import pytest

from cosmogan_jax.emulators.trained import open_trained
from cosmogan_jax.geometry import MapGeometry
from cosmogan_jax.machine import processes
from cosmogan_jax.machine.devices import choose_devices
from cosmogan_jax.machine.meeting import meet
from cosmogan_jax.machine.memory import usable_memory
from cosmogan_jax.machine.processes import expected
from cosmogan_jax.maps.crop_table import write_crop_table
from cosmogan_jax.maps.store_writing import write_map_store
from cosmogan_jax.settings import Processes
from cosmogan_jax.stages.train.feeding import Order
from cosmogan_jax.stages.train.training_log import read_log

TESTS = Path(__file__).resolve().parent
ROOT = TESTS.parent
CPU = {**os.environ, "JAX_PLATFORMS": "cpu"}
RATE = 2e-4  # Adam's
# float32: sums over the batch in another order change gradients by 1e-7 of a tensor's largest. Adam divides
# each weight's by its own size, and a unit that rounding carries over the corner of its ReLU changes gradients
# by up to 1e-2 in networks this small. Measured after 5 steps from six random starts: 4e-5 to 6e-3, the start
# below 4e-5; batch norm by each device's own share gives 0.3 and more.
TOLERANCE = {"float64": 1e-6, "float32": 1e-2}
METRICS = 1e-3


def free_port():
    with socket.socket() as opened:
        opened.bind(("localhost", 0))
        return opened.getsockname()[1]


def start(*arguments, **environ):
    return subprocess.Popen(
        [sys.executable, *map(str, arguments)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        cwd=ROOT, env={**CPU, **environ, "XLA_FLAGS": f"{CPU['XLA_FLAGS']} {environ.get('XLA_FLAGS', '')}"},
    )  # fmt: skip


def finish(started, code=0):
    """(stdout, stderr) of processes that all end with the code."""
    said = [process.communicate(timeout=300) for process in started]
    for process, (_, error) in zip(started, said):
        assert process.returncode == code, error[-3000:]
    return said


def feeds_a_norm(name):
    """A bias before a batch norm changes nothing: its gradient is rounding, of which Adam makes whole steps."""
    if "bias" not in name or "'bn" in name:
        return False
    # At 16 pixels the generator's dense layer makes one pixel a map: its biases too go into a norm.
    return (
        ("'gen'" in name and "deconv4" not in name)
        or "'conv2'" in name
        or "'conv3'" in name
        or "'conv4'" in name
    )


@pytest.fixture(scope="module")
def two_devices():
    """What tests/two_devices.py says, by dtype; both at once."""
    # Compiled without optimisation, in half the time: numbers and collectives are the subject.
    quick = "--xla_force_host_platform_device_count=2 --xla_backend_optimization_level=0"
    runs = {dtype: start(TESTS / "two_devices.py", dtype, XLA_FLAGS=quick) for dtype in TOLERANCE}
    return {dtype: json.loads(said) for dtype, (said, _) in zip(runs, finish(runs.values()))}


def assert_equal_tensors(tensors, dtype, steps):
    """tensors: name -> (norm-relative, absolute) difference."""
    checked = 0
    for name, (relative, absolute) in tensors.items():
        if "'mean'" in name:  # of what a bias was added to, which moves by a learning rate a step at most
            assert absolute < (2 * steps * RATE if dtype == "float32" else TOLERANCE[dtype]), name
        elif not feeds_a_norm(name):
            assert relative < TOLERANCE[dtype], (name, relative)
            checked += 1
    assert checked > 60


@pytest.mark.parametrize("dtype", list(TOLERANCE))
def test_two_devices_equal_one(two_devices, dtype):
    assert_equal_tensors(two_devices[dtype]["tensors"], dtype, steps=5)


@pytest.mark.parametrize("dtype", list(TOLERANCE))
def test_devices_exchange_sums_and_never_a_batch(two_devices, dtype):
    """Each works on its share from z and the maps to the logits and back."""
    assert two_devices[dtype]["collectives"] == ["all-reduce"]
    assert two_devices[dtype]["whole_batches"] == 0
    assert two_devices[dtype]["half_batches"] > 100


# float32: sums over the batch in another order. Measured after four steps: 1.1e-6 (2026-11-27, AMD EPYC); a
# feature that rounding carries over the corner of its leaky ReLU may change gradients by more.
LOGNORMAL_GAN = 1e-4


@pytest.mark.slow
def test_two_devices_equal_one_for_the_lognormal_gan_too(tmp_path):
    """All of its state; and a training begun on two devices, saved, and ended on one."""
    quick = "--xla_force_host_platform_device_count=2 --xla_backend_optimization_level=0"
    ((said, _),) = finish([start(TESTS / "two_devices_lognormal.py", tmp_path, XLA_FLAGS=quick)])
    for name, differences in json.loads(said).items():
        assert len(differences) > 60
        assert max(differences.values()) < LOGNORMAL_GAN, (name, max(differences, key=differences.get))
        assert any(differences.values())  # another program


def slurm(index, port, nodes="1(x2)"):
    """The environment that srun gives to one of two tasks."""
    return {
        "SLURM_JOB_ID": "1", "SLURM_STEP_NODELIST": "localhost", "SLURM_NTASKS": "2",
        "SLURM_PROCID": str(index), "SLURM_LOCALID": "0", "SLURM_STEP_NUM_TASKS": "2",
        "SLURM_STEP_TASKS_PER_NODE": nodes, "JAX_COORDINATOR_PORT": str(port),
    }  # fmt: skip


@pytest.fixture(scope="module")
def shares(tmp_path_factory):
    """Two processes' views of the feeds, and the table they were fed from."""
    folder = tmp_path_factory.mktemp("shares")
    rng = np.random.default_rng(0)
    kappa = rng.normal(size=(6, 32, 32)).astype(np.float32)
    write_map_store(folder / "maps", [kappa], 6, MapGeometry(32, 1.0), {})
    crops = np.stack([rng.choice([0, 1, 3, 4, 5], 53), *rng.integers(0, 17, (2, 53))], axis=1).astype(np.int32)
    manifest = {
        "maps": "maps", "crop_size": 16, "side_deg": 0.5, "source_redshift": None, "parents": [*range(6)],
        "boxes": [None] * 6, "normalisation": {"kind": "none", "scale": 1.0}, "origin": {},
    }  # fmt: skip
    none = crops[:0]
    write_crop_table(folder, {"train": crops, "development": none, "validation": none}, manifest)
    port = free_port()
    said = finish([start(TESTS / "two_processes.py", folder, **slurm(index, port)) for index in (0, 1)])
    return folder, kappa, crops, [json.loads(out.splitlines()[-1]) for out, _ in said]


def test_each_process_reads_its_share_and_no_more(shares):
    folder, kappa, crops, (zero, one) = shares
    batches = np.stack(list(Order(5, 8).rows(crops, 0, 7)))
    cut = np.array([[kappa[n, r : r + 16, c : c + 16] for n, r, c in rows] for rows in batches])
    for name in ("device", "stream"):
        for index, rows in enumerate((slice(0, 4), slice(4, 8))):
            np.testing.assert_array_equal(np.load(folder / f"{name}_{index}.npy"), cut[:, rows, ..., None])
    # Maps to be held: five, of which each reads its part once. Crops to be streamed: its half of every batch.
    assert (zero["maps_read"], one["maps_read"]) == ([0, 1, 3], [4, 5])
    assert zero["rows_streamed"] == one["rows_streamed"] == 7 * [4]


def test_processes_agree(shares):
    _, _, _, said = shares
    for index, view in enumerate(said):
        assert (view["index"], view["devices"], view["here"], view["smallest"]) == (index, 2, 2, 2.0)
        assert view["gave"] == ["of", 0, "x" * 5000]
        assert "no number" in view["failed"]
        assert view["auto"] == "DeviceFeed"
        # Asked to stop at one process's third call, both hear of it two calls later.
        assert view["answers"] == [None, None, None, None, "SIGTERM", None]


@pytest.fixture
def tiny(tiny_run):
    return [*tiny_run, "--crops_per_map=4", "--log_every_steps=1", "--augment=symmetries"]


def two_processes(*flags, each=((), ())):
    """Started runs of main, with more flags for either process."""
    port = free_port()
    joined = f"--coordinator_address=localhost:{port}", "--num_processes=2"
    return [
        start(
            "-m", "cosmogan_jax.main", *flags, *joined, f"--process_id={index}", *each[index],
            XLA_FLAGS="--xla_backend_optimization_level=0",
        )
        for index in (0, 1)
    ]  # fmt: skip


def trained(workdir):
    """Metrics, and every tensor of the last state by name."""
    _, like, checkpoints = open_trained(workdir)
    state = checkpoints.restore(checkpoints.steps()[-1], like)
    checkpoints.close()
    nets = jax.tree_util.tree_leaves_with_path({"gen": state.gen, "disc": state.disc})
    tensors = {jax.tree_util.keystr(path): np.asarray(leaf, np.float64) for path, leaf in nets}
    return read_log(workdir / "train/metrics.jsonl", timed=False), tensors


def assert_same_training(one, two, steps):
    assert [line["step"] for line in one[0]] == [line["step"] for line in two[0]] == list(range(1, steps + 1))
    for a, b in zip(one[0], two[0]):
        for name in a:
            np.testing.assert_allclose(a[name], b[name], rtol=METRICS, err_msg=name)
    differences = {
        name: (
            np.linalg.norm(two[1][name] - value) / max(np.linalg.norm(value), 1e-300),
            np.abs(two[1][name] - value).max(),
        )
        for name, value in one[1].items()
    }
    assert_equal_tensors(differences, "float32", steps)


@pytest.mark.slow  # two devices of one process are in every run
def test_two_processes_then_one_equal_one(run_main, tiny, tmp_path):
    """From the command line: one process of two is told to stop, both do, and one alone goes on."""
    steps = 5
    for name in ("whole", "cut"):
        code, _, error = run_main(f"--workdir={tmp_path}/{name}", *tiny, "--stages=prepare")
        assert code == 0, error
    flags = [*tiny, "--stages=train", f"--num_steps={steps}"]
    runs = two_processes(f"--workdir={tmp_path}/cut", *flags, each=((), ("--max_minutes=0",)))
    (_, zero), (_, one) = finish(runs)
    assert "train: stopped by max_minutes after step 3 of 5, which is saved" in zero.splitlines()[-1]
    assert not [line for line in one.splitlines() if "train:" in line]
    assert "process_id" not in (tmp_path / "cut/flags.txt").read_text()
    for name in ("whole", "cut"):
        code, said, error = run_main(f"--workdir={tmp_path}/{name}", *flags)
        assert code == 0, error
        assert ("goes on from step 3" in said) == (name == "cut")
    assert_same_training(trained(tmp_path / "whole"), trained(tmp_path / "cut"), steps)


@pytest.mark.slow
def test_sigterm_to_one_process_stops_both_and_one_becomes_two(run_main, tiny, tmp_path):
    """SIGTERM to process 1; a failure of one that ends both; and a training begun by one, ended by two."""
    workdir = tmp_path / "run"
    code, _, error = run_main(f"--workdir={workdir}", *tiny, "--stages=prepare")
    assert code == 0, error
    train = [f"--workdir={workdir}", *tiny, "--stages=train"]
    code, _, error = run_main(*train, "--num_steps=4000", "--max_minutes=0")
    assert code == 0, error
    metrics = workdir / "train.partial/metrics.jsonl"
    runs = two_processes(*train, "--num_steps=4000")
    wait_for(lambda: len(metrics.read_text().splitlines()) > 4, runs)
    runs[1].send_signal(signal.SIGTERM)
    (_, zero), _ = finish(runs)
    stopped = int(zero.split("stopped by SIGTERM after step ")[1].split()[0])
    assert len(metrics.read_text().splitlines()) == stopped
    # Killed outright, one takes the other with it; what was saved stays good.
    runs = two_processes(*train, "--num_steps=4000")
    wait_for(lambda: len(metrics.read_text().splitlines()) > stopped + 3, runs)
    runs[1].kill()
    began = time.monotonic()
    for run in runs:
        run.communicate(timeout=300)
    assert runs[0].returncode != 0
    assert time.monotonic() - began < 200  # JAX gives a silent process 100 s
    steps = stopped + 6
    finish(two_processes(*train, f"--num_steps={steps}"))
    code, _, error = run_main(
        f"--workdir={tmp_path}/whole", *tiny, "--stages=prepare,train", f"--num_steps={steps}"
    )
    assert code == 0, error
    one, two = trained(tmp_path / "whole"), trained(workdir)
    # Rounding grows with every step: what was seen above to 1e-4 after 5 is a percent after some tens.
    assert [line["step"] for line in one[0]] == [line["step"] for line in two[0]]
    for a, b in zip(one[0][:8], two[0][:8]):
        np.testing.assert_allclose(a["disc_loss"], b["disc_loss"], rtol=METRICS)
    np.testing.assert_allclose(one[0][-1]["disc_loss"], two[0][-1]["disc_loss"], rtol=1e-2)


def wait_for(condition, runs):
    for _ in range(3000):
        assert all(run.poll() is None for run in runs), runs[0].communicate()
        if condition():
            return
        time.sleep(0.1)
    raise AssertionError("waited too long")


def of(distributed="auto", address=None, number=None, index=None):
    return Processes(distributed, address, number, index)


STEP = {
    "SLURM_STEP_NUM_TASKS": "4", "SLURM_PROCID": "3", "SLURM_STEP_NODELIST": "node[007-009,011],other",
    "SLURM_JOB_ID": "4711", "SLURM_STEP_TASKS_PER_NODE": "2(x2)", "SLURM_LOCALID": "1",
}  # fmt: skip


def test_who_is_expected():
    step = STEP
    assert expected(of(), {}) == (1, 0)
    assert expected(of(), step) == (4, 3)
    assert expected(of("off"), step) == (1, 0)
    # A batch script that calls Python itself: granted four tasks, one process.
    assert expected(of(), {"SLURM_NTASKS": "4", "SLURM_PROCID": "0"}) == (1, 0)
    assert expected(of("auto", "node1:1234", 2, 1), step) == (2, 1)


@pytest.mark.parametrize("name", ["SLURM_PROCID", "SLURM_STEP_NODELIST", "SLURM_JOB_ID", "SLURM_LOCALID"])
def test_a_variable_of_slurm_that_is_missing_is_named(name):
    step = {other: value for other, value in STEP.items() if other != name}
    with pytest.raises(
        ValueError, match=rf"^{name} is not set, .*_TASKS=4 .* each alone with --distributed=off$"
    ):
        expected(of(), step)
    assert expected(of("off"), step) == (1, 0)
    odd = "," if name == "SLURM_STEP_NODELIST" else "x"
    with pytest.raises(ValueError, match=f"^{name}={odd} (must be a whole number|names no host)"):
        expected(of(), {**STEP, name: odd})


def test_what_slurm_need_not_say():
    """One task on a host takes all devices whatever its local number; a port that is given wants no job's."""
    alone = {**STEP, "SLURM_STEP_TASKS_PER_NODE": "1(x4)", "JAX_COORDINATOR_PORT": "1234"}
    for name in ("SLURM_LOCALID", "SLURM_JOB_ID"):
        del alone[name]
    assert expected(of(), alone) == (4, 3)
    assert processes._slurm_address(alone) == "node007:1234"
    with pytest.raises(ValueError, match="SLURM_PROCID=4 must be less than SLURM_STEP_NUM_TASKS=4"):
        expected(of(), {**STEP, "SLURM_PROCID": "4"})


@pytest.mark.parametrize("nodes", ["node[007-009,011],other", "node007", "node007,x[1-2]"])
def test_processes_meet_where_jax_would_have_them_meet(nodes, monkeypatch):
    from jax._src.clusters.slurm_cluster import SlurmCluster

    step = {**STEP, "SLURM_STEP_NODELIST": nodes}
    for name, value in step.items():
        monkeypatch.setenv(name, value)
    assert processes._slurm_address(step) == SlurmCluster.get_coordinator_address(None, None)


def together(*calls):
    """What each call gave or raised, all run at once."""

    def run(call):
        try:
            return call()
        except ValueError as error:
            return str(error)

    with concurrent.futures.ThreadPoolExecutor(len(calls)) as pool:
        return [future.result() for future in [pool.submit(run, call) for call in calls]]


def test_processes_that_meet():
    """Whoever else comes to the port is none of them, and the port is free again."""
    at = f"localhost:{free_port()}"

    def stranger():
        for _ in range(3):
            with (
                contextlib.suppress(OSError),
                socket.create_connection(("localhost", int(at[10:])), 1) as other,
            ):
                other.sendall(b"GET / HTTP/1.0\n")
            time.sleep(0.05)

    for _ in range(2):
        assert together(*(lambda i=i: meet(at, 3, i, 30) for i in (2, 0, 1)), stranger) == [None] * 4


def test_processes_that_do_not_meet_say_who_is_missing():
    at = f"localhost:{free_port()}"
    zero, two = together(lambda: meet(at, 4, 0, 1.5), lambda: meet(at, 4, 2, 1.5))
    assert zero == f"process 0 of 4 waited 1.5 s at {at}: processes 1, 3 are missing"
    assert two == f"process 2 of 4 waited 1.5 s at {at}: processes 1, 3 are missing"
    (alone,) = together(lambda: meet(at, 2, 1, 0.5))
    assert alone.startswith(f"process 1 of 2 waited 0.5 s: process 0 is missing at {at} (")
    with socket.create_server(("", free_port())) as taken:
        port = taken.getsockname()[1]
        (said,) = together(lambda: meet(f"localhost:{port}", 2, 0, 0.5))
    assert said == f"process 0 of 2 cannot listen at port {port}: Address already in use"


def test_two_processes_of_one_number():
    at = f"localhost:{free_port()}"
    zero, *ones = together(*(lambda i=i: meet(at, 3, i, 1.5) for i in (0, 1, 1)))
    assert zero.endswith("process 2 is missing")
    assert sorted(ones, key=len) == [
        "process_id=1 is the number of another process of this run too",
        zero.replace("process 0", "process 1"),
    ]


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (("auto", "node1:1234", None, 0), "num_processes=None"),
        (("auto", "node1:1234", 2, 2), "process_id=2"),
        (("auto", "node1", 2, 1), "coordinator_address=node1 must be host:port"),
        (("off", "node1:1234", 2, 1), "distributed=off"),
    ],
)
def test_bad_flags_of_processes(given, words):
    with pytest.raises(ValueError, match=words):
        expected(of(*given), {})


def test_what_several_processes_may_run(run_main, tmp_path):
    joined = "--coordinator_address=localhost:1", "--num_processes=2", "--process_id=1"
    code, _, error = run_main(f"--workdir={tmp_path}/r", "--stages=prepare,train", *joined)
    assert code == 1
    assert "stages=prepare,train: 2 processes run --stages=train only" in error
    assert error.count("\n") == 1


def test_devices_must_divide_the_batch():
    with pytest.raises(ValueError, match="num_devices=99 must lie between 1 and"):
        choose_devices(99, 8)
    code = (
        "from cosmogan_jax.machine.devices import choose_devices\n"
        "print(choose_devices(None, 6).mesh.size, choose_devices(2, 8).mesh.size)\n"
        "try: choose_devices(None, 8)\n"
        "except ValueError as error: print(error)"
    )
    run = start("-c", code, XLA_FLAGS="--xla_force_host_platform_device_count=3")
    ((said, _),) = finish([run])
    assert said.splitlines() == ["3 2", "batch_size=8 must be divisible by num_devices=3"]


def test_memory_that_a_batch_job_may_use(tmp_path):
    """Limits on control groups of both versions, on the process's own or any above."""
    (tmp_path / "proc/self").mkdir(parents=True)
    file = tmp_path / "proc/self/cgroup"
    assert usable_memory(tmp_path) == usable_memory() > 2**20
    file.write_text("0::/slurm/job_1/step_0\n")
    job = tmp_path / "sys/fs/cgroup/slurm/job_1"
    (job / "step_0").mkdir(parents=True)
    (job / "step_0/memory.max").write_text("max\n")
    (job / "memory.max").write_text("4096000\n")
    assert usable_memory(tmp_path) == 4096000
    file.write_text("5:cpu:/job_1\n7:memory:/job_1\n")
    old = tmp_path / "sys/fs/cgroup/memory"
    (old / "job_1").mkdir(parents=True)
    (old / "job_1/memory.limit_in_bytes").write_text(f"{2**63 - 4096}\n")  # none
    assert usable_memory(tmp_path) == usable_memory()
    (old / "memory.limit_in_bytes").write_text("8192000\n")
    assert usable_memory(tmp_path) == 8192000
