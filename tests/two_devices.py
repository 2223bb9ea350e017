"""Five steps on one device and on two, in one process with two forced CPU devices: see test_scale_out.

Usage: two_devices.py float64|float32. Prints what differs, and what the two devices say to each other, as JSON.
"""

import json
import re
import sys

import jax
import numpy as np

from cosmogan_jax.emulators.dcgan.networks import Architecture, build_networks
from cosmogan_jax.emulators.dcgan.state import adam, init_state
from cosmogan_jax.emulators.dcgan.step_parts import StepSettings
from cosmogan_jax.emulators.dcgan.train_step import make_train_step
from cosmogan_jax.layers import convolutions
from cosmogan_jax.machine.devices import choose_devices

SIZE, FILTERS, LATENT, BATCH, STEPS = 16, 2, 8, 14, 5


def main(dtype):
    jax.config.update("jax_enable_x64", dtype == "float64")
    if dtype == "float64":  # every kernel gradient by matrix products, as large ones are on CPUs
        convolutions._MANY_PIXELS, convolutions._MANY_CHANNELS = 1, 1
    order = "sequential" if dtype == "float64" else "joint"
    bins = 2 if dtype == "float64" else 1
    networks = build_networks(Architecture(SIZE, 4, FILTERS, LATENT, num_bins=bins))
    optimizer = adam(2e-4, 0.5)
    start = begin(networks, optimizer, dtype)
    shape = STEPS, BATCH, *networks.arch.map_shape
    batches = 0.3 * np.random.default_rng(0).normal(size=shape).astype(dtype)
    one, _ = train(networks, optimizer, order, start, batches, 1)
    two, program = train(networks, optimizer, order, start, batches, 2)
    print(
        json.dumps({"tensors": compare(one, two), **talk(program, {"float64": "f64", "float32": "f32"}[dtype])})
    )


def begin(networks, optimizer, dtype):
    """Random weights around 0, scales around 1, in the dtype; made without compiling the initialisers."""
    rng, key = np.random.default_rng(12), jax.random.key(3)

    def fill(path, leaf):
        if not np.issubdtype(leaf.dtype, np.floating):
            return jax.numpy.zeros(leaf.shape, leaf.dtype)
        weights = 0.02 * rng.normal(size=leaf.shape) + (getattr(path[-1], "key", "") == "scale")
        return jax.numpy.asarray(weights if ".params" in jax.tree_util.keystr(path) else 0 * weights, dtype)

    shapes = jax.eval_shape(lambda: init_state(networks, optimizer, key)).replace(key=jax.numpy.zeros(()))
    return jax.tree_util.tree_map_with_path(fill, shapes).replace(key=key)


def train(networks, optimizer, order, start, batches, number):
    devices = choose_devices(number, BATCH)
    step = make_train_step(
        networks, optimizer, StepSettings(0.5, update_order=order), batch_sharding=devices.by_rows
    )
    state, found = devices.replicate(start), []
    placed = [devices.assemble(batch, BATCH) for batch in batches]
    program = jax.jit(step, donate_argnums=0, out_shardings=devices.whole).lower(state, placed[0]).compile()
    for batch in placed:
        state, metrics = program(state, batch)
        found.append({name: float(value) for name, value in metrics.items()})
    nets = {"gen": state.gen, "disc": state.disc}
    leaves = {
        jax.tree_util.keystr(path): np.asarray(leaf, np.float64)
        for path, leaf in jax.tree_util.tree_leaves_with_path(nets)
    }
    metrics = {f"metrics.{name}": np.array([step[name] for step in found]) for name in found[0]}
    return {**leaves, **metrics}, program.as_text()


def compare(one, two):
    """(norm-relative, largest absolute) difference of every tensor."""
    return {
        name: (
            float(np.linalg.norm(two[name] - one[name]) / max(np.linalg.norm(one[name]), 1e-300)),
            float(np.abs(two[name] - one[name]).max()),
        )
        for name in one
    }


def talk(program, real):
    """Which collectives the program has, and how many of its values hold a whole batch or a device's share."""
    kinds = "all-reduce|all-gather|all-to-all|collective-permute|reduce-scatter|collective-broadcast"
    return {
        "collectives": sorted(set(re.findall(rf"\b({kinds})(?:-start)?\(", program))),
        "whole_batches": len(re.findall(rf"\b{real}\[{BATCH},", program)),
        "half_batches": len(re.findall(rf"\b{real}\[{BATCH // 2},", program)),
    }


if __name__ == "__main__":
    main(sys.argv[1])
