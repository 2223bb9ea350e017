"""Judges two emulators from Python: one that is right, and one whose convergence is a tenth too large.

python experiments/tutorial/judge.py

The right one is the package's own with another seed: its maps have the very law of those it is judged by.
"""

import numpy as np

import cosmogan_jax
from cosmogan_jax.compare import MapsVerdict, judge_maps

FACTOR = 1.1


def judge(factor: float, num_maps: int = 1000, **settings) -> MapsVerdict:
    """The verdict on maps that are `factor` times too large."""
    emulator = cosmogan_jax.load("pm-zs1-64")
    generated, validation, auxiliary = (np.asarray(emulator.sample(seed, num_maps)) for seed in range(3))
    return judge_maps(
        factor * generated,
        validation,
        auxiliary,
        emulator.geometry.side_deg,
        source_redshift=1.0,
        classifier_steps=0,  # seconds instead of minutes, and no pass
        observer_smoothing_arcmin=[],
        **settings,
    )


if __name__ == "__main__":
    for of in (1.0, FACTOR):
        print(f"convergence times {of:g}: {judge(of)}\n")
