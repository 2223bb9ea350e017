"""What the classifier measures of each map beside its network: power in bands, and heights of pixels and peaks.

All are invariant under the symmetries of the square. What they hold of a difference a linear rule finds in
closed form (Fisher 1936) and from few maps, where a network needs many.

Of maps of several source bins, (maps, size, size, bins), power and heights of every bin are measured, and the
coherence of every pair of bins, by a rule of its own: what is between bins is not in any of them.
"""

import functools
from typing import NamedTuple

import jax
import numpy as np
from jax import numpy as jnp
from jaxtyping import Array, Float

from cosmogan_jax.geometry import MapGeometry, log_l_edges
from cosmogan_jax.summaries import coherence, pair_power_spectra, power_spectrum
from cosmogan_jax.summaries.batching import in_batches
from cosmogan_jax.summaries.peaks import local_maxima
from cosmogan_jax.summaries.pixels import block_means

BANDS = 20
# Maps averaged over so many pixels, and what shares of the pixels lie below the edges of heights.
SCALES = (1, 2, 4)
PIXEL_SHARES = (0.001, 0.01, 0.05, 0.15, 0.3, 0.5, 0.7, 0.85, 0.95, 0.99, 0.999)
PEAK_SHARES = (0.7, 0.9, 0.97, 0.99, 0.997, 0.999)
_FAINT = 1e-6  # of a band's mean power: what an empty map counts as
_MOST_COHERENT = 1 - 1e-5  # of float32 powers
_EDGE_MAPS = 512  # of each set, that say where the edges are: a million pixels of 32^2 or larger maps


class Features(NamedTuple):
    """Logarithms of the power in bands of ell, and square roots of the shares of pixels and peaks by height."""

    spectrum: Float[np.ndarray, "maps bands"]
    heights: Float[np.ndarray, "maps heights"]


class BinsFeatures(NamedTuple):
    """The features of every bin, one after the other, and arctanh of each pair's coherence in bands of ell."""

    spectrum: Float[np.ndarray, "maps bands"]
    heights: Float[np.ndarray, "maps heights"]
    pairs: Float[np.ndarray, "maps pair_bands"]


class Reference(NamedTuple):
    """What features are measured by, the same for all maps: heights of each scale's pixels, faintest power."""

    pixel_edges: tuple[tuple[float, ...], ...]
    faintest: tuple[float, ...]


def l_edges_of_classifier(geometry: MapGeometry) -> Float[np.ndarray, " edges"]:
    """Return edges of BANDS bands, even in log ell, up to the Nyquist mode, and of one for the corners."""
    edges = log_l_edges(geometry, BANDS)
    return np.append(edges, 1.01 * np.sqrt(2) * edges[-1])


def linear_rules(kappa: Float[np.ndarray, "maps size size *bins"]) -> tuple[str, ...]:
    """Return the names of the features of maps of this shape, of each of which there is a linear rule."""
    return BinsFeatures._fields if kappa.ndim == 4 else Features._fields


def reference_of(
    first: Float[np.ndarray, "maps size size *bins"],
    second: Float[np.ndarray, "others size size *bins"],
    side_deg: float,
) -> tuple[Reference, ...]:
    """Return what features of each bin are measured by: heights of some pixels of both sets together."""
    if first.ndim == 4:
        bins = range(first.shape[3])
        return tuple(_reference_of_bin(first[..., bin_], second[..., bin_], side_deg) for bin_ in bins)
    return (_reference_of_bin(first, second, side_deg),)


def _reference_of_bin(first: np.ndarray, second: np.ndarray, side_deg: float) -> Reference:
    sample = np.concatenate([kappa[:: -(-len(kappa) // _EDGE_MAPS)] for kappa in (first, second)])
    shares = sorted({*PIXEL_SHARES, *PEAK_SHARES})
    edges = tuple(tuple(np.quantile(block_means(sample, scale), shares).tolist()) for scale in SCALES)
    power = _powers(MapGeometry(sample.shape[-1], side_deg), sample)
    return Reference(edges, tuple((_FAINT * power.mean(0)).tolist()))


def features_of(
    kappa: Float[np.ndarray, "maps size size *bins"], reference: tuple[Reference, ...], side_deg: float
) -> Features | BinsFeatures:
    """Return the features of maps of 16 pixels or more."""
    if kappa.ndim == 3:
        return _features_of_bin(kappa, reference[0], side_deg)
    each = [_features_of_bin(kappa[..., number], of, side_deg) for number, of in enumerate(reference)]
    spectrum, heights = (np.concatenate(of, 1) for of in zip(*each))
    geometry = MapGeometry(kappa.shape[1], side_deg)
    pairs = in_batches(lambda maps: np.asarray(_coherences(geometry, maps)), kappa)
    return BinsFeatures(spectrum, heights, np.asarray(pairs, np.float64))


def _features_of_bin(kappa: np.ndarray, reference: Reference, side_deg: float) -> Features:
    geometry = MapGeometry(kappa.shape[-1], side_deg)
    power = _powers(geometry, kappa)
    edges = jnp.asarray(reference.pixel_edges, jnp.float32)
    heights = in_batches(lambda maps: np.asarray(_heights(maps, edges)), kappa)
    faintest = np.asarray(reference.faintest)
    # A band without modes says nothing.
    logs = np.log(np.where(faintest > 0, np.maximum(power, faintest), 1.0))
    return Features(logs, np.asarray(heights, np.float64))


class LinearRule(NamedTuple):
    """Fisher's: (x - centre) . weights is positive for the first set, the log odds of normal features."""

    centre: Float[np.ndarray, " features"]
    weights: Float[np.ndarray, " features"]

    def __call__(self, features: Float[np.ndarray, "maps features"]) -> Float[np.ndarray, " maps"]:
        """Return a logit for each map."""
        return (features - self.centre) @ self.weights


def linear_rule(
    first: Float[np.ndarray, "maps features"], second: Float[np.ndarray, "others features"]
) -> LinearRule:
    """Return Fisher's rule: weights = C^-1 (mean of first - mean of second), C the mean covariance in a set.

    Features are brought to variance 1, and of their combinations those with less than _FAINT of the largest
    variance are left out: constant ones, and repeated ones.
    """
    means = first.mean(0), second.mean(0)
    covariance = (np.cov(first.T) + np.cov(second.T)) / 2
    scale = np.sqrt(np.diag(covariance))
    unit = np.where(scale > 0, 1 / np.where(scale > 0, scale, 1.0), 0.0)
    variance, axes = np.linalg.eigh(covariance * np.outer(unit, unit))
    kept = variance > _FAINT * variance[-1]
    inverse = np.where(kept, 1 / np.where(kept, variance, 1.0), 0.0)
    weights = unit * (axes @ (inverse * (axes.T @ (unit * (means[0] - means[1])))))
    return LinearRule((means[0] + means[1]) / 2, weights)


def _powers(
    geometry: MapGeometry, kappa: Float[np.ndarray, "maps size size"]
) -> Float[np.ndarray, "maps bands"]:
    return in_batches(lambda maps: np.asarray(_power(geometry, maps)), kappa).astype(np.float64)


@functools.partial(jax.jit, static_argnums=0)
def _power(geometry: MapGeometry, kappa: Array) -> Array:
    return power_spectrum(kappa, l_edges_of_classifier(geometry), geometry.side_deg, mode_weights="full_plane")


@functools.partial(jax.jit, static_argnums=0)
def _coherences(geometry: MapGeometry, kappa: Array) -> Float[Array, "maps pair_bands"]:
    """Return arctanh of each map's own coherence, whose scatter is the same whatever it is (Fisher 1921)."""
    edges = l_edges_of_classifier(geometry)
    power = pair_power_spectra(jnp.moveaxis(kappa, -1, 1), edges, geometry.side_deg)
    r = jnp.nan_to_num(coherence(power), posinf=0.0, neginf=0.0)  # a band without modes says nothing
    return jnp.arctanh(jnp.clip(r, -_MOST_COHERENT, _MOST_COHERENT)).reshape(len(kappa), -1)


@jax.jit
def _heights(kappa: Array, edges: Array) -> Array:
    shares = sorted({*PIXEL_SHARES, *PEAK_SHARES})
    roots = []
    for scale, of_scale in zip(SCALES, edges):
        maps = block_means(kappa, scale)
        for used, among in ((PIXEL_SHARES, jnp.ones(maps.shape, bool)), (PEAK_SHARES, local_maxima(maps))):
            inside = [among & (maps >= of_scale[shares.index(share)]) for share in used]
            inside = [among, *inside, jnp.zeros(maps.shape, bool)]
            above = jnp.stack([pixels.mean((1, 2)) for pixels in inside], -1)
            # Counts that are few scatter as their root does: of a root's scatter all are alike (Anscombe 1948).
            roots.append(jnp.sqrt(jnp.maximum(above[:, :-1] - above[:, 1:], 0.0)))
    return jnp.concatenate(roots, -1)
