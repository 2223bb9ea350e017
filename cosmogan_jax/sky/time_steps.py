"""Time steps of a box in the growth factor D, and where between them the lens planes lie."""

import numpy as np
from jaxtyping import Float
from scipy.interpolate import PchipInterpolator

from cosmogan_jax.sky.cosmology import Cosmology, growth


def step_redshifts(
    cosmology: Cosmology, start_redshift: float, end_redshift: float, num_steps: int
) -> Float[np.ndarray, " steps+1"]:
    """Return redshifts from start to end, evenly spaced in D.

    Raises:
      ValueError: num_steps < 1, or start_redshift not above end_redshift >= 0.
    """
    if num_steps < 1:
        raise ValueError(f"num_time_steps={num_steps} must be positive")
    if not start_redshift > end_redshift >= 0:
        raise ValueError(f"start_redshift={start_redshift} must be above end_redshift={end_redshift}")
    a = np.linspace(np.log1p(start_redshift), np.log1p(end_redshift), 4000)
    d = growth(cosmology, np.expm1(a)).d
    redshift = np.expm1(PchipInterpolator(d, a)(np.linspace(d[0], d[-1], num_steps + 1)))
    redshift[0], redshift[-1] = start_redshift, end_redshift
    return redshift


def bullfrog_coefficients(
    cosmology: Cosmology, redshifts: Float[np.ndarray, " steps+1"]
) -> Float[np.ndarray, "steps 3"]:
    """Return half drift, keep and pull of every step (Rampf, List & Hahn 2024, arXiv:2409.19049).

    Along x = q + D psi1 + E psi2, with v = dx/dD, the force at the middle of a step is
    D_m psi1 + (E_n + E'_n (D_m - D_n) - D_m^2) psi2, since dE/dD's equation has the source E - D^2. Asking that
    v follow psi1 + E' psi2 from end to end gives

        keep = (E'_{n+1} - F) / (E'_n - F),   pull = (1 - keep) / D_m,
        F = (E_n + E'_n (D_m - D_n)) / D_m - D_m

    so a step of any length is right to second order of Lagrangian perturbation theory.
    """
    g = growth(cosmology, redshifts)
    middle = (g.d[1:] + g.d[:-1]) / 2
    half = middle - g.d[:-1]
    f = (g.e[:-1] + g.de_dd[:-1] * half) / middle - middle
    keep = (g.de_dd[1:] - f) / (g.de_dd[:-1] - f)
    return np.stack([half, keep, (1 - keep) / middle], axis=1)
