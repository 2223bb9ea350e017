"""The nine moments of a map and its derivatives."""

from jax import numpy as jnp
from jaxtyping import Array, Bool, Float

from cosmogan_jax.summaries.batching import over_maps
from cosmogan_jax.summaries.derivatives import all_derivatives_valid, derivatives
from cosmogan_jax.summaries.edges import check_kappa, check_mask, root, sigma
from cosmogan_jax.switches import with_usual


@with_usual
def moments(
    kappa: Float[Array, "*batch height width"], mask: Bool[Array, "*batch height width"] | None = None
) -> Float[Array, "*batch 9"]:
    """Compute sigma0, sigma1, S0 to S2, K0 to K3 as LensTools defines them: not connected, with dimensions.

    With g^2 = gx^2 + gy^2 and h = hxx + hyy (periodic central differences, per pixel): sigma0 is the
    population standard deviation, sigma1 = sqrt(<g^2>); S0 = <k^3>, S1 = <k^2 h>, S2 = <g^2 h>;
    K0 = <k^4>, K1 = <k^3 h>, K2 = <k g^2 h>, K3 = <g^4>.

    Args:
      kappa: maps.
      mask: True where a pixel is valid; means are then over valid pixels all of whose derivatives touch valid
        pixels only. Pixels outside the mask may hold anything, NaN included; a NaN inside gives NaN.

    Raises:
      ValueError: maps not of real numbers, a mask of another shape.
    """
    kappa = check_kappa(kappa)
    return over_maps(_moments, kappa, None if mask is None else check_mask(mask, kappa))


def _moments(k: Array, mask: Array | None = None) -> Array:
    weight = None if mask is None else all_derivatives_valid(mask).astype(k.dtype)
    gx, gy, hxx, hyy, _ = derivatives(k)
    g2, h = gx**2 + gy**2, hxx + hyy

    def mean(x):
        return x.mean() if weight is None else (weight * x).sum() / weight.sum()

    products = (k**3, k**2 * h, g2 * h, k**4, k**3 * h, k * g2 * h, g2**2)
    return jnp.stack([sigma(k, weight), root(mean(g2)), *map(mean, products)])
