"""Background cosmology: parameters, distances and the growth of structure in a flat universe."""

import dataclasses
import functools
from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from scipy.integrate import solve_ivp
from scipy.interpolate import CubicSpline

HUBBLE_DISTANCE = 2997.92458  # c / (100 km/s/Mpc), in Mpc/h


@dataclasses.dataclass(frozen=True)
class Cosmology:
    """A flat universe of matter and dark energy of equation of state w0 + wa z/(1+z), without radiation.

    omega_b (baryons, a part of omega_m), sigma8 and n_s shape the matter power; None where only the background
    is known, as in the header of a lens plane.

    Raises:
      ValueError: a density, h or sigma8 that is not positive, baryons that exceed the matter, dark energy
        that would dominate early, or omega_m + omega_lambda further than 1e-3 from 1.
    """

    omega_m: float
    omega_lambda: float
    h: float
    w0: float = -1.0
    wa: float = 0.0
    omega_b: float | None = None
    sigma8: float | None = None
    n_s: float | None = None

    def __post_init__(self):
        for name in ("omega_m", "h", "omega_b", "sigma8", "n_s"):
            value = getattr(self, name)
            if value is not None and not 0 < value < np.inf:
                raise ValueError(f"{name}={value} must be positive")
        if not abs(self.omega_m + self.omega_lambda - 1) <= 1e-3:
            raise ValueError(
                f"omega_m={self.omega_m} + omega_lambda={self.omega_lambda} must be 1: only flat universes"
            )
        if self.omega_m > 1 + 1e-3:
            raise ValueError(f"omega_m={self.omega_m} must be at most 1: only flat universes")
        if self.omega_b is not None and self.omega_b >= self.omega_m:
            raise ValueError(f"omega_b={self.omega_b} must be below omega_m={self.omega_m}")
        if not self.w0 < -1 / 3:
            raise ValueError(f"w0={self.w0} must be below -1/3: dark energy that accelerates the expansion")
        if not self.w0 + self.wa < -0.1:
            raise ValueError(f"w0 + wa = {self.w0 + self.wa:g} must be below -0.1: no early dark energy")


# Mustafa et al. 2019, Sect. 2.1; omega_b is not given there, 0.046 is the usual choice.
PAPER_COSMOLOGY = Cosmology(omega_m=0.26, omega_lambda=0.74, h=0.72, omega_b=0.046, sigma8=0.798, n_s=0.96)


def paper_with(**parameters: float) -> Cosmology:
    """Return the paper's cosmology with these parameters in place of its own, flat.

    Raises:
      ValueError: values that no cosmology has.
    """
    values = {**vars(PAPER_COSMOLOGY), **parameters}
    return Cosmology(**{**values, "omega_lambda": 1.0 - values["omega_m"]} if parameters else values)


def expansion_squared(
    cosmology: Cosmology, redshift: float | Float[np.ndarray, "..."]
) -> Float[np.ndarray, "..."]:
    """Return E^2 = (H/H0)^2 = omega_m (1+z)^3 + omega_lambda (1+z)^(3(1+w0+wa)) exp(-3 wa z/(1+z)).

    Matter and dark energy with w(a) = w0 + wa (1 - a) (Chevallier & Polarski 2001; Linder 2003); no radiation.
    """
    z, c = np.asarray(redshift, np.float64), cosmology
    dark = (1 + z) ** (3 * (1 + c.w0 + c.wa)) * np.exp(-3 * c.wa * z / (1 + z))
    return c.omega_m * (1 + z) ** 3 + c.omega_lambda * dark


def comoving_distance(
    cosmology: Cosmology, redshift: float | Float[np.ndarray, "..."]
) -> Float[np.ndarray, "..."]:
    """Return the comoving distance in Mpc/h: c/H0 times the integral of dz/E(z), by Gauss-Legendre quadrature.

    Raises:
      ValueError: a negative redshift.
    """
    redshift = np.asarray(redshift, np.float64)
    if (redshift < 0).any():
        raise ValueError(f"redshift={redshift.min()} must not be negative")
    nodes, weights = np.polynomial.legendre.leggauss(64)
    z = redshift[..., None] * (nodes + 1) / 2
    return HUBBLE_DISTANCE * redshift / 2 * (weights / np.sqrt(expansion_squared(cosmology, z))).sum(-1)


def redshift_at_distance(
    cosmology: Cosmology, chi: float | Float[np.ndarray, "..."]
) -> Float[np.ndarray, "..."]:
    """Return the redshift at a comoving distance chi in Mpc/h: the inverse of comoving_distance, to 1e-9.

    Raises:
      ValueError: a negative distance, or one beyond redshift 20.
    """
    chi = np.asarray(chi, np.float64)
    grid = np.expm1(np.linspace(0, np.log(21.0), 2048))
    distance = comoving_distance(cosmology, grid)
    if (chi < 0).any() or (chi > distance[-1]).any():
        raise ValueError(f"distance={chi.min()} to {chi.max()} Mpc/h must lie in [0, {distance[-1]:.0f}]")
    return CubicSpline(distance, grid)(chi)


class Growth(NamedTuple):
    """Growth of displacements: first order D (1 today), second order E (-3/7 D^2 without dark energy)."""

    d: Float[np.ndarray, "..."]
    e: Float[np.ndarray, "..."]
    de_dd: Float[np.ndarray, "..."]


@functools.lru_cache(maxsize=64)
def _growth_table(cosmology: Cosmology) -> tuple[CubicSpline, ...]:
    """Return D, E and dE/dD as functions of ln a, both equations integrated from a = 1e-3."""

    def derivative(log_a, y):
        d, dp, e, ep = y
        z = np.expm1(-log_a)
        e2 = expansion_squared(cosmology, z)
        step = 1e-4
        later, earlier = (expansion_squared(cosmology, np.expm1(-log_a - s)) for s in (step, -step))
        drag = 2 + np.log(later / earlier) / (4 * step)  # 2 + dlnH/dlna
        source = 1.5 * cosmology.omega_m * (1 + z) ** 3 / e2  # 3/2 Omega_m(a)
        return [dp, source * d - drag * dp, ep, source * (e - d * d) - drag * ep]

    a = 1e-3
    start = [a, a, -3 / 7 * a**2, -6 / 7 * a**2]
    log_a = np.linspace(np.log(a), 0, 400)
    d, dp, e, ep = solve_ivp(derivative, (log_a[0], 0), start, "DOP853", log_a, rtol=1e-10, atol=1e-14).y
    today = d[-1]
    return tuple(CubicSpline(log_a, y) for y in (d / today, e / today**2, ep / dp / today))


def growth(cosmology: Cosmology, redshift: float | Float[np.ndarray, "..."]) -> Growth:
    """Return the growth of the displacement x = q + D psi1 + E psi2 (Bouchet et al. 1995, A&A 296, 575).

        D'' + (2 + dlnH/dlna) D' = 3/2 Omega_m(a) D,    E'' + (2 + dlnH/dlna) E' = 3/2 Omega_m(a) (E - D^2)

    with primes for d/dlna; matter and dark energy only, D(z=0) = 1.

    Raises:
      ValueError: redshift not in [0, 999].
    """
    z = np.asarray(redshift, np.float64)
    if not ((z >= 0) & (z <= 999)).all():
        raise ValueError(f"redshift={z} must lie in [0, 999]")
    log_a = -np.log1p(z)
    return Growth(*(spline(log_a) for spline in _growth_table(cosmology)))
