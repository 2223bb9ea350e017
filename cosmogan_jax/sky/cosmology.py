"""Background cosmology: distances in a flat universe."""

import dataclasses

import numpy as np
from jaxtyping import Float

HUBBLE_DISTANCE = 2997.92458  # c / (100 km/s/Mpc), in Mpc/h


@dataclasses.dataclass(frozen=True)
class Cosmology:
    """A flat universe of matter and dark energy of equation of state w0 + wa z/(1+z).

    Raises:
      ValueError: omega_m or h not positive, or omega_m + omega_lambda further than 1e-3 from 1.
    """

    omega_m: float
    omega_lambda: float
    h: float
    w0: float = -1.0
    wa: float = 0.0

    def __post_init__(self):
        for name in ("omega_m", "h"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name}={getattr(self, name)} must be positive")
        if abs(self.omega_m + self.omega_lambda - 1) > 1e-3:
            raise ValueError(
                f"omega_m={self.omega_m} + omega_lambda={self.omega_lambda} must be 1: only flat universes"
            )


# Mustafa et al. 2019, Sect. 2.1 (sigma8 0.798, n_s 0.96; omega_b 0.046 is not given there).
PAPER_COSMOLOGY = Cosmology(omega_m=0.26, omega_lambda=0.74, h=0.72)


def comoving_distance(cosmology: Cosmology, redshift) -> Float[np.ndarray, "..."]:
    """Comoving distance in Mpc/h: c/H0 times the integral of dz/E(z), by Gauss-Legendre quadrature.

    Raises:
      ValueError: a negative redshift.
    """
    redshift = np.asarray(redshift, np.float64)
    if (redshift < 0).any():
        raise ValueError(f"redshift={redshift.min()} must not be negative")
    nodes, weights = np.polynomial.legendre.leggauss(64)
    z = redshift[..., None] * (nodes + 1) / 2
    c = cosmology
    dark = (1 + z) ** (3 * (1 + c.w0 + c.wa)) * np.exp(-3 * c.wa * z / (1 + z))
    e = np.sqrt(c.omega_m * (1 + z) ** 3 + c.omega_lambda * dark)
    return HUBBLE_DISTANCE * redshift / 2 * (weights / e).sum(-1)
