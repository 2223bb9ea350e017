"""The starlet transform, an isotropic undecimated wavelet, and what is counted on its scales.

Starck, Fadili & Murtagh 2007 (IEEE Trans. Image Process. 16, 297): with c_0 the map and h the B3 spline's
[1 4 6 4 1]/16 with 2^j - 1 zeros between its taps ("a trous"), along rows and columns,

    c_{j+1} = h_j * c_j        w_j = c_j - c_{j+1}        map = sum_j w_j + c_J

w_j holds structure of about 2^j to 2^{j+1} pixels, and everything has the map's units (kappa).

Borders: the map is continued by its mirror image, edge pixels repeated (NumPy's "symmetric"), as in pycs'
Python code (`starlet.star2d`, boundary="symm"). Crops are not periodic: a wrapped border joins what lies a map
apart, and h_j reaches 2^{j+1} pixels. Of the continuations that are not periodic this is the one that keeps the
mean: every w_j has mean 0, and c_J the map's mean (tests/test_starlet.py). Sparse2D and lenspack repeat the
edge pixel instead; their w_j differ within 2^{j+2} - 2 pixels of the border.
"""

from typing import NamedTuple

import jax
import numpy as np
from jax import numpy as jnp
from jaxtyping import Array, Float

from cosmogan_jax.geometry import check_edges
from cosmogan_jax.summaries import bin_sums
from cosmogan_jax.summaries.batching import over_maps
from cosmogan_jax.summaries.edges import bin_index, check_kappa
from cosmogan_jax.switches import with_usual


class StarletStatistics(NamedTuple):
    """The l1 norm (kappa) and the peaks (per unit of kappa) of each scale and bin."""

    l1_norm: Float[Array, "*batch scales bins"]
    peak_counts: Float[Array, "*batch scales bins"]


@with_usual
def starlet_transform(
    kappa: Float[Array, "*batch height width"], num_scales: int
) -> Float[Array, "*batch scales height width"]:
    """Compute wavelet scales w_0 to w_{J-1}, J = num_scales - 1, then the smooth map c_J; they add up.

    num_scales counts as pycs does, the smooth one included.

    Raises:
      ValueError: num_scales below 2, or so large that the last filter, 2^J pixels to each side, reaches beyond
        the map; maps not of real numbers.
    """
    kappa = check_kappa(kappa)
    _check_num_scales(num_scales, kappa)
    return over_maps(lambda k: _scales(k, num_scales), kappa)


@with_usual
def starlet_l1_norm(
    kappa: Float[Array, "*batch height width"], edges_per_scale: Float[np.ndarray, "scales edges"]
) -> Float[Array, "*batch scales bins"]:
    """Sum |w_j| over the pixels with e_{j,i} <= w_j < e_{j,i+1}, in kappa.

    Ajani, Starck & Pettorino 2021 (A&A 645, L11), with the smooth scale c_J as the last w_j as there.
    They take edges in units of the noise at each scale; here they are in kappa, set once by the caller from
    reference maps, so that an error of the amplitude shows. What lies outside of the edges counts nowhere.
    A map with a NaN pixel gives NaN.

    Args:
      kappa: maps.
      edges_per_scale: a row of increasing edges for each scale; the number of rows is `starlet_transform`'s
        num_scales.

    Raises:
      ValueError: edges that are not rows of two or more increasing numbers; a number of rows that
        `starlet_transform` refuses; maps not of real numbers.
    """
    return _of_each_scale(kappa, (_l1_norm, edges_per_scale))[0]


@with_usual
def starlet_peak_counts(
    kappa: Float[Array, "*batch height width"], edges_per_scale: Float[np.ndarray, "scales edges"]
) -> Float[Array, "*batch scales bins"]:
    """Count peaks of w_j with e_{j,i} <= w_j < e_{j,i+1}, over the bin's width in kappa, as `peak_counts`.

    Ajani et al. 2020 (Phys. Rev. D 102, 103531); Lin, Kilbinger & Pires 2016 (A&A 593, A88). A peak lies
    strictly above all eight neighbours; pixels of the map's border, which lack some, are none (in the mirrored
    map each has itself as a neighbour). A map with a NaN pixel gives NaN.

    Arguments and errors are those of `starlet_l1_norm`.
    """
    return _of_each_scale(kappa, (_peak_counts, edges_per_scale))[0]


@with_usual
def starlet_statistics(
    kappa: Float[Array, "*batch height width"],
    l1_edges: Float[np.ndarray, "scales edges"],
    peak_edges: Float[np.ndarray, "scales edges"],
) -> StarletStatistics:
    """Compute `starlet_l1_norm` and `starlet_peak_counts` of one transform, an eighth faster than alone.

    Raises:
      ValueError: as they do; different numbers of rows.
    """
    if len(l1_edges) != len(peak_edges):
        raise ValueError(f"l1_edges with {len(l1_edges)} rows and peak_edges with {len(peak_edges)} must agree")
    return StarletStatistics(*_of_each_scale(kappa, (_l1_norm, l1_edges), (_peak_counts, peak_edges)))


def _of_each_scale(kappa, *statistics) -> tuple[Float[Array, "*batch scales bins"], ...]:
    """Compute statistic(w_j, its edges) of every scale of every map, for each (statistic, edges per scale)."""
    kappa = check_kappa(kappa)
    functions = [function for function, _ in statistics]
    edges = [_check_edges(rows) for _, rows in statistics]
    num_scales = len(edges[0])
    _check_num_scales(num_scales, kappa)

    def of_map(k):
        def of_scale(scale):
            w, *rows = scale
            return tuple(function(w, row) for function, row in zip(functions, rows))

        # A loop, for what `_scales` says: each scale is in memory when its neighbours are looked at.
        rows = (jnp.asarray(each, k.dtype) for each in edges)
        statistics_of_scales = jax.lax.map(of_scale, (_scales(k, num_scales), *rows))
        return tuple(jnp.where(jnp.isfinite(k).all(), each, jnp.nan) for each in statistics_of_scales)

    return over_maps(of_map, kappa)


def _l1_norm(w: Float[Array, "height width"], edge: Float[Array, " edges"]) -> Float[Array, " bins"]:
    index = bin_index(w, edge).ravel()
    return bin_sums.of_pixels(jnp.abs(w).reshape(1, -1), index, edge.shape[0] + 1)[0, 1:-1]


def _peak_counts(w: Float[Array, "height width"], edge: Float[Array, " edges"]) -> Float[Array, " bins"]:
    height, width = w.shape
    # Infinitely high beyond the border, whose pixels are no peaks then; a barrier as in `derivatives.shifted`.
    around = jax.lax.optimization_barrier(jnp.pad(w, 1, constant_values=jnp.inf))
    is_peak = jnp.ones(w.shape, bool)
    for row in (0, 1, 2):
        for column in (0, 1, 2):
            if (row, column) != (1, 1):
                is_peak &= w > around[row : row + height, column : column + width]
    index = bin_index(w, edge).ravel()
    counts = bin_sums.of_pixels(is_peak.reshape(1, -1).astype(w.dtype), index, edge.shape[0] + 1)[0, 1:-1]
    return counts / jnp.diff(edge)


def _scales(k: Float[Array, "height width"], num_scales: int) -> Float[Array, "scales height width"]:
    """Compute all scales of a map, by a loop of which every step writes its scale out.

    Unrolled, XLA's CPU code computes a scale, and all before it, anew for each tap of the next: five to ten
    times as long, and a hundred times for what looks at neighbours of the last.
    """
    reach = 2 ** (num_scales - 1)  # of the last filter

    def smoothed(k, hole, axis):
        padded = jnp.pad(k, [(reach, reach) if axis == i else (0, 0) for i in (0, 1)], mode="symmetric")
        padded = jax.lax.optimization_barrier(padded)

        def at(taps):
            return jax.lax.dynamic_slice_in_dim(padded, reach + taps * hole, k.shape[axis], axis)

        return (6 * k + 4 * (at(-1) + at(1)) + (at(-2) + at(2))) / 16

    def step(k, hole):
        smooth = smoothed(smoothed(k, hole, 0), hole, 1)
        return smooth, k - smooth

    last, wavelets = jax.lax.scan(step, k, 2 ** jnp.arange(num_scales - 1))
    return jnp.concatenate([wavelets, last[None]])


def _check_num_scales(num_scales: int, kappa: Array) -> None:
    side = min(kappa.shape[-2:])
    if num_scales < 2 or 2 ** (num_scales - 1) > side:
        raise ValueError(
            f"num_scales={num_scales} must be at least 2, and 2^(num_scales - 1) at most "
            f"the map's {side} pixels"
        )


def _check_edges(edges_per_scale) -> Float[Array | np.ndarray, "scales edges"]:
    """Return the edges; traced ones, whose values are not seen, as they are."""
    if isinstance(edges_per_scale, jax.core.Tracer):
        return edges_per_scale
    rows = np.asarray(edges_per_scale)
    if rows.ndim != 2 or not len(rows):
        raise ValueError(f"edges_per_scale of shape {rows.shape} must be one row of edges for each scale")
    return np.stack([check_edges(f"edges_per_scale[{j}]", row) for j, row in enumerate(rows)])
