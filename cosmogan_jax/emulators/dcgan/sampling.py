"""Maps from a generator."""

import jax
from jaxtyping import Array, Float, Int

from cosmogan_jax.emulators.dcgan.networks import Networks
from cosmogan_jax.emulators.dcgan.state import NetState


def latents(key: Array, index: Int[Array, " maps"], latent_size: int) -> Float[Array, "maps latent"]:
    """z of each map from fold_in(key, its index): map n is the same whatever the batch."""
    return jax.vmap(lambda n: jax.random.normal(jax.random.fold_in(key, n), (latent_size,)))(index)


def sample(networks: Networks, gen: NetState, z: Float[Array, "maps latent"]) -> Float[Array, "maps size size"]:
    """Generated maps in network units, batch norm by the running averages."""
    return networks.gen.apply(gen.params, gen.batch_stats, z, train=False)[0]
