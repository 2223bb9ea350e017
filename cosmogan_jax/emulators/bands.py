"""Logarithms of band powers as a network or a loss sees them: fast, differentiable, and on a common scale.

Means over rings of |k| say nothing of the direction, and one band from Nyquist to the corners nothing of the
corners: a generator that is judged by them alone puts power along rows that lacks along columns, and ten times
too much into the corners. So the rings of short waves are divided by direction, and the corners are rings too.
"""

import functools
from collections.abc import Collection, Sequence
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from cosmogan_jax.emulators import large_heights, roughness
from cosmogan_jax.emulators.roughness import RoughnessScale
from cosmogan_jax.emulators.trends import without_trend
from cosmogan_jax.geometry import MapGeometry, half_plane_weights, log_l_edges
from cosmogan_jax.summaries.pixels import block_means
from cosmogan_jax.summaries.starlet import starlet_transform

NUM_RINGS = 14  # to Nyquist, evenly in log |k|, and one of the corners: of them the covariance is matched
NUM_BANDS = 20  # to Nyquist, evenly in log |k|; fewer where one would hold no mode
_CORNERS = 4
_DIVIDED_FROM = 0.25  # of Nyquist
_FEWEST_MODES = 4  # of the half plane in a band that is divided off
NUM_WAVELETS = 3
POOLED = (1, 2, 4)  # pixels that are averaged before heights are read
# Of pixels that lie above each height; tails as finely as a map of 64^2 pixels has them.
_SHARES_ABOVE = (0.999, 0.997, 0.99, 0.97, 0.9, 0.8, 0.65, 0.5, 0.35, 0.2, 0.1, 0.03, 0.01, 0.003, 0.001)
_FAINT = 1e-8  # far below a band of any map in units of its variance; keeps the log of an empty one finite
_SMALLEST_VARIANCE = 1e-3  # of the largest: axes that hardly vary are not blown up


class Trend(NamedTuple):
    """How the mean log power of training maps follows their cosmology: slopes in what it is regressed on."""

    bands: Float[Array, "terms bands"]
    rings: Float[Array, "terms rings"]


class MapScale(NamedTuple):
    """Scales of training maps: of their bands, rings, starlet scales and heights.

    Attributes:
      centre: mean of each band's log power over the maps.
      whitening: takes what is off the centre to uncorrelated numbers of variance 1 (`_SMALLEST_VARIANCE`).
      ring_centre, ring_deviation: mean and standard deviation of each ring's log power over the maps.
      wavelet_sigma: standard deviation of each of the NUM_WAVELETS finest starlet scales.
      heights: that given shares of a map's pixels lie above, by how many pixels are averaged.
      trend: of emulators of several cosmologies; centres are then those of the mean cosmology.
      band_offset, ring_offset: by how much log power is expected above the centres, of certain maps (`at`).
      roughness: of the maps' roughness by height; None where it is not matched.
      large_heights: of means over large blocks (`large_heights.py`); None where they are not matched.
    """

    centre: Float[Array, " bands"]
    whitening: Float[Array, "bands bands"]
    ring_centre: Float[Array, " rings"]
    ring_deviation: Float[Array, " rings"]
    wavelet_sigma: Float[Array, " scales"]
    heights: Float[Array, "poolings heights"]
    trend: Trend | None = None
    band_offset: Float[Array, "batch bands"] | None = None
    ring_offset: Float[Array, "batch rings"] | None = None
    roughness: RoughnessScale | None = None
    large_heights: Float[Array, "sides heights"] | None = None

    def at(self, phi: Float[Array, "batch terms"]) -> "MapScale":
        """Return the scale of maps of these cosmologies, whose regressors phi begin with a constant."""
        if self.trend is None:
            return self
        return self._replace(
            band_offset=phi[:, 1:] @ self.trend.bands,
            ring_offset=phi[:, 1:] @ self.trend.rings,
            roughness=None if self.roughness is None else self.roughness.at(phi),
        )

    def standardised(self, log_ring_power: Float[Array, "batch rings"]) -> Float[Array, "batch rings"]:
        """Return each ring by itself at mean 0 and variance 1."""
        return (_less(log_ring_power, self.ring_offset) - self.ring_centre) / self.ring_deviation

    def about(self, x: Float[Array, "batch size size"]) -> "MapScale":
        """Return the scale with rings and roughness about these maps' own means: products have no bias left."""
        logs = _less(log_ring_power(x), self.ring_offset)
        lost = np.sqrt(1 - 1 / max(len(x), 2))
        roughness = None if self.roughness is None else self.roughness.about(x)
        return self._replace(
            ring_centre=logs.mean(0), ring_deviation=lost * self.ring_deviation, roughness=roughness
        )

    def whitened(self, log_power: Float[Array, "batch bands"]) -> Float[Array, "batch bands"]:
        """Return combinations of bands at mean 0, uncorrelated, of variance 1 at most."""
        return (_less(log_power, self.band_offset) - self.centre) @ self.whitening

    def in_typical_power(self, log_power: Float[Array, "batch bands"]) -> Float[Array, "batch bands"]:
        """Return power in units of what is typical of its band."""
        return jnp.exp(_less(log_power, self.band_offset) - self.centre)


def _less(values: Array, offset: Array | None) -> Array:
    return values if offset is None else values - offset


@functools.cache
def share_of_modes(size: int) -> Float[np.ndarray, "modes bands"]:
    """Return weights that average the modes of the half plane into each band."""
    return mode_shares([region for _, region in _regions(size)])


@functools.cache
def bands_of_rings(size: int) -> tuple[Float[np.ndarray, " rings"], Float[np.ndarray, "rings bands"]]:
    """Return mean |k|, radian a pixel, of the rings that bands are parts of, and weights that average those."""
    parts = _regions(size)
    numbers = np.array([number for number, _ in parts])
    shares = (np.unique(numbers)[:, None] == numbers).astype(np.float32)
    shares /= shares.sum(1, keepdims=True)
    k = (
        2
        * np.pi
        * np.hypot(np.fft.fftfreq(size)[:, None], np.fft.rfftfreq(size)).ravel()
        @ share_of_modes(size)
    )
    return shares @ k, shares


def _regions(size: int) -> list[tuple[int, Bool[np.ndarray, "height half"]]]:
    """Return the modes of every band, and the number of the ring that it is a part of."""
    geometry = MapGeometry(size, 1.0)
    edges = log_l_edges(geometry, NUM_BANDS)
    corners = np.linspace(edges[-1], 1.001 * np.sqrt(2) * edges[-1], _CORNERS + 1)[1:]
    edges = np.concatenate([edges, corners])
    rings, regions = geometry.half_plane_bins(edges), []
    for number, low in enumerate(edges[:-1]):
        ring = rings == number
        divided = low >= _DIVIDED_FROM * geometry.nyquist_ell
        kept = [ring & sector for sector in _sectors(size) if (ring & sector).sum() >= _FEWEST_MODES]
        if not divided or sum(region.sum() for region in kept) < ring.sum():
            kept = [ring]
        regions += [(number, region) for region in kept if region.any()]
    return regions


@functools.cache
def share_of_rings(size: int) -> Float[np.ndarray, "modes rings"]:
    """Return weights that average the modes of the half plane into each ring."""
    geometry = MapGeometry(size, 1.0)
    edges = log_l_edges(geometry, NUM_RINGS)
    rings = geometry.half_plane_bins(np.append(edges, 1.001 * np.sqrt(2) * edges[-1]))
    return mode_shares([rings == number for number in range(len(edges)) if (rings == number).any()])


def mode_shares(regions: Sequence[Bool[np.ndarray, "height half"]]) -> Float[np.ndarray, "modes regions"]:
    """Return weights that average modes of the half plane over each part of it; all 0 for an empty one."""
    weight = half_plane_weights((len(regions[0]), len(regions[0])))
    table = np.stack([np.where(region, weight, 0.0).ravel() for region in regions], -1)
    return (table / np.maximum(table.sum(0), 1.0)).astype(np.float32)


def _sectors(size: int) -> list[Bool[np.ndarray, "height half"]]:
    """Return modes nearer to the axis of columns, to that of rows, to one diagonal, to the other."""
    ky, kx = np.fft.fftfreq(size)[:, None], np.fft.rfftfreq(size)
    near_axis = np.tan(np.pi / 8)
    along_x, along_y = np.abs(ky) < near_axis * kx, kx < near_axis * np.abs(ky)
    rest = ~along_x & ~along_y
    return [along_x, along_y, rest & (ky * kx >= 0), rest & (ky * kx < 0)]


def num_bands(size: int) -> int:
    """Return how many bands maps of this size have."""
    return share_of_modes(size).shape[1]


def log_band_power(x: Float[Array, "batch size size"]) -> Float[Array, "batch bands"]:
    """Return ln of the mean |f|^2 / N^2 of each band: of white noise of variance 1 about 0."""
    return _log_means(x, share_of_modes(x.shape[-1]))


def log_ring_power(x: Float[Array, "batch size size"]) -> Float[Array, "batch rings"]:
    """Return the same of rings of all directions, which are wider, for a covariance of fewer numbers."""
    return _log_means(x, share_of_rings(x.shape[-1]))


def _log_means(x, shares):
    size = x.shape[-1]
    f = jnp.fft.rfft2(x)
    power = (f.real**2 + f.imag**2).reshape(len(x), -1) / size**2
    return jnp.log(power @ shares + _FAINT)


def power_of_modes(scale: MapScale, size: int) -> Float[Array, "height half"]:
    """Return the typical power of every mode of the half plane, that of its band; 0 of the mean, in none."""
    within = (share_of_modes(size) > 0).astype(np.float32)
    return (jnp.asarray(within) @ jnp.exp(scale.centre)).reshape(size, size // 2 + 1)


def wavelets(x: Float[Array, "batch size size"]) -> Float[Array, "batch scales size size"]:
    """Return the finest starlet scales, of 1, 2 and 4 pixels."""
    return starlet_transform(x, NUM_WAVELETS + 1)[:, :-1]


def heights(x: Float[Array, "batch size size"]) -> Float[Array, "batch poolings heights"]:
    """Return the heights that given shares of each map's pixels lie above."""
    below = 1 - np.asarray(_SHARES_ABOVE)
    of_poolings = [jnp.quantile(block_means(x, pixels).reshape(len(x), -1), below, axis=1) for pixels in POOLED]
    return jnp.moveaxis(jnp.stack(of_poolings), -1, 0)


def unmeasured(size: int, num_slopes: int = 0, matched: Collection[str] = ()) -> MapScale:
    """Return a scale of the shapes that are measured where statistics of these names are matched."""
    bands, rings = num_bands(size), share_of_rings(size).shape[1]
    of_rings = jnp.zeros(rings), jnp.ones(rings)
    even = jnp.tile(jnp.linspace(-1.0, 1.0, len(_SHARES_ABOVE)), (len(POOLED), 1))
    trend = Trend(jnp.zeros((num_slopes, bands)), jnp.zeros((num_slopes, rings))) if num_slopes else None
    scale = MapScale(jnp.zeros(bands), jnp.eye(bands), *of_rings, jnp.ones(NUM_WAVELETS), even, trend)
    return scale._replace(
        roughness=roughness.unmeasured(num_slopes) if "roughness" in matched else None,
        large_heights=large_heights.unmeasured() if "large_heights" in matched else None,
    )


def scale_of(
    log_power: Float[np.ndarray, "maps bands"],
    log_ring_power: Float[np.ndarray, "maps rings"],
    wavelet_variance: Float[np.ndarray, "maps scales"],
    heights: Float[np.ndarray, "maps poolings heights"],
    phi: Float[np.ndarray, "maps terms"] | None = None,
) -> MapScale:
    """Return the scale of maps of these bands, rings, mean squares of their starlet scales, and heights.

    phi: what the maps' cosmology is regressed on, where they are of several; scatter is that about their trend.
    """
    (log_power, slopes), (rings, ring_slopes) = (without_trend(v, phi) for v in (log_power, log_ring_power))
    whitening = whitening_of(log_power)
    sigma = np.sqrt(np.asarray(wavelet_variance, np.float64).mean(0))
    numbers = log_power.mean(0), whitening, rings.mean(0), rings.std(0), sigma, heights.mean(0)
    trend = None
    if len(slopes):
        trend = Trend(*(jnp.asarray(v, jnp.float32) for v in (slopes, ring_slopes)))
    arrays = [jnp.asarray(v, jnp.float32) for v in numbers]
    return MapScale(arrays[0], arrays[1], arrays[2], arrays[3], arrays[4], arrays[5], trend)


def whitening_of(values: Float[np.ndarray, "maps numbers"]) -> Float[np.ndarray, "numbers numbers"]:
    """Return what takes numbers off their mean to uncorrelated ones of variance 1 (`_SMALLEST_VARIANCE`)."""
    variance, axes = np.linalg.eigh(np.atleast_2d(np.cov(values.T)))
    return axes / np.sqrt(np.maximum(variance, _SMALLEST_VARIANCE * variance[-1]))
