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

from cosmogan_jax.machine.meeting import meet
from cosmogan_jax.settings import Processes

_JOIN_S = 60  # how long a process waits for the others to start
_ALONE = "--distributed=off"
_SHUTDOWN_S = 20  # how long a process that ends waits for the others: after an error they do not come


class Group:
    """The processes of a run, seen from one of them."""

    def __init__(self, count: int = 1, index: int = 0):
        self.count, self.index = count, index

    @classmethod
    def joined(cls) -> "Group":
        """Return the group that JAX is part of."""
        import jax

        return cls(jax.process_count(), jax.process_index())

    def on_first(self, work: Callable[[], Any]) -> Any:
        """Return what `work` gives (something JSON can hold), done by process 0 while the others wait.

        Raises:
          ValueError: `work` did, or met an OSError; raised in all processes.
        """
        if self.count == 1:
            return work()
        outcome: dict[str, Any] = {}
        if self.index == 0:
            try:
                outcome["result"] = work()
            except (ValueError, OSError) as error:
                outcome["error"] = str(error)
        outcome = json.loads(_broadcast(json.dumps(outcome)))
        if "error" in outcome:
            raise ValueError(outcome["error"])
        return outcome["result"]

    def meet(self, place: str) -> None:
        """Wait until all processes are here."""
        if self.count > 1:
            from jax.experimental import multihost_utils

            multihost_utils.sync_global_devices(place)


@contextlib.contextmanager
def join(settings: Processes) -> Iterator[Group]:
    """Join the processes of this run, before JAX does anything else.

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
    address = settings.coordinator_address or _slurm_address(os.environ)
    try:
        meet(address, count, index, _JOIN_S)
    except ValueError as error:
        alone = "without --coordinator_address and its like" if explicit else f"with {_ALONE}"
        raise ValueError(f"{error}; all have to be started, or each alone {alone}") from error
    # SIGTERM is machine/interruption's to answer; here JAX would take it for itself.
    jax.config.update("jax_enable_preemption_service", False)
    try:
        jax.distributed.initialize(
            coordinator_address=address,
            num_processes=count,
            process_id=index,
            local_device_ids=_local_devices(explicit, os.environ),
            initialization_timeout=_JOIN_S,
            shutdown_timeout_seconds=_SHUTDOWN_S,
        )
        yield Group(count, index)
    except jax.errors.JaxRuntimeError as error:
        # The runtime's words: the others did not come, one was lost, a device ran out of memory.
        raise ValueError(f"process {index} of {count}: {error}") from error


def expected(settings: Processes, environ: Mapping[str, str]) -> tuple[int, int]:
    """Return the number of processes and this one's: from the flags, else from SLURM's srun, else (1, 0).

    Raises:
      ValueError: flags that are not given together or contradict each other; variables of SLURM that are
        missing, or are not what they have to be.
    """
    address, count, index = settings.coordinator_address, settings.num_processes, settings.process_id
    flags = f"coordinator_address={address}, num_processes={count}, process_id={index}"
    if any(value is not None for value in (address, count, index)):
        if settings.distributed == "off":
            raise ValueError(f"{flags}: not with distributed=off")
        if address is None or count is None or index is None:
            raise ValueError(f"{flags}: all three must be given, or none")
        if not 0 <= index < count:
            raise ValueError(f"{flags}: process_id must lie between 0 and num_processes - 1")
        if not address.rpartition(":")[2].isdigit() or not address.rpartition(":")[0]:
            raise ValueError(f"coordinator_address={address} must be host:port")
        return count, index
    # Set by srun for its tasks; a batch script that calls Python itself is one process.
    if settings.distributed != "auto" or "SLURM_STEP_NUM_TASKS" not in environ:
        return 1, 0
    tasks = _number("SLURM_STEP_NUM_TASKS", environ)
    if tasks <= 1:
        return 1, 0
    number = _number("SLURM_PROCID", environ)
    if number >= tasks:
        raise ValueError(
            f"SLURM_PROCID={number} must be less than SLURM_STEP_NUM_TASKS={tasks}; a run alone wants {_ALONE}"
        )
    _slurm_address(environ)
    _local_devices(False, environ)
    return tasks, number


def _slurm_address(environ: Mapping[str, str]) -> str:
    """Return host:port where process 0 of a job step meets the others: first host, a port by the job's number.

    As JAX would choose them: JAX_COORDINATOR_ADDRESS and JAX_COORDINATOR_PORT win.
    """
    if address := environ.get("JAX_COORDINATOR_ADDRESS"):
        return address
    nodes = _variable("SLURM_STEP_NODELIST", environ)
    first = re.match(r"([^,\[]+)(?:\[([^],-]+))?", nodes)  # of "node[001,007-015],host2": node001
    if first is None:
        raise ValueError(f"SLURM_STEP_NODELIST={nodes} names no host; a run alone wants {_ALONE}")
    if "JAX_COORDINATOR_PORT" in environ:
        port = _number("JAX_COORDINATOR_PORT", environ)
    else:
        port = 2**16 - 2**12 + _number("SLURM_JOB_ID", environ) % 2**12  # of those that are for passing use
    return f"{first[1]}{first[2] or ''}:{port}"


def _local_devices(explicit: bool, environ: Mapping[str, str]) -> list[int] | None:
    """Return the devices that this process takes: an empty list is all, None JAX_LOCAL_DEVICE_IDS."""
    if "JAX_LOCAL_DEVICE_IDS" in environ:
        return None
    tasks_per_node = environ.get("SLURM_STEP_TASKS_PER_NODE", "")  # "1(x4)" on four nodes, "1" on one
    if explicit or re.fullmatch(r"1(\(x\d+\))?", tasks_per_node):
        return []
    return [_number("SLURM_LOCALID", environ)]


def _variable(name: str, environ: Mapping[str, str]) -> str:
    if name not in environ:
        raise ValueError(
            f"{name} is not set, and SLURM_STEP_NUM_TASKS={environ.get('SLURM_STEP_NUM_TASKS')} says that this "
            f"is one of several processes; start all by srun, or each alone with {_ALONE}"
        )
    return environ[name]


def _number(name: str, environ: Mapping[str, str]) -> int:
    value = _variable(name, environ)
    if not value.isdigit():
        raise ValueError(f"{name}={value} must be a whole number; a run alone wants {_ALONE}")
    return int(value)


def _broadcast(text: str) -> str:
    """Return process 0's text, in all processes."""
    import numpy as np
    from jax.experimental import multihost_utils

    data = np.frombuffer(text.encode(), np.uint8)
    length = int(multihost_utils.broadcast_one_to_all(np.int32(len(data))))
    # Process 0's length decides the shape that all must bring.
    return bytes(multihost_utils.broadcast_one_to_all(np.resize(data, length))).decode()
