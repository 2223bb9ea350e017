"""Level of the two-sample tests where parents of the sides differ in size and number: what is refused, and why.

    python experiments/009-two-sample-tests/sizes.py

200 families of 30 independent modes, all nulls true, a design; 199 resamples. Cost: 7 minutes on two cores.
Expected: 5 % to 1.5 %, but where the tests refuse such parents (their checks are off here).
"""

import argparse

import numpy as np

from cosmogan_jax.compare.two_sample import parent_resampling
from cosmogan_jax.compare.two_sample.mode_tests import clustered_tests, permutation_tests

CORRELATION = 0.5
PERMUTED = [((10, 9), (60, 13)), ((60, 9), (10, 13)), ((30, 9), (30, 13)), ((60, 9), (10, 10))]
BOOTSTRAPPED = [((400, 1), (20, 20)), ((400, 1), (50, 8)), ((400, 1), (100, 4)), ((50, 8), (50, 8)),
                ((400, 1), (50, 20))]  # fmt: skip


def draw(rng: np.random.Generator, parents: int, crops: int, modes: int) -> tuple[np.ndarray, np.ndarray]:
    """Normal maps of so many parents, and their parents."""
    of_parent = np.repeat(rng.normal(size=(parents, modes)), crops, axis=0)
    own = rng.normal(size=(parents * crops, modes))
    values = np.sqrt(CORRELATION) * of_parent + np.sqrt(1 - CORRELATION) * own
    return values, np.repeat(np.arange(parents), crops)


def level(test, one: tuple[int, int], two: tuple[int, int], trials: int) -> tuple[float, float]:
    """Share of families of true nulls with the smallest corrected p at most 5 %: KS, Anderson-Darling."""
    name = "num_permutations" if test is permutation_tests else "num_resamples"
    hits = np.zeros((trials, 2))
    for trial in range(trials):
        rng = np.random.default_rng([trial, *one, *two, 7])
        (a, of_a), (b, of_b) = draw(rng, *one, 30), draw(rng, *two, 30)
        found = test(a, b, of_a, of_b, seed=trial, **{name: 199})
        hits[trial] = [np.nanmin(t.family_p) <= 0.05 for t in (found.ks, found.anderson_darling)]
    return tuple(hits.mean(0))


def main() -> None:
    """Print a row a design."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=200)
    args = parser.parse_args()
    parent_resampling._ALIKE = parent_resampling._SIZE_RATIO = 1e9  # what is refused is measured too
    parent_resampling.MIN_BOOTSTRAP_PARENTS = parent_resampling.MIN_UNLIKE_PARENTS = 5
    print("| test | parents x maps | against | KS | Anderson-Darling |\n|---|---|---|---|---|")
    for name, test, designs in (
        ("permutation", permutation_tests, PERMUTED), ("clustered", clustered_tests, BOOTSTRAPPED)
    ):  # fmt: skip
        for one, two in designs:
            ks, square = level(test, one, two, args.trials)
            print(
                f"| {name} | {one[0]} x {one[1]} | {two[0]} x {two[1]} | {ks:.3f} | {square:.3f} |", flush=True
            )


if __name__ == "__main__":
    main()
