"""The paper's bin edges, and what every statistic asks of maps and edges."""

import numpy as np
from jax import numpy as jnp
from jaxtyping import Array, Bool, Float

# 248 multipole bins (Mustafa et al. 2019, Sect. 3.1 gives their number only; these edges have it). On a crop of
# 256 pixels and side sqrt(12)/4 degrees bins 0 and 2 hold no mode.
PAPER_L_EDGES: Float[np.ndarray, " 249"] = np.arange(200.0, 50000.0, 200.0)
PAPER_L_EDGES.flags.writeable = False
# 19 threshold bins in units of each map's standard deviation. np.arange's rounding is kept: -4.4e-16
# stands where one reads 0, as in LensTools' reference values.
PAPER_THRESHOLDS: Float[np.ndarray, " 20"] = np.arange(-2.0, 2.0, 0.2)
PAPER_THRESHOLDS.flags.writeable = False


def check_kappa(kappa, *, square: bool = False) -> Array:
    """Maps as a real floating array, or a ValueError on their dtype or shape."""
    kappa = jnp.asarray(kappa)
    if not jnp.issubdtype(kappa.dtype, jnp.floating):
        raise ValueError(f"kappa.dtype={kappa.dtype} must be a real floating type")
    if kappa.ndim < 2 or 0 in kappa.shape[-2:]:
        raise ValueError(f"kappa.shape={kappa.shape} must be (..., height, width)")
    if square and kappa.shape[-1] != kappa.shape[-2]:
        raise ValueError(f"kappa.shape={kappa.shape} must be square in its last two axes")
    return kappa


def check_mask(mask, kappa: Array) -> Bool[Array, "*batch height width"]:
    """A mask (True: valid) of the maps' shape or of one map's, broadcast to the maps; ValueError otherwise."""
    mask = jnp.asarray(mask)
    if mask.shape not in (kappa.shape, kappa.shape[-2:]):
        raise ValueError(f"mask.shape={mask.shape} must be {kappa.shape} or {kappa.shape[-2:]}")
    if not (mask.dtype == bool or jnp.issubdtype(mask.dtype, jnp.integer)):
        raise ValueError(f"mask.dtype={mask.dtype} must be bool or an integer type")
    return jnp.broadcast_to(mask.astype(bool), kappa.shape)


def bin_index(k: Array, edges: Array) -> Array:
    """How many edges lie at or below each value: bin i + 1 for edges[i] <= k < edges[i + 1], ties as written.

    One comparison an edge, unrolled: faster on CPUs than a search, and exact in the map's own dtype.
    """
    index = jnp.zeros(k.shape, jnp.int32)
    for i in range(edges.shape[0]):
        index += k >= edges[i]
    return index


def sigma(k: Array, weight: Array | None = None) -> Array:
    """Population standard deviation over all pixels, of those of weight 1; with a zero gradient at 0."""
    if weight is None:
        variance = jnp.var(k)
    else:
        total = weight.sum()
        mean = (weight * k).sum() / total
        variance = (weight * (k - mean) ** 2).sum() / total
    return root(variance)


def root(value: Array) -> Array:
    """Square root, with a zero gradient at 0."""
    zero = value == 0
    return jnp.where(zero, 0, jnp.sqrt(jnp.where(zero, 1, value)))
