"""Minkowski functionals of the excursion sets of a map."""

from typing import Any, NamedTuple

import jax
import numpy as np
from jax import numpy as jnp
from jaxtyping import Array, Bool, Float

from cosmogan_jax.summaries import bin_sums
from cosmogan_jax.summaries.batching import over_maps
from cosmogan_jax.summaries.derivatives import all_derivatives_valid, derivatives
from cosmogan_jax.summaries.edges import Bins, bin_index, check_bins, check_kappa, check_mask, sigma
from cosmogan_jax.switches import with_usual


class MinkowskiFunctionals(NamedTuple):
    """Area V0, boundary length V1 (per pixel), genus density V2 (per pixel squared)."""

    V0: Float[Array, "*batch bins"]
    V1: Float[Array, "*batch bins"]
    V2: Float[Array, "*batch bins"]


@with_usual
def minkowski_functionals(
    kappa: Float[Array, "*batch height width"],
    thresholds: Float[np.ndarray, " edges"] | Bins,
    *,
    normalised: bool = True,
    mask: Bool[Array, "*batch height width"] | None = None,
    smooth_width: float | None = None,
) -> MinkowskiFunctionals:
    """Compute V0, V1, V2 over threshold bins t_i, t_{i+1}, with LensTools' pixel forms (Petri 2016).

        V0_i = fraction of pixels with kappa >= s (t_i + t_{i+1})/2
        V1_i = 1/(n dt_i) sum sqrt(gx^2 + gy^2)/4                      over s t_i <= kappa < s t_{i+1}
        V2_i = 1/(n dt_i) sum (2 gx gy hxy - gx^2 hyy - gy^2 hxx)/(gx^2 + gy^2)/(2 pi)   over the same

    s is the map's population standard deviation (normalised=True) or 1; the mean is not subtracted.
    Derivatives are periodic central differences, second ones with step 2. Where the gradient vanishes
    exactly the curvature term is (2 hxy - hxx - hyy)/(4 pi), as in LensTools.

    A map with a NaN pixel gives NaN. (LensTools' answer to it is NaN in some bins and a number that leaves
    the pixel out in others; that is not followed. Mask such pixels instead.) In float32 V1 and V2 move by up
    to 5e-4 of their maximum where pixels cross a bin's edge.

    Args:
      kappa: maps.
      thresholds: edges of the bins, in units of s.
      normalised: whether s is each map's own standard deviation.
      mask: True where a pixel is valid; only valid pixels all of whose derivatives touch valid pixels count,
        for n and s too. What lies outside the mask may be anything, NaN included.
      smooth_width: in the units of the thresholds. The step of V0 and the bins' edges are replaced by the
        integral of a Gaussian of this width, Phi((kappa/s - t)/smooth_width): all three are then differentiable
        in kappa, and tend to the hard ones as the width tends to 0. Without it gradients flow through the
        derivatives of the map but not through the bins.

    Raises:
      ValueError: thresholds that do not increase or are fewer than two; maps not of real numbers; a mask of
        another shape; smooth_width not positive.
    """
    bins = check_bins("thresholds", thresholds)
    kappa = check_kappa(kappa)
    if smooth_width is not None and not smooth_width > 0:
        raise ValueError(f"smooth_width={smooth_width} must be positive")
    # Edges and middles of the bins in turn: one pass over the pixels serves V0 as well.
    bins = bins.astype(kappa.dtype)
    fine = jnp.append(jnp.stack([bins.edges[:-1], bins.middles], 1).ravel(), bins.edges[-1])

    def functionals(k, valid=None):
        return _functionals(k, valid, fine, bins.per_width, normalised, smooth_width)

    return over_maps(functionals, kappa, None if mask is None else check_mask(mask, kappa))


def _functionals(
    k: Array, valid: Array | None, fine: Array, per_width: Any, normalised: bool, smooth_width: float | None
) -> MinkowskiFunctionals:
    weight = None if valid is None else all_derivatives_valid(valid).astype(k.dtype)
    s = sigma(k, weight) if normalised else jnp.ones((), k.dtype)
    length, curvature = _length_and_curvature(k)
    area = jnp.ones(k.shape, k.dtype) if weight is None else weight
    if weight is not None:
        length, curvature = length * weight, curvature * weight
    parts = (area, length, curvature)
    if smooth_width is None:
        above = _above_hard(k, s * fine, parts)
    else:
        above = _above_smooth(k, s * fine, s * smooth_width, parts)
    n = area.sum()
    v0, v1, v2 = above[0, 1::2], *(-jnp.diff(row) * per_width for row in above[1:, ::2])
    return MinkowskiFunctionals(*(jnp.where(jnp.isfinite(k).all(), v / n, jnp.nan) for v in (v0, v1, v2)))


def _above_hard(k: Array, fine: Array, parts: tuple[Array, ...]) -> Float[Array, "parts fine"]:
    """Sum the parts over pixels at or above each of the fine thresholds."""
    index = bin_index(k, fine).ravel()
    sums = bin_sums.of_pixels(jnp.stack([p.ravel() for p in parts]), index, fine.shape[0] + 1)
    return jnp.cumsum(sums[:, :0:-1], axis=1)[:, ::-1]


def _above_smooth(k: Array, fine: Array, width: Array, parts: tuple[Array, ...]) -> Float[Array, "parts fine"]:
    def at(threshold):
        share = jax.scipy.stats.norm.cdf((k - threshold) / width)
        return jnp.stack([(share * p).sum() for p in parts])

    return jax.lax.map(at, fine).T


def _length_and_curvature(k: Array) -> tuple[Array, Array]:
    gx, gy, hxx, hyy, hxy = derivatives(k)
    square = gx**2 + gy**2
    flat = square == 0
    safe = jnp.where(flat, 1, square)  # guarded, for the gradient's sake too
    length = jnp.where(flat, 0, jnp.sqrt(safe)) / 4
    curvature = (2 * gx * gy * hxy - gx**2 * hyy - gy**2 * hxx) / safe / (2 * np.pi)
    return length, jnp.where(flat, (2 * hxy - hxx - hyy) / (4 * np.pi), curvature)
