"""A lognormal GAN's steps on one device, on two, and begun on two and ended on one: see test_scale_out.

Usage: two_devices_lognormal.py FOLDER, with two forced CPU devices. Prints by how much states differ, as JSON.
"""

import dataclasses
import functools
import json
import sys
from pathlib import Path

import jax
import numpy as np

from cosmogan_jax.emulators.interface import Batch
from cosmogan_jax.emulators.lognormal_gan.engine import make_engine, make_model
from cosmogan_jax.machine.devices import choose_devices
from cosmogan_jax.runs.checkpoints import Checkpoints
from cosmogan_jax.settings import Train
from cosmogan_jax.settings.lognormal_gan import LognormalGan

OWN = LognormalGan(
    gen_layers=2, gen_channels=4, disc_layers=2, disc_filters=3, fresh_maps=2, replayed_steps=3,
    warm_up_steps=2, decay_from_step=3, decay_to_step=9,
)  # fmt: skip
SETTINGS = Train(0, 16, OWN, emulator="lognormal_gan", batch_size=6, ema_decay=0.9)
STEPS, BEFORE = 4, 2


def main(folder):
    rng = np.random.default_rng(0)
    g = rng.normal(size=(200, 18, 18))
    g = (g[:, :-2, :-2] + g[:, 1:-1, :-2] + g[:, :-2, 1:-1] + g[:, 1:-1, 1:-1]) / 2
    crops = np.exp(0.4 * g).astype(np.float32)[..., None]
    engine = make_engine(make_model(SETTINGS), SETTINGS, None)
    start = engine.begin(engine.init(jax.random.key(4)), *2 * [lambda: iter([crops])])
    checkpoints = Checkpoints(folder / "checkpoints", writes=True)
    one = train(start, crops, 1, range(STEPS))
    halfway = train(start, crops, 2, range(BEFORE))
    checkpoints.save(BEFORE, halfway)
    two = train(halfway, crops, 2, range(BEFORE, STEPS))
    like = choose_devices(1, 6).replicate(start)
    mixed = train(checkpoints.restore(BEFORE, like), crops, 1, range(BEFORE, STEPS))
    checkpoints.close()
    print(json.dumps({"two": differences(one, two), "mixed": differences(one, mixed)}))


@functools.cache
def step_on(devices):
    engine = make_engine(make_model(SETTINGS), SETTINGS, devices.by_rows)
    return jax.jit(engine.step, donate_argnums=0, out_shardings=devices.whole)


def train(start, crops, number, steps):
    devices = choose_devices(number, 6)
    step = step_on(devices)
    state = devices.replicate(start)
    for n in steps:
        kappa = devices.assemble(crops[6 * n : 6 * n + 6], 6)
        state, _ = step(state, Batch(kappa, devices.assemble(np.zeros((6, 0), np.float32), 6)))
    return state


def differences(one, two):
    """Of every tensor, the norm of the difference as a share of its own."""
    pairs = zip(*(jax.tree_util.tree_leaves_with_path(dataclasses.replace(s, key=None)) for s in (one, two)))
    found = {}
    for (path, a), (_, b) in pairs:
        a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
        found[jax.tree_util.keystr(path)] = float(np.linalg.norm(a - b) / max(np.linalg.norm(a), 1e-300))
    return found


if __name__ == "__main__":
    main(Path(sys.argv[1]))
