"""Compiled programs kept from run to run, by JAX's persistent compilation cache."""

import os
import platform
import sys
import zlib
from pathlib import Path


def keep_programs(folder: str) -> Path | None:
    """Have JAX keep the programs that take a second or more to compile; return where, None if nowhere.

    A cache that is set already (JAX_COMPILATION_CACHE_DIR) stays, and an empty name is none. JAX tells
    accelerators apart by itself, processors only by what XLA asks of them, so every kind of processor has a
    folder of its own.
    """
    import jax

    folder_before = jax.config.values["jax_compilation_cache_dir"]
    if folder_before:
        return Path(folder_before)
    if not folder:
        return None
    place = Path(folder).expanduser() / _processor()
    try:
        place.mkdir(parents=True, exist_ok=True)
    except OSError as error:  # a home that cannot be written is no reason not to train
        print(f"compiled programs are not kept: {error}", file=sys.stderr)
        return None
    jax.config.update("jax_compilation_cache_dir", str(place))
    return place


def _processor() -> str:
    """Return the processor's architecture, and a number for its instruction sets."""
    flags = ""
    if os.path.exists("/proc/cpuinfo"):
        with open("/proc/cpuinfo") as file:
            flags = next((line for line in file if line.startswith(("flags", "Features"))), "")
    return f"{platform.machine()}-{zlib.crc32(flags.encode()):08x}"
