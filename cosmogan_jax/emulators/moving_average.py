"""The exponential moving average of weights over steps."""

import math
from typing import TypeVar

import jax
import jax.numpy as jnp
from jaxtyping import Array, Int

Tree = TypeVar("Tree")


def moved(average: Tree, weights: Tree, step: Int[Array, ""], decay: float) -> Tree:
    """Return the average after step `step` (from 1), from the one before and the weights the step left.

        a_n = sum_k d^(n-k) w_k / sum_k d^(n-k) = a_(n-1) + (1 - d) / (1 - d^n) (w_n - a_(n-1)),  k = 1 ... n

    with d the decay: Adam's correction for the short past (Kingma & Ba 2015, Sect. 3), so that the initial
    weights never count.
    """
    # 1 - d^n without cancellation where d is near 1; log(d) in the host's double precision.
    share = (1.0 - decay) / -jnp.expm1(step * math.log(decay))
    return jax.tree.map(lambda a, w: a + share.astype(a.dtype) * (w - a), average, weights)
