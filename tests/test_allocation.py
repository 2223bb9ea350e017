"""Freed memory is kept by the program, not by the library, and not where the user has settled it."""

import os
import platform
import subprocess
import sys

import pytest

from cosmogan_jax.machine import allocation

if platform.libc_ver()[0] != "glibc":
    pytest.skip("another C library", allow_module_level=True)

# Pages that the system has to find for 20 rounds of a block of 64 MiB: those of each round, or of the first.
FAULTS = """
import resource
import numpy as np
def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt
np.ones(2**24, np.float32)
before = faults()
for _ in range(20):
    np.ones(2**24, np.float32)
print(kept, faults() - before)
"""
ASKED = "from cosmogan_jax.machine import allocation\nkept = allocation.keep_freed_memory()\n"
EVERY_ROUND = 20 * 2**26 // (2**12 * 32)  # with pages up to 32 times as large


def run(program, checked=True, **environment):
    clean = {name: value for name, value in os.environ.items() if name not in allocation._SETTINGS}
    clean.pop("GLIBC_TUNABLES", None)
    found = subprocess.run(
        [sys.executable, "-c", program], env=clean | environment, capture_output=True, text=True, check=checked
    )
    return found.stdout.split()


def test_blocks_are_used_again():
    kept, faults = run(ASKED + FAULTS)
    assert kept == "True"
    assert int(faults) < EVERY_ROUND / 4
    assert int(run("kept = None\n" + FAULTS)[1]) > EVERY_ROUND  # else this shows nothing


@pytest.mark.parametrize(
    ("name", "value"),
    [("MALLOC_TRIM_THRESHOLD_", "131072"), ("GLIBC_TUNABLES", "glibc.malloc.mmap_max=65536")],
)
def test_what_a_user_has_set_stays(name, value):
    kept, faults = run(ASKED + FAULTS, **{name: value})
    assert kept == "False"
    assert int(faults) > EVERY_ROUND


def test_the_program_asks_for_it_and_the_library_does_not():
    watch = (
        "from cosmogan_jax.machine import allocation\n"
        "allocation.keep_freed_memory = lambda: print('asked')\n"
        "import sys, cosmogan_jax\n"
        "cosmogan_jax.names()\n"
        "print('library')\n"
        "from cosmogan_jax import main\n"
        "sys.argv = ['main', '--help']\n"
        "main.console()\n"
    )
    assert run(watch, checked=False)[:2] == ["library", "asked"]


def test_another_library_is_left_alone(monkeypatch):
    for name in (*allocation._SETTINGS, "GLIBC_TUNABLES"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(allocation.ctypes, "CDLL", lambda _: object())
    assert not allocation.keep_freed_memory()
