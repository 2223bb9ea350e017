"""Azimuthally averaged power spectrum."""

from typing import Literal

import jax
import numpy as np
from jax import numpy as jnp
from jaxtyping import Array, Float

from cosmogan_jax.geometry import MapGeometry
from cosmogan_jax.summaries.edges import check_edges, check_kappa


def power_spectrum(
    kappa: Float[Array, "*batch size size"],
    l_edges: Float[np.ndarray, " edges"],
    side_deg: float,
    *,
    mode_weights: Literal["half_plane", "full_plane"] = "half_plane",
) -> Float[Array, "*batch bins"]:
    """P_b = (theta/N^2)^2 <|f|^2> over the modes with l_b < l <= l_{b+1}, in steradian.

    f is the unnormalised real Fourier transform of the map, theta its side in radian, N its pixels; the
    mean is not subtracted; a bin without modes gives 0. "half_plane" is LensTools' mean: every stored mode
    weighs one, so the columns j = 0 and j = N/2, which hold both conjugates, weigh double, and the result
    changes when a map is transposed. "full_plane" is the mean over the whole plane (columns 0 < j < N/2
    weigh two), symmetric and equal to Parseval's sum.

    A NaN pixel makes every non-empty bin NaN. (LensTools' own answer to such a map is undefined.)

    Raises:
      ValueError: edges that do not increase or are fewer than two, maps not square or not real floating,
        side_deg not positive, unknown mode_weights.
    """
    l_edges = check_edges(l_edges, "l_edges")
    kappa = check_kappa(kappa, square=True)
    if mode_weights not in ("half_plane", "full_plane"):
        raise ValueError(f"mode_weights={mode_weights!r} must be 'half_plane' or 'full_plane'")
    geometry = MapGeometry(kappa.shape[-1], float(side_deg))
    size, num_bins = geometry.num_pixels, len(l_edges) - 1
    bins = geometry.half_plane_bins(l_edges).ravel()
    weights = geometry.half_plane_weights()
    if mode_weights == "half_plane":
        weights = np.ones_like(weights)
    weights = np.where(bins >= 0, weights.ravel(), 0.0)
    total = np.bincount(np.maximum(bins, 0), weights, num_bins)
    scale = weights * (geometry.side_rad / size**2) ** 2 / np.maximum(total, 1)[np.maximum(bins, 0)]

    # Modes sorted by bin on the host: the sum over a bin is then a sorted segment sum.
    order = np.argsort(bins, kind="stable")[np.count_nonzero(bins < 0) :]
    segments, scale = jnp.asarray(bins[order]), jnp.asarray(scale[order], kappa.dtype)

    def one(map_):
        f = jnp.fft.rfft2(map_).ravel()[order]
        power = (f.real**2 + f.imag**2) * scale
        return jax.ops.segment_sum(power, segments, num_bins, indices_are_sorted=True)

    flat = kappa.reshape(-1, size, size)
    return jax.vmap(one)(flat).reshape(*kappa.shape[:-2], num_bins)
