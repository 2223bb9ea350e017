"""How the C library hands out memory to what is computed on a CPU.

A compiled program asks for its intermediate arrays anew at every call. glibc maps every block above some 32 MiB
from the system and gives it back when it is freed, so that each step of a training begins with pages that the
system has to find and to fill with zeros: a tenth to a third of a step's time
(experiments/benchmarks/README.md). Kept, they are used again.
"""

import ctypes
import os

# Of malloc.h; mallopt(3).
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _M_MMAP_MAX = -1, -3, -4
_MAPPED_FROM = 2**30  # bytes: larger blocks come from the system and go back, as before
_KEPT = 2**31 - 1  # bytes at the end of the heap that stay; the largest that mallopt takes
# By these a user has settled it; glibc reads them when a process starts.
_SETTINGS = ("MALLOC_TRIM_THRESHOLD_", "MALLOC_MMAP_THRESHOLD_", "MALLOC_MMAP_MAX_", "MALLOC_TOP_PAD_")


def keep_freed_memory() -> bool:
    """Have this process keep memory that is freed, for what it computes next; a program calls it at its start.

    `python -m cosmogan_jax.main` does; in a notebook or a program of one's own it is for its author to say.
    Results do not depend on it. Blocks of 1 GiB and more are given back as ever.

    Returns:
      Whether it was done: not where the C library is another than glibc, nor where `MALLOC_TRIM_THRESHOLD_`
      and its like or GLIBC_TUNABLES=glibc.malloc... say otherwise.
    """
    tunables = os.environ.get("GLIBC_TUNABLES", "")
    if "glibc.malloc." in tunables or any(name in os.environ for name in _SETTINGS):
        return False
    try:
        library = ctypes.CDLL(None)
        library.gnu_get_libc_version  # noqa: B018  that it is glibc
        mallopt = library.mallopt
    except (AttributeError, OSError, TypeError):
        return False
    mallopt.argtypes, mallopt.restype = (ctypes.c_int, ctypes.c_int), ctypes.c_int
    # Before glibc 2.35 the threshold may not exceed 32 MiB: no block at all is mapped there.
    unmapped = mallopt(_M_MMAP_THRESHOLD, _MAPPED_FROM) or mallopt(_M_MMAP_MAX, 0)
    return bool(unmapped and mallopt(_M_TRIM_THRESHOLD, _KEPT))
