"""Parents of maps: numbered, halved, shared out and drawn anew.

Maps that were cut from one larger map, or from one simulated box, hang together: errors, tests and splits count
parents, not maps. Labels of parents may be any values that can be sorted. What is random follows from the seed
alone. NumPy on the host.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float, Int, Shaped

from cosmogan_jax.even_choice import equally_of_each, turns


def numbered(
    labels: Shaped[np.ndarray, " maps"] | Sequence[Any],
    num_maps: int | None = None,
    *,
    name: str = "parents",
    fewest: int = 1,
    purpose: str = "",
) -> tuple[Int[np.ndarray, " maps"], int]:
    """Return the parent of each map, numbered from 0 in the order of their labels, and the number of parents.

    Args:
      num_maps: how many labels there must be; None for any number.
      name: what errors call the labels.
      fewest: how many parents there must be, for `purpose`.

    Raises:
      ValueError: labels that are not one for each map, or too few parents.
    """
    labels = np.asarray(labels)
    if num_maps is not None and labels.shape != (num_maps,):
        raise ValueError(f"{name}.shape={labels.shape} must be ({num_maps},), one for each map")
    names, numbers = np.unique(labels, return_inverse=True)
    count = len(names)
    if count < fewest:
        few = "1 parent is" if count == 1 else f"{count} parents are"
        raise ValueError(f"{few} too few: {purpose} needs at least {fewest}")
    return numbers.reshape(-1), count


def generator(seed: int, index: int, stream: int = 0) -> np.random.Generator:
    """Return the random numbers of one draw; no draw of one stream is a draw of another."""
    # The stream is the counter's highest word.
    return np.random.Generator(np.random.Philox(key=[seed, index], counter=[0, 0, 0, stream]))


def draw_counts(random: np.random.Generator, num_parents: int) -> Int[np.ndarray, " parents"]:
    """Draw as many parents as there are, with replacement, and return how often each was drawn."""
    return np.bincount(random.integers(0, num_parents, num_parents), minlength=num_parents)


def parent_weights(
    num_parents: int, seed: int, num_resamples: int, stream: int = 0
) -> Iterator[Float[np.ndarray, " parents"]]:
    """Yield how often each of the parents was drawn in each resample.

    Sets that are resampled independently of one another take different streams of one seed.
    """
    for index in range(num_resamples):
        yield draw_counts(generator(seed, index, stream), num_parents).astype(np.float64)


def map_weights(
    numbers: Int[np.ndarray, " maps"], seed: int, num_resamples: int
) -> Iterator[Float[np.ndarray, " maps"]]:
    """Yield how often each map counts in each resample: as often as its parent, by number, was drawn.

    The same seed gives the same resamples, whatever is measured of them.
    """
    for drawn in parent_weights(int(numbers.max()) + 1, seed, num_resamples):
        yield drawn[numbers]


def halves(
    parents: Shaped[np.ndarray, " maps"], *, seed: int, draw: int = 0
) -> tuple[Int[np.ndarray, " first_maps"], Int[np.ndarray, " second_maps"]]:
    """Return the maps of a random half of the parents, and those of the others (one more if they are odd)."""
    numbers, count = numbered(parents)
    in_first = np.zeros(count, bool)
    in_first[generator(seed, draw).permutation(count)[: count // 2]] = True
    return np.flatnonzero(in_first[numbers]), np.flatnonzero(~in_first[numbers])


def parts_by_parent(
    parents: Shaped[np.ndarray, " maps"], shares: Sequence[float], *, seed: int
) -> list[Int[np.ndarray, " part"]]:
    """Return indices of parts of the maps without a parent in common, as near their shares as parents allow.

    Parents are put in a random order; each goes to the part that lacks most of its share, so the first parts
    have the parents where these are few.

    Raises:
      ValueError: too few parents for two in a part of one half or more, and one in every other.
    """
    wanted = np.asarray(shares, np.float64) / np.sum(shares)
    fewest = sum(2 if share >= 0.5 else 1 for share in wanted)
    numbers, count = numbered(parents, fewest=fewest, purpose=f"a split into {len(wanted)} parts")
    num_maps = np.bincount(numbers)
    part_of, total = np.empty(count, int), np.zeros(len(wanted))
    for parent in generator(seed, 0).permutation(count):
        part_of[parent] = np.argmin(total / wanted)
        total[part_of[parent]] += num_maps[parent]
    return [np.flatnonzero(part_of[numbers] == part) for part in range(len(wanted))]


def equally_many(
    count: int, parents: Shaped[np.ndarray, " maps"], index: Int[np.ndarray, " some"]
) -> Int[np.ndarray, " count"]:
    """Return `count` of the indexed maps, as many of each parent as of any other while they last.

    Parents with one more than others are spread evenly over all.
    """
    return np.sort(index[equally_of_each(np.asarray(parents)[index], count)])


def every_other(parents: Shaped[np.ndarray, " maps"]) -> Int[np.ndarray, " some"]:
    """Return every other map of each parent, beginning with its first."""
    order, turn = turns(parents)
    return np.sort(order[turn % 2 == 0])


def one_of_each(parents: Shaped[np.ndarray, " maps"], seed: int) -> Int[np.ndarray, " parents"]:
    """Return one map of every parent, at random, in ascending order."""
    order = generator(seed, 0).permutation(len(parents))
    return np.sort(order[np.unique(parents[order], return_index=True)[1]])
