"""What a loss can match of several source bins together (`matching.py`): smooth in the pixels, a row a map.

Matched beside what `--match` names of each bin, whenever maps are of several bins.
"""

import itertools
from collections.abc import Callable

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from cosmogan_jax.emulators import joint_bands
from cosmogan_jax.emulators.bands import POOLED
from cosmogan_jax.emulators.joint_bands import JointScale
from cosmogan_jax.summaries.pixels import block_means
from cosmogan_jax.summaries.roughness import log_squared_gradients

_ROUGH = (1, 2)  # pixels that are averaged before they are compared with the next ones
_LARGEST_PIXEL = 6.0  # standard deviations: the third power of one halo's pixel is no map's

JointStatistic = Callable[[Float[Array, "batch size size bins"], JointScale], Float[Array, "batch numbers"]]


def _cross_power(x, scale):
    """Return linear cross power of rings, the mean of which is the spectrum; in units of what is typical."""
    return (joint_bands.cross_power(x) / scale.typical_cross_power(x.shape[-1])).reshape(len(x), -1)


def _coherence(x, scale):
    """Return Fisher's z of every pair and ring: where bins share nearly all, powers say little of the rest."""
    return joint_bands.shared(x).reshape(len(x), -1)


def _joint_roughness(x, scale):
    """Return <|grad u_i|^2 u_j>, <l_i^2 l_j> and <l_i^2 l_j^2> of all bins, of pixels and of means of 2x2.

    Where one bin is rough another is high, or curved: slabs of matter that both see. grad u is the difference
    to the next pixel along either axis, l four times a pixel less its four neighbours; all are limited. Those
    of one bin are among them: shares of wavelets above heights know of them, but as one of many. Last stand
    logarithms of |grad u_i|^2 by height of u_j, of every two different bins (`summaries/roughness.py`).
    """
    first, second = np.triu_indices(x.shape[-1])
    moments = []
    for pixels in _ROUGH:
        u = jnp.stack([block_means(maps, pixels) for maps in jnp.moveaxis(x, -1, 0)], -1)
        here, below, right = u[:, :-1, :-1], u[:, 1:, :-1], u[:, :-1, 1:]
        squares = (below - here) ** 2 + (right - here) ** 2
        around = u[:, 2:, 1:-1] + u[:, :-2, 1:-1] + u[:, 1:-1, 2:] + u[:, 1:-1, :-2]
        curved = _limited(4 * u[:, 1:-1, 1:-1] - around)
        rough = _LARGEST_PIXEL * _limited(squares / _LARGEST_PIXEL)
        moments.append(_products(rough, _limited((here + below + right) / 3)).reshape(len(x), -1))
        moments.append(_products(curved**2, curved).reshape(len(x), -1))
        moments.append(_products(curved**2, curved**2)[:, first, second])
    maps = jnp.moveaxis(x, -1, 0)
    moments += [log_squared_gradients(maps[i], maps[j]) for i, j in itertools.permutations(range(len(maps)), 2)]
    return jnp.concatenate(moments, -1)


def _products(ours, theirs):
    """Return <a_i b_j> over the pixels of every map."""
    return jnp.einsum("bxyi,bxyj->bij", ours, theirs, precision="highest") / (ours.shape[1] * ours.shape[2])


def _limited(values):
    """Return L tanh(x / L), L = 6: x but for the highest peaks, whose third power would outweigh all others."""
    return _LARGEST_PIXEL * jnp.tanh(values / _LARGEST_PIXEL)


def _joint_moments(x, scale):
    """Return <u_i^2 u_j> of every two different bins, of maps averaged over blocks of pixels.

    u is the pixel in standard deviations, limited.
    """
    first, second = np.nonzero(~np.eye(x.shape[-1], dtype=bool))
    moments = []
    for pixels in POOLED:
        u = jnp.stack([block_means(maps, pixels) for maps in jnp.moveaxis(x, -1, 0)], -1)
        u = _limited(u)
        moments.append(_products(u**2, u)[:, first, second])
    return jnp.concatenate(moments, -1)


JOINT_STATISTICS: dict[str, JointStatistic] = {
    "cross_power": _cross_power,
    "coherence": _coherence,
    "joint_moments": _joint_moments,
    "joint_roughness": _joint_roughness,
}
