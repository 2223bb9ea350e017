"""The lognormal GAN's speed and memory: a train step, sampling in three sizes, a stage that streams to disk.

    python experiments/benchmarks/lognormal_gan.py --workdir=/tmp/benchmark

Every part runs in a process of its own, on one core and on two; times are medians, beside them the time of the
processor, which says more where cores are shared. Peaks are resident memory of that process (memory.py). The
default recipe: 64^2 maps, 5 layers of 12 features, 24 maps a batch, and 8. Weights are those of the start, on
which the time does not depend.
"""

import argparse
import json
import multiprocessing
import os
import resource
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from memory import measure

ROOT = Path(__file__).resolve().parents[2]
SIZE, SIDE_DEG, SEED = 64, 0.875, 0
SAMPLED = {64: 256, 128: 64, 256: 16}  # maps of a call, by their pixels
BATCHES = (24, 8)  # the recipe's, and as many as are made in a step
STORED = (1_000, 10_000, 20_000)
RUN = (
    "--emulator=lognormal_gan", "--sky=lognormal", "--map_pixels=128", "--side_deg=1.75", "--crop_size=64",
    "--num_train_maps=64", "--num_development_maps=8", "--num_validation_maps=8", "--crops_per_map=4",
    "--num_steps=1", "--score_every_steps=0", "--sample_every_steps=0", "--checkpoint=last",
)  # fmt: skip


def timed(call: Callable[[], Any], repeats: int) -> dict[str, float]:
    """Median seconds of calls by the clock and of the processor; the first, which compiles, does not count."""
    call()
    clock, processor = [], []
    for _ in range(repeats):
        began, used = time.perf_counter(), time.process_time()
        call()
        clock.append(time.perf_counter() - began)
        processor.append(time.process_time() - used)
    return {
        "seconds": statistics.median(clock),
        "fastest": min(clock),
        "processor": statistics.median(processor),
    }


def stepper(**changed: Any) -> Callable[[], None]:
    """A step of the default recipe, but for the settings of `Train` named, on skewed maps."""
    import dataclasses

    import jax
    import jax.numpy as jnp
    import numpy as np

    from cosmogan_jax import keys
    from cosmogan_jax.emulators.interface import Batch
    from cosmogan_jax.emulators.kinds import build
    from cosmogan_jax.settings import Train
    from cosmogan_jax.settings.lognormal_gan import LognormalGan

    names = {field.name for field in dataclasses.fields(Train)}
    recipe = {name: value for name, value in LognormalGan.DEFAULTS.items() if name in names}
    settings = Train(SEED, SIZE, LognormalGan(), "lognormal_gan", **(recipe | changed))
    _, engine = build(settings)
    rng = np.random.default_rng(SEED)
    k = np.hypot(np.fft.fftfreq(SIZE)[:, None], np.fft.rfftfreq(SIZE))
    k[0, 0] = 1 / SIZE
    g = np.fft.irfft2(np.fft.rfft2(rng.normal(size=(480, SIZE, SIZE))) / k)
    maps = np.exp(0.4 * g / g.std()).astype(np.float32)[..., None]
    state = engine.begin(engine.init(keys.key(SEED, "weights")), *2 * [lambda: iter([maps])])
    step = jax.jit(engine.step, donate_argnums=0)
    batch = Batch(jnp.asarray(maps[: settings.batch_size]), jnp.zeros((settings.batch_size, 0)))

    def call() -> None:
        nonlocal state
        state, metrics = step(state, batch)
        jax.block_until_ready((state.gen, metrics))

    return call


def train_step(cores: list[int], repeats: int, batch_size: int) -> dict[str, float]:
    """`stepper` on these cores, with memory as runs have it."""
    os.sched_setaffinity(0, cores)
    from cosmogan_jax.machine import allocation

    allocation.keep_freed_memory()
    return timed(stepper(batch_size=batch_size), repeats) | {"peak_mib": _peak_mib()}


def sample(cores: list[int], repeats: int, size: int) -> dict[str, float]:
    """`Emulator.sample`, in seconds a map."""
    os.sched_setaffinity(0, cores)
    import jax

    from cosmogan_jax import keys
    from cosmogan_jax.emulators.emulator import Emulator
    from cosmogan_jax.emulators.lognormal_gan.model import LognormalGan
    from cosmogan_jax.emulators.normalisation import Normalisation
    from cosmogan_jax.geometry import MapGeometry

    model = LognormalGan(5, 12)
    variables = model.init(keys.key(SEED, "weights"))
    geometry = MapGeometry(SIZE, SIDE_DEG)
    scale = Normalisation("linear", 0.02)
    emulator = Emulator("benchmark", model, variables, scale, geometry, {}, training_pixels=128)
    count = SAMPLED[size]
    found = timed(lambda: jax.block_until_ready(emulator.sample(SEED, count, size=size)), repeats)
    return {name: value / count for name, value in found.items()} | {"peak_mib": _peak_mib()}


def stage(workdir: Path, count: int) -> dict[str, float]:
    """Stage generate of so many maps, in a run directory that has the data and the training of another."""
    folder = workdir / f"generate-{count}"
    folder.mkdir()
    for name in ("simulate", "prepare", "train"):
        (folder / name).symlink_to(workdir / "run" / name, target_is_directory=True)
    command = [sys.executable, "-m", "cosmogan_jax.main", *RUN, f"--workdir={folder}", "--stages=generate"]
    found = measure([*command, f"--num_generated={count}"], workdir / "log.txt")
    summary = json.loads((folder / "generate/stage.json").read_text())["summary"]
    return found | {"maps_a_second": 1024 / summary["seconds_of_1024_maps"]}


def _peak_mib() -> int:
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)


def _apart(function: Callable[..., dict[str, float]], *arguments: Any) -> dict[str, float]:
    """In a process of its own, whose peak is not this one's."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        found: dict[str, float] = pool.apply(function, arguments)
    print(json.dumps({"part": function.__name__, **found}), file=sys.stderr, flush=True)
    return found


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workdir", type=Path, required=True, help="of stage generate's runs; must be empty")
    parser.add_argument("--parts", default="step,sample,stage")
    parser.add_argument("--repeats", type=int, default=9)
    asked = parser.parse_args()
    parts = asked.parts.split(",")
    here = sorted(os.sched_getaffinity(0))
    sets = [here[:count] for count in (1, 2) if count <= len(here)]
    print(f"{time.strftime('%Y-%m-%d')}, of {len(here)} cores, load {os.getloadavg()[0]:.1f} at the start")
    if "step" in parts:
        print("| batch | cores | train step, ms: median | fastest | processor | peak, MiB |")
        print("|---|---|---|---|---|---|")
        for batch_size in BATCHES:
            for cores in sets:
                of = _apart(train_step, cores, asked.repeats, batch_size)
                times = " | ".join(f"{1e3 * of[name]:.0f}" for name in ("seconds", "fastest", "processor"))
                print(f"| {batch_size} | {len(cores)} | {times} | {of['peak_mib']} |", flush=True)
    if "sample" in parts:
        print("| pixels | cores | maps a second: median | fastest | processor, ms a map | peak, MiB |")
        print("|---|---|---|---|---|---|")
        for size in SAMPLED:
            for cores in sets:
                of = _apart(sample, cores, asked.repeats, size)
                rates = f"{1 / of['seconds']:.1f} | {1 / of['fastest']:.1f} | {1e3 * of['processor']:.2f}"
                print(f"| {size} | {len(cores)} | {rates} | {of['peak_mib']} |", flush=True)
    if "stage" in parts:
        asked.workdir.mkdir(parents=True, exist_ok=True)
        program = [sys.executable, "-m", "cosmogan_jax.main", *RUN, f"--workdir={asked.workdir / 'run'}"]
        measure([*program, "--stages=simulate,prepare,train"], asked.workdir / "log.txt")
        print("| maps stored | peak, MiB | s, with compilation | maps a second made |\n|---|---|---|---|")
        for count in STORED:
            of = stage(asked.workdir.resolve(), count)
            print(f"| {count} | {of['peak_mib']} | {of['seconds']} | {of['maps_a_second']:.0f} |", flush=True)


if __name__ == "__main__":
    main()
