"""A step of the particle mesh beside what it cannot do without: transforms, scattered sums and reads.

    python experiments/benchmarks/nbody_floor.py --particles=64 --rounds=15

In turn, medians over rounds: the whole step; the two transforms of its mesh, there and back; the differences of
the potential along three axes; painting all particles; reading one field at them (a step reads three); and
memory that is moved once, in place of what painting or a reading moves (eight cells of four bytes a particle).
One process, as many threads as XLA takes; under `taskset -c 0` one core.
"""

import argparse
import time

import jax
import jax.numpy as jnp
import numpy as np

from cosmogan_jax.sky import particle_mesh
from cosmogan_jax.sky.particle_mesh import Particles, StepCoefficients


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--particles", type=int, default=64, help="along a side")
    parser.add_argument("--mesh_factor", type=int, default=2, help="cells a particle along a side")
    parser.add_argument("--rounds", type=int, default=15)
    args = parser.parse_args()
    size, mesh = args.particles, args.mesh_factor * args.particles
    # Displaced by a few cells, as late particles are: neighbours in memory are near in space, not neighbours.
    normal = jax.random.normal(jax.random.key(0), (3, size, size, size))
    particles = Particles(3 * normal, jnp.zeros_like(normal))
    coefficients = StepCoefficients(*np.float32([0.01, 0.9, 0.1]))
    field = jax.random.normal(jax.random.key(1), (mesh,) * 3)
    moved = jnp.zeros(8 * size**3)

    def transforms(x):
        return jnp.fft.irfftn(2.0 * jnp.fft.rfftn(x), s=x.shape)

    def differences(x):
        return [particle_mesh.four_point_difference(x, axis) for axis in range(3)]

    def paint(x):
        return particle_mesh.cic_paint(particle_mesh.positions(x, mesh), mesh)

    def read(values, x):
        return particle_mesh.cic_read(values, particle_mesh.positions(x, mesh))

    step = jax.jit(particle_mesh.bullfrog_step, static_argnums=2)
    functions = {"transforms": transforms, "differences": differences, "paint": paint, "read": read}
    programs = {name: jax.jit(f) for name, f in functions.items()}
    copy = jax.jit(lambda x: x + 1)
    parts = {
        "step": lambda: step(particles, coefficients, mesh),
        "two transforms": lambda: programs["transforms"](field),
        "differences": lambda: programs["differences"](field),
        "painting": lambda: programs["paint"](particles.displacement),
        "one reading": lambda: programs["read"](field, particles.displacement),
        "one copy of what a reading moves": lambda: copy(moved),
    }
    seconds: dict[str, list[float]] = {name: [] for name in parts}
    for _ in range(args.rounds + 1):
        for name, run in parts.items():
            began = time.perf_counter()
            jax.block_until_ready(run())
            seconds[name].append(time.perf_counter() - began)
    medians = {name: float(np.median(times[1:])) for name, times in seconds.items()}
    for name, value in medians.items():
        print(f"{name}: {1e3 * value:.1f} ms, {value / medians['step']:.2f} of the step")
    own = medians["two transforms"] + medians["differences"] + medians["painting"] + 3 * medians["one reading"]
    print(f"step over its transforms, sums and reads: {medians['step'] / own:.2f}")
    floor = medians["two transforms"] + 4 * medians["one copy of what a reading moves"]
    print(f"step over transforms and memory moved once: {medians['step'] / floor:.2f}")


if __name__ == "__main__":
    main()
