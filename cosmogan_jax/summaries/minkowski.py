"""Minkowski functionals of the excursion sets of a map."""

from typing import NamedTuple

import jax
import numpy as np
from jax import numpy as jnp
from jaxtyping import Array, Float

from cosmogan_jax.summaries.derivatives import derivatives
from cosmogan_jax.summaries.edges import check_edges, check_kappa


class MinkowskiFunctionals(NamedTuple):
    """Area V0, boundary length V1 (per pixel), genus density V2 (per pixel squared)."""

    V0: Float[Array, "*batch bins"]
    V1: Float[Array, "*batch bins"]
    V2: Float[Array, "*batch bins"]


def minkowski_functionals(
    kappa: Float[Array, "*batch height width"],
    thresholds: Float[np.ndarray, " edges"],
    *,
    normalised: bool = True,
) -> MinkowskiFunctionals:
    """V0, V1, V2 over threshold bins t_i, t_{i+1}, with LensTools' pixel forms (Petri 2016).

        V0_i = fraction of pixels with kappa >= s (t_i + t_{i+1})/2
        V1_i = 1/(n dt_i) sum sqrt(gx^2 + gy^2)/4                      over s t_i <= kappa < s t_{i+1}
        V2_i = 1/(n dt_i) sum (2 gx gy hxy - gx^2 hyy - gy^2 hxx)/(gx^2 + gy^2)/(2 pi)   over the same

    s is the map's population standard deviation (normalised=True) or 1; the mean is not subtracted.
    Derivatives are periodic central differences, second ones with step 2. Where the gradient vanishes
    exactly the curvature term is (2 hxy - hxx - hyy)/(4 pi), as in LensTools. Gradients flow through the
    derivatives, not through the hard bins. A map with a NaN pixel gives NaN.

    Raises:
      ValueError: thresholds that do not increase or are fewer than two; maps not real floating.
    """
    edges = check_edges(thresholds, "thresholds")
    kappa = check_kappa(kappa)
    height, width = kappa.shape[-2:]
    num_bins, num_pixels = len(edges) - 1, height * width
    dtype = kappa.dtype
    edge, middle = jnp.asarray(edges, dtype), jnp.asarray((edges[1:] + edges[:-1]) / 2, dtype)
    step = jnp.asarray(np.diff(edges), dtype)

    def one(k):
        s = jnp.std(k) if normalised else jnp.ones((), dtype)
        length, curvature = _curvature(k)
        # The bin of each pixel, counted over the edges so that ties fall as s t_i <= kappa says.
        index = jnp.searchsorted(s * edge, k.ravel(), side="right", method="compare_all")
        sums = jax.ops.segment_sum(
            jnp.stack([length.ravel(), curvature.ravel()], axis=-1), index, num_bins + 2
        )[1:-1]
        ordered = jnp.sort(k.ravel())
        v0 = (num_pixels - jnp.searchsorted(ordered, s * middle, side="left")).astype(dtype) / num_pixels
        v1, v2 = sums[:, 0] / (num_pixels * step), sums[:, 1] / (num_pixels * step)
        whole = jnp.isfinite(k).all()
        return tuple(jnp.where(whole, v, jnp.nan) for v in (v0, v1, v2))

    values = jax.vmap(one)(kappa.reshape(-1, height, width))
    return MinkowskiFunctionals(*(v.reshape(*kappa.shape[:-2], num_bins) for v in values))


def _curvature(k: Array) -> tuple[Array, Array]:
    gx, gy, hxx, hyy, hxy = derivatives(k)
    square = gx**2 + gy**2
    flat = square == 0
    safe = jnp.where(flat, 1, square)  # guarded, for the gradient's sake too
    length = jnp.where(flat, 0, jnp.sqrt(safe)) / 4
    curvature = (2 * gx * gy * hxy - gx**2 * hyy - gy**2 * hxx) / safe / (2 * np.pi)
    return length, jnp.where(flat, (2 * hxy - hxx - hyy) / (4 * np.pi), curvature)
