"""The train step's batches: the same in the same order however they are fed and wherever a run begins."""

import json
import os
import subprocess
import sys
import threading
import time

import jax
import numpy as np
import pytest

from cosmogan_jax.geometry import MapGeometry
from cosmogan_jax.machine.devices import choose_devices
from cosmogan_jax.maps.crop_stream import stream_crops
from cosmogan_jax.maps.crop_table import open_crop_table, write_crop_table
from cosmogan_jax.maps.store import open_map_store
from cosmogan_jax.maps.store_writing import write_map_store
from cosmogan_jax.maps.table_crops import Crops
from cosmogan_jax.stages.train import inputs
from cosmogan_jax.stages.train.feeding import DeviceFeed, Order, StreamFeed, open_feed, random_orientations
from cosmogan_jax.stages.train.training_log import read_log

NUM_MAPS, SIZE, CROP, CROPS = 6, 96, 40, 53


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    """Training crops in maps 1, 3 and 4 of a store, in no order, across the borders of its chunks of 96."""
    folder = tmp_path_factory.mktemp("feed")
    kappa = np.random.default_rng(0).normal(size=(NUM_MAPS, SIZE, SIZE)).astype(np.float32)
    write_map_store(folder / "maps", [kappa], NUM_MAPS, MapGeometry(SIZE, 1.0), {})
    rng = np.random.default_rng(1)
    crops = np.stack(
        [rng.choice([1, 3, 4], CROPS), *rng.integers(0, SIZE - CROP + 1, (2, CROPS))], axis=1
    ).astype(np.int32)
    manifest = {
        "maps": "maps", "crop_size": CROP, "side_deg": 40 / 96, "source_redshift": None, "parents": [*range(6)],
        "boxes": [None] * 6, "normalisation": {"kind": "none", "scale": 1.0}, "origin": {},
    }  # fmt: skip
    none = crops[:0]
    write_crop_table(folder, {"train": crops, "development": none, "validation": none}, manifest)
    return open_crop_table(folder)


@pytest.fixture
def crops(table):
    return Crops(table, table.crops["train"])


@pytest.fixture
def settings(parse):
    return lambda *flags: parse("--batch_size=8", "--seed=5", *flags).by_stage["train"]


@pytest.fixture
def devices():
    return choose_devices(1, 8)


def test_another_training_on_the_same_maps_has_another_order(crops, settings, devices):
    def rows(*flags):
        feed = open_feed(crops, settings("--feed=device", *flags), devices)
        return np.concatenate([np.asarray(batch) for batch in feed.batches(0, 3)])

    assert (rows() == rows("--train_seed=5")).all()
    assert (rows() != rows("--train_seed=6")).any()


def batches(feed, first, stop):
    """Their convergence; nothing is conditioned here, see test_parameters.py."""
    given = [feed.crops(feed.held, batch) for batch in feed.batches(first, stop)]
    assert {batch.theta.shape for batch in given} == {(8, 0)}
    return [np.asarray(batch.kappa) for batch in given]


def test_both_feeds_give_the_same_batches(table, crops, settings, devices):
    device, stream = (
        open_feed(crops, settings("--feed=device"), devices),
        open_feed(crops, settings("--feed=stream", "--stream_cache_gib=0"), devices),
    )
    one, two = batches(device, 0, 14), batches(stream, 0, 14)
    assert len(one) == len(two) == 14
    for a, b in zip(one, two):
        assert a.shape == (8, CROP, CROP, 1)
        assert a.tobytes() == b.tobytes()
    # And they are the crops that the table names.
    kappa = table.store.read()
    rows = next(Order(5, 8).rows(crops.rows, 0, 1))
    for cut, (n, row, column) in zip(one[0], rows):
        np.testing.assert_array_equal(cut, kappa[n, row : row + CROP, column : column + CROP])
    assert stream.waited > 0


def test_a_run_that_begins_later_sees_what_it_would_have(crops, settings, devices):
    for name in ("device", "stream"):
        feed = open_feed(crops, settings(f"--feed={name}"), devices)
        for a, b in zip(batches(feed, 0, 14)[9:], batches(feed, 9, 14)):
            np.testing.assert_array_equal(a, b)


def test_each_epoch_is_a_new_permutation_without_its_part_batch():
    crops = np.arange(53 * 3).reshape(53, 3)
    per_epoch = 53 // 8
    epochs = [
        np.concatenate(list(Order(5, 8).rows(crops, e * per_epoch, (e + 1) * per_epoch))) for e in range(4)
    ]
    for seen in epochs:
        assert len(seen) == len(np.unique(seen[:, 0])) == 48
    left_out = [set(crops[:, 0]) - set(seen[:, 0]) for seen in epochs]
    assert len({frozenset(left) for left in left_out}) == 4
    other = np.concatenate(list(Order(6, 8).rows(crops, 0, per_epoch)))
    assert not np.array_equal(other, epochs[0])


def test_the_order_is_the_same_on_any_number_of_devices():
    code = (
        "import jax, numpy as np; from cosmogan_jax.stages.train.feeding import Order;"
        "rows = np.concatenate(list(Order(5, 8).rows(np.arange(159).reshape(53, 3), 0, 30)));"
        "print(len(jax.devices()), rows.sum(0), (rows * np.arange(len(rows))[:, None]).sum())"
    )
    said = []
    for devices in (1, 3):
        xla = f"{os.environ['XLA_FLAGS']} --xla_force_host_platform_device_count={devices}"
        flags = {"JAX_PLATFORMS": "cpu", "XLA_FLAGS": xla}
        done = subprocess.run(
            [sys.executable, "-c", code],
            capture_output=True,
            text=True,
            check=True,
            env={**os.environ, **flags},
        )
        count, rest = done.stdout.split(" ", 1)
        assert int(count) == devices
        said.append(rest)
    assert said[0] == said[1]


def test_streaming_reads_ahead_and_notices_broken_chunks(table, tmp_path):
    asked = []

    def rows():
        for n in range(20):
            asked.append(n)
            yield np.array([[n % NUM_MAPS, 0, 0]])

    stream = stream_crops(table.store, rows(), CROP, ahead=3)
    next(stream)
    # Taken: one. Waiting, ready: three; one more waits for a place, and one is being read.
    patience = time.monotonic() + 60
    while len(asked) < 5 and time.monotonic() < patience:
        time.sleep(0.01)
    time.sleep(0.2)  # time to ask for more than it should
    assert 5 <= len(asked) <= 6
    assert len(list(stream)) == 19
    # A reader that goes away ends the thread.
    stream = stream_crops(table.store, rows(), CROP, ahead=1)
    next(stream)
    stream.close()
    assert not [thread for thread in threading.enumerate() if thread.name == "crop stream"]
    write_map_store(tmp_path / "s", [table.store.read()], NUM_MAPS, MapGeometry(SIZE, 1.0), {})
    shard = tmp_path / "s/kappa/c/0/0/0/0"
    content = bytearray(shard.read_bytes())
    content[2 * 4 * SIZE * SIZE + 5000] ^= 4  # in map 2
    shard.write_bytes(content)
    stream = stream_crops(open_map_store(tmp_path / "s"), rows(), CROP, ahead=1)
    assert len([next(stream), next(stream)]) == 2
    with pytest.raises(ValueError, match="Digest mismatch"):
        next(stream)


def test_auto_holds_maps_where_they_fit(crops, settings, devices, monkeypatch):
    from cosmogan_jax.stages.train import feeding

    assert isinstance(open_feed(crops, settings(), devices), DeviceFeed)
    needed = 4 * 3 * SIZE * SIZE  # the three maps that training crops lie in
    monkeypatch.setattr(feeding, "free_memory", lambda device: 2 * needed)
    assert isinstance(open_feed(crops, settings(), devices), StreamFeed)
    monkeypatch.setattr(feeding, "free_memory", lambda device: 2 * needed + 1)
    assert isinstance(open_feed(crops, settings(), devices), DeviceFeed)
    assert isinstance(open_feed(crops, settings("--feed=stream"), devices), StreamFeed)


def test_random_orientations_are_the_squares_eight():
    square = np.arange(16, dtype=np.float32).reshape(4, 4)
    both = np.stack([square, square + 100], axis=-1)
    kappa = np.broadcast_to(both, (400, 4, 4, 2))
    of_both = np.asarray(random_orientations(jax.random.key(0), 3, kappa))
    np.testing.assert_array_equal(of_both[..., 1], of_both[..., 0] + 100)  # all bins of a map turn alike
    found = np.ascontiguousarray(of_both[..., 0])
    eight = {
        turned.tobytes() for t in (square, square.T) for turned in (np.rot90(t, k).copy() for k in range(4))
    }
    counts = {t: sum(f.tobytes() == t for f in found) for t in eight}
    assert len(eight) == 8
    assert sum(counts.values()) == 400
    # 50 of each are expected, with a standard deviation of 6.6.
    assert min(counts.values()) > 20
    again = np.asarray(random_orientations(jax.random.key(0), 3, kappa))
    np.testing.assert_array_equal(of_both, again)
    assert not np.array_equal(of_both, np.asarray(random_orientations(jax.random.key(0), 4, kappa)))


@pytest.mark.slow
def test_training_streamed_equals_training_from_the_device(run_main, tiny_run, tmp_path, monkeypatch):
    """From a file to trained networks: the metrics of both feeds, and of a resumed run, are the same."""
    tiny = (
        *tiny_run, "--stages=prepare,train", "--crops_per_map=9", "--log_every_steps=1",
        "--checkpoint_every_steps=7", "--augment=symmetries",
    )  # fmt: skip
    metrics, summaries, turned = {}, {}, []
    monkeypatch.setattr(
        inputs, "random_orientations", lambda *a: turned.append(name) or random_orientations(*a)
    )
    for name, runs in (
        ("device", [("--feed=device", "--num_steps=17")]),
        ("stream", [("--feed=stream", "--num_steps=17")]),
        ("resumed", [("--feed=stream", "--num_steps=9"), ("--feed=device", "--num_steps=17")]),
        ("plain", [("--augment=none", "--num_steps=17")]),
    ):
        for flags in runs:
            code, _, error = run_main(f"--workdir={tmp_path}/{name}", *tiny, *flags)
            assert code == 0, error
        lines = read_log(tmp_path / name / "train/metrics.jsonl", timed=False)
        metrics[name] = np.array([list(line.values()) for line in lines])
        summaries[name] = json.loads((tmp_path / name / "train/stage.json").read_text())["summary"]
    assert set(turned) == {"device", "stream", "resumed"}
    np.testing.assert_array_equal(metrics["device"], metrics["resumed"])
    # Two programs, cut inside or outside the step: XLA may round them differently.
    np.testing.assert_allclose(metrics["stream"], metrics["device"], rtol=1e-4, atol=1e-5)
    assert not np.allclose(metrics["plain"], metrics["device"], rtol=1e-2)
    assert summaries["stream"]["feed"] == "StreamFeed"
    assert 0 <= summaries["stream"]["share_of_time_waited_for_maps"] < 1
