"""Maps along great circles between two z, and how smoothly they change.

A generator that has learned a distribution turns one map into another by small changes; one that has memorised
maps rests at them and jumps between.
"""

from typing import NamedTuple

import jax
import numpy as np
from jax import numpy as jnp
from jaxtyping import Array, Float

from cosmogan_jax.emulators.interface import Latent


class Smoothness(NamedTuple):
    """Steps s_k = rms(kappa_(k+1) - kappa_k) along a path, beside the distance D of independent maps.

    largest_over_mean: max s / mean s; 1 for even steps.
    largest_over_independent: max s / D; small for fine paths, about 1 where two maps are jumped between.
    length: sum s / D; the path's length in units of the distance of independent maps.
    halving: max s at twice as many steps / max s at these; 1/2 for a smooth path, 1 for a jump.
    """

    steps: Float[np.ndarray, "paths steps"]
    largest_over_mean: Float[np.ndarray, " paths"]
    largest_over_independent: Float[np.ndarray, " paths"]
    length: Float[np.ndarray, " paths"]
    halving: Float[np.ndarray, " paths"]


def slerp(
    start: Float[Array, "... latent"], stop: Float[Array, "... latent"], t: Float[Array, "..."]
) -> Float[Array, "... latent"]:
    """Interpolate directions on the sphere (Shoemake 1985), with linearly changing length.

        u(t) = [sin((1 - t) w) u_0 + sin(t w) u_1] / sin w,    w the angle between the unit vectors u_0 and u_1
        z(t) = ((1 - t) |z_0| + t |z_1|) u(t)

    A straight line between two Gaussian z passes through lengths that a Gaussian z never has (White 2016); this
    path does not. Computed as cos(t w) u_0 + sin(t w) p, p the part of u_1 across u_0, which is the same and
    holds at both ends: equal directions (w = 0) give u_0 throughout. Opposite ones (w = pi) have no shortest
    path; the one taken passes p = the axis along which u_0 is least, made perpendicular to u_0. An end of
    length 0 has no direction: NaN.
    """
    lengths = [jnp.linalg.norm(z, axis=-1, keepdims=True) for z in (start, stop)]
    u0, u1 = start / lengths[0], stop / lengths[1]
    # From the chord and its complement: exact for small angles too, where the cosine's rounding would be all.
    chord, across = (jnp.linalg.norm(u, axis=-1, keepdims=True) for u in (u1 - u0, u1 + u0))
    angle = 2 * jnp.arctan2(chord, across)

    def perpendicular(v):
        return v - (v * u0).sum(-1, keepdims=True) * u0

    axis = jnp.abs(u0).argmin(-1)[..., None] == jnp.arange(u0.shape[-1])
    # Near an end the part across u_0 is rounding; the angle and its opposite are then as good as met.
    across_u0, spare = perpendicular(u1), perpendicular(axis.astype(u0.dtype))
    small = jnp.linalg.norm(across_u0, axis=-1, keepdims=True) < 1e-5
    p = jnp.where(small, spare, across_u0)
    p = perpendicular(p / jnp.linalg.norm(p, axis=-1, keepdims=True))
    angle = jnp.where(small, jnp.where(chord < 1, 0.0, jnp.pi), angle)
    t = jnp.asarray(t)[..., None]
    direction = jnp.cos(t * angle) * u0 + jnp.sin(t * angle) * p / jnp.linalg.norm(p, axis=-1, keepdims=True)
    return ((1 - t) * lengths[0] + t * lengths[1]) * direction


def paths(starts: Latent, stops: Latent, num_steps: int) -> Latent:
    """Return latents at num_steps + 1 even points from each start to its stop, both included.

    Latents are pytrees of arrays with an axis of paths first, to which comes one of points after it. Every leaf
    of a latent is one vector, a field too: what is random in it is a point on a sphere of as many dimensions as
    it has numbers, of whatever scale.

    Raises:
      ValueError: num_steps is not positive.
    """
    if num_steps < 1:
        raise ValueError(f"num_steps={num_steps} must be positive")
    t = jnp.linspace(0, 1, num_steps + 1)

    def along(start: Array, stop: Array) -> Array:
        first, last = (leaf.reshape(len(leaf), 1, -1) for leaf in (start, stop))
        return slerp(first, last, t).reshape(len(start), num_steps + 1, *start.shape[1:])

    return jax.tree.map(along, starts, stops)


def smoothness(
    kappa: Float[np.ndarray, "paths points size size"], independent: Float[np.ndarray, "maps size size"]
) -> Smoothness:
    """Measure steps along paths; D is the median rms difference of independent maps, each to the next.

    The points are an odd number, as of `paths` with an even num_steps: every second one is the coarser path
    of `halving`. A path that does not move has steps of 0, and NaN for what they are compared with.

    Raises:
      ValueError: fewer than three points or an even number, fewer than two independent maps.
    """
    num_points = kappa.shape[1]
    if num_points < 3 or num_points % 2 == 0 or len(independent) < 2:
        raise ValueError(
            f"{num_points} points and {len(independent)} independent maps: an odd number of points from 3 on, "
            "and two maps, are needed"
        )
    kappa = np.asarray(kappa, np.float64)
    apart = np.median(_rms(np.diff(np.asarray(independent, np.float64), axis=0)))
    steps, coarse = (_rms(np.diff(path, axis=1)) for path in (kappa, kappa[:, ::2]))
    with np.errstate(divide="ignore", invalid="ignore"):
        return Smoothness(
            steps,
            steps.max(1) / steps.mean(1),
            steps.max(1) / apart,
            steps.sum(1) / apart,
            steps.max(1) / coarse.max(1),
        )


def _rms(difference: np.ndarray) -> np.ndarray:
    return np.sqrt((difference**2).mean((-2, -1)))
