"""Histogram of the pixel intensities."""

import jax
import numpy as np
from jax import numpy as jnp
from jaxtyping import Array, Float

from cosmogan_jax.summaries.edges import check_edges, check_kappa


def pixel_histogram(
    kappa: Float[Array, "*batch height width"],
    edges: Float[np.ndarray, " edges"],
    *,
    normalised: bool = False,
) -> Float[Array, "*batch bins"]:
    """Density of the pixel values over the edges: counts / (pixels in range * bin width).

    With normalised=True the edges are in units s of the map's population standard deviation, and so is the
    density (LensTools' form). The last bin is closed on the right. A map with no pixel in range, with a
    NaN one, or constant where normalised=True, gives NaN.

    Raises:
      ValueError: edges that do not increase or are fewer than two; maps not real floating.
    """
    edges = check_edges(edges, "edges")
    kappa = check_kappa(kappa)
    flat = kappa.reshape(-1, kappa.shape[-2] * kappa.shape[-1])
    edge, width = jnp.asarray(edges, kappa.dtype), jnp.asarray(np.diff(edges), kappa.dtype)

    def one(pixels):
        scaled = edge * jnp.std(pixels) if normalised else edge
        ordered = jnp.sort(pixels)
        below = jnp.searchsorted(ordered, scaled, side="left")
        below = below.at[-1].set(jnp.searchsorted(ordered, scaled[-1], side="right"))
        counts = jnp.diff(below).astype(kappa.dtype)
        density = counts / (counts.sum() * width)
        known = jnp.isfinite(pixels).all() & (scaled[-1] > scaled[0])
        return jnp.where(known, density, jnp.nan)

    return jax.vmap(one)(flat).reshape(*kappa.shape[:-2], len(edges) - 1)
