"""Convergence power spectrum in the Limber approximation."""

import numpy as np
from jaxtyping import Float
from scipy.interpolate import CubicSpline

from cosmogan_jax.sky.cosmology import HUBBLE_DISTANCE, comoving_distance, growth
from cosmogan_jax.sky.matter_power import REDSHIFTS, MatterPower, paper_matter_power

# The integral is made at so many ell at most; a cubic spline in log(l + 1/2) gives C_l at any more, to 2e-8.
_NODES = 2000


def convergence_power(
    ell: float | Float[np.ndarray, "..."],
    source_redshift: float,
    power: MatterPower | None = None,
    linear: bool = False,
) -> Float[np.ndarray, "..."]:
    """Return C_l of convergence, sources at one redshift, in steradian (Bartelmann & Schneider 2001, Eq. 6.18).

        C_l = 9/4 Omega_m^2 (H0/c)^4 int_0^chi_s dchi (1+z)^2 (1 - chi/chi_s)^2 P((l+1/2)/chi, z)

    Args:
      ell: multipoles, dimensionless, of any shape.
      source_redshift: of all sources.
      power: matter power, the paper's if None; P is its non-linear one, or with linear=True its linear one
        times D(z)^2.

    Raises:
      ValueError: source_redshift not in (0, 3].
    """
    power = paper_matter_power() if power is None else power
    if not 0 < source_redshift <= REDSHIFTS[-1]:
        raise ValueError(f"source_redshift={source_redshift} must lie in (0, {REDSHIFTS[-1]:g}]")
    cosmology, ell = power.cosmology, np.asarray(ell, np.float64)
    if ell.size > _NODES:
        log_l = np.log(ell + 0.5)
        nodes = np.linspace(log_l.min(), log_l.max(), _NODES)
        at_nodes = convergence_power(np.exp(nodes) - 0.5, source_redshift, power, linear)
        return np.exp(CubicSpline(nodes, np.log(at_nodes))(log_l))
    z = np.linspace(1e-3, source_redshift, 400)
    chi = comoving_distance(cosmology, z)
    k = (ell[..., None] + 0.5) / chi
    p = power.linear(k) * growth(cosmology, z).d ** 2 if linear else power.nonlinear(k, z)
    lens = ((1 + z) * (1 - chi / chi[-1])) ** 2
    prefactor = 2.25 * cosmology.omega_m**2 / HUBBLE_DISTANCE**4
    return prefactor * np.trapezoid(lens * p, chi, axis=-1)
