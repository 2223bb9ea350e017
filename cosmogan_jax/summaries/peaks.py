"""Counts of local maxima by height and of local minima by depth."""

from collections.abc import Callable

import numpy as np
from jax import numpy as jnp
from jaxtyping import Array, Bool, Float

from cosmogan_jax.summaries import bin_sums
from cosmogan_jax.summaries.batching import over_maps
from cosmogan_jax.summaries.derivatives import AROUND, shifted
from cosmogan_jax.summaries.edges import Bins, bin_index, check_bins, check_kappa, check_mask, sigma
from cosmogan_jax.switches import with_usual


@with_usual
def peak_counts(
    kappa: Float[Array, "*batch height width"],
    thresholds: Float[np.ndarray, " edges"] | Bins,
    *,
    normalised: bool = False,
    mask: Bool[Array, "*batch height width"] | None = None,
) -> Float[Array, "*batch bins"]:
    """Count peaks with s t_i <= kappa < s t_{i+1}, over the bin's width in the units of the thresholds.

    A peak lies strictly above all eight neighbours, periodically wrapped. s is the map's population standard
    deviation (normalised=True) or 1. LensTools casts the centre pixel to float32 before comparing it; here it
    keeps the map's precision, so float64 maps with differences below 1e-7 may count more peaks. A map with a
    NaN pixel gives NaN (LensTools counts on around it).

    Args:
      kappa: maps.
      thresholds: edges of the bins.
      normalised: whether s is each map's own standard deviation.
      mask: True where a pixel is valid. A pixel counts, for peaks and for s, where it and all eight neighbours
        are valid; counts are then divided by the share of such pixels, and so are those of a whole map. What
        lies outside the mask may be anything, NaN included. NaN where no pixel counts.

    Raises:
      ValueError: thresholds that do not increase or are fewer than two; maps not of real numbers; a mask of
        another shape.
    """
    return _counts(kappa, thresholds, normalised, local_maxima, mask)


@with_usual
def minimum_counts(
    kappa: Float[Array, "*batch height width"],
    thresholds: Float[np.ndarray, " edges"] | Bins,
    *,
    normalised: bool = False,
    mask: Bool[Array, "*batch height width"] | None = None,
) -> Float[Array, "*batch bins"]:
    """Count minima with s t_i <= kappa < s t_{i+1}, over the bin's width in the units of the thresholds.

    A minimum lies strictly below all eight neighbours, periodically wrapped; Coulton et al. 2020 (MNRAS 495,
    2531) count such voids of convergence maps. Thresholds are values of kappa (or kappa/s), not depths: a void
    of -0.02 lies in the bin around -0.02. Bins are closed below and open above as those of `peak_counts`, so
    that one set of edges serves both: minimum_counts(kappa, t) is peak_counts(-kappa, -t[::-1])[::-1] but for
    minima that lie exactly on an edge. s, NaN and mask are as in `peak_counts`.

    Raises:
      ValueError: thresholds that do not increase or are fewer than two; maps not of real numbers; a mask of
        another shape.
    """
    return _counts(kappa, thresholds, normalised, lambda k: local_maxima(-k), mask)


def _counts(kappa, thresholds, normalised: bool, extrema: Callable[[Array], Array], mask) -> Array:
    """Count pixels that `extrema` marks, by their value."""
    bins = check_bins("thresholds", thresholds)
    kappa = check_kappa(kappa)
    bins = bins.astype(kappa.dtype)
    edges, per_width = bins.edges, bins.per_width

    def count(k, valid=None):
        marked, weight = extrema(k), None
        if valid is not None:
            whole = _with_neighbours(valid)
            marked, weight = marked & whole, whole.astype(k.dtype)
        index = bin_index(k, edges * sigma(k, weight) if normalised else edges)
        sums = bin_sums.of_pixels(marked.reshape(1, -1).astype(k.dtype), index.ravel(), edges.shape[0] + 1)
        counts = sums[0, 1:-1] if weight is None else sums[0, 1:-1] / weight.mean()
        return jnp.where(jnp.isfinite(k).all(), counts * per_width, jnp.nan)

    return over_maps(count, kappa, None if mask is None else check_mask(mask, kappa))


def _with_neighbours(valid: Bool[Array, "height width"]) -> Bool[Array, "height width"]:
    """Say where a pixel and all eight neighbours are valid."""
    at = shifted(valid, 1)
    for neighbour in AROUND:
        valid = valid & at(*neighbour)
    return valid


@with_usual
def local_maxima(k: Float[Array, "*batch height width"]) -> Bool[Array, "*batch height width"]:
    """Say where a pixel lies strictly above all eight neighbours, periodically wrapped."""
    at = shifted(k, 1)
    is_peak = jnp.ones(k.shape, bool)
    for neighbour in AROUND:
        is_peak &= k > at(*neighbour)
    return is_peak
