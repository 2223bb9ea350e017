"""Judges one set of maps by another: do they agree, in which statistics, and within what?

    python experiments/guides/scripts/judge_two_sets.py [judged.npy real.npy degrees]

Shows: stage evaluate's verdict as a function of arrays, (maps, size, size), of independent square maps. Halves
of the real maps are the yardstick. Without files it judges one emulator of the package by maps of another, of
another simulation: they differ. A minute of one core; a pass wants the classifier too, which takes minutes.
"""

import sys

import numpy as np

import cosmogan_jax
from cosmogan_jax.compare import judge_maps

NUM_MAPS = 400


def main(judged: str | None = None, real: str | None = None, degrees: str | None = None) -> None:
    if judged and real and degrees:
        ours, theirs, side_deg = np.load(judged), np.load(real), float(degrees)
    else:
        one, other = cosmogan_jax.load("planes-z0.99-64"), cosmogan_jax.load("pm-zs1-64")
        ours, theirs = (np.asarray(of.sample(seed=0, num_maps=NUM_MAPS)) for of in (one, other))
        side_deg = other.geometry.side_deg
    verdict = judge_maps(
        ours,
        theirs,
        None,  # real maps of other boxes, if there are any, are the better yardstick
        side_deg,
        classifier_steps=0,
        observer_smoothing_arcmin=[],  # [1.0]: also as seen through shape noise, smoothed
        num_permutations=199,
    )
    print(verdict)
    agree = [of for of in verdict.table.rows if of[-1] == "pass"]
    print(f"\n{len(agree)} of {len(verdict.table.rows)} effects agree within their margins: {verdict.outcome}")


if __name__ == "__main__":
    main(*sys.argv[1:])
