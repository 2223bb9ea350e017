"""Particle mesh: cloud-in-cell painting and reading, gravity, and one BullFrog step; all in one periodic box.

Lengths are in mesh cells. Particles are `displacement` (3, n, n, n) from a lattice of n points a side, which
on a mesh of M cells a side are M/n cells apart: float32 keeps small displacements exact, and neighbours in
memory stay neighbours in space.
"""

from collections.abc import Sequence
from typing import NamedTuple

import jax
from jax import numpy as jnp
from jaxtyping import Array, Float, Int

MAX_CELLS = 2**31  # flat cell indices are int32


class Particles(NamedTuple):
    """Displacements from the lattice and their derivatives by the growth factor D, in mesh cells."""

    displacement: Float[Array, "3 n n n"]
    velocity: Float[Array, "3 n n n"]


class StepCoefficients(NamedTuple):
    """A BullFrog step: drift, kick v <- keep v + pull A, drift."""

    half_drift: Float[Array, ""]
    keep: Float[Array, ""]
    pull: Float[Array, ""]


def check_mesh(num_particles_side: int, num_mesh: int) -> None:
    """Raise ValueError unless the mesh is a whole multiple of the lattice and int32 can index its cells.

    Four-point differences want four cells a side.
    """
    if num_mesh < 4:
        raise ValueError(f"mesh of {num_mesh} cells a side must have 4 at least")
    if num_particles_side < 2 or num_mesh < num_particles_side or num_mesh % num_particles_side:
        raise ValueError(
            f"mesh of {num_mesh} cells a side must be a multiple of {num_particles_side} particles a side"
        )
    if num_mesh**3 >= MAX_CELLS:
        raise ValueError(f"mesh of {num_mesh}^3 cells exceeds {MAX_CELLS - 1}, the most that int32 can index")


def positions(displacement: Float[Array, "3 n n n"], num_mesh: int) -> tuple[Float[Array, "n n n"], ...]:
    """Return coordinates along each axis in cells, not wrapped.

    The lattice lies half a cell from the mesh's nodes. There a cloud changes linearly with small displacements
    of either sign, and the undisplaced lattice paints an even density; on the nodes it would change with the
    displacement's absolute value, and forces at early times would be wrong by factors.
    """
    n = displacement.shape[-1]
    lattice = jnp.arange(n, dtype=displacement.dtype) * (num_mesh / n) + 0.5
    return tuple(
        displacement[axis] + jnp.expand_dims(lattice, [a for a in range(3) if a != axis]) for axis in range(3)
    )


def _corners(coordinates, num_cells: int):
    """Yield flat index and weight of each of the 2^d cells that a particle's cloud touches (d = 2 or 3)."""
    low = [jnp.floor(x) for x in coordinates]
    high_weight = [x - i for x, i in zip(coordinates, low)]
    low = [i.astype(jnp.int32) % num_cells for i in low]
    high = [jnp.where(i == num_cells - 1, 0, i + 1) for i in low]
    for corner in range(2 ** len(low)):
        index: Array | int = 0
        weight: Array | float = 1.0
        for axis in range(len(low)):
            upper = corner >> axis & 1
            index = index * num_cells + (high if upper else low)[axis]
            weight = weight * (high_weight[axis] if upper else 1 - high_weight[axis])
        yield index, weight


def cic_paint(
    coordinates: Sequence[Float[Array, "..."]],
    num_cells: int,
    layer: Int[Array, "..."] | int = 0,
    num_layers: int = 1,
) -> Float[Array, "..."]:
    """Paint particles of mass 1, cloud in cell, on a periodic grid of num_cells^d (d = len(coordinates)).

    coordinates are in cells, one array an axis. With num_layers > 1, on that many grids at once: each particle
    on the one its integer `layer` names.

    On a GPU clouds are added by atomics, in an order that changes from run to run, and with it the last bits;
    XLA_FLAGS=--xla_gpu_deterministic_ops=true fixes it.
    """
    dimensions = len(coordinates)
    grid = jnp.zeros(num_layers * num_cells**dimensions, coordinates[0].dtype)
    for index, weight in _corners(coordinates, num_cells):
        index = index + layer * num_cells**dimensions
        grid = grid.at[index.ravel()].add(weight.ravel(), mode="promise_in_bounds")
    return grid.reshape(((num_layers,) if num_layers > 1 else ()) + (num_cells,) * dimensions)


def cic_read(field: Float[Array, "m m m"], coordinates: Sequence[Float[Array, "..."]]) -> Float[Array, "..."]:
    """Return the field at the particles, by the same clouds as cic_paint."""
    flat, value = field.ravel(), jnp.zeros((), field.dtype)
    for index, weight in _corners(coordinates, field.shape[0]):
        value = value + weight * flat.at[index].get(mode="promise_in_bounds")
    return value


def wave_numbers(num_cells: int, dtype=jnp.float32) -> tuple[Array, Array, Array]:
    """Return radians per cell along the three axes of an rfftn, shaped to broadcast."""
    full = 2 * jnp.pi * jnp.fft.fftfreq(num_cells, dtype=dtype)
    half = 2 * jnp.pi * jnp.fft.rfftfreq(num_cells, dtype=dtype)
    return full[:, None, None], full[None, :, None], half[None, None, :]


def cic_window(k: Array) -> Array:
    """Return the cloud's transform along one axis, (sin(k/2) / (k/2))^2, k in radians per cell."""
    return jnp.sinc(k / (2 * jnp.pi)) ** 2


def acceleration(displacement: Float[Array, "3 n n n"], num_mesh: int) -> Float[Array, "3 n n n"]:
    """Return A = -grad phi at the particles, laplacian phi = delta; to first order A = D psi1.

    The cloud's window is divided out once. The gradient is that of four-point differences of the potential on
    the mesh, (8 sin k - sin 2k) / 6 in place of k, so that one transform there and one back suffice. It falls
    to 0 smoothly at the Nyquist frequency, where the exact one jumps from pi to -pi. A lattice of two mesh
    cells has its own first harmonic just there, and the jump would raise the linear force on it by 4 to 26 %;
    so, it is right to 1.5 % for every wave of the lattice (experiments/004-nbody).
    """
    n = displacement.shape[-1]
    where = positions(displacement, num_mesh)
    contrast = cic_paint(where, num_mesh) * ((num_mesh / n) ** 3)
    k = wave_numbers(num_mesh, displacement.dtype)
    squared = k[0] ** 2 + k[1] ** 2 + k[2] ** 2
    squared = squared * (cic_window(k[0]) * cic_window(k[1]) * cic_window(k[2]))
    modes = jnp.fft.rfftn(contrast) / jnp.where(squared == 0, jnp.inf, squared)
    minus_potential = jnp.fft.irfftn(modes, s=(num_mesh,) * 3)
    return jnp.stack([cic_read(four_point_difference(minus_potential, axis), where) for axis in range(3)])


def four_point_difference(field: Float[Array, "m m m"], axis: int) -> Float[Array, "m m m"]:
    """Return (8 (f_{+1} - f_{-1}) - (f_{+2} - f_{-2})) / 12 along an axis of a periodic field.

    Away from the border those are slices, which a CPU goes through some ten times faster than a field that is
    rolled; the two planes at either end are put together from both. The barrier has the field stored: the
    particles would otherwise work it out anew at each corner of each cloud.
    """
    size = field.shape[axis]

    def planes(start: int, stop: int) -> Array:
        return jax.lax.slice_in_dim(field, start, stop, axis=axis)

    def inside(part: Array) -> Array:
        """Return the difference on all of the part's planes but the two at either end."""
        count = part.shape[axis]

        def shifted(by: int) -> Array:
            return jax.lax.slice_in_dim(part, 2 + by, count - 2 + by, axis=axis)

        return (8 * (shifted(1) - shifted(-1)) - (shifted(2) - shifted(-2))) / 12

    first = jnp.concatenate([planes(size - 2, size), planes(0, 4)], axis)
    last = jnp.concatenate([planes(size - 4, size), planes(0, 2)], axis)
    return jax.lax.optimization_barrier(jnp.concatenate([inside(first), inside(field), inside(last)], axis))


def bullfrog_step(particles: Particles, coefficients: StepCoefficients, num_mesh: int) -> Particles:
    """Drift, kick, drift in the growth factor D (Rampf, List & Hahn 2024, arXiv:2409.19049)."""
    c = coefficients
    half = particles.displacement + c.half_drift * particles.velocity
    velocity = c.keep * particles.velocity + c.pull * acceleration(half, num_mesh)
    return Particles(half + c.half_drift * velocity, velocity)


step = jax.jit(bullfrog_step, static_argnums=2, donate_argnums=0)
