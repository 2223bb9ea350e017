"""Scales of maps of several source bins: each bin's own (`bands.py`), and what every two bins share.

A discriminator sees, beside the log power of each bin's bands, for every two bins and ring

    z = arctanh(r),    r = Re <f_i f_j*> / sqrt(<|f_i|^2> <|f_j|^2>)

with means over the ring's modes of one map: Fisher's z, whose scatter from map to map, one over the root of the
number of modes, hardly depends on what bins share. Rings, of all directions, are half as many as bands: of four
bins six pairs are more than the four autos. All are whitened together, so that of bins which go up and down
together the differences count too.
"""

from collections.abc import Collection, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from cosmogan_jax.emulators import bands
from cosmogan_jax.emulators.bands import MapScale, share_of_modes, share_of_rings
from cosmogan_jax.emulators.trends import without_trend

_INSIDE = 0.999  # r is this many times nearer to 0: z of a ring whose few modes are alike stays below 4
_FAINT = 1e-8


class JointScale(NamedTuple):
    """Scales of training maps of several bins.

    Attributes:
      each: the bins' own, with a leading axis of bins, behind which sums of bins stand where maps have any.
      centre, whitening: of `spectral_numbers`, as a MapScale has them of its bands.
      trend: slopes of their mean in phi[1:], of emulators of several cosmologies.
      offset: by how much they are expected above the centre, of certain maps (`at`).
    """

    each: MapScale
    centre: Float[Array, " numbers"]
    whitening: Float[Array, "numbers numbers"]
    trend: Float[Array, "slopes numbers"] | None = None
    offset: Float[Array, "batch numbers"] | None = None

    def at(self, phi: Float[Array, "batch terms"]) -> "JointScale":
        """Return the scale of maps of these cosmologies, whose regressors phi begin with a constant."""
        if self.trend is None:
            return self
        each = jax.vmap(lambda own: own.at(phi))(self.each)
        return self._replace(each=each, offset=phi[:, 1:] @ self.trend)

    def about(self, x: Float[Array, "batch size size bins_and_sums"]) -> "JointScale":
        """Return the scale with every bin's rings, and every sum's, about these maps' own means."""
        return self._replace(each=jax.vmap(lambda own, maps: own.about(maps), (0, -1))(self.each, x))

    def whitened(self, numbers: Float[Array, "batch numbers"]) -> Float[Array, "batch numbers"]:
        """Return combinations of spectral numbers at mean 0, uncorrelated, of variance 1 at most."""
        numbers = numbers if self.offset is None else numbers - self.offset
        return (numbers - self.centre) @ self.whitening

    def typical_cross_power(self, num_bins: int) -> Float[Array, "*batch pairs rings"]:
        """Return the root of the product of what is typical of both bins' rings, of the first so many."""
        logs = self.each.ring_centre
        if self.each.ring_offset is not None:
            logs = jnp.moveaxis(logs[:, None] + self.each.ring_offset, 0, 1)
        first, second = pairs(num_bins)
        return jnp.exp((logs[..., first, :] + logs[..., second, :]) / 2)


def pairs(num_bins: int) -> tuple[Int[np.ndarray, " pairs"], Int[np.ndarray, " pairs"]]:
    """Return the first and the second bin of every pair, (0, 1), (0, 2), ... (1, 2), ...."""
    first, second = np.triu_indices(num_bins, 1)
    return first, second


def num_spectral_numbers(size: int, num_bins: int) -> int:
    """Count the numbers of `spectral_numbers`."""
    return num_bins * bands.num_bands(size) + len(pairs(num_bins)[0]) * share_of_rings(size).shape[1]


def spectral_numbers(x: Float[Array, "batch size size *bins"]) -> Float[Array, "batch numbers"]:
    """Return the log power of every band: of one bin; of several also z of every pair of bins and ring."""
    if x.ndim == 3:
        return bands.log_band_power(x)
    size, batch = x.shape[1], len(x)
    power, cross = _powers(x)
    logs = jnp.log(power @ share_of_modes(size) + _FAINT)
    z = _z(power @ share_of_rings(size), cross @ share_of_rings(size))
    return jnp.concatenate([logs.reshape(batch, -1), z.reshape(batch, -1)], -1)


def cross_power(x: Float[Array, "batch size size bins"]) -> Float[Array, "batch pairs rings"]:
    """Return Re f_i f_j* / N^2, averaged over each ring; of white noise of variance 1 that both share, 1."""
    return _powers(x)[1] @ share_of_rings(x.shape[1])


def shared(x: Float[Array, "batch size size bins"]) -> Float[Array, "batch pairs rings"]:
    """Return z above of every pair and ring."""
    shares = share_of_rings(x.shape[1])
    power, cross = _powers(x)
    return _z(power @ shares, cross @ shares)


def _powers(x: Array) -> tuple[Float[Array, "batch bins modes"], Float[Array, "batch pairs modes"]]:
    """Return |f|^2 / N^2 of every bin's modes of the half plane, and Re f_i f_j* / N^2 of every pair's."""
    size = x.shape[1]
    f = jnp.fft.rfft2(jnp.moveaxis(x, -1, 1)).reshape(len(x), x.shape[-1], -1) / size
    first, second = pairs(x.shape[-1])
    real, imaginary = f.real, f.imag
    cross = real[:, first] * real[:, second] + imaginary[:, first] * imaginary[:, second]
    return real**2 + imaginary**2, cross


def _z(power: Array, cross: Array) -> Float[Array, "batch pairs rings"]:
    first, second = pairs(power.shape[1])
    r = cross / jnp.sqrt((power[:, first] + _FAINT) * (power[:, second] + _FAINT))
    return jnp.arctanh(_INSIDE * r)


def unmeasured(
    size: int, num_bins: int, num_slopes: int = 0, matched: Collection[str] = (), num_sums: int = 0
) -> JointScale:
    """Return a scale of the shapes that are measured where statistics of these names are matched."""
    count = num_spectral_numbers(size, num_bins)
    own = bands.unmeasured(size, num_slopes, matched)
    each = jax.tree.map(lambda leaf: jnp.stack([leaf] * (num_bins + num_sums)), own)
    trend = jnp.zeros((num_slopes, count)) if num_slopes else None
    return JointScale(each, jnp.zeros(count), jnp.eye(count), trend)


def scale_of(
    each: Sequence[MapScale],
    numbers: Float[np.ndarray, "maps numbers"],
    phi: Float[np.ndarray, "maps terms"] | None = None,
) -> JointScale:
    """Return the scale of maps of these spectral numbers, whose bins (and sums) by themselves have these.

    phi: as `bands.scale_of`.
    """
    numbers, slopes = without_trend(numbers, phi)
    stacked = jax.tree.map(lambda *leaves: jnp.stack(leaves), *each)
    centre, whitening = (jnp.asarray(v, jnp.float32) for v in (numbers.mean(0), bands.whitening_of(numbers)))
    return JointScale(stacked, centre, whitening, jnp.asarray(slopes, jnp.float32) if len(slopes) else None)
