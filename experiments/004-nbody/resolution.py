"""How right the particle mesh's force is on its lattice, and how much small-scale power a mesh keeps.

python experiments/004-nbody/resolution.py > experiments/004-nbody/resolution.json
"""

import json

import jax
import jax.numpy as jnp
import numpy as np

from cosmogan_jax.sky import initial_conditions, particle_mesh
from cosmogan_jax.sky.cosmology import PAPER_COSMOLOGY, growth
from cosmogan_jax.sky.matter_power import paper_matter_power
from cosmogan_jax.sky.particle_mesh import StepCoefficients
from cosmogan_jax.sky.time_steps import bullfrog_coefficients, step_redshifts

N, BOX, SEEDS = 64, 30.0, 2
WAVES = (0.5, 1.0, 2.0, 3.0, 5.0, 7.0, 10.0)


def field(seed, n, box):
    amplitudes = jnp.asarray(initial_conditions.mode_amplitudes(paper_matter_power(), n, box))
    return initial_conditions.linear_density(jax.random.key(seed), amplitudes)


def response(mesh, n=32):
    """Force on a hardly moved lattice over its exact linear value, in shells of k / k_Nyquist."""
    psi = initial_conditions.lpt_displacements(field(0, n, 240.0))[0] * (0.01 * mesh / n)
    axes = np.meshgrid(*[np.fft.fftfreq(n, 0.5)] * 2, np.fft.rfftfreq(n, 0.5), indexing="ij")
    k = np.sqrt(sum(a**2 for a in axes))
    force, linear = (np.fft.rfftn(f, axes=(1, 2, 3)) for f in (particle_mesh.acceleration(psi, mesh), psi))
    found = {}
    for low, high in ((0, 0.125), (0.125, 0.25), (0.25, 0.5), (0.5, 0.75), (0.75, 1.0)):
        shell = (k > low) & (k <= high)
        ratio = (force[:, shell] * linear[:, shell].conj()).real.sum() / (np.abs(linear[:, shell]) ** 2).sum()
        found[f"{low}-{high}"] = round(float(ratio), 4)
    return found


def power(seed, mesh, steps, start):
    """P(k) at redshift 0 on a 256^3 grid, the painting's window divided out, at WAVES."""
    particles = initial_conditions.start(field(seed, N, BOX), growth(PAPER_COSMOLOGY, start), mesh)
    redshifts = step_redshifts(PAPER_COSMOLOGY, start, 0.0, steps)
    for row in bullfrog_coefficients(PAPER_COSMOLOGY, redshifts).astype(np.float32):
        particles = particle_mesh.step(particles, StepCoefficients(*row), mesh)
    grid = 256
    where = [x * (grid / mesh) for x in particle_mesh.positions(particles.displacement, mesh)]
    modes = np.fft.rfftn(np.asarray(particle_mesh.cic_paint(where, grid)))
    full, half = np.fft.fftfreq(grid), np.fft.rfftfreq(grid)
    window = (np.sinc(full)[:, None, None] * np.sinc(full)[:, None] * np.sinc(half)) ** 2
    k = np.sqrt(full[:, None, None] ** 2 + full[:, None] ** 2 + half**2) * 2 * np.pi * grid / BOX
    squared = np.abs(modes / window) ** 2 * BOX**3 / N**6
    return np.array([squared[np.abs(k - wave) < 0.15].mean() for wave in WAVES])


def main():
    result = {"force_response": {f"mesh {m}x": response(32 * m) for m in (1, 2, 4)}, "k": WAVES}
    runs = {"4x, 60 steps": (256, 60, 9.0), "2x, 60 steps": (128, 60, 9.0), "2x, 30 steps": (128, 30, 9.0),
            "2x, 120 steps": (128, 120, 9.0), "2x, 60 steps from z 19": (128, 60, 19.0),
            "1x, 60 steps": (64, 60, 9.0)}  # fmt: skip
    found = {name: sum(power(seed, *setting) for seed in range(SEEDS)) for name, setting in runs.items()}
    result["power_to_4x"] = {
        name: [round(float(r), 3) for r in p / found["4x, 60 steps"]] for name, p in found.items()
    }
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
