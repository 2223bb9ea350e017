"""Logarithms of band powers as a network or a loss sees them: fast, differentiable, and on a common scale."""

import functools
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from cosmogan_jax.geometry import MapGeometry, log_l_edges

NUM_BANDS = 20
_FAINT = 1e-8  # far below a band of any map in units of its variance; keeps the log of an empty one finite
_SMALLEST_VARIANCE = 1e-3  # of the largest: axes that hardly vary are not blown up


class BandScale(NamedTuple):
    """What the bands of training maps are like.

    Attributes:
      centre, deviation: mean and standard deviation of each band's log power over the maps.
      whitening: takes what is off the centre to uncorrelated numbers of variance 1 (`_SMALLEST_VARIANCE`).
    """

    centre: Float[Array, " bands"]
    deviation: Float[Array, " bands"]
    whitening: Float[Array, "bands bands"]

    def standardised(self, log_power: Float[Array, "batch bands"]) -> Float[Array, "batch bands"]:
        """Each band by itself at mean 0 and variance 1."""
        return (log_power - self.centre) / self.deviation

    def whitened(self, log_power: Float[Array, "batch bands"]) -> Float[Array, "batch bands"]:
        """Combinations of bands at mean 0, uncorrelated, of variance 1 at most."""
        return (log_power - self.centre) @ self.whitening


@functools.cache
def _share_of_modes(size: int) -> Float[np.ndarray, "modes bands"]:
    """Weights that average the half plane's modes into each band; NUM_BANDS to Nyquist, one of the corners."""
    geometry = MapGeometry(size, 1.0)
    edges = log_l_edges(geometry, NUM_BANDS)
    edges = np.append(edges, 1.01 * np.sqrt(2) * edges[-1])
    bins, weight = geometry.half_plane_bins(edges).ravel(), geometry.half_plane_weights().ravel()
    shares = np.where(bins[:, None] == np.arange(len(edges) - 1), weight[:, None], 0.0)
    return (shares / shares.sum(0)).astype(np.float32)


def num_bands(size: int) -> int:
    """How many bands maps of this size have: fewer where a band would hold no mode."""
    return _share_of_modes(size).shape[1]


def log_band_power(x: Float[Array, "batch size size"]) -> Float[Array, "batch bands"]:
    """ln of the mean |f|^2 / N^2 of each band: of white noise of variance 1 about 0."""
    size = x.shape[-1]
    f = jnp.fft.rfft2(x)
    power = (f.real**2 + f.imag**2).reshape(len(x), -1) / size**2
    return jnp.log(power @ _share_of_modes(size) + _FAINT)


def unmeasured(size: int) -> BandScale:
    """The shapes that `scale_of` gives."""
    bands = num_bands(size)
    return BandScale(jnp.zeros(bands), jnp.ones(bands), jnp.eye(bands))


def scale_of(log_power: Float[np.ndarray, "maps bands"]) -> BandScale:
    """The scale of these maps' bands."""
    log_power = np.asarray(log_power, np.float64)
    variance, axes = np.linalg.eigh(np.atleast_2d(np.cov(log_power.T)))
    whitening = axes / np.sqrt(np.maximum(variance, _SMALLEST_VARIANCE * variance[-1]))
    numbers = log_power.mean(0), log_power.std(0), whitening
    return BandScale(*(jnp.asarray(v, jnp.float32) for v in numbers))
