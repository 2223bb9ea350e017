"""One box from its initial conditions to lens planes."""

import dataclasses
import functools
from collections.abc import Iterator

import jax
import numpy as np
from jax import numpy as jnp
from jaxtyping import Array, Float

from cosmogan_jax.sky import initial_conditions, light_cone
from cosmogan_jax.sky.cosmology import growth
from cosmogan_jax.sky.light_cone import PlaneSchedule
from cosmogan_jax.sky.matter_power import MatterPower
from cosmogan_jax.sky.particle_mesh import Particles, StepCoefficients, check_mesh, step
from cosmogan_jax.sky.time_steps import bullfrog_coefficients, step_redshifts


@dataclasses.dataclass(frozen=True)
class BoxSettings:
    """A particle-mesh simulation: box_size in Mpc/h, particles and mesh cells along a side.

    Raises:
      ValueError: a size, number or redshift that makes no simulation.
    """

    box_size: float
    num_particles_side: int
    num_mesh: int
    num_time_steps: int
    start_redshift: float
    slabs_per_box: int
    plane_pixels: int

    def __post_init__(self):
        if not 0 < self.box_size < np.inf:
            raise ValueError(f"box_size={self.box_size} must be positive, in Mpc/h")
        check_mesh(self.num_particles_side, self.num_mesh)
        for name in ("num_time_steps", "slabs_per_box", "plane_pixels"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name}={getattr(self, name)} must be positive")
        if 3 * self.slabs_per_box * self.plane_pixels**2 >= 2**31:
            raise ValueError(f"plane_pixels={self.plane_pixels} is more than int32 can index")
        if not 1 <= self.start_redshift <= 200:
            raise ValueError(f"start_redshift={self.start_redshift} must lie in [1, 200]")


@functools.partial(jax.jit, static_argnums=2)
def _begin(key, amplitudes, num_mesh, growth_now):
    density = initial_conditions.linear_density(key, amplitudes)
    return initial_conditions.start(density, growth_now, num_mesh)


@functools.partial(jax.jit, static_argnums=(2, 3, 4))
def _project(particles, drift, num_mesh, slabs_per_box, plane_pixels):
    displacement = particles.displacement + drift * particles.velocity
    planes = light_cone.project(displacement, num_mesh, slabs_per_box, plane_pixels)
    return planes.reshape(-1, plane_pixels, plane_pixels)


def evolve(
    key: Array,
    settings: BoxSettings,
    power: MatterPower,
    schedule: PlaneSchedule,
    amplitudes: Float[np.ndarray, "n n half"] | None = None,
) -> Iterator[tuple[Particles, list[tuple[int, Float[Array, "cuts size size"]]]]]:
    """Run a box to its nearest plane, yielding after every step the particles and the planes passed.

    Every plane shows the box at the plane's own redshift, on the straight path (in D) that the step takes its
    particles along: no snapshot is kept, and steps need not end where planes lie.

    The particles are given away to the next step. amplitudes: `mode_amplitudes` of these settings, which boxes
    that differ in their key alone share; made where they are not given.

    Raises:
      ValueError: start_redshift is not before the farthest plane's.
    """
    if not settings.start_redshift > schedule.redshift.max():
        raise ValueError(
            f"start_redshift={settings.start_redshift} must be above the farthest plane's "
            f"{schedule.redshift.max():.2f}"
        )
    cosmology, mesh = power.cosmology, settings.num_mesh
    redshifts = step_redshifts(
        cosmology, settings.start_redshift, float(schedule.redshift.min()), settings.num_time_steps
    )
    coefficients = bullfrog_coefficients(cosmology, redshifts).astype(np.float32)
    d_steps, d_planes = growth(cosmology, redshifts).d, growth(cosmology, schedule.redshift).d
    # The nearest plane lies where the last step ends, whatever rounding says.
    d_planes[np.argmin(schedule.redshift)] = d_steps[-1]
    if amplitudes is None:
        amplitudes = initial_conditions.mode_amplitudes(power, settings.num_particles_side, settings.box_size)
    particles = _begin(key, jnp.asarray(amplitudes), mesh, growth(cosmology, settings.start_redshift))
    del amplitudes

    def show(indices, d_now):
        planes = []
        for index in indices:
            drift = np.float32(d_planes[index] - d_now)
            shape = (mesh, settings.slabs_per_box, settings.plane_pixels)
            planes.append((int(index), _project(particles, drift, *shape)))
        return planes

    for number, row in enumerate(coefficients):
        begin, end = d_steps[number], d_steps[number + 1]
        middle = (begin + end) / 2
        planes = show(np.flatnonzero((d_planes > begin) & (d_planes <= middle)), begin)
        particles = step(particles, StepCoefficients(*row), mesh)
        planes += show(np.flatnonzero((d_planes > middle) & (d_planes <= end)), end)
        yield particles, planes
