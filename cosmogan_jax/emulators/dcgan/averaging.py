"""The exponential moving average of a generator's weights, and batch statistics to go with it."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from cosmogan_jax.emulators.dcgan.networks import BATCH_NORM_DECAY, Networks, Variables
from cosmogan_jax.emulators.dcgan.state import AVERAGED_OVER, NetState
from cosmogan_jax.emulators.moving_average import moved

_BATCH = 64
_BATCHES = AVERAGED_OVER // _BATCH


def averaged(ema: NetState, gen: NetState, step: Int[Array, ""], decay: float) -> NetState:
    """Return the average (`moving_average.moved`) of parameters and running batch statistics alike."""
    return NetState(
        moved(ema.params, gen.params, step, decay), moved(ema.batch_stats, gen.batch_stats, step, decay), ()
    )


def with_own_statistics(
    networks: Networks, gen: NetState, key: Array, t: Float[Array, "maps parameters"] | None = None
) -> NetState:
    """Return a generator with batch statistics of its very parameters: means over batches that it makes.

    Running averages belong to the parameters of many steps. An average of parameters makes features of another
    mean and variance than any of these steps, and normalised by averages of the steps' statistics its maps are
    off (experiments/007-instability); Izmailov et al. (2018, Sect. 3.2) do as is done here. `key` gives the z;
    t are parameters of AVERAGED_OVER maps, where the networks are given any.
    """
    of_batches = []
    for batch in range(_BATCHES):
        number = jnp.arange(batch * _BATCH, (batch + 1) * _BATCH)
        z = _latents(key, number, networks.arch.latent_size)
        of_maps = None if t is None else t[number]
        of_batches.append(_moments(networks, gen.params, gen.batch_stats, z, of_maps))
    mean = jax.tree.map(lambda *values: sum(values) / _BATCHES, *of_batches)
    return dataclasses.replace(gen, batch_stats=mean)


def _latents(key: Array, number: Int[Array, " maps"], latent_size: int) -> Float[Array, "maps latent"]:
    """Draw z of the maps that the statistics are of; no map of a seed, though drawn alike."""
    return jax.vmap(lambda n: jax.random.normal(jax.random.fold_in(key, n), (latent_size,), jnp.float32))(
        number
    )


@functools.partial(jax.jit, static_argnums=0)
def _moments(
    networks: Networks,
    params: Variables,
    like: Variables,
    z: Float[Array, "batch latent"],
    t: Float[Array, "batch parameters"] | None,
) -> Variables:
    """Return mean and variance of a batch at every batch norm."""
    none = jax.tree.map(jnp.zeros_like, like)
    _, moved = networks.gen.apply(params, none, z, t, train=True)
    return jax.tree.map(lambda value: value / (1 - BATCH_NORM_DECAY), moved)
