"""Shear of an emulator's maps: from canvases larger than they are, transformed there and cut afterwards."""

from jax import numpy as jnp
from jaxtyping import Array, Float

from cosmogan_jax.summaries.shear import Shear, shear_of_canvas


def canvas_pixels(num_pixels: int, canvas: int) -> int:
    """Return the side of the canvas of a map.

    Raises:
      ValueError: canvas is not a whole number of at least 2.
    """
    if type(canvas) is not int or canvas < 2:
        raise ValueError(f"canvas={canvas!r} must be a whole number of sides, 2 or more")
    return canvas * num_pixels


def cut_with_shear(kappa: Float[Array, "maps canvas canvas bins"], num_pixels: int) -> Shear:
    """Cut the middle of canvases and of its shear, (maps, num_pixels, num_pixels, bins) each."""
    cut = shear_of_canvas(jnp.moveaxis(kappa, -1, -3), num_pixels, num_pixels)
    return Shear(*(jnp.moveaxis(maps, -3, -1) for maps in cut))
