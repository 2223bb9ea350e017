"""The exponential moving average of a generator's weights, and batch statistics to go with it."""

import dataclasses
import functools
import math

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from cosmogan_jax.emulators.dcgan.networks import BATCH_NORM_DECAY, Networks, Variables
from cosmogan_jax.emulators.dcgan.state import NetState

_BATCH, _BATCHES = 64, 16  # 1024 maps: means of features to 1 % of their sigma in the smallest layer


def averaged(ema: NetState, gen: NetState, step: Int[Array, ""], decay: float) -> NetState:
    """The average after step `step` (from 1), from the one before and the weights that the step left.

        a_n = sum_k d^(n-k) w_k / sum_k d^(n-k) = a_(n-1) + (1 - d) / (1 - d^n) (w_n - a_(n-1)),  k = 1 ... n

    with d the decay: Adam's correction for the short past (Kingma & Ba 2015, Sect. 3), so that the initial
    weights never count. Parameters and running batch statistics alike.
    """
    # 1 - d^n without cancellation where d is near 1; log(d) in the host's double precision.
    weight = (1.0 - decay) / -jnp.expm1(step * math.log(decay))

    def mix(old, new):
        return jax.tree.map(lambda a, w: a + weight.astype(a.dtype) * (w - a), old, new)

    return NetState(mix(ema.params, gen.params), mix(ema.batch_stats, gen.batch_stats), ())


def with_own_statistics(networks: Networks, gen: NetState, key: Array) -> NetState:
    """A generator with the batch statistics of its very parameters: means over batches that it makes.

    Running averages belong to the parameters of many steps. An average of parameters makes features of another
    mean and variance than any of these steps, and normalised by averages of the steps' statistics its maps are
    off (experiments/007-instability); Izmailov et al. (2018, Sect. 3.2) do as is done here. `key` gives the z.
    """
    found = []
    for batch in range(_BATCHES):
        z = _latents(key, jnp.arange(batch * _BATCH, (batch + 1) * _BATCH), networks.arch.latent_size)
        found.append(_moments(networks, gen.params, gen.batch_stats, z))
    mean = jax.tree.map(lambda *values: sum(values) / _BATCHES, *found)
    return dataclasses.replace(gen, batch_stats=mean)


def _latents(key: Array, number: Int[Array, " maps"], latent_size: int) -> Float[Array, "maps latent"]:
    """z of the maps that the statistics are of; no map of a seed, though drawn alike."""
    return jax.vmap(lambda n: jax.random.normal(jax.random.fold_in(key, n), (latent_size,), jnp.float32))(
        number
    )


@functools.partial(jax.jit, static_argnums=0)
def _moments(
    networks: Networks, params: Variables, like: Variables, z: Float[Array, "batch latent"]
) -> Variables:
    """Mean and variance of a batch at every batch norm."""
    none = jax.tree.map(jnp.zeros_like, like)
    _, moved = networks.gen.apply(params, none, z, train=True)
    return jax.tree.map(lambda value: value / (1 - BATCH_NORM_DECAY), moved)
