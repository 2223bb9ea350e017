"""Maps in the units in which networks see them and statistics are matched: those of a base."""

import jax.numpy as jnp
from jaxtyping import Array, Float

from cosmogan_jax.emulators.lognormal_gan import joint_base
from cosmogan_jax.emulators.lognormal_gan.base import Base
from cosmogan_jax.emulators.lognormal_gan.joint_base import JointBase

AnyBase = Base | JointBase


def base_axes(base: AnyBase) -> int:
    """Count the axes of maps that a base has: 1 where every map is of its own, else 0."""
    return base.mean.ndim if isinstance(base, Base) else base.each.mean.ndim - 1


def units(x: Float[Array, "batch size size *bins"], base: AnyBase) -> Float[Array, "batch size size *bins"]:
    """Convert maps from network units to units of the training maps' sigma about their mean.

    Of several bins, of the sigma of each bin's own part (`bins_apart.py`).
    """
    if isinstance(base, JointBase):
        return joint_base.in_units(x, base)
    return (x - base.mean[..., None, None]) / jnp.maximum(base.sigma[..., None, None], 1e-30)


def judged(
    u: Float[Array, "batch size size *bins"], base: AnyBase
) -> Float[Array, "batch size size *bins_and_sums"]:
    """Return what a discriminator sees of maps in these units, and what is matched of them.

    Of several bins, behind each bin's own part, the bins as they are: of a far one the part is what no nearer
    one has, and errors of the parts that no one of them tells add up in their sum.
    """
    return joint_base.with_bins_as_they_are(u, base) if isinstance(base, JointBase) else u


def num_sums(num_bins: int) -> int:
    """Count what `judged` puts behind the bins."""
    return num_bins - 1
