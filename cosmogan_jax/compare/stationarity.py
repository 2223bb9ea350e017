"""Is a field alike everywhere and in both directions? Border against centre, row against column power.

A sky has no preferred place in a crop; a network that pads its maps with zeros may. Both contrasts are made
of a few numbers a map, so that an ensemble of any size streams through, and their errors count parents, not
crops (`compare/clustered.py`). Everything is in jnp, to be jitted or vmapped.
"""

from typing import NamedTuple

import jax
import numpy as np
from jax import numpy as jnp
from jaxtyping import Array, Float

from cosmogan_jax.compare.clustered import Contrast, Groups, clustered_error
from cosmogan_jax.geometry import MapGeometry, check_edges
from cosmogan_jax.summaries import bin_sums
from cosmogan_jax.summaries.batching import over_maps
from cosmogan_jax.summaries.edges import check_kappa


class BorderContrast(NamedTuple):
    """Each ring against the centre: mean_ring - mean_centre in units of the centre's sigma, and
    sigma_ring / sigma_centre - 1."""

    mean: Contrast
    sigma: Contrast


def ring_widths(size: int) -> tuple[int, ...]:
    """Return the rings' outer edges, in pixels from the border: 0, 1, 2, 4, ... up to a quarter of the side.

    Padding of stride-2 layers reaches 1, 2, 4, ... pixels inwards; the inner half of the side is the centre.

    Raises:
      ValueError: a side of less than 4 pixels.
    """
    if size < 4:
        raise ValueError(f"size={size} must be at least 4: rings are a quarter of the side wide")
    return (0, *(2**k for k in range((size // 4).bit_length())))


def ring_moments(
    kappa: Float[Array, "maps size size"], edges: tuple[int, ...]
) -> Float[Array, "maps regions 2"]:
    """Return the means of kappa and kappa^2 over each ring of a map, outermost first and centre last.

    Ring r holds the pixels that lie edges[r] to edges[r + 1] - 1 pixels from the nearest border; the centre
    those at edges[-1] or more. float32 serves while |mean| < 100 sigma.

    Raises:
      ValueError: maps not square, edges that do not increase from 0 or leave no centre.
    """
    kappa = check_kappa(kappa, square=True)
    size = kappa.shape[-1]
    if edges[0] != 0 or list(edges) != sorted(set(edges)) or 2 * edges[-1] >= size:
        raise ValueError(f"edges={edges} must increase from 0 and stay below half of size={size}")
    inset = np.minimum(np.arange(size), np.arange(size)[::-1])
    region = np.searchsorted(edges, np.minimum(inset[:, None], inset), side="right").ravel() - 1
    weights = (region[:, None] == np.arange(len(edges))) / np.bincount(region)
    weights = jnp.asarray(weights, kappa.dtype)
    flat = kappa.reshape(kappa.shape[0], -1)
    moments = [jnp.matmul(x, weights, precision=jax.lax.Precision.HIGHEST) for x in (flat, flat**2)]
    return jnp.stack(moments, axis=-1)


def border_against_centre(moments: Float[Array, "maps regions 2"], groups: Groups) -> BorderContrast:
    """Return the contrast of each ring with the centre, from `ring_moments` of all maps.

    With M_r, Q_r the means over maps of kappa and kappa^2 in ring r and V_r = Q_r - M_r^2, c the centre:

        mean:  (M_r - M_c) / sqrt(V_c)        sigma:  sqrt(V_r / V_c) - 1

    V_r is the variance over maps and over the ring's pixels together. Errors are linearised in the maps (the
    error of sqrt(V_c) as a unit is left out of the first: it only scales it).
    """
    first, second = moments[..., 0], moments[..., 1]
    mean = first.mean(0)
    deviation = second - 2 * mean * first + mean**2  # of each map, from the ensemble's mean
    variance = deviation.mean(0)
    unit = jnp.sqrt(variance[-1])
    shift = (first - first[:, -1:])[:, :-1] / unit
    ratio = jnp.sqrt(variance / variance[-1])[:-1]
    stretch = (deviation / variance)[:, :-1] - (deviation / variance)[:, -1:]
    return BorderContrast(
        Contrast(shift.mean(0), clustered_error(shift, groups)),
        Contrast(ratio - 1, clustered_error(0.5 * ratio * stretch, groups)),
    )


def axis_power(
    kappa: Float[Array, "maps size size"], l_edges: Float[np.ndarray, " edges"], side_deg: float
) -> Float[Array, "maps 2 bins"]:
    """Return the power of modes nearer to the row axis and of those nearer to the column axis, in steradian.

    Index 0: |k_1| > |k_0| (waves that run along a row, axis 1); index 1: |k_0| > |k_1|; diagonals left out.
    Means over the whole plane with l_b < l <= l_{b+1}, normalised as `summaries.power_spectrum`; turning the
    map by a right angle swaps the two. 0 where a bin holds no mode.

    Raises:
      ValueError: as `summaries.power_spectrum`.
    """
    l_edges = check_edges("l_edges", l_edges)
    kappa = check_kappa(kappa, square=True)
    geometry = MapGeometry(kappa.shape[-1], side_deg)
    num_bins = len(l_edges) - 1
    row = np.minimum(np.arange(geometry.num_pixels), geometry.num_pixels - np.arange(geometry.num_pixels))
    column = np.arange(geometry.num_pixels // 2 + 1)
    bins = geometry.half_plane_bins(l_edges)
    used = (bins >= 0) & (row[:, None] != column)
    target = np.where(used, bins + num_bins * (row[:, None] > column), 2 * num_bins).ravel()
    weights = np.where(used, geometry.half_plane_weights(), 0.0).ravel()
    total = np.bincount(target, weights, 2 * num_bins + 1)
    scaled = weights / np.maximum(total, 1)[target] * (geometry.side_rad / geometry.num_pixels**2) ** 2
    norm = jnp.asarray(scaled, kappa.dtype)

    def of_map(map_):
        f = jnp.fft.rfft2(map_).ravel()
        return bin_sums.of_known_bins((f.real**2 + f.imag**2) * norm, target, 2 * num_bins)

    return over_maps(of_map, kappa).reshape(-1, 2, num_bins)


def row_against_column(power: Float[Array, "maps 2 bins"], groups: Groups) -> Contrast:
    """Return log(P_row / P_column) of the means over maps, for each bin, from `axis_power` of all maps.

    0 for a field that is the same in both directions; negative where structures are drawn out along rows.
    NaN for bins without modes.
    """
    mean = power.mean(0)
    relative = power / jnp.where(mean > 0, mean, jnp.nan)
    return Contrast(jnp.log(mean[0] / mean[1]), clustered_error(relative[:, 0] - relative[:, 1], groups))
