"""The boxes of stage simulate: makes those that are missing, one at a time on every local device.

On a CPU as many at a time as there are cores and memory for: one box is hardly faster on two cores than on one
(experiments/benchmarks/README.md). A box is the same to the bit, alone or beside others.
"""

import concurrent.futures
import dataclasses
import os
import queue
import sys
import threading
import time
from pathlib import Path
from typing import Any, Self

import jax
import numpy as np

from cosmogan_jax.machine.memory import free_memory, unused_memory
from cosmogan_jax.machine.progress import progress
from cosmogan_jax.maps.boxes import Box, BoxWriter, claim, open_box
from cosmogan_jax.sky.initial_conditions import mode_amplitudes
from cosmogan_jax.sky.light_cone import PlaneSchedule
from cosmogan_jax.sky.matter_power import MatterPower
from cosmogan_jax.sky.nbody import BoxSettings, evolve
from cosmogan_jax.sky.resolution import box_bytes

_POLL_SECONDS = 5.0


@dataclasses.dataclass(frozen=True)
class BoxPlan:
    """What all boxes of a run have in common."""

    settings: BoxSettings
    power: MatterPower
    schedule: PlaneSchedule
    source_redshift: float
    seed: int
    key_scheme: int

    def identity(self) -> dict[str, Any]:
        """Return what makes a box this box, but for its name."""
        cosmology = {f"cosmology.{name}": value for name, value in vars(self.power.cosmology).items()}
        own = {"source_redshift": self.source_redshift, "seed": self.seed}
        if self.key_scheme > 1:  # boxes of the first scheme do not say so
            own["keys"] = self.key_scheme
        return {**dataclasses.asdict(self.settings), **cosmology, **own}


def get_boxes(folder: Path, keys: dict[str, jax.Array], plan: BoxPlan) -> dict[str, Box]:
    """Return all boxes named, made where they are not whole; several processes may make boxes of one folder.

    Raises:
      ValueError: a box of other settings, or a device that has not the memory for one.
    """
    identity = plan.identity()
    missing: queue.SimpleQueue[str] = queue.SimpleQueue()
    for name in keys:
        if open_box(folder, name, identity) is None:
            missing.put(name)
    if not missing.empty():
        devices = jax.local_devices()
        for device in devices:
            _check_memory(device, plan.settings, len(devices))
        if len(devices) == 1:
            devices = devices * _at_a_time(devices[0], plan.settings, missing.qsize())
        amplitudes = mode_amplitudes(plan.power, plan.settings.num_particles_side, plan.settings.box_size)
        stop = threading.Event()
        with (
            progress(total=missing.qsize() * plan.settings.num_time_steps, desc="boxes", unit="step") as bar,
            concurrent.futures.ThreadPoolExecutor(len(devices)) as pool,
        ):  # fmt: skip
            workers = [
                pool.submit(_work, device, missing, folder, keys, plan, amplitudes, bar, stop)
                for device in devices
            ]
            try:
                for worker in concurrent.futures.as_completed(workers):
                    worker.result()
            except BaseException:
                stop.set()  # the other devices stop after their step
                raise
    boxes = {name: open_box(folder, name, identity) for name in keys}
    return {name: box for name, box in boxes.items() if box is not None}


def _work(device, missing, folder, keys, plan, amplitudes, bar, stop) -> None:
    printed = False
    while not stop.is_set():
        try:
            name = missing.get_nowait()
        except queue.Empty:
            return
        with claim(folder, name) as claimed:
            if claimed and open_box(folder, name, plan.identity()) is None:
                with jax.default_device(device):
                    _make(folder, name, keys[name], plan, amplitudes, bar, stop)
                continue
        if open_box(folder, name, plan.identity()) is None:
            if not printed:
                print(f"simulate: waits for box {name}, which another process makes", file=sys.stderr)
                printed = True
            missing.put(name)
            stop.wait(_POLL_SECONDS)
        else:
            bar.update(plan.settings.num_time_steps)


class _WriteBehind:
    """Writes planes in a thread while the next step is computed; those of one step at most wait for it."""

    def __init__(self, writer: BoxWriter):
        self._writer, self._pool = writer, concurrent.futures.ThreadPoolExecutor(1)
        self._last: concurrent.futures.Future | None = None
        self.seconds = 0.0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.shutdown()  # whoever makes the box again begins when nobody writes to it

    def write(self, planes: list[tuple[int, jax.Array]]) -> None:
        """Take planes to write; raise what the writing of those before raised."""
        self.wait()
        if planes:
            self._last = self._pool.submit(self._write, planes)

    def wait(self) -> None:
        """Wait until all planes are written."""
        if self._last is not None:
            self._last.result()
            self._last = None

    def _write(self, planes: list[tuple[int, jax.Array]]) -> None:
        began = time.monotonic()
        for index, contrast in planes:
            self._writer.write(index, np.asarray(contrast))
        self.seconds += time.monotonic() - began


def _make(folder: Path, name: str, key: jax.Array, plan: BoxPlan, amplitudes, bar, stop) -> None:
    settings = plan.settings
    cuts = 3 * settings.slabs_per_box
    writer = BoxWriter(folder, name, len(plan.schedule.chi), cuts, settings.plane_pixels)
    began = time.monotonic()
    step_seconds, waited = [], 0.0
    steps = evolve(key, settings, plan.power, plan.schedule, amplitudes)
    mark = began
    with _WriteBehind(writer) as behind:
        for particles, planes in steps:
            jax.block_until_ready((particles, planes))
            ready = time.monotonic()
            if not planes:
                step_seconds.append(ready - mark)
            behind.write(planes)
            mark = time.monotonic()
            waited += mark - ready
            bar.update()
            if stop.is_set():
                return
        behind.wait()
    total = time.monotonic() - began
    step_median = float(np.median(step_seconds)) if step_seconds else total / settings.num_time_steps
    planes_seconds = max(0.0, total - waited - step_median * settings.num_time_steps)
    seconds = {
        "total": total,
        "step": step_median,
        "plane": planes_seconds / (len(plan.schedule.chi) * cuts),
        "write": behind.seconds,
    }
    device = jax.numpy.zeros(()).devices().pop()
    writer.finish(
        plan.identity(),
        {
            "seconds": {name: round(value, 5) for name, value in seconds.items()},
            "device": device.device_kind,
            "chi": plan.schedule.chi.tolist(),
            "redshift": plan.schedule.redshift.tolist(),
        },
    )


def _check_memory(device, settings: BoxSettings, num_devices: int) -> None:
    needed, free = _bytes(settings), unused_memory(device)
    if free is not None and device.platform == "cpu":
        free //= num_devices  # the host's is shared out
    if free is not None and needed > free:
        raise ValueError(
            f"num_particles_side={settings.num_particles_side} on a mesh of {settings.num_mesh} needs about "
            f"{needed / 2**30:.1f} GiB, {device.device_kind} has {free / 2**30:.1f} GiB free"
        )


def _at_a_time(device, settings: BoxSettings, num_boxes: int) -> int:
    """Return how many boxes a device makes at a time: a CPU as many as it has cores, and memory to spare."""
    free = unused_memory(device)
    if device.platform != "cpu" or free is None:
        return 1
    memory = min(free / 2, free_memory(device))  # a container's limit is the second's to know
    return max(1, min(len(os.sched_getaffinity(0)), num_boxes, int(memory // _bytes(settings))))


def _bytes(settings: BoxSettings) -> int:
    return box_bytes(
        settings.num_particles_side, settings.num_mesh, settings.slabs_per_box, settings.plane_pixels
    )
