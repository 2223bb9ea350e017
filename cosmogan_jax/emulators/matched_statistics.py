"""The statistics that a loss can match (`matching.py`): smooth in the pixels, a row of numbers for each map.

Maps are in units of the training maps' standard deviation, about their mean. Every statistic of the one table,
`compare/statistics.py`, names those that train on it; counts, whose gradient is zero, are smooth here: what
lies above a height h counts sigmoid((x - h) / width), and a pixel is an extremum by how far it lies beyond its
neighbours. Their numbers are all of order one, and where the table's bins follow from real maps' they need
not be the same.
"""

import functools
from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from cosmogan_jax.compare.scales import SCATTERING_FROM, num_scattering_scales, triangle_edges
from cosmogan_jax.emulators import large_heights
from cosmogan_jax.emulators.bands import (
    NUM_WAVELETS,
    POOLED,
    MapScale,
    log_band_power,
    log_ring_power,
    mode_shares,
    power_of_modes,
    wavelets,
)
from cosmogan_jax.emulators.joint_bands import JointScale
from cosmogan_jax.emulators.joint_statistics import JOINT_STATISTICS
from cosmogan_jax.geometry import MapGeometry
from cosmogan_jax.summaries.bispectrum import bispectrum
from cosmogan_jax.summaries.derivatives import AROUND, shifted
from cosmogan_jax.summaries.minkowski import minkowski_functionals
from cosmogan_jax.summaries.moments import moments
from cosmogan_jax.summaries.pixels import block_means
from cosmogan_jax.summaries.roughness import log_squared_gradients
from cosmogan_jax.summaries.scattering import scattering_coefficients
from cosmogan_jax.summaries.starlet import starlet_transform

_LARGEST_RING = 4.0  # standard deviations: one map's outlier is not a covariance
_HEIGHTS = (-1.2, -0.9, -0.6, -0.4, -0.2, 0.0, 0.2, 0.5, 1.0, 1.5, 2.0, 3.0, 4.5, 6.5, 9.0)
_WIDTH = 0.25  # of what is smooth in a histogram's place
_SMALLEST_GAP = 1e-3  # between heights, in standard deviations of the maps
_FEWEST = 1e-4  # a share of pixels; below it a root is no longer steep
_THRESHOLDS = (-1.75, -1.25, -0.75, -0.25, 0.25, 0.75, 1.25, 1.75, 2.25, 2.75, 3.5, 4.5, 6.0)
_COEFFICIENTS = (-5.0, -3.5, -2.5, -1.7, -1.0, -0.5, 0.0, 0.5, 1.0, 1.7, 2.5, 3.5, 5.0, 7.0)
_PEAKS = (-0.5, 0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 7.0)
_PEAK_WIDTH = 0.1
_MINIMUM_WIDTH = 0.03  # voids are flat: at 0.1 twice as many count as there are
# exp(-1.702 x) is the logistic's nearest to a normal distribution's.
_LOGISTIC = 1.702
_MINIMA = (-0.5, 0.0, 0.25, 0.5, 0.75, 1.0, 1.25, 1.5, 2.0)  # depths below the mean
_L1 = (-2.0, -1.0, 0.0, 1.0, 2.0, 3.0)
_WAVELET_PEAKS = (0.0, 0.5, 1.0, 2.0, 3.0)
_ANGLES = 4

AnyScale = MapScale | JointScale
Statistic = Callable[[Float[Array, "batch size size"], MapScale], Float[Array, "batch numbers"]]
# Of maps of one bin, or with a last axis of several, and sums of them, and their JointScale.
OfAnyBins = Callable[[Float[Array, "batch size size *bins"], AnyScale], Float[Array, "batch numbers"]]


def _power(x, scale):
    """Return linear power, the mean of which is the spectrum; in units of the bands' typical power."""
    return scale.in_typical_power(log_band_power(x))


def _mean(x, scale):
    mean = x.mean((1, 2))
    return jnp.stack([mean, mean**2], -1)


def _covariance(x, scale):
    """Return products of standardised log power of rings: their means are the covariance and variances."""
    ring = jnp.clip(scale.standardised(log_ring_power(x)), -_LARGEST_RING, _LARGEST_RING)
    first, second = np.triu_indices(ring.shape[-1])
    return ring[:, first] * ring[:, second]


def _roughness(x, scale):
    """Return roughness by height, and products of it, standardised, with itself and with rings: covariances."""
    if scale.roughness is None:
        raise ValueError("the scale of the training maps has no roughness, which is matched")
    roughness = log_squared_gradients(x)
    rough, ring = (
        jnp.clip(v, -_LARGEST_RING, _LARGEST_RING)
        for v in (scale.roughness.standardised(roughness), scale.standardised(log_ring_power(x)))
    )
    first, second = np.triu_indices(rough.shape[-1])
    with_rings = (rough[:, :, None] * ring[:, None]).reshape(len(x), -1)
    return jnp.concatenate([roughness, rough[:, first] * rough[:, second], with_rings], -1)


def _pdf(x, scale):
    """Return shares of pixels above heights, smooth, of maps averaged over blocks of pixels."""
    return jnp.concatenate([_above(block_means(x, pixels), _HEIGHTS, _WIDTH) for pixels in POOLED], -1)


def _heights(x, scale):
    """Return shares of pixels above heights of training maps' pixels, and roots of the shares between.

    How smooth a share is follows from how near heights are: voids end within a tenth of a standard deviation,
    where shares as smooth as elsewhere would see nothing. A share that is small scatters from map to map as its
    root does, and the mean root knows of the scatter (Anscombe 1948).
    """
    return _shares_of_heights([block_means(x, pixels) for pixels in POOLED], scale.heights)


def _large_heights(x, scale):
    """Return the same of maps averaged over large blocks, of heights of all training maps' blocks."""
    if scale.large_heights is None:
        raise ValueError("the scale of the training maps has no large_heights, which are matched")
    return _shares_of_heights(large_heights.blocks(x), scale.large_heights)


def _shares_of_heights(pooled, heights_of_each):
    shares = []
    for maps, heights in zip(pooled, heights_of_each):
        gaps = jnp.maximum(jnp.diff(heights), _SMALLEST_GAP)
        widths = (jnp.append(gaps, gaps[-1]) + jnp.insert(gaps, 0, gaps[0])) / 4
        above = jnp.concatenate([_above(maps, [h], w) for h, w in zip(heights, widths)], -1)
        edges = jnp.pad(above, ((0, 0), (1, 1)), constant_values=((0, 0), (1, 0)))
        between = jnp.maximum(edges[:, :-1] - edges[:, 1:], 0.0)
        shares += [above, jnp.sqrt(between + _FEWEST)]
    return jnp.concatenate(shares, -1)


def _wavelets(x, scale):
    """Return shares of coefficients above heights, smooth, of the finest starlet scales, in their sigma."""
    coefficients = wavelets(x) / scale.wavelet_sigma[:, None, None]
    shares = [_above(coefficients[:, j], _COEFFICIENTS, _WIDTH) for j in range(NUM_WAVELETS)]
    return jnp.concatenate(shares, -1)


def _minkowski(x, scale):
    functionals = minkowski_functionals(x, np.asarray(_THRESHOLDS), normalised=False, smooth_width=_WIDTH)
    return jnp.concatenate([functionals.V1, functionals.V2], -1)


def _peaks(x, scale):
    """Return peaks above heights, smooth: by how far pixels lie above their highest neighbour; no borders."""
    return _above_neighbours(x, _PEAKS)


def _above_neighbours(x, heights, width=_PEAK_WIDTH):
    at = shifted(x, 1)
    highest = jnp.stack([at(*neighbour) for neighbour in AROUND]).max(0)
    inside = (slice(None), slice(1, -1), slice(1, -1))
    peak = jax.nn.sigmoid(_LOGISTIC * (x - highest)[inside] / width)
    return _above(x[inside], heights, _WIDTH, peak)


def _minima(x, scale):
    """Return minima below depths, smooth, as `_peaks`."""
    return _above_neighbours(-x, _MINIMA, _MINIMUM_WIDTH)


def _starlet_l1(x, scale):
    """Return mean |w| of starlet scales and of what they leave, all and those above heights, smooth."""
    coefficients = _in_sigma(x, scale)
    sums = [jnp.abs(coefficients).mean((2, 3))]
    sums += [_above(w, _L1, _WIDTH, jnp.abs(w)) for w in jnp.moveaxis(coefficients, 1, 0)]
    return jnp.concatenate(sums, -1)


def _in_sigma(x, scale):
    """Return starlet scales in units of their sigma, and what they leave."""
    return starlet_transform(x, NUM_WAVELETS + 1) / jnp.append(scale.wavelet_sigma, 1.0)[:, None, None]


def _starlet_peaks(x, scale):
    """Return peaks of the finest starlet scales, and of what they leave, above heights in their sigma."""
    scales = jnp.moveaxis(_in_sigma(x, scale), 1, 0)
    return jnp.concatenate([_above_neighbours(w, _WAVELET_PEAKS) for w in scales], -1)


def _scattering(x, scale):
    return scattering_coefficients(x, num_scattering_scales(x.shape[-1]), _ANGLES, first_scale=SCATTERING_FROM)


def _bispectrum(x, scale):
    """Return the equilateral bispectrum, in units of the bands' typical power to 3/2."""
    size = x.shape[-1]
    geometry = MapGeometry(size, 1.0)
    # theta^4 / N^6 <f f f> in pixels instead of radian is <f f f> / N^2: N P^(3/2) for power P = |f|^2 / N^2.
    in_pixels = bispectrum(x, triangle_edges(geometry), geometry.side_deg) * (size / geometry.side_rad) ** 4
    typical = power_of_modes(scale, size).reshape(-1) @ _share_of_bins(size)
    return in_pixels / (size * jnp.where(typical > 0, typical, 1.0) ** 1.5)


@functools.cache
def _share_of_bins(size: int) -> Float[np.ndarray, "modes bins"]:
    """Return weights that average modes of the half plane into each bin of the bispectrum's first legs."""
    geometry = MapGeometry(size, 1.0)
    edges = triangle_edges(geometry)
    bins = geometry.half_plane_bins(edges)
    return mode_shares([bins == number for number in range(len(edges) - 1)])


def _moments(x, scale):
    return moments(x)


def _above(x, heights, width, weight=1.0):
    shares = [(jax.nn.sigmoid(_LOGISTIC * (x - height) / width) * weight).mean((1, 2)) for height in heights]
    return jnp.stack(shares, -1)


STATISTICS: dict[str, Statistic] = {
    "power": _power,
    "mean": _mean,
    "pdf": _pdf,
    "covariance": _covariance,
    "heights": _heights,
    "large_heights": _large_heights,
    "roughness": _roughness,
    "wavelets": _wavelets,
    "minkowski": _minkowski,
    "peaks": _peaks,
    "minima": _minima,
    "starlet_l1": _starlet_l1,
    "starlet_peaks": _starlet_peaks,
    "scattering": _scattering,
    "bispectrum": _bispectrum,
    "moments": _moments,
}


def check_names(names: Sequence[str]) -> None:
    """Raise ValueError for a name that is none of STATISTICS, or stands there twice."""
    for name in names:
        if name in JOINT_STATISTICS:
            raise ValueError(
                f"match={name!r} is matched whenever maps are of several source bins; leave it out"
            )
    for name in names:
        if name not in STATISTICS:
            raise ValueError(f"match={name!r} is none of the statistics there are: {', '.join(STATISTICS)}")
    if len(set(names)) < len(names):
        raise ValueError(f"match={','.join(names)} names a statistic twice")


def matched(names: Sequence[str], num_bins: int = 1) -> OfAnyBins:
    """Return all statistics of these names in one row a map: of several bins those of all, bin by bin.

    Sums of bins follow so many bins, on the maps' last axis and in the scale. Statistics of several bins
    together, among the names too, are of the bins alone (`joint_statistics.py`).
    """

    def of_bins(name, x, scale):
        if name in JOINT_STATISTICS:
            return JOINT_STATISTICS[name](x[..., :num_bins], scale)
        rows = jax.vmap(STATISTICS[name], (-1, 0), 1)(x, scale.each)
        return rows.reshape(len(x), -1)

    def statistics(x, scale):
        if x.ndim > 3:
            return jnp.concatenate([of_bins(name, x, scale) for name in names], -1)
        return jnp.concatenate([STATISTICS[name](x, scale) for name in names], -1)

    return statistics
