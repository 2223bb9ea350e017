"""Prints what seeds mean, for tests/test_keys.py: run with other settings of JAX in the environment.

Printed are checksums of arrays that follow from keys alone: they must not change by a bit. Saved to a file are
maps made of them, which may change by rounding.
"""

import hashlib
import json
import sys

import jax
import jax.numpy as jnp
import numpy as np

from cosmogan_jax import keys
from cosmogan_jax.emulators.dcgan.architecture import Architecture
from cosmogan_jax.emulators.dcgan.engine import make_engine
from cosmogan_jax.emulators.dcgan.model import Dcgan
from cosmogan_jax.emulators.emulator import Emulator
from cosmogan_jax.emulators.normalisation import Normalisation
from cosmogan_jax.geometry import MapGeometry
from cosmogan_jax.settings.dcgan import Dcgan as DcganSettings
from cosmogan_jax.settings.train import Train
from cosmogan_jax.sky.initial_conditions import linear_density
from cosmogan_jax.sky.light_cone import placements
from cosmogan_jax.sky.lognormal import lognormal_bin_maps, lognormal_maps
from cosmogan_jax.stages.train.feeding import Order, random_orientations

SEED = 5


def numbers():
    model = Dcgan(Architecture(16, 4, 2, 8))
    settings = Train(SEED, 16, DcganSettings(num_filters=2, latent_size=8), ema_decay=0.5)
    made = {}
    for scheme in (1, keys.SCHEME):
        state = make_engine(model, settings, None).init(keys.key(SEED, "weights", scheme))
        emulator = Emulator("", model, {}, Normalisation("none", 1.0), MapGeometry(16, 1.0), {}, (), scheme)
        sky = keys.key(SEED, "sky", scheme)
        turns = keys.key(SEED, "turns", scheme)
        squares = np.arange(8 * 9, dtype=np.float32).reshape(8, 3, 3, 1)
        made |= {
            f"roots {scheme}": [jax.random.key_data(keys.key(SEED, p, scheme)) for p in keys.PURPOSES],
            f"weights {scheme}": jax.tree.leaves(state.replace(key=jax.random.key_data(state.key))),
            f"latents {scheme}": emulator.latents(emulator.key(SEED), jnp.arange(3, 9)),
            f"order {scheme}": list(Order(SEED, 8, scheme).rows(np.arange(159).reshape(53, 3), 0, 30)),
            f"turns {scheme}": random_orientations(turns, 3, squares),
            f"light cone {scheme}": list(placements(sky, jnp.int32(7), 6, 2)),
            f"white noise {scheme}": jax.jit(
                lambda key: jax.vmap(
                    lambda n: jax.random.normal(jax.random.fold_in(key, n), (8, 8), jnp.float32)
                )(jnp.arange(4))
            )(sky),
            f"split {scheme}": jax.random.key_data(jax.jit(jax.random.split, static_argnums=1)(sky, 5)),
        }
    return {name: checksum(arrays) for name, arrays in made.items()}


def checksum(arrays):
    """Of values and shapes; whole numbers by their value, whatever their width."""
    found = hashlib.sha256()
    for array in map(np.asarray, arrays if isinstance(arrays, list) else [arrays]):
        array = array.astype(np.int64) if array.dtype.kind in "iu" else array
        assert array.dtype.name in ("int64", "float32"), array.dtype
        found.update(f"{array.dtype.name} {array.shape}".encode() + array.tobytes())
    return found.hexdigest()


def maps(path):
    sky = keys.key(SEED, "sky")
    amplitudes = jnp.asarray(1 / (1 + np.arange(32)[:, None] + np.arange(17)), jnp.float32)
    model = Dcgan(Architecture(16, 4, 4, 8))
    variables = jax.tree.map(lambda leaf: 9 * leaf, model.init(keys.key(SEED, "weights")))
    emulator = Emulator("", model, variables, Normalisation("linear", 0.1), MapGeometry(16, 1.0), {})
    np.savez(
        path,
        lognormal=lognormal_maps(sky, jnp.arange(3, dtype=jnp.int32), amplitudes, 0.1, 0.04),
        lognormal_bins=lognormal_bin_maps(
            sky,
            jnp.arange(3, dtype=jnp.int32),
            jnp.stack([amplitudes, amplitudes / 2, amplitudes / 2, amplitudes]).reshape(
                2, 2, *amplitudes.shape
            ),
            jnp.float32([0.1, 0.2]),
            jnp.float32([0.02, 0.04]),
        ),
        density=linear_density(sky, jnp.ones((8, 8, 5), jnp.float32)),
        generated=emulator.sample(SEED, 3),
    )


if __name__ == "__main__":
    maps(sys.argv[1])
    print(json.dumps(numbers()))
