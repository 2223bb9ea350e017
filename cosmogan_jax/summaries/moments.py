"""The nine moments of a map and its derivatives."""

from jax import numpy as jnp
from jaxtyping import Array, Float

from cosmogan_jax.summaries.derivatives import derivatives
from cosmogan_jax.summaries.edges import check_kappa


def moments(kappa: Float[Array, "*batch height width"]) -> Float[Array, "*batch 9"]:
    """sigma0, sigma1, S0, S1, S2, K0, K1, K2, K3 as LensTools defines them: not connected, with dimensions.

    With g^2 = gx^2 + gy^2 and h = hxx + hyy (periodic central differences, per pixel): sigma0 is the
    population standard deviation, sigma1 = sqrt(<g^2>); S0 = <k^3>, S1 = <k^2 h>, S2 = <g^2 h>;
    K0 = <k^4>, K1 = <k^3 h>, K2 = <k g^2 h>, K3 = <g^4>. A NaN pixel gives NaN.

    Raises:
      ValueError: maps not real floating.
    """
    k = check_kappa(kappa)
    gx, gy, hxx, hyy, _ = derivatives(k)
    g2, h = gx**2 + gy**2, hxx + hyy
    products = (k**3, k**2 * h, g2 * h, k**4, k**3 * h, k * g2 * h, g2**2)
    means = [product.mean((-2, -1)) for product in products]
    return jnp.stack([k.std((-2, -1)), jnp.sqrt(g2.mean((-2, -1))), *means], axis=-1)
