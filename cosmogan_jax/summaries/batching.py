"""Ways of going through many maps: one after the other on a CPU, or in batches of one size."""

from collections.abc import Callable
from typing import Any

import jax
import numpy as np
from jax import numpy as jnp
from jaxtyping import Array, Bool, Float


def over_maps(
    statistic: Callable[..., Any],
    kappa: Float[Array, "*batch height width"],
    mask: Bool[Array, "*batch height width"] | None = None,
) -> Any:
    """Compute statistic(map), or with a mask statistic(map, its mask); batch axes stand in front of results.

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


def in_batches(function: Callable[..., Any], *arrays: Array | np.ndarray, size: int = 64) -> Any:
    """Compute a function of arrays of maps, `size` maps at a time: one program whatever their number.

    The last batch is filled up with its last map. What the function gives has an axis of maps first, and is
    joined on the host if it is NumPy's, else on the device.
    """
    count = len(arrays[0])
    results = []
    for start in range(0, count, size):
        index = np.minimum(np.arange(start, start + size), count - 1)
        results.append(function(*(jnp.asarray(array[index], jnp.float32) for array in arrays)))
    join = np.concatenate if isinstance(results[0], np.ndarray) else jnp.concatenate
    return join(results)[:count]
