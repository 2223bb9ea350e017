"""Convergence power spectrum in the Limber approximation."""

from collections.abc import Callable, Sequence

import numpy as np
from jaxtyping import Float
from scipy.interpolate import CubicSpline

from cosmogan_jax.sky.cosmology import HUBBLE_DISTANCE, Cosmology, comoving_distance, growth
from cosmogan_jax.sky.matter_power import REDSHIFTS, MatterPower, paper_matter_power
from cosmogan_jax.sky.source_distributions import SourceBin

# The integral is made at so many ell at most; a cubic spline in log(l + 1/2) gives C_l at any more, to 2e-8.
_NODES = 2000
# Redshifts of the integral over bins, twice those of one redshift: nearer sources end between two of them.
_BIN_REDSHIFTS = 800


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
        return _between_nodes(lambda few: convergence_power(few, source_redshift, power, linear), ell)
    z = np.linspace(1e-3, source_redshift, 400)
    chi = comoving_distance(cosmology, z)
    p = _matter_power(ell, z, chi, power, linear)
    lens = ((1 + z) * (1 - chi / chi[-1])) ** 2
    prefactor = 2.25 * cosmology.omega_m**2 / HUBBLE_DISTANCE**4
    return prefactor * np.trapezoid(lens * p, chi, axis=-1)


def lensing_efficiency(
    cosmology: Cosmology, chi: Float[np.ndarray, " distances"], bins: Sequence[SourceBin]
) -> Float[np.ndarray, "bins distances"]:
    """Return how much matter at comoving distance chi lenses each bin: the mean of max(0, 1 - chi/chi_s)."""

    def of_redshift(redshift: float) -> Float[np.ndarray, " distances"]:
        return np.maximum(0.0, 1 - chi / float(comoving_distance(cosmology, redshift)))

    return np.stack([bin.mean_of(of_redshift) for bin in bins])


def convergence_power_of_bins(
    ell: float | Float[np.ndarray, "..."],
    bins: Sequence[SourceBin],
    power: MatterPower | None = None,
    linear: bool = False,
) -> Float[np.ndarray, "bins bins ..."]:
    """Return auto and cross power of convergence of all pairs of bins, in steradian.

        C_l^ab = 9/4 Omega_m^2 (H0/c)^4 int dchi (1+z)^2 g_a(chi) g_b(chi) P((l+1/2)/chi, z)

    with g of `lensing_efficiency`; arguments as of `convergence_power`.

    Raises:
      ValueError: sources beyond redshift 3, or a bin without any beyond redshift 0.
    """
    power = paper_matter_power() if power is None else power
    for bin in bins:
        if not 0 < bin.farthest <= REDSHIFTS[-1]:
            raise ValueError(f"sources of {bin.name} at {bin.farthest:g} must lie in (0, {REDSHIFTS[-1]:g}]")
    cosmology, ell = power.cosmology, np.asarray(ell, np.float64)
    if ell.size > _NODES:
        return _between_nodes(lambda few: convergence_power_of_bins(few, bins, power, linear), ell)
    z = np.linspace(1e-3, max(bin.farthest for bin in bins), _BIN_REDSHIFTS)
    chi = comoving_distance(cosmology, z)
    p = _matter_power(ell, z, chi, power, linear)
    lens = lensing_efficiency(cosmology, chi, bins)
    step = np.diff(chi)
    width = (np.append(step, 0.0) + np.append(0.0, step)) / 2  # of the trapezoidal rule
    prefactor = 2.25 * cosmology.omega_m**2 / HUBBLE_DISTANCE**4
    return prefactor * np.einsum("...z,az,bz->ab...", p, lens, lens * (1 + z) ** 2 * width, optimize=True)


def _between_nodes(
    of_ell: Callable[[Float[np.ndarray, " nodes"]], Float[np.ndarray, "*pairs nodes"]],
    ell: Float[np.ndarray, "..."],
) -> Float[np.ndarray, "..."]:
    """Compute a function of ell, positive, at _NODES values, and interpolate its logarithm."""
    log_l = np.log(ell + 0.5)
    nodes = np.linspace(log_l.min(), log_l.max(), _NODES)
    return np.exp(CubicSpline(nodes, np.log(of_ell(np.exp(nodes) - 0.5)), axis=-1)(log_l))


def _matter_power(
    ell: Float[np.ndarray, "..."],
    z: Float[np.ndarray, " z"],
    chi: Float[np.ndarray, " z"],
    power: MatterPower,
    linear: bool,
) -> Float[np.ndarray, "... z"]:
    """Return P((l+1/2)/chi, z) along the line of sight."""
    k = (ell[..., None] + 0.5) / chi
    return power.linear(k) * growth(power.cosmology, z).d ** 2 if linear else power.nonlinear(k, z)
