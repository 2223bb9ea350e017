"""Does the disk keep up with a train step of 10 ms at 64 crops of 256^2 (1.7 GB/s)?

A stand-in for the step sleeps until 10 ms after it got its batch, as a host does while an accelerator works.
Batches are random crops of 1024^2 maps. Three states of the store are measured: on the disk alone (pages
dropped from the system's cache before every round), in the system's page cache, and in the process's own cache
(decoded and checked). Rounds are interleaved; medians over rounds.

    python experiments/benchmarks/streaming.py [--maps=256] [--chunk_pixels=128] [--folder=runs/streaming]
"""

import argparse
import json
import os
import platform
import shutil
import sys
import time
from pathlib import Path

import numpy as np

from cosmogan_jax.geometry import MapGeometry
from cosmogan_jax.maps import store_writing
from cosmogan_jax.maps.crop_stream import stream_crops
from cosmogan_jax.maps.store import open_map_store
from cosmogan_jax.maps.store_writing import write_map_store

PIXELS, CROP, BATCH, STEP_SECONDS, AHEAD = 1024, 256, 64, 0.010, 4


def main():
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--maps", type=int, default=256, help="maps of 1024^2, 4 MiB each")
    options.add_argument("--steps", type=int, default=100, help="steps of a round")
    options.add_argument("--rounds", type=int, default=5)
    options.add_argument("--chunk_pixels", type=int, help="side of a chunk, in place of the project's choice")
    options.add_argument("--folder", type=Path, default=Path("runs/streaming"))
    options = options.parse_args()
    if options.chunk_pixels:
        store_writing.chunk_side = lambda num_pixels: options.chunk_pixels
    store = make_store(options.folder / "maps", options.maps)
    size = sum(store.manifest.shards.values())
    cached = open_map_store(store.path, cache_bytes=2 * size)
    for _ in cached.batches():  # fills the cache
        pass
    found = {"disk": [], "page_cache": [], "own_cache": []}
    for number in range(options.rounds):
        drop_pages(store.path)
        found["disk"].append(one_round(store, options, number))
        sequential_read(store.path)
        found["page_cache"].append(one_round(store, options, number))
        found["own_cache"].append(one_round(cached, options, number))
    drop_pages(store.path)
    read = size / sequential_read(store.path) / 1e9
    content = {
        "command": " ".join(["python", *sys.argv]),
        "date": time.strftime("%Y-%m-%d"),
        "hardware": f"{cpu_name()}, {os.cpu_count()} cores",
        "store_bytes": size,
        "sequential_read_gb_per_s": round(read, 3),
        **{name: summary(rounds) for name, rounds in found.items()},
    }
    print(json.dumps(content, indent=1))
    shutil.rmtree(options.folder)


def make_store(path, count):
    """Gaussian noise, made anew for every map: nothing to compress, nothing to share."""
    if path.exists():
        shutil.rmtree(path)
    rng = np.random.default_rng(0)
    maps = (rng.normal(size=(1, PIXELS, PIXELS)).astype(np.float32) for _ in range(count))
    return write_map_store(path, maps, count, MapGeometry(PIXELS, 12**0.5), {})


def rows(options, seed, steps):
    rng = np.random.default_rng(seed)
    for _ in range(steps):
        places = rng.integers(0, PIXELS - CROP + 1, (BATCH, 2))
        yield np.concatenate([rng.integers(0, options.maps, (BATCH, 1)), places], axis=1)


def one_round(store, options, seed):
    """Share of the time that steps of 10 ms waited for their batch."""
    stream = stream_crops(store, rows(options, seed, options.steps + 5), CROP, AHEAD)
    for _ in range(5):
        next(stream)
    began, waited = time.monotonic(), 0.0
    for _ in range(options.steps):
        mark = time.monotonic()
        batch = next(stream)
        got = time.monotonic()
        waited += got - mark
        del batch
        time.sleep(max(0.0, got + STEP_SECONDS - time.monotonic()))
    return waited / (time.monotonic() - began)


def drop_pages(path):
    for file in path.rglob("*"):
        if file.is_file():
            with open(file, "rb") as opened:
                os.fsync(opened.fileno())
                os.posix_fadvise(opened.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def sequential_read(path):
    began = time.monotonic()
    for file in path.rglob("*"):
        if file.is_file():
            with open(file, "rb") as opened:
                while opened.read(2**24):
                    pass
    return time.monotonic() - began


def summary(rounds):
    share = float(np.median(rounds))
    step = STEP_SECONDS / (1 - share)
    return {
        "share_waited": round(share, 4),
        "spread": [round(min(rounds), 4), round(max(rounds), 4)],
        "ms_a_step": round(1e3 * step, 2),
        "gb_per_s": round(4 * BATCH * CROP**2 / step / 1e9, 3),
        "goal_below_0.01": "met" if share < 0.01 else "missed",
    }


def cpu_name():
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    names = [line.split(":")[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()


if __name__ == "__main__":
    main()
