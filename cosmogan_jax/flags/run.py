"""Flags of the run as a whole."""

from cosmogan_jax.flags import defining as flags

# What is true of one process only, or of one moment: left out of the flag file that a run leaves.
PASSING = ("debug", "dry_run", "require", "distributed", "coordinator_address", "num_processes", "process_id")


def define(stages: tuple[str, ...]) -> None:
    """Define the flags."""
    flags.DEFINE_list(
        "stages", list(stages), f"Stages to run, any of {','.join(stages)}; always in this order."
    )
    flags.register_validator("stages", lambda chosen: _known(chosen, stages))
    flags.DEFINE_string("workdir", "runs/default", "Run directory; every stage fills one directory in it.")
    flags.DEFINE_integer(
        "seed",
        0,
        "Seed of maps, crops, weights, batches and selection.",
        lower_bound=0,
        upper_bound=2**32 - 1,  # JAX takes 32 bits, and drops the others in silence
    )
    flags.DEFINE_boolean(
        "dry_run",
        False,
        "Tell which stages would run and what prepare finds in the maps; writes nothing but a picture of them.",
    )
    flags.DEFINE_enum(
        "require",
        "",
        ["", "pass"],
        "pass: exit with status 1 where the outcome of stage evaluate is another than pass.",
    )
    flags.DEFINE_enum(
        "distributed",
        "auto",
        ["auto", "off"],
        "Whether several processes make one run, for --stages=train: auto, as the three flags below or SLURM's "
        "srun say; off: each process is a run of its own.",
    )
    flags.DEFINE_string(
        "coordinator_address",
        None,
        "host:port where process 0 meets the others; a free port of its host.",
    )
    flags.DEFINE_integer("num_processes", None, "Processes of this run, on all hosts.", lower_bound=1)
    flags.DEFINE_integer("process_id", None, "Number of this process, from 0.", lower_bound=0)
    flags.DEFINE_string(
        "compilation_cache_dir",
        "~/.cache/cosmogan_jax",
        "Where compiled programs are kept for later runs; empty: nowhere. JAX_COMPILATION_CACHE_DIR wins.",
    )
    flags.DEFINE_boolean("debug", False, "Show the traceback of an error.")


def _known(chosen: list[str], stages: tuple[str, ...]) -> bool:
    for stage in chosen:
        if stage not in stages:
            raise flags.ValidationError(f"unknown stage {stage!r}; there are {','.join(stages)}")
    if not chosen:
        raise flags.ValidationError("names no stage")
    return True
