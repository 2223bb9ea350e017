"""Source bins taken apart: of each what it has beyond the nearer ones, in which the base is made and trained.

Light of far sources passes the lenses of nearer ones too, so that maps of several bins are sums of the same few
slabs of matter, each nearly lognormal and skewed by itself. Correlated lognormal maps of the bins get their
spectra right and combinations of them wrong: what two bins differ by is a slab of its own, with peaks of its
own, and not the small difference of two fields that peak at the same places. So the base is made of

    u_i = x_i - sum_(j < i) a_ij x_j,        <u_i u_j> = 0 for i != j,

the residuals of each bin's regression on those before it, and x = A u puts them together, A a matrix with ones
on its diagonal and nothing above it: the factor of the pixels' covariance, A D A^T (Cholesky), D diagonal. It
is measured on the maps, and so needs neither redshifts nor n(z) nor a cosmology. Nulling (Bernardeau,
Nishimichi & Taruya 2014, MNRAS 445, 1526) takes bins apart by geometry, to the same end.
"""

from collections.abc import Iterable

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

# Of a bin's variance, what it must have of its own: 1e-3 of the scatter is known to 1e-4 from float32 maps.
_LEAST_OF_ITS_OWN = 1e-6


def measured(maps: Iterable[Float[np.ndarray, "maps size size bins"]]) -> Float[np.ndarray, "bins bins"]:
    """Measure A of maps.

    Raises:
      ValueError: a bin of which nothing is left beyond those before it; it is named.
    """
    count, total, products = 0, np.zeros(()), np.zeros(())
    for some_maps in maps:
        pixels = np.asarray(some_maps, np.float64).reshape(-1, some_maps.shape[-1])
        count, total, products = count + len(pixels), total + pixels.sum(0), products + pixels.T @ pixels
    if not count:
        raise ValueError("no training map, of which the bins' covariance can be measured")
    covariance = products / count - np.outer(total, total) / count**2
    mixing, left = np.eye(len(covariance)), covariance.copy()
    for number in range(len(covariance)):
        own, whole = left[number, number], covariance[number, number]
        if not own > _LEAST_OF_ITS_OWN * max(whole, np.finfo(float).tiny):
            said = "is constant" if not whole > 0 else "holds nothing beyond a sum of the bins before it"
            raise ValueError(f"source bin {number} of 0 to {len(covariance) - 1} {said} in all training maps")
        column = left[number:, number] / own
        mixing[number:, number] = column
        left[number:, number:] -= own * np.outer(column, column)
    return mixing


def apart(
    x: Float[Array, "*batch height width bins"], mixing: Float[Array, "*batch bins bins"]
) -> Float[Array, "*batch height width bins"]:
    """Return u of maps; each map by its own matrix where there is one a map."""
    own: list[Array] = []
    for number in range(x.shape[-1]):
        own.append(x[..., number] - _sum_of(own, mixing[..., number, :]))
    return jnp.stack(own, -1)


def apart_in_float64(
    x: Float[np.ndarray, "maps height width bins"], mixing: Float[np.ndarray, "bins bins"]
) -> Float[np.ndarray, "maps height width bins"]:
    """Return `apart` as sums over many maps are taken."""
    return np.asarray(x, np.float64) @ np.linalg.inv(mixing).T


def together(
    u: Float[Array, "*batch height width bins"], mixing: Float[Array, "*batch bins bins"]
) -> Float[Array, "*batch height width bins"]:
    """Return the maps of u; the inverse of `apart`."""
    own = [u[..., number] for number in range(u.shape[-1])]
    maps = [part + _sum_of(own[:number], mixing[..., number, :]) for number, part in enumerate(own)]
    return jnp.stack(maps, -1)


def weighted(
    u: Float[Array, "*batch height width bins"], weights: Float[Array, "*batch sums bins"]
) -> Float[Array, "*batch height width sums"]:
    """Return sum_j w_ij u_j; weights may be one a map."""
    own = [u[..., number] for number in range(u.shape[-1])]
    sums = [jnp.asarray(_sum_of(own, weights[..., number, :])) for number in range(weights.shape[-2])]
    return jnp.stack(sums, -1)


def _sum_of(own: list[Array], weights: Float[Array, "*batch bins"]) -> Array | float:
    """Return the weighted sum of these; no product of matrices, whose precision differs between devices."""
    return sum(weights[..., number, None, None] * part for number, part in enumerate(own))
