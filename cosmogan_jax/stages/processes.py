"""One run by several processes, on one host or several.

All of it rests on `jax.distributed` and the collectives of `jax.experimental.multihost_utils`; a run of one
process imports no JAX here. Process 0 alone writes to the run directory (but for checkpoints, which Orbax
writes with the help of all) and speaks. The directory lies on a file system that all processes share.
"""

import contextlib
import json
import os
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from cosmogan_jax.settings import Processes

_JOIN_S = 300  # how long a process waits for the others to start
_SHUTDOWN_S = 20  # how long a process that ends waits for the others: after an error they do not come


class Group:
    """The processes of a run, seen from one of them."""

    def __init__(self, count: int = 1, index: int = 0):
        self.count, self.index = count, index

    @classmethod
    def joined(cls) -> "Group":
        """The group that JAX is part of."""
        import jax

        return cls(jax.process_count(), jax.process_index())

    def on_first(self, work: Callable[[], Any]) -> Any:
        """What `work` gives (something JSON can hold), done by process 0 while the others wait.

        Raises:
          ValueError: `work` did, or met an OSError; raised in all processes.
        """
        if self.count == 1:
            return work()
        said: dict[str, Any] = {}
        if self.index == 0:
            try:
                said["gave"] = work()
            except (ValueError, OSError) as error:
                said["failed"] = str(error)
        said = json.loads(_broadcast(json.dumps(said)))
        if "failed" in said:
            raise ValueError(said["failed"])
        return said["gave"]

    def meet(self, place: str) -> None:
        """Wait until all processes are here."""
        if self.count > 1:
            from jax.experimental import multihost_utils

            multihost_utils.sync_global_devices(place)


@contextlib.contextmanager
def join(settings: Processes) -> Iterator[Group]:
    """The processes of this run, joined before JAX does anything else.

    With the flags, a process uses all devices it sees. Under SLURM so does the one process of a host; of
    several on a host each takes the device of its local number, as is JAX's own rule.

    Raises:
      ValueError: see `expected`; or the others do not come.
    """
    count, index = expected(settings, os.environ)
    if count == 1:
        yield Group()
        return
    import jax

    explicit = settings.coordinator_address is not None
    tasks_per_node = os.environ.get("SLURM_STEP_TASKS_PER_NODE", "")  # "1(x4)" on four nodes, "1" on one
    alone_on_host = explicit or re.fullmatch(r"1(\(x\d+\))?", tasks_per_node) is not None
    # SIGTERM is stages/interruption's to answer; here JAX would take it for itself.
    jax.config.update("jax_enable_preemption_service", False)
    try:
        jax.distributed.initialize(
            coordinator_address=settings.coordinator_address,
            num_processes=count,
            process_id=index,
            # An empty list is every device; None is for JAX to decide, by JAX_LOCAL_DEVICE_IDS or SLURM.
            local_device_ids=[] if alone_on_host and "JAX_LOCAL_DEVICE_IDS" not in os.environ else None,
            cluster_detection_method=None if explicit else "slurm",
            initialization_timeout=_JOIN_S,
            shutdown_timeout_seconds=_SHUTDOWN_S,
        )
        yield Group(count, index)
    except jax.errors.JaxRuntimeError as error:
        # The runtime's words: the others did not come, one was lost, a device ran out of memory.
        raise ValueError(f"process {index} of {count}: {error}") from error


def expected(settings: Processes, environ: Mapping[str, str]) -> tuple[int, int]:
    """(number of processes, this one's number): from the flags, else from SLURM's srun, else one.

    Raises:
      ValueError: flags that are not given together or contradict each other.
    """
    address, count, index = settings.coordinator_address, settings.num_processes, settings.process_id
    named = f"coordinator_address={address}, num_processes={count}, process_id={index}"
    if any(value is not None for value in (address, count, index)):
        if settings.distributed == "off":
            raise ValueError(f"{named}: not with distributed=off")
        if address is None or count is None or index is None:
            raise ValueError(f"{named}: all three must be given, or none")
        if not 0 <= index < count:
            raise ValueError(f"{named}: process_id must lie between 0 and num_processes - 1")
        if not address.rpartition(":")[2].isdigit() or not address.rpartition(":")[0]:
            raise ValueError(f"coordinator_address={address} must be host:port")
        return count, index
    # Set by srun for its tasks; a batch script that calls Python itself is one process.
    tasks = int(environ.get("SLURM_STEP_NUM_TASKS", "1"))
    if settings.distributed == "auto" and tasks > 1:
        return tasks, int(environ["SLURM_PROCID"])
    return 1, 0


def _broadcast(text: str) -> str:
    """Process 0's text, in all processes."""
    import numpy as np
    from jax.experimental import multihost_utils

    data = np.frombuffer(text.encode(), np.uint8)
    length = int(multihost_utils.broadcast_one_to_all(np.int32(len(data))))
    # Process 0's length decides the shape that all must bring.
    return bytes(multihost_utils.broadcast_one_to_all(np.resize(data, length))).decode()
