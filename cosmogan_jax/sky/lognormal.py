"""Shifted lognormal convergence maps with a given power spectrum (Hilbert et al. 2011; Xavier et al. 2016)."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import jax
import numpy as np
from jax import numpy as jnp
from jaxtyping import Array, Float

from cosmogan_jax.geometry import MapGeometry
from cosmogan_jax.sky.cosmology import HUBBLE_DISTANCE, Cosmology, comoving_distance
from cosmogan_jax.sky.limber import lensing_efficiency
from cosmogan_jax.sky.source_distributions import SourceBin, single_redshift

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
    xi, least = _correlation(c_ell(_ell_grid(geometry)), geometry)
    # The logarithm below needs xi > -kappa0^2.
    if kappa0 <= least:
        raise ValueError(f"lognormal_shift={kappa0} must exceed {least:.3g} for a map of this power spectrum")
    xi_gauss = np.log1p(xi / kappa0**2)
    gauss = np.maximum(np.fft.rfft2(xi_gauss).real, 0.0)
    gauss[0, 0] = 0.0
    variance = np.fft.irfft2(gauss, s=xi.shape)[0, 0]
    return np.sqrt(gauss), float(variance)


def _ell_grid(geometry: MapGeometry) -> Float[np.ndarray, " grid"]:
    """Return the multipoles at which a spectrum is asked for, across all modes of the canvas."""
    fundamental, size = geometry.fundamental_ell / CANVAS, CANVAS * geometry.num_pixels
    return np.geomspace(fundamental, fundamental * np.hypot(size // 2, size // 2) * 1.01, 512)


def _correlation(
    power_at_grid: Float[np.ndarray, " grid"], geometry: MapGeometry
) -> tuple[Float[np.ndarray, "canvas canvas"], float]:
    """Return xi on the canvas, and the root of how far it falls below 0, at separations near the side."""
    size = CANVAS * geometry.num_pixels
    fundamental, grid = geometry.fundamental_ell / CANVAS, _ell_grid(geometry)
    rows, columns = np.fft.fftfreq(size, 1 / size), np.arange(size // 2 + 1)
    ell = fundamental * np.hypot(rows[:, None], columns)
    power = np.exp(np.interp(np.log(np.maximum(ell, fundamental)), np.log(grid), np.log(power_at_grid)))
    power[0, 0] = 0.0
    xi = np.fft.irfft2(power, s=(size, size)) / geometry.pixel_rad**2
    return xi, float(np.sqrt(max(0.0, -xi.min())))


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


class LognormalBins(NamedTuple):
    """Correlated lognormal fields, one for each bin of sources.

    Attributes:
      amplitudes: at every mode of the canvas the symmetric square root of the Gaussian fields' power matrix.
      variances, shifts: of each bin.
      cut: what was set to 0 of that matrix, where it had negative eigenvalues: their sum over the others'.
    """

    amplitudes: Float[np.ndarray, "bins bins canvas half"]
    variances: Float[np.ndarray, " bins"]
    shifts: Float[np.ndarray, " bins"]
    cut: float


def empty_beam(cosmology: Cosmology, bins: Sequence[SourceBin]) -> Float[np.ndarray, " bins"]:
    """Return how far the convergence of each bin lies below 0 along a line without any matter.

        3/2 Omega_m (H0/c)^2 int dchi chi (1+z) g(chi)

    with g of `limber.lensing_efficiency`: no line of sight has less.
    """
    z = np.linspace(0, max(bin.farthest for bin in bins), 2000)
    chi = comoving_distance(cosmology, z)
    lens = lensing_efficiency(cosmology, chi, bins) * chi * (1 + z)
    return 1.5 * cosmology.omega_m / HUBBLE_DISTANCE**2 * np.trapezoid(lens, chi, axis=-1)


def shifts_of_bins(shift: float, cosmology: Cosmology, bins: Sequence[SourceBin]) -> Float[np.ndarray, " bins"]:
    """Return the shift of each bin, from that of sources at redshift 1: in proportion to `empty_beam`."""
    beams = empty_beam(cosmology, (*bins, single_redshift(1.0)))
    return shift * beams[:-1] / beams[-1]


def lognormal_bin_amplitudes(
    c_ell: Callable[[np.ndarray], np.ndarray],
    geometry: MapGeometry,
    names: Sequence[str],
    shifts: Float[np.ndarray, " bins"],
) -> LognormalBins:
    """Return what correlated lognormal fields of these auto and cross spectra are made of.

    Of each pair of bins xi_gauss = ln(1 + xi_kappa / (kappa0_a kappa0_b)) (Xavier et al. 2016), transformed as
    by `lognormal_amplitudes`. The matrix of the Gaussian power is made positive at every mode: eigenvalues
    below 0, which no fields have, are set to 0. Where that happens the maps have other power than c_ell, more
    in the autos; `cut` says how much overall.

    Args:
      c_ell: (bins, bins, ...) of ell, positive, in steradian.
      names: of the bins, for errors.

    Raises:
      ValueError: shifts that are not positive, or so small that no lognormal fields have these spectra.
    """
    if not (np.asarray(shifts) > 0).all():
        raise ValueError(f"shifts of bins={np.asarray(shifts).tolist()} must be positive")
    count, size = len(shifts), CANVAS * geometry.num_pixels
    half = size // 2 + 1
    matrix, power = np.empty((half, half, count, count)), c_ell(_ell_grid(geometry))
    for a in range(count):
        for b in range(a, count):
            xi, least = _correlation(power[a, b], geometry)
            product = shifts[a] * shifts[b]
            if product <= least**2:
                raise ValueError(
                    f"lognormal_shift gives {names[a]} and {names[b]} shifts of {shifts[a]:.3g} and "
                    f"{shifts[b]:.3g}, too small for their power: the product must exceed {least**2:.3g}"
                )
            # Modes of rows below 0 are those of rows above.
            gauss = np.fft.rfft2(np.log1p(xi / product)).real[:half]
            gauss[0, 0] = 0.0
            matrix[..., a, b] = matrix[..., b, a] = gauss
    values, vectors = np.linalg.eigh(matrix)
    cut = abs(values.clip(max=0).sum()) / values.clip(min=0).sum()
    scaled = vectors * np.sqrt(values.clip(min=0))[..., None, :]
    roots = np.moveaxis(scaled @ np.swapaxes(vectors, -1, -2), (2, 3), (0, 1))
    rows = np.arange(size)
    amplitudes = roots[:, :, np.minimum(rows, size - rows)]
    variances = [float(np.fft.irfft2((amplitudes[a] ** 2).sum(0), s=(size, size))[0, 0]) for a in range(count)]
    return LognormalBins(amplitudes, np.array(variances), np.asarray(shifts, float), float(cut))


def lognormal_bin_maps(
    key: Array,
    map_index: Array,
    amplitudes: Float[Array, "bins bins canvas half"],
    variances: Float[Array, " bins"],
    shifts: Float[Array, " bins"],
) -> Float[Array, "maps bins size size"]:
    """Draw maps of all bins as `lognormal_maps` draws those of one, from correlated Gaussian fields."""
    bins, _, canvas, _ = amplitudes.shape

    def draw(index):
        white = jax.random.normal(jax.random.fold_in(key, index), (bins, canvas, canvas), jnp.float32)
        modes = (amplitudes * jnp.fft.rfft2(white)).sum(1)
        g = jnp.fft.irfft2(modes, s=(canvas, canvas))[:, : canvas // CANVAS, : canvas // CANVAS]
        return shifts[:, None, None] * jnp.expm1(g - variances[:, None, None] / 2)

    return jax.lax.map(draw, map_index)
