"""Heights of training maps averaged over large blocks of pixels: where structures as wide as a map are rare.

Of sources so near that one halo fills a map, a hundredth of the maps holds a tenth of the power of their
longest waves. Shares of small blocks above heights do not see it: their heights follow from what one map has.
Here they are those that shares of all maps' blocks lie above, together.
"""

from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from cosmogan_jax.summaries.pixels import block_means

SIDES = (8, 16)  # pixels
_SHARES_ABOVE = (0.99, 0.9, 0.7, 0.5, 0.3, 0.15, 0.07, 0.03, 0.01, 0.004, 0.0015)


def blocks(maps: Any) -> list[Any]:
    """Return JAX's or NumPy's maps averaged over blocks of each side, of smaller maps over all of a map."""
    return [block_means(maps, min(side, maps.shape[-1])) for side in SIDES]


def rows_of_blocks(maps: Float[Array, "batch size size"]) -> Float[Array, "batch blocks"]:
    """Return `blocks` in a row, of which `of_rows` finds the heights."""
    return jnp.concatenate([means.reshape(len(means), -1) for means in blocks(maps)], -1)


def of_rows(rows: Float[np.ndarray, "maps blocks"], size: int) -> Float[Array, "sides heights"]:
    """Return the heights that given shares of all blocks lie above, of maps of this size."""
    counts = [(size // min(side, size)) ** 2 for side in SIDES]
    of_sides = np.split(rows, np.cumsum(counts)[:-1], axis=1)
    below = 1 - np.asarray(_SHARES_ABOVE)
    return jnp.asarray([np.quantile(own, below) for own in of_sides], jnp.float32)


def unmeasured() -> Float[Array, "sides heights"]:
    """Return heights of the shape that `of_rows` gives."""
    return jnp.tile(jnp.linspace(-1.0, 1.0, len(_SHARES_ABOVE)), (len(SIDES), 1))
