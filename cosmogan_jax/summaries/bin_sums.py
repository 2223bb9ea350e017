"""Sums over bins, of a map's modes or pixels, with the same bits every time.

On a CPU they are added one after the other (`segment_sum`). Other devices would do that by atomic additions,
whose order, and with it the last bits, changes from run to run, and which wait for each other where bins are
few. There, modes, whose bins are known beforehand, are gathered in rows of one bin each and the rows added up;
and pixels, whose bins follow from the map, are selected bin by bin, in one pass that the compiler fuses.
"""

import jax
import numpy as np
from jax import numpy as jnp
from jaxtyping import Array, Float, Int

# Values in a row of the table; half a row a bin is padding.
_ROW = 64


def of_known_bins(
    values: Float[Array, "*batch values"], bins: Int[np.ndarray, " values"], num_bins: int
) -> Float[Array, "*batch bins"]:
    """Sum of the values of each bin 0 to num_bins - 1; what has another number is in none. 0 for empty ones."""
    # What is in no bin is gathered in one more, which is dropped.
    target = np.where((bins >= 0) & (bins < num_bins), bins, num_bins)

    def one_by_one(values):
        sums = jax.ops.segment_sum(jnp.moveaxis(values, -1, 0), jnp.asarray(target), num_bins + 1)[:-1]
        return jnp.moveaxis(sums, 0, -1)

    return jax.lax.platform_dependent(
        values, cpu=one_by_one, default=lambda values: by_rows(values, target, num_bins)
    )


def of_pixels(
    values: Float[Array, "kinds pixels"], index: Int[Array, " pixels"], num_bins: int
) -> Float[Array, "kinds bins"]:
    """Sum of each kind of value over the pixels of each bin; num_bins some dozens."""

    def one_by_one(values, index):
        return jnp.stack([jax.ops.segment_sum(kind, index, num_bins) for kind in values])

    return jax.lax.platform_dependent(
        values, index, cpu=one_by_one, default=lambda values, index: by_selection(values, index, num_bins)
    )


def by_rows(
    values: Float[Array, "*batch values"], bins: Int[np.ndarray, " values"], num_bins: int
) -> Float[Array, "*batch bins"]:
    """Compute `of_known_bins` by two gathers, bins sorted beforehand."""
    order = np.argsort(bins, kind="stable")
    order = order[bins[order] < num_bins]
    while True:
        counts = np.bincount(bins[order], minlength=num_bins)
        longest = max(int(counts.max(initial=1)), 1)
        width = min(_ROW, longest)
        rows = -(-counts // width)
        table = np.full((int(rows.sum()), width), values.shape[-1])  # the value that `_with_zero` appends
        first = np.repeat(np.cumsum(rows) - rows, counts)
        place = np.arange(len(order)) - np.repeat(np.cumsum(counts) - counts, counts)
        table[first + place // width, place % width] = order
        values = _with_zero(values)[..., table].sum(-1)
        bins, order = np.repeat(np.arange(num_bins), rows), np.arange(len(table))
        if longest <= width:
            break
    full = np.full(num_bins, values.shape[-1])
    full[bins] = order
    return _with_zero(values)[..., full]


def _with_zero(values: Float[Array, "*batch values"]) -> Float[Array, "*batch more"]:
    return jnp.concatenate([values, jnp.zeros((*values.shape[:-1], 1), values.dtype)], axis=-1)


def by_selection(
    values: Float[Array, "kinds pixels"], index: Int[Array, " pixels"], num_bins: int
) -> Float[Array, "kinds bins"]:
    """Compute `of_pixels` by comparing every pixel's bin with every bin."""
    mine = index == jnp.arange(num_bins, dtype=index.dtype)[:, None]
    return jnp.where(mine, values[:, None], jnp.zeros((), values.dtype)).sum(-1)
