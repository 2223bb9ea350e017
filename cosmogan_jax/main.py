"""Command line: parses the flags and hands them to the stages.

python -m cosmogan_jax.main --flagfile=experiments/quickstart/run.flags
"""

import sys

from absl import app, logging

from cosmogan_jax import flags
from cosmogan_jax.stages import pipeline
from cosmogan_jax.stages.interruption import Paused


def main(argv: list[str]) -> int:
    """Run the stages; errors of the user's making are one line and exit code 1."""
    if len(argv) > 1:
        print(f"error: unexpected argument {argv[1]!r}; settings are flags, see --help", file=sys.stderr)
        return 1
    debug = flags.debug()
    try:
        settings = flags.read()
        if not settings.verbosity_given:
            logging.set_verbosity(logging.WARNING)  # the checkpoint library tells every file it touches
        pipeline.run(settings, sys.argv, flags.as_text())
    except Paused as pause:
        if str(pause):
            print(pause, file=sys.stderr)
    except KeyboardInterrupt:
        if debug:
            raise
        print("interrupted; the same command goes on from what is whole", file=sys.stderr)
        return 130
    except (ValueError, OSError, ModuleNotFoundError) as error:
        if debug:
            raise
        print(f"error: {' '.join(str(error).split())}", file=sys.stderr)
        return 1
    return 0


def console() -> None:
    """Define the flags and start absl."""
    flags.define()
    app.run(main)


if __name__ == "__main__":
    console()
