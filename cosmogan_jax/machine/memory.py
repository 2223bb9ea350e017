"""Memory that this process may use: of the machine, of its container or batch job, of a device."""

import contextlib
import os
from pathlib import Path
from typing import Any


def free_memory(device: Any) -> float:
    """Return the bytes that an accelerator has free; on a CPU half of what the process may use."""
    free = allocator_free(device) if device.platform != "cpu" else None
    return usable_memory() / 2 if free is None else free


def allocator_free(device: Any) -> int | None:
    """Return the bytes free as the device's allocator sees it, None where it does not say."""
    stats = device.memory_stats()
    if stats and "bytes_limit" in stats:
        return stats["bytes_limit"] - stats.get("bytes_in_use", 0)
    return None


def unused_memory(device: Any) -> int | None:
    """Return the bytes that nobody uses now, of an accelerator or of a CPU's machine; None if unknown."""
    free = allocator_free(device)
    if free is not None or device.platform != "cpu":
        return free
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
    except OSError:  # not Linux
        return None
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:")), None)


def usable_memory(root: Path = Path("/")) -> int:
    """Return this machine's bytes of memory, or the smallest limit on the control groups the process is in.

    Containers and batch systems limit a process by a control group; the limit may stand on any group above its
    own. Version 2 keeps it in memory.max, version 1 in memory.limit_in_bytes of its memory hierarchy. Where
    the groups above cannot be seen (a container), the mounted root is the process's own group.
    """
    limits = [os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")]
    try:
        lines = (root / "proc/self/cgroup").read_text().splitlines()
    except OSError:  # not Linux
        lines = []
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if controllers == "":
            top, name = root / "sys/fs/cgroup", "memory.max"
        elif "memory" in controllers.split(","):
            top, name = root / "sys/fs/cgroup/memory", "memory.limit_in_bytes"
        else:
            continue
        group = top / path.lstrip("/")
        while group.is_relative_to(top):
            with contextlib.suppress(OSError, ValueError):  # "max" where there is none
                limits.append(int((group / name).read_text()))
            group = group.parent
    return min(limits)
