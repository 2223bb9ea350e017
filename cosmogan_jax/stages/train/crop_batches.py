"""Batches of crops for the train step, in an order of their own every epoch."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int


def cut_crops(
    maps: Float[Array, "maps height width bins"], crops: Int[Array, "batch 3"], crop_size: int
) -> Float[Array, "batch crop_size crop_size bins"]:
    """Cut the crops at rows (map, row, column) of the crop table, of all source bins, on the device."""
    bins = maps.shape[-1]

    def cut(crop):
        return jax.lax.dynamic_slice(maps, (*crop, 0), (1, crop_size, crop_size, bins))[0]

    return jax.vmap(cut)(crops)


def epoch_order(key: Array, epoch: int, num_crops: int) -> Int[Array, " num_crops"]:
    """Return the permutation of the crop table in an epoch, from (key, epoch) alone."""
    return jax.random.permutation(jax.random.fold_in(key, epoch), jnp.arange(num_crops, dtype=jnp.int32))
