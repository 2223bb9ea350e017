"""One map after the other on a CPU, all at once on an accelerator."""

from collections.abc import Callable
from typing import Any

import jax
from jax import numpy as jnp
from jaxtyping import Array, Bool, Float


def over_maps(
    statistic: Callable[..., Any],
    kappa: Float[Array, "*batch height width"],
    mask: Bool[Array, "*batch height width"] | None = None,
) -> Any:
    """statistic(map), or with a mask statistic(map, its mask), with the batch axes in front of each result.

    Pixels outside the mask are 0 in what the statistic sees.

    On a CPU a map and what is computed from it stay in the cache when maps are taken in turn: vmapped,
    statistics of 256^2 maps take two to three times as long (experiments/benchmarks/summaries.py).
    """
    if mask is not None:
        # The mask travels below its map: both are cut along the same batch axes.
        height = kappa.shape[-2]
        joined = jnp.concatenate([jnp.where(mask, kappa, 0), mask.astype(kappa.dtype)], axis=-2)
        return over_maps(lambda both: statistic(both[:height], both[height:] > 0), joined)
    batch = kappa.shape[:-2]
    flat = kappa.reshape(-1, *kappa.shape[-2:])

    def in_turn(maps):
        # Two or four maps side by side in the loop's body compile 1.3 and 1.7 times as long and are no faster
        # (experiments/benchmarks/README.md).
        return jax.lax.map(statistic, maps)

    at_once = jax.vmap(statistic)
    if not len(flat):
        result = at_once(flat)
    else:
        result = jax.lax.platform_dependent(flat, cpu=in_turn, default=at_once)
    return jax.tree.map(lambda leaf: leaf.reshape(*batch, *leaf.shape[1:]), result)
