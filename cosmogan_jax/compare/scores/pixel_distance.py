"""Distance between the pooled pixel distributions of two ensembles: the paper's stopping score.

A distance, not a p-value: pixels of one map are not independent, so a KS probability of pooled pixels would
mean nothing.
"""

from typing import NamedTuple

import numpy as np
from jax import numpy as jnp
from jaxtyping import Array, Float, UInt

# Bins across the reference's range. With a range of about 15 sigma a bin at the peak holds 7e-4 of the pixels,
# which bounds the error of the distance.
NUM_BINS = 8192
_TAIL = 1e-5


class PixelBins(NamedTuple):
    """NUM_BINS equal bins from low to high, and one open bin beyond each end."""

    low: float
    high: float


class PixelKS(NamedTuple):
    """Bounds of the Kolmogorov-Smirnov distance: at the bins' edges, and at most within the bins."""

    distance: Float[Array, ""]
    at_most: Float[Array, ""]


def pixel_ks(one: Float[Array, "..."], two: Float[Array, "..."]) -> Float[Array, ""]:
    """Return sup_x |F_1(x) - F_2(x)| of all pixels of two ensembles, by sorting; NaN if any pixel is."""
    one, two = jnp.sort(one.ravel()), jnp.sort(two.ravel())
    # In the order of values; of equal ones only the last says where both distribution functions stand.
    both = jnp.concatenate([one, two])
    order = jnp.argsort(both, stable=True)
    value = both[order]
    of_one = jnp.cumsum(order < one.size)
    of_two = jnp.arange(1, both.size + 1) - of_one
    gap = jnp.abs(of_one / one.size - of_two / two.size)
    last = jnp.append(value[1:] != value[:-1], True)
    return jnp.where(jnp.isnan(value[-1]), jnp.nan, jnp.max(jnp.where(last, gap, 0)))


def pixel_bins(reference: Float[np.ndarray, "..."]) -> PixelBins:
    """Return bins for the pixels of a reference ensemble (or a fair sample of it).

    They span its quantiles 1e-5 and 1 - 1e-5 and half as much on either side.

    Raises:
      ValueError: a reference that is constant or not finite.
    """
    low, high = (float(q) for q in np.quantile(reference, [_TAIL, 1 - _TAIL]))
    if not (np.isfinite(low) and np.isfinite(high) and high > low):
        raise ValueError(f"pixels between {low} and {high} have no distribution to compare with")
    margin = 0.5 * (high - low)
    return PixelBins(low - margin, high + margin)


def count_pixels(bins: PixelBins, kappa: Float[Array, "..."]) -> UInt[Array, " counts"]:
    """Count the pixels in each bin, and NaN last. Counts of batches add up, to 2^32 - 1 pixels."""
    scaled = (kappa.ravel() - bins.low) * (NUM_BINS / (bins.high - bins.low))
    index = jnp.clip(jnp.floor(scaled) + 1, 0, NUM_BINS + 1)
    index = jnp.where(jnp.isnan(scaled), NUM_BINS + 2, index).astype(jnp.int32)
    return jnp.zeros(NUM_BINS + 3, jnp.uint32).at[index].add(jnp.uint32(1))


def histogram_ks(one: UInt[Array, " counts"], two: UInt[Array, " counts"]) -> PixelKS:
    """Return the KS distance of two ensembles, with its bounds, from `count_pixels` with the same bins.

    The map from a pixel to its bin is monotone, so both distribution functions are exact at every edge. Inside
    bin h, F_1 - F_2 is at most F_1(right edge) - F_2(left edge), and F_2 - F_1 alike: that gives at_most.
    NaN if any pixel is.
    """
    (one, bad_one), (two, bad_two) = (one[:-1], one[-1]), (two[:-1], two[-1])

    def edges(counts):
        # Summed as integers: exact.
        below = jnp.append(jnp.zeros(1, jnp.uint32), jnp.cumsum(counts, dtype=jnp.uint32))
        return below.astype(jnp.float32) / below[-1].astype(jnp.float32)

    f, g = edges(one), edges(two)
    distance = jnp.max(jnp.abs(f - g))
    at_most = jnp.max(jnp.maximum(f[1:] - g[:-1], g[1:] - f[:-1]))
    good = (bad_one == 0) & (bad_two == 0)
    return PixelKS(jnp.where(good, distance, jnp.nan), jnp.where(good, at_most, jnp.nan))
