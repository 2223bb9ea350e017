"""The paper's bin edges, and what every statistic asks of edges and maps."""

import numpy as np
from jax import numpy as jnp
from jaxtyping import Array, Float

# 248 multipole bins (Sect. 3.1 names the number only; these edges give it). On a 256-pixel crop of
# side sqrt(12)/4 degrees bins 0 and 2 hold no mode.
PAPER_L_EDGES: Float[np.ndarray, " 249"] = np.arange(200.0, 50000.0, 200.0)
PAPER_L_EDGES.flags.writeable = False
# 19 threshold bins in units of each map's standard deviation. np.arange's rounding is kept: -4.4e-16
# stands where one reads 0, as in LensTools' reference values.
PAPER_THRESHOLDS: Float[np.ndarray, " 20"] = np.arange(-2.0, 2.0, 0.2)
PAPER_THRESHOLDS.flags.writeable = False


def check_edges(edges, name: str) -> Float[np.ndarray, " edges"]:
    """Edges as float64, or a ValueError that names what is wrong with them."""
    edges = np.asarray(edges, np.float64)
    if edges.ndim != 1 or len(edges) < 2:
        raise ValueError(f"{name} of shape {edges.shape} must be one list of at least two edges")
    if not np.isfinite(edges).all() or not (np.diff(edges) > 0).all():
        bad = int(np.argmin(np.diff(edges) > 0))
        raise ValueError(
            f"{name} must increase: {name}[{bad}]={edges[bad]}, {name}[{bad + 1}]={edges[bad + 1]}"
        )
    return edges


def check_kappa(kappa, *, square: bool = False) -> Array:
    """Maps as a real floating array, or a ValueError on their dtype or shape."""
    kappa = jnp.asarray(kappa)
    if not jnp.issubdtype(kappa.dtype, jnp.floating):
        raise ValueError(f"kappa.dtype={kappa.dtype} must be a real floating type")
    if kappa.ndim < 2 or kappa.shape[-1] < 1:
        raise ValueError(f"kappa.shape={kappa.shape} must be (..., height, width)")
    if square and kappa.shape[-1] != kappa.shape[-2]:
        raise ValueError(f"kappa.shape={kappa.shape} must be square in its last two axes")
    return kappa
