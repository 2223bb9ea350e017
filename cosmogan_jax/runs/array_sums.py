"""Checksums of a state's arrays, made on the device where they lie: the files of a checkpoint have none."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, UInt32


@jax.jit
def sums(state: Any) -> dict[str, UInt32[Array, " leaves"]]:
    """Return of every leaf in turn: sum of word n times (2n + 1), modulo 2^32.

    An odd factor loses no bit: any change of one word changes the sum. Nothing waits for it.
    """
    return {"sums": jnp.stack([_sum(leaf) for leaf in jax.tree.leaves(state)])}


@jax.jit
def sums_one_by_one(state: Any) -> dict[str, UInt32[Array, ""]]:
    """Return the same as earlier checkpoints have them, by the leaf's number."""
    return {str(number): _sum(leaf) for number, leaf in enumerate(jax.tree.leaves(state))}


def _sum(leaf: Array) -> UInt32[Array, ""]:
    bits = {1: jnp.uint8, 2: jnp.uint16}.get(leaf.dtype.itemsize, jnp.uint32)  # 8 bytes: two words
    words = leaf if leaf.dtype == bool else jax.lax.bitcast_convert_type(leaf, bits)
    words = words.reshape(-1).astype(jnp.uint32)
    return jnp.sum(words * (2 * jnp.arange(words.size, dtype=jnp.uint32) + 1), dtype=jnp.uint32)


def shapes_of_sums(make: Callable[[Any], Any], state: Any) -> Any:
    """Return what to read sums as, where the state's own leaves lie: other devices may have written them."""
    sharding = getattr(jax.tree.leaves(state)[0], "sharding", None)
    return jax.tree.map(
        lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=sharding),
        jax.eval_shape(make, state),
    )
