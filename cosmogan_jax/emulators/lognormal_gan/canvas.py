"""Windows on the waves of a periodic canvas, on which fields are made."""

import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Array, Float

from cosmogan_jax.emulators.lognormal_gan.base import Base
from cosmogan_jax.emulators.lognormal_gan.waves import LARGEST_WAVE, NUM_WAVES, cos_4_phi, wave_numbers
from cosmogan_jax.geometry import half_plane_weights


def gaussian(k: Float[np.ndarray, "..."], scale: float) -> Float[np.ndarray, "..."]:
    """Return exp(-(k scale)^2 / 2)."""
    return np.exp(-0.5 * (k * np.float32(scale)) ** 2)


class Canvas:
    """Windows on the half plane of a periodic canvas."""

    def __init__(self, shape: tuple[int, ...]):
        self.shape = shape[0], shape[1]
        half = shape[1] // 2 + 1
        self.k = wave_numbers(self.shape)[:, :half].astype(np.float32)
        # Of one row, which all share: programs, and their bits, are those of the first trainings.
        self._weight = (half_plane_weights(self.shape)[0] / (shape[0] * shape[1])).astype(np.float32)

    def at_waves(self, table: Float[Array, "waves *more"]) -> Float[Array, "height half *more"]:
        """Interpolate a table of wave numbers linearly."""
        place = self.k / np.float32(LARGEST_WAVE) * (NUM_WAVES - 1)
        low = np.minimum(place.astype(np.int32), NUM_WAVES - 2)
        share = place - low
        below, above = (1 - share).astype(np.float32), share.astype(np.float32)
        if table.ndim > 1:
            below, above = (v.reshape(*v.shape, *(1,) * (table.ndim - 1)) for v in (below, above))
        return table[low] * below + table[low + 1] * above

    def directed(self, table: Float[Array, " waves"], base: Base) -> Float[Array, "height half"]:
        """Interpolate it, with more along axes than along diagonals where the base tells directions apart."""
        of_ring = self.at_waves(table)
        if base.fourfold is None:
            return of_ring
        cosine = cos_4_phi(self.shape)[:, : self.k.shape[1]].astype(np.float32)
        return of_ring * jnp.exp(self.at_waves(base.fourfold) * cosine)

    def gaussian(self, scale: float) -> Float[np.ndarray, "height half"]:
        """Return exp(-(k scale)^2 / 2)."""
        return gaussian(self.k, scale)

    def unit(self, window: ArrayLike) -> Float[Array, "height half"]:
        """Return the window that gives white noise of variance 1 a variance of 1."""
        window = jnp.asarray(window)
        return window / jnp.sqrt((window**2 * self._weight).sum())
