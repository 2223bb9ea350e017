"""One map after the other on a CPU, all at once on an accelerator."""

from collections.abc import Callable
from typing import Any

import jax
from jax import numpy as jnp
from jaxtyping import Array, Bool, Float

# Maps written out side by side in the loop's body; their operations are independent. Four are no faster on two
# cores, and take nearly twice as long to compile (experiments/benchmarks/README.md).
_AT_ONCE = 2


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
        def side_by_side(group):
            results = [statistic(map_) for map_ in group]
            return jax.tree.map(lambda *leaves: jnp.stack(leaves), *results)

        whole = len(maps) - len(maps) % _AT_ONCE
        parts = []
        if whole:
            looped = jax.lax.map(side_by_side, maps[:whole].reshape(-1, _AT_ONCE, *maps.shape[1:]))
            parts.append(jax.tree.map(lambda leaf: leaf.reshape(-1, *leaf.shape[2:]), looped))
        if whole < len(maps):
            parts.append(side_by_side(maps[whole:]))
        return jax.tree.map(lambda *leaves: jnp.concatenate(leaves), *parts)

    at_once = jax.vmap(statistic)
    if not len(flat):
        result = at_once(flat)
    else:
        result = jax.lax.platform_dependent(flat, cpu=in_turn, default=at_once)
    return jax.tree.map(lambda leaf: leaf.reshape(*batch, *leaf.shape[1:]), result)
