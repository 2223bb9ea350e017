"""What a box can resolve on the sky, what noise its particles add, and how much memory it takes."""

from collections.abc import Callable

import numpy as np
from jaxtyping import Float

from cosmogan_jax.sky.light_cone import PlaneSchedule

Array = Float[np.ndarray, " planes"]


def nyquist_ell(
    num_cells: int, box_size: float, chi: float | Float[np.ndarray, "..."]
) -> Float[np.ndarray, "..."]:
    """Return the multipole of the shortest wave of num_cells a side of the box, at distance chi (Mpc/h)."""
    return np.pi * num_cells / box_size * np.asarray(chi)


def shot_noise_power(
    schedule: PlaneSchedule, strength: Array, weights: Array, box_size: float, num_particles_side: int
) -> float:
    """Return C_l of the particles' Poisson noise, in steradian: sum of (w s / chi)^2 / (n_bar thickness).

    An upper bound: particles that still sit near their lattice scatter less than Poisson's.
    """
    surface = (box_size / num_particles_side) ** 3 / schedule.thickness
    return float(np.sum((weights * strength / schedule.chi) ** 2) * surface)


def slab_power(
    power: Callable[[Float[np.ndarray, "..."]], Float[np.ndarray, "..."]],
    k: Float[np.ndarray, " k"],
    thickness: float,
    box_size: float,
) -> Float[np.ndarray, " k"]:
    """Return two-dimensional power, in (Mpc/h)^2, of a slab's mean overdensity in a periodic box of given P(k).

        P_2d(k) = sum over k_z of P(sqrt(k^2 + k_z^2)) sinc^2(k_z thickness / 2) / box_size

    over the waves k_z = 2 pi m / box_size that the box holds.
    """
    m = np.arange(-4096, 4097)
    k_z = 2 * np.pi * m / box_size
    window = np.sinc(k_z * thickness / (2 * np.pi)) ** 2
    values = power(np.hypot(np.asarray(k, np.float64)[:, None], k_z))
    return (values * window).sum(1) / box_size


def box_bytes(num_particles_side: int, num_mesh: int, slabs_per_box: int, plane_pixels: int) -> int:
    """Return the most memory that making a box takes, in bytes of arrays.

    A mesh, its transform (twice, the second with a gradient), one component of the force and an FFT's
    workspace; particles with their velocities, old and new, coordinates and one corner's indices and weights;
    planes of three axes, on the device and on their way out, twice where those before are still being written.
    Measured in experiments/004-nbody.
    """
    mesh, particles, planes = num_mesh**3, num_particles_side**3, 3 * slabs_per_box * plane_pixels**2
    return 4 * (6 * mesh + 24 * particles + 6 * planes)
