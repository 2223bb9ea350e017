"""All input and output: map store, map and plane files, run directory, checkpoints."""
