"""Maps of an emulator as analyses see them: with shape noise of the source galaxies, and smoothed.

    seen = smooth(kappa + noise),    of the very maps that are made without

Noise comes from keys of its own: with `key` the root of a seed's latents, map n's from

    fold_in(fold_in(key, 2**32 - 1), n)

a number that no map has. So map n of a seed has one convergence and one draw of the noise, whatever is asked
for beside. Every source bin has noise of its own, as each galaxy is in one. Kinds that know what lies around a
map are smoothed there too and cut: no border is seen. Of the others opposite borders are neighbours, as
evaluate sees all maps (`summaries/observer.py`).
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from cosmogan_jax.emulators.interface import Model, num_bins
from cosmogan_jax.geometry import MapGeometry
from cosmogan_jax.summaries.observer import GalaxyNoise, margin_of, smooth_inside

_STREAM = np.uint32(2**32 - 1)


class Look(NamedTuple):
    """A way of seeing maps; hashable, so that it can be static to jit.

    Attributes:
      pixels: whose size counts.
      margin: pixels on every side that the maps have more than is shown of them.
    """

    pixels: MapGeometry
    noise: GalaxyNoise | None
    smoothing_arcmin: float
    margin: int


def look_of(
    model: Model,
    pixels: MapGeometry,
    size: tuple[int, int],
    noise: GalaxyNoise | None,
    smoothing_arcmin: float,
) -> Look | None:
    """Return how maps of height x width pixels are seen; None where they are shown as they are.

    Raises:
      ValueError: another noise than a `GalaxyNoise`, or of another number of source bins than the model's;
        smoothing that is negative, not finite, or too wide for the maps.
    """
    if noise is not None and not isinstance(noise, GalaxyNoise):
        raise ValueError(f"noise={noise!r} must be a GalaxyNoise")
    if noise is not None:
        noise.of_bins(num_bins(model))
    if not 0 <= smoothing_arcmin < np.inf:
        raise ValueError(f"smoothing_arcmin={smoothing_arcmin} must be 0 or positive, and finite")
    if noise is None and not smoothing_arcmin:
        return None
    margin, widest, side = margin_of(pixels, smoothing_arcmin), model.widest_margin(*size), min(size)
    if not widest:
        if smoothing_arcmin >= side * pixels.pixel_arcmin:
            raise ValueError(
                f"smoothing_arcmin={smoothing_arcmin:g} leaves nothing of maps {side * pixels.pixel_arcmin:g} "
                "arcmin wide"
            )
        margin = 0
    elif margin > widest:
        raise ValueError(
            f"smoothing_arcmin={smoothing_arcmin:g} needs {margin} pixels around maps of {size[0]}x{size[1]},"
            f" of which {widest} are made: larger maps can be smoothed so"
        )
    return Look(pixels, noise, float(smoothing_arcmin), margin)


def look_at(
    kappa: Float[Array, "maps tall wide bins"], look: Look, key: Array, index: Int[Array, " maps"]
) -> Float[Array, "maps height width bins"]:
    """Return maps of these numbers, which have the look's margin, as they are seen; key: of their latents."""
    if look.noise is not None:
        root = jax.random.fold_in(key, _STREAM)
        shape = kappa.shape[1:]
        white = jax.vmap(lambda n: _white(jax.random.fold_in(root, n), shape, look.margin))(index)
        # One number, or one of each source bin, which are the last axis.
        kappa = kappa + jnp.float32(look.noise.sigma(look.pixels)) * white
    smoothed = smooth_inside(jnp.moveaxis(kappa, -1, 1), look.pixels, look.smoothing_arcmin, look.margin)
    return jnp.moveaxis(smoothed, 1, -1)


def _white(key: Array, shape: tuple[int, ...], margin: int) -> Float[Array, "tall wide bins"]:
    """Draw the noise of one map: within it the same numbers whatever the margin."""
    inside, around = (jax.random.fold_in(key, n) for n in (0, 1))
    tall, wide, bins = shape
    white = jax.random.normal(inside, (tall - 2 * margin, wide - 2 * margin, bins), jnp.float32)
    if not margin:
        return white
    border = jax.random.normal(around, shape, jnp.float32)
    return border.at[margin:-margin, margin:-margin].set(white)
