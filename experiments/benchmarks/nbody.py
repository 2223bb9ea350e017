"""Time and memory of the N-body sky: a step, a whole light cone, Born and multi-plane maps.

python experiments/benchmarks/nbody.py [--particles 128] [--map_pixels 512] [--out FILE]
"""

import argparse
import json
import platform
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from cosmogan_jax.sky import initial_conditions, particle_mesh
from cosmogan_jax.sky.cosmology import PAPER_COSMOLOGY, growth
from cosmogan_jax.sky.matter_power import paper_matter_power
from cosmogan_jax.sky.particle_mesh import StepCoefficients
from cosmogan_jax.sky.time_steps import bullfrog_coefficients, step_redshifts


def step_seconds(particles, repeats=12):
    mesh = 2 * particles
    amplitudes = jnp.asarray(initial_conditions.mode_amplitudes(paper_matter_power(), particles, 240.0))
    density = jax.jit(initial_conditions.linear_density)(jax.random.key(0), amplitudes)
    start = jax.jit(initial_conditions.start, static_argnums=2)
    moving = start(density, growth(PAPER_COSMOLOGY, 9.0), mesh)
    redshifts = step_redshifts(PAPER_COSMOLOGY, 9.0, 0.0, repeats)
    seconds = []
    for row in bullfrog_coefficients(PAPER_COSMOLOGY, redshifts).astype(np.float32):
        jax.block_until_ready(moving)
        began = time.perf_counter()
        moving = jax.block_until_ready(particle_mesh.step(moving, StepCoefficients(*row), mesh))
        seconds.append(time.perf_counter() - began)
    return {"step_median": round(float(np.median(seconds[1:])), 4), "step_max": round(max(seconds[1:]), 4),
            "repeats": repeats - 1, "first_with_compilation": round(seconds[0], 3)}  # fmt: skip


def light_cone(particles, map_pixels, num_maps, folder, name, *flags):
    """One box a split with all planes, and maps; seconds, and peak memory of the process."""
    command = [
        sys.executable,
        "-m",
        "cosmogan_jax.main",
        "--stages=simulate",
        "--sky=nbody",
        f"--workdir={folder}/{name}",
        f"--boxes_dir={folder}/boxes",
        f"--num_particles_side={particles}",
        f"--map_pixels={map_pixels}",
        "--num_train_boxes=1",
        f"--num_train_maps={num_maps}",
        "--num_development_maps=1",
        "--num_validation_maps=1",
        "--num_auxiliary_maps=0",
        *flags,
    ]
    before = time.perf_counter()
    subprocess.run(command, check=True, capture_output=True)
    cost = json.loads((Path(folder) / name / "simulate/cost.json").read_text())
    # ru_maxrss of children is that of the largest so far, in KiB.
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 2**20
    return {
        "seconds": cost,
        "process_seconds": round(time.perf_counter() - before, 1),
        "peak_gib": round(peak, 2),
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--particles", type=int, default=128)
    parser.add_argument("--map_pixels", type=int, default=512)
    parser.add_argument("--num_maps", type=int, default=32)
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    result = {
        "date": time.strftime("%Y-%m-%d"),
        "device": jax.devices()[0].device_kind,
        "processor": platform.processor() or platform.machine(),
        "jax": jax.__version__,
        "particles_side": args.particles,
        "mesh": 2 * args.particles,
        **step_seconds(args.particles),
    }
    with tempfile.TemporaryDirectory() as folder:
        result["born"] = light_cone(args.particles, args.map_pixels, args.num_maps, folder, "born")
        result["multi_plane"] = light_cone(
            args.particles, args.map_pixels, 2, folder, "traced", "--ray_tracing=multi_plane"
        )
    text = json.dumps(result, indent=1)
    print(text)
    if args.out:
        args.out.write_text(text + "\n")


if __name__ == "__main__":
    main()
