"""The exponential moving average of a generator's weights."""

import math

import jax
import jax.numpy as jnp
from jaxtyping import Array, Int

from cosmogan_jax.gan.state import NetState


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
