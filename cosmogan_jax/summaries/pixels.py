"""Pixels of maps: the histogram of their values, and their means over blocks."""

from typing import Any

import jax
import numpy as np
from jax import numpy as jnp
from jaxtyping import Array, Float

from cosmogan_jax.geometry import check_edges
from cosmogan_jax.summaries.batching import over_maps
from cosmogan_jax.summaries.edges import bin_index, check_kappa, sigma
from cosmogan_jax.switches import with_usual


@with_usual
def pixel_histogram(
    kappa: Float[Array, "*batch height width"],
    edges: Float[np.ndarray, " edges"],
    *,
    normalised: bool = False,
) -> Float[Array, "*batch bins"]:
    """Compute the density of pixel values over the edges: counts / (pixels in range * bin width).

    With normalised=True the edges are in units s of the map's population standard deviation, and so is the
    density (LensTools' form). The last bin is closed on the right. NaN where the density is not defined: no
    pixel in range, a constant map where normalised=True, or a NaN pixel. (LensTools' raw histogram of a map
    with NaN pixels leaves them out silently; that is not followed.)

    Raises:
      ValueError: edges that do not increase or are fewer than two; maps not of real numbers.
    """
    edges = check_edges("edges", edges)
    kappa = check_kappa(kappa)
    edge, width = jnp.asarray(edges, kappa.dtype), jnp.asarray(np.diff(edges), kappa.dtype)

    def histogram(k):
        scaled = edge * sigma(k) if normalised else edge
        index = bin_index(k, scaled) - (k == scaled[-1])
        counts = jax.ops.segment_sum(jnp.ones(k.size, k.dtype), index.ravel(), len(edges) + 1)[1:-1]
        known = jnp.isfinite(k).all() & (scaled[-1] > scaled[0])
        return jnp.where(known, counts / (counts.sum() * width), jnp.nan)

    return over_maps(histogram, kappa)


def block_means(maps: Any, pixels: int) -> Any:
    """Average JAX's or NumPy's maps over blocks of so many pixels a side; what is left over counts nowhere."""
    if pixels == 1:
        return maps
    size = maps.shape[-1] - maps.shape[-1] % pixels
    blocks = maps[:, :size, :size].reshape(len(maps), size // pixels, pixels, size // pixels, pixels)
    return blocks.mean((2, 4))
