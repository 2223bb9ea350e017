"""The working directory of a run, its checkpoints and its best generators."""
