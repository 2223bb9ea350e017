"""Command line: parses the flags and hands them to the stages; and the same from Python.

python -m cosmogan_jax.main --flagfile=experiments/quickstart/run.flags

cosmogan_jax.run(flagfile="experiments/quickstart/run.flags", workdir="runs/mine", num_steps=200)
"""

import contextlib
import logging as standard_logging
import os
import sys
import threading
from pathlib import Path
from typing import Any, NamedTuple

from absl import app, logging

from cosmogan_jax.machine import allocation, interruption


def main(argv: list[str]) -> int:
    """Run the stages; whatever goes wrong is one line and exit code 1, with --debug a traceback."""
    from cosmogan_jax import flags  # here and not above: a Ctrl-C while modules load is answered too

    if len(argv) > 1:
        print(f"error: unexpected argument {argv[1]!r}; settings are flags, see --help", file=sys.stderr)
        return 1
    debug = flags.debug()
    try:
        from cosmogan_jax.stages import pipeline

        if debug:
            interruption.raise_on_interrupt()
            sys.unraisablehook, threading.excepthook = sys.__unraisablehook__, threading.__excepthook__
        settings = flags.read()
        if not settings.verbosity_given:
            # The checkpoint library tells every file it touches, and what it raises with its traceback.
            logging.set_verbosity(logging.WARNING if debug else logging.FATAL)
            # What JAX warns of is for the user: a GPU that is there and not used. Not by the logger "jax",
            # whose level would have JAX say everything twice.
            for name in ("jax._src", "jax_plugins"):
                standard_logging.getLogger(name).setLevel(standard_logging.WARNING)
        pipeline.run(settings, sys.argv, flags.as_text())
    except interruption.Paused as pause:
        if str(pause):
            print(pause, file=sys.stderr)
        return pause.exit_code
    except KeyboardInterrupt:
        if debug:
            raise
        print(f"interrupted; {interruption.GOES_ON}", file=sys.stderr)
        return 130
    except Exception as error:
        if debug:
            raise
        print(f"error: {_one_line(error)}", file=sys.stderr)
        return 1
    return 0


class Run(NamedTuple):
    """A working directory after a run.

    Attributes:
      workdir: where it is.
      stages: what each stage that is whole says of its result, in their order, as in its stage.json: of
        evaluate the outcome, of generate the step of its generator.
      paused: how a training goes on that stopped early (max_minutes, SIGTERM); None where none did.
    """

    workdir: Path
    stages: dict[str, dict[str, Any]]
    paused: str | None


def run(flagfile: str | Path | None = None, workdir: str | Path | None = None, **settings: Any) -> Run:
    """Run stages in this process: the command line as a function.

        cosmogan_jax.run(workdir="runs/mine", maps="sims/*.fits", side_deg=3.5, stages=["prepare", "train"])

    Finished stages are skipped: the same call again goes on where it stopped. It may be called as often as is
    wanted, on one directory or several. What stages say is printed.

    Args:
      flagfile: a file of flags, such as the flags.txt that every run leaves.
      workdir: the run directory.
      **settings: flags by their names (`--help` lists them), which win over the file's: numbers, words, True
        and False; lists where a flag takes several.

    Raises:
      ValueError: what the command line refuses, in its words: an unknown flag, a value out of range, settings
        that contradict the directory, maps that cannot be read.
      ModuleNotFoundError: an extra that is not installed; named with what to install.
      KeyboardInterrupt: Ctrl-C, or a notebook's stop button; a training has saved its last step.
    """
    from cosmogan_jax import flags
    from cosmogan_jax.runs import directory as run_directory
    from cosmogan_jax.stages import pipeline
    from cosmogan_jax.stages.stage import STAGES

    if workdir is not None:
        settings = {"workdir": workdir, **settings}
    run_settings, command, text = flags.parse_call(flagfile, settings)
    verbosity, paused = logging.get_verbosity(), None
    try:
        logging.set_verbosity(logging.FATAL)  # as in `main`
        pipeline.run(run_settings, ["cosmogan_jax.run", *command], text)
    except interruption.Paused as pause:
        if pause.exit_code:
            raise KeyboardInterrupt(str(pause)) from None
        paused = str(pause)
        print(paused)
    finally:
        logging.set_verbosity(verbosity)
    records = {stage: run_directory.stage_record(run_settings.workdir, stage) for stage in STAGES}
    summaries = {stage: record.summary for stage, record in records.items() if record}
    return Run(run_settings.workdir, summaries, paused)


def _one_line(error: Exception) -> str:
    message = " ".join(str(error).split())
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    if isinstance(error, (ValueError, OSError, ModuleNotFoundError)):
        return message
    if isinstance(error, MemoryError) or "RESOURCE_EXHAUSTED" in message:  # a device's, in XLA's words
        return f"out of memory: {message[:300] or 'the host has no more'}; smaller batches or maps need less"
    return f"{type(error).__name__}: {message[:500]} (not foreseen; --debug shows where)"


def console() -> None:
    """Define the flags and start absl."""
    interruption.end_on_signals()
    allocation.keep_freed_memory()
    # What fails where nobody can catch it, as in the checkpoint library's loop after a full disk.
    sys.unraisablehook = lambda _: None
    threading.excepthook = lambda _: None
    from cosmogan_jax import flags

    flags.define()
    try:
        app.run(main)
    except SystemExit as end:
        _leave_at_once(end.code)
        raise


def _leave_at_once(code: Any) -> None:
    """End the process after an error: a checkpoint's threads may wait minutes for a file that does not come.

    Of several processes none may leave before the others have heard of it.
    """
    jax = sys.modules.get("jax")
    if isinstance(code, int) and code and not (jax and jax.distributed.is_initialized()):
        with contextlib.suppress(OSError):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code)


if __name__ == "__main__":
    console()
