"""Maps that the classifier learns of and is tested on: read, kept in memory, and chosen by parents."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int, Shaped

from cosmogan_jax.compare.parents import generator
from cosmogan_jax.maps.sets import spread_over

# What is kept of each set: 65,536 maps of 64^2, 4096 of 256^2. At its peak the whole takes some six times that.
MOST_BYTES = 2**30


Reader = Callable[[int, int], Float[np.ndarray, "maps size size *bins"]]


class ClassifiedSet(NamedTuple):
    """Where maps come from: read(start, stop) gives kappa of maps start to stop - 1; parents are in order.

    points: number of each map's cosmology, where they are of several.
    """

    name: str
    read: Reader
    parents: Shaped[np.ndarray, " maps"]
    points: Int[np.ndarray, " maps"] | None = None


class KeptMaps(NamedTuple):
    """Maps in memory, the parent of each, and the number of its cosmology where they are of several."""

    kappa: Float[np.ndarray, "maps size size *bins"]
    parents: Shaped[np.ndarray, " maps"]
    points: Int[np.ndarray, " maps"] | None = None

    def at(self, index: np.ndarray) -> "KeptMaps":
        """Return some of them."""
        points = None if self.points is None else self.points[index]
        return KeptMaps(self.kappa[index], self.parents[index], points)

    @property
    def cosmology(self) -> Int[np.ndarray, " maps"]:
        """Return the number of each map's cosmology; 0 where there is one."""
        return np.zeros(len(self.parents), int) if self.points is None else self.points


class Parts(NamedTuple):
    """Maps to train on, to weigh the rules by, and to test on, without a parent in common."""

    train: KeptMaps
    weigh: KeptMaps
    test: KeptMaps


def of_some_parents(maps: KeptMaps, count: int, seed: int) -> KeptMaps:
    """Return the maps of so many parents, drawn at random."""
    names = np.unique(maps.parents)
    if len(names) == count:
        return maps
    chosen = generator(seed, 1).permutation(len(names))[:count]
    return maps.at(np.flatnonzero(np.isin(maps.parents, names[chosen])))


def read_kept(maps: ClassifiedSet, most: int | None) -> KeptMaps:
    """Read at most so many maps, or what MOST_BYTES hold, evenly spread over the set, by chunks."""
    if most is None:
        most = max(1, MOST_BYTES // np.asarray(maps.read(0, 1), np.float32).nbytes)
    kept, numbers = [], []
    for kappa, index in spread_over(maps.read, len(maps.parents), most):
        finite = np.isfinite(kappa).all(axis=tuple(range(1, kappa.ndim)))
        if not finite.all():
            raise ValueError(f"{maps.name} map {index[np.argmin(finite)]} holds non-finite values")
        kept.append(kappa)
        numbers.append(index)
    index = np.concatenate(numbers)
    points = None if maps.points is None else maps.points[index]
    return KeptMaps(np.concatenate(kept), np.asarray(maps.parents)[index], points)


def standardise(
    kept: Sequence[KeptMaps],
    real: Float[np.ndarray, "some size size *bins"],
    which: Sequence[Bool[np.ndarray, " maps"]] | None = None,
) -> None:
    """Bring maps, in place, to units of some real maps: mean 0 and variance 1 of all pixels, bin by bin.

    which: the maps of each set that are brought to them; None for all.
    """
    axes = (0, 1, 2) if real.ndim == 4 else None
    mean, sigma = real.mean(axes, dtype=np.float64), real.std(axes, dtype=np.float64)
    mean, sigma = np.asarray(mean, np.float32), np.asarray(np.where(sigma > 0, sigma, 1.0), np.float32)
    for number, maps in enumerate(kept):
        here = slice(None) if which is None else which[number]
        maps.kappa[here] = (maps.kappa[here] - mean) / sigma
