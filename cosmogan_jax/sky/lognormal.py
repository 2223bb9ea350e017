"""Shifted lognormal convergence maps with a given power spectrum (Hilbert et al. 2011; Xavier et al. 2016)."""

from collections.abc import Callable

import jax
import numpy as np
from jax import numpy as jnp
from jaxtyping import Array, Float

from cosmogan_jax.geometry import MapGeometry

CANVAS = 2  # maps are cut from a periodic canvas twice as wide: not periodic, with modes beyond their side


def lognormal_amplitudes(
    c_ell: Callable[[np.ndarray], np.ndarray], geometry: MapGeometry, kappa0: float
) -> tuple[Float[np.ndarray, "canvas half"], float]:
    """Return square roots of the Gaussian field's power on the canvas, and that field's variance.

    xi_gauss = ln(1 + xi_kappa / kappa0^2), transformed on the canvas' own modes, so that the mean power of
    the lognormal maps is c_ell at every mode but where xi_gauss has negative power, which is set to 0.

    Args:
      c_ell: power in steradian as a function of ell.
      geometry: of the maps; the canvas is CANVAS times as wide.
      kappa0: shift; the lowest possible convergence is -kappa0.

    Raises:
      ValueError: kappa0 not positive, or so small that no lognormal field has this spectrum.
    """
    if not kappa0 > 0:
        raise ValueError(f"lognormal_shift={kappa0} must be positive")
    size = CANVAS * geometry.num_pixels
    fundamental = geometry.fundamental_ell / CANVAS
    rows, columns = np.fft.fftfreq(size, 1 / size), np.arange(size // 2 + 1)
    ell = fundamental * np.hypot(rows[:, None], columns)
    grid = np.geomspace(fundamental, ell.max() * 1.01, 512)
    power = np.exp(np.interp(np.log(np.maximum(ell, fundamental)), np.log(grid), np.log(c_ell(grid))))
    power[0, 0] = 0.0
    xi = np.fft.irfft2(power, s=(size, size)) / geometry.pixel_rad**2
    # The logarithm below needs xi > -kappa0^2; xi is least, and negative, at separations near the side.
    least = float(np.sqrt(max(0.0, -xi.min())))
    if kappa0 <= least:
        raise ValueError(f"lognormal_shift={kappa0} must exceed {least:.3g} for a map of this power spectrum")
    xi_gauss = np.log1p(xi / kappa0**2)
    gauss = np.maximum(np.fft.rfft2(xi_gauss).real, 0.0)
    gauss[0, 0] = 0.0
    variance = np.fft.irfft2(gauss, s=(size, size))[0, 0]
    return np.sqrt(gauss), float(variance)


def lognormal_maps(
    key: Array, map_index: Array, amplitudes: Float[Array, "canvas half"], variance: float, kappa0: float
) -> Float[Array, "maps size size"]:
    """Draw maps kappa0 (exp(g - variance/2) - 1), each from fold_in(key, its index), whatever the batch."""
    canvas = amplitudes.shape[0]

    def draw(index):
        white = jax.random.normal(jax.random.fold_in(key, index), (canvas, canvas), jnp.float32)
        g = jnp.fft.irfft2(jnp.fft.rfft2(white) * amplitudes, s=(canvas, canvas))
        return kappa0 * jnp.expm1(g - variance / 2)[: canvas // CANVAS, : canvas // CANVAS]

    return jax.lax.map(draw, map_index)
