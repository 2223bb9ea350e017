"""Maps from a generator, and batches of crops for the train step."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from cosmogan_jax.gan.networks import Networks
from cosmogan_jax.gan.state import NetState


def latents(key: Array, index: Int[Array, " maps"], latent_size: int) -> Float[Array, "maps latent"]:
    """z of each map from fold_in(key, its index): map n is the same whatever the batch."""
    return jax.vmap(lambda n: jax.random.normal(jax.random.fold_in(key, n), (latent_size,)))(index)


def sample(networks: Networks, gen: NetState, z: Float[Array, "maps latent"]) -> Float[Array, "maps size size"]:
    """Generated maps in network units, batch norm by the running averages."""
    return networks.gen.apply(gen.params, gen.batch_stats, z, train=False)[0]


def cut_crops(
    maps: Float[Array, "maps height width"], crops: Int[Array, "batch 3"], crop_size: int
) -> Float[Array, "batch crop_size crop_size"]:
    """Crops at rows (map, row, column) of the crop table, cut on the device."""

    def cut(crop):
        return jax.lax.dynamic_slice(maps, tuple(crop), (1, crop_size, crop_size))[0]

    return jax.vmap(cut)(crops)


def epoch_order(key: Array, epoch: int, num_crops: int) -> Int[Array, " num_crops"]:
    """The permutation of the crop table in an epoch, from (key, epoch) alone."""
    return jax.random.permutation(jax.random.fold_in(key, epoch), jnp.arange(num_crops))
