"""Initial conditions: a Gaussian field of given power, moved by second-order Lagrangian perturbation theory."""

import jax
import numpy as np
from jax import numpy as jnp
from jaxtyping import Array, Float

from cosmogan_jax.sky.cosmology import Growth
from cosmogan_jax.sky.matter_power import MatterPower
from cosmogan_jax.sky.particle_mesh import Particles, wave_numbers


def mode_amplitudes(power: MatterPower, num_side: int, box_size: float) -> Float[np.ndarray, "n n half"]:
    """Return sqrt(P(k) / cell volume) of the linear power today on the modes of an rfftn; 0 for the mean.

    box_size in Mpc/h. White noise of unit variance per cell, times this, has power P.
    """
    k = [2 * np.pi * np.asarray(f) / box_size for f in _indices(num_side)]
    squared = (k[0] ** 2)[:, None, None] + (k[1] ** 2)[None, :, None] + (k[2] ** 2)[None, None, :]
    # One spectrum lookup for each distinct |k|^2 is enough, but a table is simpler and exact to 1e-6.
    grid = np.geomspace(2 * np.pi / box_size * 0.99, np.sqrt(squared.max()) * 1.01, 4096)
    log_amplitude = 0.5 * np.log(power.linear(grid) * (num_side / box_size) ** 3)
    squared[0, 0, 0] = grid[0] ** 2
    amplitudes = np.exp(np.interp(0.5 * np.log(squared), np.log(grid), log_amplitude)).astype(np.float32)
    amplitudes[0, 0, 0] = 0.0
    return amplitudes


def _indices(n: int):
    return np.fft.fftfreq(n, 1 / n), np.fft.fftfreq(n, 1 / n), np.fft.rfftfreq(n, 1 / n)


def linear_density(key: Array, amplitudes: Float[Array, "n n half"]) -> Float[Array, "n n n"]:
    """Draw the linear density contrast today, a Gaussian field."""
    n = amplitudes.shape[0]
    white = jax.random.normal(key, (n, n, n), amplitudes.dtype)
    return jnp.fft.irfftn(jnp.fft.rfftn(white) * amplitudes, s=(n, n, n))


def lpt_displacements(
    density: Float[Array, "n n n"],
) -> tuple[Float[Array, "3 n n n"], Float[Array, "3 n n n"]]:
    """Return psi1 and psi2 of x = q + D psi1 + E psi2, in lattice cells (Bouchet et al. 1995, A&A 296, 575).

        psi1 = -grad phi1,  lap phi1 = delta;   psi2 = grad phi2,
        lap phi2 = sum_{i<j} (phi1_ii phi1_jj - phi1_ij^2)

    The products alias waves above two thirds of the lattice's Nyquist frequency, as in all codes that do not
    pad; second order is small there at the redshifts at which a simulation starts.
    """
    n = density.shape[0]
    k = wave_numbers(n, density.dtype)
    squared = k[0] ** 2 + k[1] ** 2 + k[2] ** 2
    inverse = 1 / jnp.where(squared == 0, jnp.inf, squared)
    # An odd derivative has no sign at the Nyquist frequency.
    odd = [jnp.where(jnp.abs(q) < jnp.pi * (1 - 1e-6), q, 0.0) for q in k]

    def back(modes):
        return jnp.fft.irfftn(modes, s=(n, n, n))

    modes = jnp.fft.rfftn(density) * inverse
    psi1 = jnp.stack([back(1j * q * modes) for q in odd])
    diagonal = [back(k[i] ** 2 * modes) for i in range(3)]  # phi1_ii
    source = diagonal[0] * diagonal[1] + diagonal[1] * diagonal[2] + diagonal[2] * diagonal[0]
    for i, j in ((0, 1), (1, 2), (2, 0)):
        source = source - back(odd[i] * odd[j] * modes) ** 2
    modes = jnp.fft.rfftn(source) * inverse
    psi2 = jnp.stack([back(-1j * q * modes) for q in odd])
    return psi1, psi2


def start(density: Float[Array, "n n n"], growth: Growth, num_mesh: int) -> Particles:
    """Return particles in mesh cells at a redshift: displaced D psi1 + E psi2, velocity psi1 + dE/dD psi2."""
    psi1, psi2 = lpt_displacements(density)
    cells = num_mesh / density.shape[0]
    d, e, slope = (cells * jnp.asarray(value, density.dtype) for value in growth)
    return Particles(d * psi1 + e * psi2, cells * psi1 + slope * psi2)
