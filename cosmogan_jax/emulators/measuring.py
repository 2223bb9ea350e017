"""What is measured on training maps before the first step, whatever the kind: scales, and targets to match."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from cosmogan_jax.emulators import bands, matching
from cosmogan_jax.emulators.interface import TrainingMaps

_TOGETHER = 128  # maps whose statistics are computed by one call
Units = Callable[[Float[Array, "batch size size"]], Float[Array, "batch size size"]]


def mean_and_sigma(maps: TrainingMaps) -> tuple[float, float]:
    """Mean and standard deviation of all pixels of all maps.

    Raises:
      ValueError: no map, or maps without variance.
    """
    sums, near = np.zeros(3), None
    for part in maps():
        x = np.asarray(part, np.float64)
        near = x.mean() if near is None else near  # so that squares lose nothing
        sums += [x.size, (x - near).sum(), ((x - near) ** 2).sum()]
    if near is None:
        raise ValueError("no training map: there is nothing to be matched")
    mean = sums[1] / sums[0]
    variance = sums[2] / sums[0] - mean**2
    if not variance > 0:
        raise ValueError(f"variance={variance:g} of the training maps must be positive")
    return float(mean + near), float(np.sqrt(variance))


def scale_of(maps: TrainingMaps, units: Units) -> bands.MapScale:
    """Bands and starlet scales of the maps, which `units` takes to units of their standard deviation."""
    log_power = over(maps, lambda x: bands.log_band_power(units(x)))
    rings = over(maps, lambda x: bands.log_ring_power(units(x)))
    fine = over(maps, lambda x: (bands.wavelets(units(x)) ** 2).mean((-2, -1)))
    return bands.scale_of(log_power, rings, fine, over(maps, lambda x: bands.heights(units(x))))


def targets_of(
    maps: TrainingMaps, units: Units, matcher: matching.Matcher, scale: bands.MapScale, least: float = 0.0
) -> matching.Targets:
    """`matching.targets_of` of the maps' statistics."""
    values = over(maps, lambda x: matcher.statistics(units(x), scale))
    size = next(maps()).shape[1]
    return matching.targets_of(values, matcher.numbers(size, scale), least)


def over(
    maps: TrainingMaps, function: Callable[[Float[Array, "batch size size"]], Float[Array, "batch numbers"]]
) -> Float[np.ndarray, "maps numbers"]:
    """The function of all maps, a number of them at a time, the last filled up: one program."""
    compiled, found = jax.jit(function), []
    for part in maps():
        for start in range(0, len(part), _TOGETHER):
            x = part[start : start + _TOGETHER, ..., 0]
            index = np.minimum(np.arange(_TOGETHER), len(x) - 1)
            found.append(np.asarray(compiled(jnp.asarray(x[index])))[: len(x)])
    return np.concatenate(found)
