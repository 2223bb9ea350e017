"""Settings of the run as a whole; `--stages`, which names all stages, stands in `stages/stage.py`."""

import dataclasses
from pathlib import Path
from typing import Literal

from cosmogan_jax.settings.declaration import setting


@dataclasses.dataclass(frozen=True)
class Processes:
    """How the processes of a run find each other."""

    distributed: Literal["auto", "off"] = setting(
        "auto",
        "Whether several processes make one run, for --stages=train: auto, as the three flags below or SLURM's "
        "srun say; off: each process is a run of its own.",
        passing=True,
    )
    coordinator_address: str | None = setting(
        None, "host:port where process 0 meets the others; a free port of its host.", passing=True
    )
    num_processes: int | None = setting(None, "Processes of this run, on all hosts.", least=1, passing=True)
    process_id: int | None = setting(None, "Number of this process, from 0.", least=0, passing=True)


@dataclasses.dataclass(frozen=True)
class Run:
    """Where a run works, what it begins with, and how it speaks."""

    workdir: Path = setting(
        Path("runs/default"), "Run directory; every stage fills one directory in it.", names="something"
    )
    seed: int = setting(
        0,
        "Seed of maps, crops, weights, batches and selection.",
        least=0,
        most=2**32 - 1,  # JAX takes 32 bits, and drops the others in silence
    )
    dry_run: bool = setting(
        False,
        "Tell which stages would run and what prepare finds in the maps; writes nothing but a picture of them.",
        passing=True,
    )
    require: Literal["", "pass"] = setting(
        "",
        "pass: exit with status 1 where the outcome of stage evaluate is another than pass.",
        passing=True,
    )
    compilation_cache_dir: str = setting(
        "~/.cache/cosmogan_jax",
        "Where compiled programs are kept for later runs; empty: nowhere. JAX_COMPILATION_CACHE_DIR wins.",
    )
    debug: bool = setting(False, "Show the traceback of an error.", passing=True)
