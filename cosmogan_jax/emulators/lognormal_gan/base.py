"""The base field: a shifted lognormal field with the maps' own mean, variance, skewness and power.

With g a Gaussian field of variance 1 and correlation function xi_g,

    y = shift (exp(s g - s^2 / 2) - 1),    xi_y(r) = shift^2 (exp(s^2 xi_g(r)) - 1)

(Coles & Jones 1991; Hilbert, Hartlap & Schneider 2011), in units of the maps' standard deviation,
so that xi_y(0) = 1 gives shift^2 = 1 / (exp(s^2) - 1), and the skewness (exp(s^2) + 2) sqrt(exp(s^2) - 1) gives
s. So the spectrum of g is the Fourier transform of ln(1 + xi_y / shift^2) on the lattice, where it is positive.
Where it is not, at the shortest waves, of which simulated maps hold much less than an exponential makes, it is
0, and a window behind the exponential takes away what is too much: the base has the maps' power at all waves.

The maps have borders: xi_y at long lags comes from pairs of pixels, without a wrap; the power at short waves
from maps under a Hann window, beyond Nyquist into the corners of the plane too, where pairs give their noise
only. Lags longer than a map's side come out as 0: no map was there to learn them from.

Maps that were read off a grid have more power along its axes than along its diagonals, near Nyquist a factor of
some: at an angle phi the power is that of its ring times exp(2 b cos 4 phi), b by least squares of its
logarithm, divided by what that is on average.
"""

from collections.abc import Callable, Iterable
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from cosmogan_jax.emulators.lognormal_gan.map_sums import Sums
from cosmogan_jax.emulators.lognormal_gan.tails import PIXEL, correlations_of_block, modulation_of, shift_of
from cosmogan_jax.emulators.lognormal_gan.waves import (
    NUM_WAVES,
    WAVES,
    by_wave,
    cos_4_phi,
    fast_size,
    wave_numbers,
)

# The power comes from pairs below the first and from tapered maps above the second, in radian a pixel.
_PAIRS_BELOW, _TAPERED_ABOVE = 0.5, 0.9
_LEAST = -0.9  # of xi_y / shift^2

# |k| in radian a pixel -> the share of the power that noise beside the base is to hold.
ShareOfNoise = Callable[[Float[np.ndarray, "..."]], Float[np.ndarray, "..."]]


class Base(NamedTuple):
    """Tables of a base field, measured on training maps; all of them go with the emulator.

    Attributes:
      mean, sigma: of the pixels, in network units.
      shift, spread: of the lognormal field, in units of sigma: `shift` and s above.
      log_amplitude: square root of the power of g at NUM_WAVES wave numbers, in arbitrary units.
      amplitude: square root of the maps' power there; white noise of variance sigma^2 has 1.
      window: what y is multiplied by there, so that its power, and that of noise beside it, is the maps'.
      fourfold: b above there; None where the power is taken to be the same in all directions.
      modulation: beta, by which the field's amplitude varies slowly (`tails.py`); None where it does not.
    """

    mean: Float[Array, ""]
    sigma: Float[Array, ""]
    shift: Float[Array, ""]
    spread: Float[Array, ""]
    log_amplitude: Float[Array, " waves"]
    amplitude: Float[Array, " waves"]
    window: Float[Array, " waves"]
    fourfold: Float[Array, " waves"] | None = None
    modulation: Float[Array, ""] | None = None


def unmeasured(fourfold: bool = False, modulated: bool = False) -> Base:
    """Return white noise of variance 1, of the shapes that `measured` gives; it can be drawn."""
    ones = jnp.ones(NUM_WAVES, jnp.float32)
    mean, sigma, shift, spread = (jnp.float32(value) for value in (0, 1, 4, 0.25))
    directed = jnp.zeros_like(ones) if fourfold else None
    beta = jnp.float32(0) if modulated else None
    return Base(mean, sigma, shift, spread, ones, jnp.copy(ones), jnp.copy(ones), directed, beta)


def measured(
    maps: Iterable[Float[np.ndarray, "maps size size"]],
    fourfold: bool = False,
    share_of_noise: ShareOfNoise | None = None,
    blocks: int = 1,
    modulated_over: float | None = None,
) -> Base:
    """Measure the base of maps in network units, which come in parts, all of one size.

    Args:
      fourfold: whether directions are told apart.
      share_of_noise: |k| in radian a pixel -> the share of the power that noise beside the base is to hold.
      blocks: side in pixels of the blocks whose means are as skewed as the maps'.
      modulated_over: smoothing in pixels of the Gaussian field by which the base's amplitude varies, so far
        that blocks have the maps' fourth moment too; None: it does not vary.

    Raises:
      ValueError: no map, maps without variance, or of a skewness that is not positive, as no lognormal field's.
    """
    sums = Sums(blocks)
    for some_maps in maps:
        sums.add(np.asarray(some_maps, np.float64))
    return base_of(sums, fourfold, share_of_noise, modulated_over)


def base_of(
    sums: Sums,
    fourfold: bool = False,
    share_of_noise: ShareOfNoise | None = None,
    modulated_over: float | None = None,
) -> Base:
    """Return the base of the maps that were added up; arguments and errors as of `measured`."""
    return tabulated(spectra_of(sums, modulated_over), sums, fourfold, share_of_noise)


def tabulated(
    field: "Spectra", sums: Sums, fourfold: bool = False, share_of_noise: ShareOfNoise | None = None
) -> Base:
    """Return the base of a field, with what the sums tell of directions; arguments as of `measured`."""
    k, power = field.k, field.power
    of_base = field.unmodulated if share_of_noise is None else field.unmodulated * (1 - share_of_noise(k))
    window = np.sqrt(of_base / np.maximum(field.lognormal_power, 1e-12 * field.lognormal_power.max()))
    roots = np.sqrt(field.log_power), np.sqrt(power), np.minimum(window, 2.0)
    tables = [by_wave(k, values) for values in roots]
    if fourfold:
        b, shape = sums.fourfold(field.mean), (len(k), len(k))
        on_average = np.sqrt(by_wave(k, np.exp(2 * np.interp(k, *b) * cos_4_phi(shape))))
        tables = [tables[0], tables[1] / on_average, tables[2] / on_average, np.interp(WAVES, *b)]
    numbers = (field.mean, np.sqrt(field.variance), field.shift, field.spread)
    base = Base(*(jnp.float32(v) for v in numbers), *(jnp.asarray(t, jnp.float32) for t in tables))
    return base if field.modulation is None else base._replace(modulation=jnp.float32(field.modulation))


class Spectra(NamedTuple):
    """The lognormal field behind maps, its spectra those of the modes of a canvas larger than the maps.

    Attributes:
      k: |k| of the modes, radian a pixel.
      mean, variance, shift, spread: of the maps, as in `Base`; the variance is sigma^2.
      power: the maps', 1 on average.
      level: what it was before, in network units squared.
      log_power: of g, in arbitrary units.
      lognormal_power: that of the field with g's power, before the window.
      unmodulated: power of what is to be modulated, so that it then is the maps'.
      modulation: as in `Base`.
    """

    k: Float[np.ndarray, "side side"]
    mean: float
    variance: float
    shift: float
    spread: float
    power: Float[np.ndarray, "side side"]
    level: float
    log_power: Float[np.ndarray, "side side"]
    lognormal_power: Float[np.ndarray, "side side"]
    unmodulated: Float[np.ndarray, "side side"]
    modulation: float | None = None


def spectra_of(sums: Sums, modulated_over: float | None = None) -> Spectra:
    """Compute the lognormal field behind the maps that were added up; errors as of `measured`."""
    mean, variance, skewness = sums.moments()
    if not variance > 0:
        raise ValueError(f"variance={variance:g} of the training maps must be positive")
    if not skewness > 0:
        of_blocks = "" if sums.blocks == 1 else f" averaged over blocks of base_blocks={sums.blocks} pixels"
        raise ValueError(
            f"skewness={skewness:.3g} of the training maps{of_blocks} in network units must be positive, as a "
            "lognormal field's is (normalisation=arcsinh takes most of it away; linear keeps it)"
        )
    canvas = fast_size(4 * sums.size)
    k = wave_numbers((canvas, canvas))
    of_pairs = power_of_pairs(k, *sums.correlation(mean), sums.size)
    power = joined(k, of_pairs, power_of_bands(k, *sums.tapered(mean)), least=0.0)
    level = float(power.mean())
    power /= level
    xi, unmodulated, beta = np.fft.ifft2(power).real, power, None
    block = PIXEL if sums.blocks == 1 else correlations_of_block(xi, sums.blocks)
    if modulated_over is not None:
        beta = modulation_of(skewness, sums.fourth(), block)
        skewness *= np.exp(-1.5 * beta**2)
        xi = xi / _correlation_of_modulation(beta, modulated_over, canvas)
        unmodulated = np.maximum(np.fft.fft2(xi).real, 0.0)
    shift, spread = shift_of(skewness, block)
    # A correlation below -shift^2 is none that a lognormal field has; real maps' stay far above.
    log_power = np.maximum(np.fft.fft2(np.log1p(np.maximum(xi / shift**2, _LEAST))).real, 0)
    of_g = np.fft.ifft2(log_power / log_power.mean()).real
    lognormal_power = np.fft.fft2(shift**2 * np.expm1(spread**2 * of_g)).real
    laws = mean, variance, shift, spread
    return Spectra(k, *laws, power, level, log_power, lognormal_power, unmodulated, beta)


def _correlation_of_modulation(beta: float, smoothing: float, side: int) -> Float[np.ndarray, "side side"]:
    """Return <M M'> by lag of amplitudes M = exp(beta g - beta^2), g smooth noise: exp(beta^2 (xi_g - 1))."""
    lag = np.fft.fftfreq(side, 1 / side)
    xi_g = np.exp(-(lag[:, None] ** 2 + lag**2) / (2 * smoothing) ** 2)
    return np.exp(beta**2 * (xi_g - 1))


def power_of_pairs(
    k: Float[np.ndarray, "side side"],
    distance: Float[np.ndarray, " lags"],
    xi: Float[np.ndarray, " lags"],
    size: int,
) -> Float[np.ndarray, "side side"]:
    """Return power on a canvas of a correlation function, known of maps of this size."""
    lag = np.fft.fftfreq(len(k), 1 / len(k))
    r = np.hypot(lag[:, None], lag)
    # Every lag of a map counts fully along its axes; towards the few pairs of the far corners it ends smoothly.
    end = np.clip((np.sqrt(2) - r / size) / (np.sqrt(2) - 1), 0, 1)
    return np.fft.fft2(np.interp(r, distance, xi) * end**2 * (3 - 2 * end)).real


def power_of_bands(
    k: Float[np.ndarray, "side side"], at: Float[np.ndarray, " bands"], power: Float[np.ndarray, " bands"]
) -> Float[np.ndarray, "side side"]:
    """Return power on a canvas of that of bands, its logarithm interpolated."""
    return np.exp(np.interp(k, at, np.log(np.maximum(power, 1e-12 * power.max()))))


def joined(
    k: Float[np.ndarray, "side side"],
    of_pairs: Float[np.ndarray, "side side"],
    of_tapered: Float[np.ndarray, "side side"],
    least: float = -np.inf,
) -> Float[np.ndarray, "side side"]:
    """Join the power of pairs at long waves, where it is at least so much, to that of tapered maps at short."""
    x = np.clip((k - _PAIRS_BELOW) / (_TAPERED_ABOVE - _PAIRS_BELOW), 0, 1)
    share = x**2 * (3 - 2 * x)
    return np.maximum((1 - share) * of_pairs, least) + share * of_tapered
