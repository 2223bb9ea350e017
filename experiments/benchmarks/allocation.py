"""A train step where freed memory is kept (`machine/allocation.py`), and where glibc gives it back.

    taskset -c 0 python experiments/benchmarks/allocation.py --rounds=7

In one process, in turn. Given back is what glibc comes to by itself once blocks of any size have been freed: a
threshold of 32 MiB for what is mapped, 64 MiB for what stays at the heap's end (mallopt(3)).
"""

import argparse
import ctypes
import os
import resource
import statistics
import time

from lognormal_gan import stepper
from train_step import jax_stepper

from cosmogan_jax.machine import allocation

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3


def give_back() -> None:
    """As glibc does by itself."""
    library = ctypes.CDLL(None)
    library.mallopt(M_MMAP_THRESHOLD, 2**25)
    library.mallopt(M_TRIM_THRESHOLD, 2**26)


CASES = {
    "lognormal_gan, 64^2, batch 24": stepper,
    "dcgan, 64^2, 16 filters, batch 32, phases": lambda: jax_stepper(64, 16, 32, 1, convolution_form="phases"),
    "the same, winograd": lambda: jax_stepper(64, 16, 32, 1, convolution_form="winograd"),
    "dcgan, 256^2, 16 filters, batch 8, winograd": lambda: jax_stepper(
        256, 16, 8, 1, convolution_form="winograd"
    ),
}


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7)
    rounds = parser.parse_args().rounds
    print(f"{time.strftime('%Y-%m-%d')}, {len(os.sched_getaffinity(0))} cores, load {os.getloadavg()[0]:.1f}")
    print("| step | given back, ms | kept, ms | kept / given back (range) | faults of pages a step |")
    print("|---|---|---|---|---|")
    for name, make in CASES.items():
        call, found = make(), {give_back: [], allocation.keep_freed_memory: []}
        call()
        for _ in range(rounds):
            for settle, times in found.items():
                settle()
                call()  # finds the pages that are kept
                began, faults = time.perf_counter(), resource.getrusage(resource.RUSAGE_SELF).ru_minflt
                call()
                times.append(
                    (
                        time.perf_counter() - began,
                        resource.getrusage(resource.RUSAGE_SELF).ru_minflt - faults,
                    )
                )
        before, after = ([seconds for seconds, _ in times] for times in found.values())
        ratios = sorted(y / x for x, y in zip(before, after))
        pages = " and ".join(f"{statistics.median(n for _, n in times):.0f}" for times in found.values())
        print(
            f"| {name} | {1e3 * statistics.median(before):.0f} | {1e3 * statistics.median(after):.0f} "
            f"| {statistics.median(ratios):.2f} ({ratios[0]:.2f} to {ratios[-1]:.2f}) | {pages} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
