"""Mean and standard deviation at every pixel position over an ensemble of any size, batch by batch."""

from typing import NamedTuple

import jax
from jax import numpy as jnp
from jaxtyping import Array, Float

from cosmogan_jax.summaries.edges import check_kappa


class PositionMoments(NamedTuple):
    """Maps so far, their mean at each pixel, and the sum of squared deviations from it."""

    count: Float[Array, ""]  # type: ignore[assignment]  # hides tuple's own, which is of no use here
    mean: Float[Array, "height width"]
    m2: Float[Array, "height width"]

    @property
    def sigma(self) -> Float[Array, "height width"]:
        """Return the standard deviation at each pixel, divisor N - 1; NaN of fewer than two maps."""
        return jnp.sqrt(self.m2 / jnp.where(self.count > 1, self.count - 1, jnp.nan))


def no_maps(shape: tuple[int, int], dtype=jnp.float32) -> PositionMoments:
    """Return the moments of no maps, to which others are added."""
    return PositionMoments(jnp.zeros((), dtype), jnp.zeros(shape, dtype), jnp.zeros(shape, dtype))


def add_maps(moments: PositionMoments, kappa: Float[Array, "maps height width"]) -> PositionMoments:
    """Return the moments with the maps of a batch added.

    Deviations are taken from the batch's own mean and joined by `merge`: no difference of large sums, so
    float32 serves millions of maps.
    """
    kappa = check_kappa(kappa)
    count = jnp.asarray(kappa.shape[0], kappa.dtype)
    mean = _sum_over_maps(kappa) / count
    return merge(moments, PositionMoments(count, mean, _sum_over_maps((kappa - mean) ** 2)))


def _sum_over_maps(kappa: Float[Array, "maps height width"]) -> Float[Array, "height width"]:
    """Add up maps, on a CPU one by one: XLA's `sum(0)` reads a map's size apart, 20 times as long at 256^2."""

    def in_turn(maps):
        return jax.lax.scan(lambda total, one: (total + one, None), jnp.zeros_like(maps[0]), maps)[0]

    return jax.lax.platform_dependent(kappa, cpu=in_turn, default=lambda maps: maps.sum(0))


def merge(one: PositionMoments, two: PositionMoments) -> PositionMoments:
    """Return the moments of two ensembles together (Chan, Golub & LeVeque 1983, eq. 2.1).

    Of many pairs of ensembles at once where counts have the leading axes of the means, and two of length one;
    JAX's arrays or NumPy's.
    """
    total = one.count + two.count
    share = two.count / (total + (total == 0))
    change = two.mean - one.mean
    return PositionMoments(total, one.mean + change * share, one.m2 + two.m2 + change**2 * one.count * share)


def folded(position: Float[Array, "height width"], period: int) -> Float[Array, "period period"]:
    """Return the mean over positions that agree modulo `period`: what a pattern of that period leaves.

    Raises:
      ValueError: a side that is not a multiple of the period.
    """
    height, width = position.shape
    if period < 1 or height % period or width % period:
        raise ValueError(f"period={period} must divide the map's sides {height} and {width}")
    return position.reshape(height // period, period, width // period, period).mean((0, 2))
