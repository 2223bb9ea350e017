"""Keys of all that is random: a root for each seed and purpose, in one fixed form.

Two users of one root would share keys without knowing: `split(key, n)[i]` equals `fold_in(key, i)`. So every
purpose has a root of its own,

    root(seed, purpose) = the first 64 bits of SHA-256("cosmogan_jax <purpose> <seed>")

and what belongs to one purpose is told apart by fold_in from it. Numbers come from Threefry-2x32 (Salmon et al.
2011, 20 rounds) in counter mode: word n of a draw is the exclusive or of both halves of threefry(key, (0, n)).
That is what jax.random does where its settings are its defaults; here it stands by itself, so that no
environment variable (JAX_DEFAULT_PRNG_IMPL, JAX_THREEFRY_PARTITIONABLE, JAX_ENABLE_X64, JAX_RANDOM_SEED_OFFSET)
changes what a seed means, in programs that are compiled either. Who draws names the dtype.

Schemes, recorded in runs and cards: 2 is the above. In 1, of before it was recorded, the root was
jax.random.key(seed + a small number for some purposes), which this module makes as it was.
"""

import hashlib
import math
from typing import Any

import jax
import jax.extend
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from cosmogan_jax.settings.key_schemes import SCHEME as SCHEME
from cosmogan_jax.settings.key_schemes import recorded_scheme

# Purposes, with what scheme 1 added to the seed.
PURPOSES = {
    "weights": 0,  # initial weights, and all randomness of training steps
    "order": 0,  # of crops
    "turns": 0,  # augmentation
    "latents": 0,  # of generated maps
    "samples": 1,  # latents of a training's pictures
    "second scores": 2,  # latents of select's second pass
    "first scores": 3,  # latents of train's scores and of select's first pass
    "statistics": 0,  # batch statistics of averaged weights
    "sky": 0,  # simulated maps
    "classifier": 0,  # its weights and batches
    "shape noise": 0,
}
# Threefry-2x32: rotations of its rounds, four by four in turn, and the word that the third key is made with.
_ROTATIONS = ((13, 15, 26, 6), (17, 29, 16, 24))
_PARITY = 0x1BD11BDA
_TURNS = 2**31 - 1  # scheme 1: folded into the root of the order


def key(seed: int, purpose: str, scheme: int = SCHEME) -> Array:
    """Return the root of a seed and a purpose, a typed key.

    Raises:
      ValueError: a purpose or a scheme that is not known.
    """
    if purpose not in PURPOSES:
        raise ValueError(f"purpose={purpose!r} must be one of {', '.join(PURPOSES)}")
    if scheme == 1:
        root = _wrapped([0, (seed + PURPOSES[purpose]) % 2**32])
        return jax.random.fold_in(root, _TURNS) if purpose == "turns" else root
    recorded_scheme({"keys": scheme}, "key")
    digest = hashlib.sha256(f"cosmogan_jax {purpose} {seed}".encode()).digest()
    return _wrapped(np.frombuffer(digest[:8], ">u4"))


def rewrapped(data: Array, like: Array) -> Array:
    """Return typed keys from their words, of the form that `like` has."""
    return jax.random.wrap_key_data(data, impl=jax.random.key_impl(like))


def _wrapped(words: Any) -> Array:
    return jax.random.wrap_key_data(jnp.asarray(np.array(words, np.uint32)), impl=_FORM)


def _hash(key: Array, high: Array, low: Array) -> tuple[Array, Array]:
    """Encrypt counters (high, low) by Threefry-2x32 with one key, elementwise."""
    return jax.extend.random.threefry2x32_p.bind(key[0], key[1], high, low)


def _written_out(key: Array, high: Array, low: Array) -> tuple[Array, Array]:
    """Return the same numbers as `_hash`, its rounds written out for one loop over all counters.

    On a CPU the primitive is a loop over rounds, each of which passes through memory: three to seven times the
    time, of many numbers (experiments/benchmarks/README.md). Of few it compiles to less.
    """
    keys = (key[0], key[1], key[0] ^ key[1] ^ jnp.uint32(_PARITY))
    high, low = high + keys[0], low + keys[1]
    for group in range(5):
        for turn in _ROTATIONS[group % 2]:
            high = high + low
            low = high ^ ((low << turn) | (low >> (32 - turn)))
        high = high + keys[(group + 1) % 3]
        low = low + keys[(group + 2) % 3] + jnp.uint32(group + 1)
    return high, low


def _counters(shape: tuple[int, ...]) -> tuple[Array, Array]:
    """Count the elements from 0 on, row-major, by iotas along the axes: the partitioner can divide them."""
    if math.prod(shape) >= 2**32:
        raise ValueError(f"shape={shape} is more than 2**32 random words of one key")
    low = jnp.zeros(shape, jnp.uint32)
    stride = 1
    for axis in reversed(range(len(shape))):
        low = low + jnp.uint32(stride) * jax.lax.broadcasted_iota(jnp.uint32, shape, axis)
        stride *= shape[axis]
    return jnp.zeros(shape, jnp.uint32), low


def _bits(key: Array, width: int, shape: tuple[int, ...]) -> Array:
    first, second = _written_out(key, *_counters(shape))
    if width == 64:
        return (first.astype(jnp.uint64) << 32) | second.astype(jnp.uint64)
    word = first ^ second
    return word if width == 32 else word.astype({8: jnp.uint8, 16: jnp.uint16}[width])


def _split(key: Array, shape: tuple[int, ...]) -> Array:
    return jnp.stack(_hash(key, *_counters(shape)), axis=-1)


def _fold_in(key: Array, data: Any) -> Array:
    low = jnp.asarray(data, jnp.uint32).reshape(1)
    # Zeros that are a batch where `data` is one, as vmap makes it: both counters must have one shape.
    return jnp.concatenate(_hash(key, low & jnp.uint32(0), low))


def _seed(seed: Array) -> Array:
    return jnp.stack([jnp.zeros((), jnp.uint32), jnp.asarray(seed, jnp.uint32)])


_FORM = jax.extend.random.define_prng_impl(
    key_shape=(2,), seed=_seed, split=_split, random_bits=_bits, fold_in=_fold_in, name="cosmogan_jax", tag="cg"
)
