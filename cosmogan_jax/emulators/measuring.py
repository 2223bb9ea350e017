"""Measurements on training maps before the first step, for any kind: scales, and targets to match."""

from collections.abc import Callable, Iterator

import jax
import numpy as np
from jaxtyping import Array, Float

from cosmogan_jax.emulators import bands, joint_bands, large_heights, matching, roughness
from cosmogan_jax.emulators.interface import MapParts
from cosmogan_jax.emulators.matched_statistics import AnyScale
from cosmogan_jax.summaries.batching import in_batches
from cosmogan_jax.summaries.roughness import log_squared_gradients

_TOGETHER = 128  # maps whose statistics are computed by one call
# Of maps with their axis of bins where there are several, else without.
Units = Callable[[Float[Array, "batch size size *bins"]], Float[Array, "batch size size *bins"]]


def of_each_bin(maps: MapParts, num_bins: int) -> tuple[Float[np.ndarray, " bins"], Float[np.ndarray, " bins"]]:
    """Return `mean_and_sigma` of every bin's pixels.

    Raises:
      ValueError: as `mean_and_sigma`; the bin is named.
    """

    def of_bin(number: int) -> tuple[float, float]:
        try:
            return mean_and_sigma(lambda: (some_maps[..., number] for some_maps in maps()))
        except ValueError as error:
            raise ValueError(f"source bin {number} of 0 to {num_bins - 1}: {error}") from error

    mean, sigma = np.array([of_bin(number) for number in range(num_bins)]).T
    return mean, sigma


def mean_and_sigma(maps: Callable[[], Iterator[Float[np.ndarray, "maps ..."]]]) -> tuple[float, float]:
    """Return mean and standard deviation of all pixels of all maps.

    Raises:
      ValueError: no map, or maps without variance.
    """
    sums, near = np.zeros(3), None
    for some_maps in maps():
        x = np.asarray(some_maps, np.float64)
        near = x.mean() if near is None else near  # so that squares lose nothing
        sums += [x.size, (x - near).sum(), ((x - near) ** 2).sum()]
    if near is None:
        raise ValueError("no training map: there is nothing to be matched")
    mean = sums[1] / sums[0]
    variance = sums[2] / sums[0] - mean**2
    if not variance > 0:
        raise ValueError(f"variance={variance:g} of the training maps must be positive")
    return float(mean + near), float(np.sqrt(variance))


def unmeasured_scale(
    size: int, num_bins: int, num_slopes: int, matcher: matching.Matcher | None = None
) -> AnyScale:
    """Return a scale of the shapes that `scale_of` gives of maps of so many bins, their sides `size` pixels."""
    names, num_sums = ((), 0) if matcher is None else (matcher.names, matcher.num_sums)
    if num_bins > 1:
        return joint_bands.unmeasured(size, num_bins, num_slopes, names, num_sums)
    return bands.unmeasured(size, num_slopes, names)


def scale_of(
    maps: MapParts,
    units: Units,
    num_bins: int = 1,
    phi: Float[np.ndarray, "maps terms"] | None = None,
    matcher: matching.Matcher | None = None,
) -> AnyScale:
    """Return the scale of maps of one bin, or of each of several and of what every two share.

    phi: as `bands.scale_of`. matcher: what is matched, of which some needs scales of its own; sums of bins,
    where it matches any, are what `units` puts after the bins.
    """
    if num_bins > 1:
        return joint_scale_of(maps, units, num_bins, phi, matcher)
    return one_scale_of(maps, units, phi, matcher)


def one_scale_of(
    maps: MapParts,
    units: Units,
    phi: Float[np.ndarray, "maps terms"] | None = None,
    matcher: matching.Matcher | None = None,
) -> bands.MapScale:
    """Return bands and starlet scales of the maps; `units` takes them to units of their standard deviation.

    phi: as `bands.scale_of`. matcher: what is matched, of which some needs scales of its own.
    """
    log_power, log_ring_power, wavelet_variance, heights = over(
        maps,
        lambda x: bands.log_band_power(units(x)),
        lambda x: bands.log_ring_power(units(x)),
        lambda x: (bands.wavelets(units(x)) ** 2).mean((-2, -1)),
        lambda x: bands.heights(units(x)),
    )
    scale = bands.scale_of(log_power, log_ring_power, wavelet_variance, heights, phi)
    names = () if matcher is None else matcher.names
    if "roughness" in names:
        (values,) = over(maps, lambda x: log_squared_gradients(units(x)))
        scale = scale._replace(roughness=roughness.scale_of(values, phi))
    if "large_heights" in names:
        (rows,) = over(maps, lambda x: large_heights.rows_of_blocks(units(x)))
        scale = scale._replace(large_heights=large_heights.of_rows(rows, next(maps()).shape[1]))
    return scale


def joint_scale_of(
    maps: MapParts,
    units: Units,
    num_bins: int,
    phi: Float[np.ndarray, "maps terms"] | None = None,
    matcher: matching.Matcher | None = None,
) -> joint_bands.JointScale:
    """Return scales of maps of several bins, of each and of what every two share; arguments as `scale_of`."""

    def of_bin(number: int) -> Callable[[Array], Array]:
        return lambda x: units(x)[..., number]

    num_channels = num_bins if matcher is None else matcher.num_channels
    each = [one_scale_of(maps, of_bin(number), phi, matcher) for number in range(num_channels)]
    (numbers,) = over(maps, lambda x: joint_bands.spectral_numbers(units(x)[..., :num_bins]))
    return joint_bands.scale_of(each, numbers, phi)


def targets_of(
    maps: MapParts,
    units: Units,
    matcher: matching.Matcher,
    scale: AnyScale,
    least: float = 0.0,
    phi: Float[np.ndarray, "maps terms"] | None = None,
) -> matching.Targets:
    """Return `matching.targets_of` of the maps' statistics."""
    if phi is None:
        (values,) = over(maps, lambda x: matcher.statistics(units(x), scale))
    else:
        values = _of_cosmologies(maps, lambda x, own: matcher.statistics(units(x), scale.at(own)), phi)
    size = next(maps()).shape[1]
    return matching.targets_of(values, matcher.numbers(size, scale), least, phi)


def _of_cosmologies(
    maps: MapParts, function: Callable[[Array, Array], Array], phi: Float[np.ndarray, "maps terms"]
) -> Float[np.ndarray, "maps numbers"]:
    """Compute a function of all maps and of what their cosmologies are regressed on."""
    compiled, rows, start = jax.jit(function), list[np.ndarray](), 0
    for some_maps in maps():
        own = phi[start : start + len(some_maps)]
        rows.append(np.asarray(in_batches(compiled, _without_one_bin(some_maps), own, size=_TOGETHER)))
        start += len(some_maps)
    return np.concatenate(rows)


def over(
    maps: MapParts, *functions: Callable[[Float[Array, "batch size size *bins"]], Float[Array, "batch numbers"]]
) -> list[Float[np.ndarray, "maps numbers"]]:
    """Compute each function of all maps, in one pass over them; one program a function."""
    # A program each: joined in one, they would share what they compute, and round otherwise.
    compiled = [jax.jit(function) for function in functions]
    rows: list[list[np.ndarray]] = [[] for _ in functions]
    for some_maps in maps():
        for function, row in zip(compiled, rows):
            row.append(np.asarray(in_batches(function, _without_one_bin(some_maps), size=_TOGETHER)))
    return [np.concatenate(row) for row in rows]


def _without_one_bin(
    maps: Float[np.ndarray, "maps size size bins"],
) -> Float[np.ndarray, "maps size size *bins"]:
    return maps[..., 0] if maps.shape[-1] == 1 else maps
