"""The averaged weights of a finished training as a file, before any verdict: keep_weights.py <run> <folder>."""

import json
import sys
from pathlib import Path

from cosmogan_jax.emulators.weights import write_weights
from cosmogan_jax.stages.emulators import trained

if __name__ == "__main__":
    run, folder = map(Path, sys.argv[1:])
    emulator = trained(run, "last", "ema").emulator
    said = write_weights(folder, emulator.variables, "float32", emulator.model.full_precision)
    (folder / "said.json").write_text(json.dumps({"weights": said, "architecture": emulator.model.describe()}))
