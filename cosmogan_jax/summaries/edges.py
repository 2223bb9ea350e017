"""The paper's bin edges, and what every statistic asks of maps and edges."""

from typing import NamedTuple

import jax
import numpy as np
from jax import numpy as jnp
from jaxtyping import Array, Bool, Float

from cosmogan_jax.geometry import check_edges

# 248 multipole bins (Mustafa et al. 2019, Sect. 3.1 gives their number only; these edges have it). On a crop of
# 256 pixels and side sqrt(12)/4 degrees bins 0 and 2 hold no mode.
PAPER_L_EDGES: Float[np.ndarray, " 249"] = np.arange(200.0, 50000.0, 200.0)
PAPER_L_EDGES.flags.writeable = False
# 19 threshold bins in units of each map's standard deviation. np.arange's rounding is kept: -4.4e-16
# stands where one reads 0, as in LensTools' reference values.
PAPER_THRESHOLDS: Float[np.ndarray, " 20"] = np.arange(-2.0, 2.0, 0.2)
PAPER_THRESHOLDS.flags.writeable = False


class Bins(NamedTuple):
    """Bins that a compiled program takes as an argument, so that it serves all edges of one number.

    Middles and widths are taken of the edges in float64: those of float32 edges have fewer digits.
    """

    edges: Float[Array | np.ndarray, " edges"]
    middles: Float[Array | np.ndarray, " bins"]
    widths: Float[Array | np.ndarray, " bins"]

    @property
    def per_width(self) -> Array | np.ndarray:
        """1/width: XLA makes products of divisions by constants; with arguments the digits are the same."""
        return 1 / self.widths

    def astype(self, dtype) -> "Bins":
        """Return the bins as JAX's arrays of a dtype."""
        return Bins(*(jnp.asarray(part, dtype) for part in self))


def check_bins(name: str, edges: "Bins | Float[np.ndarray, ' edges']") -> Bins:
    """Return the bins between edges, in float64; what are Bins already as they are.

    Raises:
      ValueError: as `check_edges`.
    """
    if isinstance(edges, Bins):
        return edges
    edges = check_edges(name, edges)
    return Bins(edges, (edges[1:] + edges[:-1]) / 2, np.diff(edges))


def filled_bins(edges: Float[np.ndarray, " edges"], num_edges: int) -> Bins:
    """Return float32 bins between edges and, up to a fixed number of edges, empty ones at infinity."""
    bins, missing = check_bins("edges", edges), num_edges - len(edges)
    filling = (np.inf, np.inf, 1.0)
    return Bins(*(np.append(part, [value] * missing).astype(np.float32) for part, value in zip(bins, filling)))


def check_kappa(kappa, *, square: bool = False) -> Array:
    """Return maps of any real dtype and byte order as float32, float64 if they are and JAX is told to keep it.

    Half precisions cannot add up a map (float16 ends at 65504, bfloat16 counts to 256): nothing is computed in
    them. Whole numbers become float32 too. Pixels that a NumPy array masks are NaN.

    Raises:
      ValueError: maps that are not real numbers, of fewer than two axes, empty, or not square where asked.
    """
    kappa = _known_to_jax("kappa", kappa)
    double = jnp.issubdtype(kappa.dtype, jnp.floating) and kappa.dtype.itemsize >= 8
    with np.errstate(over="ignore"):
        kappa = kappa.astype(jax.dtypes.canonicalize_dtype(np.float64) if double else np.float32)
    if kappa.ndim < 2 or 0 in kappa.shape[-2:]:
        raise ValueError(f"kappa.shape={kappa.shape} must be (..., height, width)")
    if square and kappa.shape[-1] != kappa.shape[-2]:
        raise ValueError(f"kappa.shape={kappa.shape} must be square in its last two axes")
    return jnp.asarray(kappa)


def check_mask(mask, kappa: Array) -> Bool[Array, "*batch height width"]:
    """Return a mask (True or 1: valid) of the maps' shape or of one map's, broadcast to the maps.

    Of any real dtype and byte order, as FITS images of 0 and 1 come.

    Raises:
      ValueError: another shape, no real numbers, or values other than 0 and 1 (of a traced mask these are not
        seen, and what is not 0 is valid).
    """
    mask = _known_to_jax("mask", mask, flags=True)
    if mask.shape not in (kappa.shape, kappa.shape[-2:]):
        raise ValueError(f"mask.shape={mask.shape} must be {kappa.shape} or {kappa.shape[-2:]}")
    if mask.dtype != bool and not isinstance(mask, jax.core.Tracer):
        values = np.asarray(mask)
        other = (values != 0) & (values != 1)
        if other.any():
            raise ValueError(f"mask={values[other][0]:g} must be 0 or 1 in every pixel")
    return jnp.broadcast_to(jnp.asarray(mask.astype(bool)), kappa.shape)


def _known_to_jax(name: str, values, *, flags: bool = False) -> Array | np.ndarray:
    """Return an array of JAX's, or of NumPy's in native byte order; ValueError unless of real numbers."""
    if not isinstance(values, jax.Array):
        if isinstance(values, np.ma.MaskedArray):
            values = values.filled(0) if flags else np.where(np.ma.getmaskarray(values), np.nan, values.data)
        values = np.asarray(values)
        values = values.astype(values.dtype.newbyteorder("="), copy=False)
    real = jnp.issubdtype(values.dtype, jnp.floating) or jnp.issubdtype(values.dtype, jnp.integer)
    if not (real or (flags and values.dtype == bool)):
        raise ValueError(f"{name}.dtype={values.dtype} must be a real type")
    return values


def bin_index(k: Array, edges: Array | np.ndarray) -> Array:
    """Count the edges at or below each value: bin i + 1 for edges[i] <= k < edges[i + 1], ties as written.

    One comparison an edge, unrolled: faster on CPUs than a search, and exact in the map's own dtype.
    """
    index = jnp.zeros(k.shape, jnp.int32)
    for i in range(edges.shape[0]):
        index += k >= edges[i]
    return index


def sigma(k: Array, weight: Array | None = None) -> Array:
    """Compute the population standard deviation over all pixels, or those of weight 1; no gradient at 0."""
    if weight is None:
        variance = jnp.var(k)
    else:
        total = weight.sum()
        mean = (weight * k).sum() / total
        variance = (weight * (k - mean) ** 2).sum() / total
    return root(variance)


def root(value: Array) -> Array:
    """Compute the square root, with a zero gradient at 0."""
    zero = value == 0
    return jnp.where(zero, 0, jnp.sqrt(jnp.where(zero, 1, value)))
