"""The base field: a shifted lognormal field with the maps' own mean, variance, skewness and power.

With g a Gaussian field of variance 1 and correlation function xi_g,

    y = shift (exp(s g - s^2 / 2) - 1),    xi_y(r) = shift^2 (exp(s^2 xi_g(r)) - 1)

(Coles & Jones 1991; Hilbert, Hartlap & Schneider 2011, Eq. 16 to 18), in units of the maps' standard deviation,
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
from scipy.optimize import brentq

# Wave numbers, in radian a pixel, at which amplitudes are kept: finer than canvases of 700 pixels resolve.
NUM_WAVES = 512
LARGEST_WAVE = np.sqrt(2) * np.pi
_WAVES = np.linspace(0, LARGEST_WAVE, NUM_WAVES)
# The power comes from pairs below the first and from tapered maps above the second, in radian a pixel.
_PAIRS_BELOW, _TAPERED_ABOVE = 0.5, 0.9
_TAPERED_BANDS = 64
# Longer waves come from too few modes to tell directions apart, and shorter than Nyquist from corners alone.
_DIRECTED_ABOVE, _DIRECTED_BELOW = 0.5, np.pi
_DIRECTED_BANDS, _FEWEST_MODES = 24, 24  # that tell directions apart; of each


class Base(NamedTuple):
    """Tables of a base field, measured on training maps; all of them go with the emulator.

    Attributes:
      mean, sigma: of the pixels, in network units.
      shift, spread: of the lognormal field, in units of sigma: `shift` and s above.
      log_amplitude: square root of the power of g at NUM_WAVES wave numbers, in arbitrary units.
      amplitude: square root of the maps' power there; white noise of variance sigma^2 has 1.
      window: what y is multiplied by there, so that its power, and that of noise beside it, is the maps'.
      fourfold: b above there; None where the power is taken to be the same in all directions.
    """

    mean: Float[Array, ""]
    sigma: Float[Array, ""]
    shift: Float[Array, ""]
    spread: Float[Array, ""]
    log_amplitude: Float[Array, " waves"]
    amplitude: Float[Array, " waves"]
    window: Float[Array, " waves"]
    fourfold: Float[Array, " waves"] | None = None


def unmeasured(fourfold: bool = False) -> Base:
    """Return white noise of variance 1, of the shapes that `measured` gives; it can be drawn."""
    ones = jnp.ones(NUM_WAVES, jnp.float32)
    mean, sigma, shift, spread = (jnp.float32(value) for value in (0, 1, 4, 0.25))
    directed = jnp.zeros_like(ones) if fourfold else None
    return Base(mean, sigma, shift, spread, ones, jnp.copy(ones), jnp.copy(ones), directed)


def measured(
    maps: Iterable[Float[np.ndarray, "maps size size"]],
    fourfold: bool = False,
    share_of_noise: Callable[[Float[np.ndarray, "..."]], Float[np.ndarray, "..."]] | None = None,
) -> Base:
    """Measure the base of maps in network units, which come in parts, all of one size.

    Args:
      fourfold: whether directions are told apart.
      share_of_noise: |k| in radian a pixel -> the share of the power that noise beside the base is to hold.

    Raises:
      ValueError: no map, maps without variance, or of a skewness that is not positive, as no lognormal field's.
    """
    sums = Sums()
    for some_maps in maps:
        sums.add(np.asarray(some_maps, np.float64))
    return base_of(sums, fourfold, share_of_noise)


def base_of(
    sums: "Sums",
    fourfold: bool = False,
    share_of_noise: Callable[[Float[np.ndarray, "..."]], Float[np.ndarray, "..."]] | None = None,
) -> Base:
    """Return the base of the maps that were added up; arguments and errors as of `measured`."""
    mean, variance, skewness = sums.moments()
    if not variance > 0:
        raise ValueError(f"variance={variance:g} of the training maps must be positive")
    if not skewness > 0:
        raise ValueError(
            f"skewness={skewness:.3g} of the training maps in network units must be positive, as a lognormal "
            "field's is (normalisation=arcsinh takes most of it away; linear keeps it)"
        )
    shift, spread = shift_of(skewness)
    canvas = fast_size(4 * sums.size)
    k = wave_numbers((canvas, canvas))
    power = _power(k, *sums.correlation(mean), *sums.tapered(mean), sums.size)
    power /= power.mean()
    xi = np.fft.ifft2(power).real
    # A correlation below -shift^2 is none that a lognormal field has; real maps' stay far above.
    log_power = np.maximum(np.fft.fft2(np.log1p(np.maximum(xi / shift**2, -0.9))).real, 0)
    of_g = np.fft.ifft2(log_power / log_power.mean()).real
    lognormal_power = np.fft.fft2(shift**2 * np.expm1(spread**2 * of_g)).real
    of_base = power if share_of_noise is None else power * (1 - share_of_noise(k))
    window = np.sqrt(of_base / np.maximum(lognormal_power, 1e-12 * lognormal_power.max()))
    tables = [_by_wave(k, values) for values in (np.sqrt(log_power), np.sqrt(power), np.minimum(window, 2.0))]
    if fourfold:
        b = sums.fourfold(mean)
        on_average = np.sqrt(_by_wave(k, np.exp(2 * np.interp(k, *b) * cos_4_phi((canvas, canvas)))))
        tables = [tables[0], tables[1] / on_average, tables[2] / on_average, np.interp(_WAVES, *b)]
    numbers = (mean, np.sqrt(variance), shift, spread)
    return Base(*(jnp.float32(v) for v in numbers), *(jnp.asarray(t, jnp.float32) for t in tables))


def shift_of(skewness: float) -> tuple[float, float]:
    """Find shift and s of a lognormal field of variance 1: skewness = (w + 3) sqrt(w), w = exp(s^2) - 1."""
    w = brentq(lambda w: (w + 3) * np.sqrt(w) - skewness, 1e-12, 1e6)
    return 1 / np.sqrt(w), float(np.sqrt(np.log1p(w)))


def fast_size(least: int) -> int:
    """Return the smallest even number from `least` on of no other prime factors than 2, 3 and 5."""
    size = least + least % 2
    while True:
        rest = size
        for prime in (2, 3, 5):
            while rest % prime == 0:
                rest //= prime
        if rest == 1:
            return size
        size += 2


def wave_numbers(shape: tuple[int, int]) -> Float[np.ndarray, "height width"]:
    """Return |k| of every mode of the whole plane, in radian a pixel."""
    return 2 * np.pi * np.hypot(np.fft.fftfreq(shape[0])[:, None], np.fft.fftfreq(shape[1]))


def cos_4_phi(shape: tuple[int, int]) -> Float[np.ndarray, "height width"]:
    """Return cos 4 phi of every mode of the plane: 1 along the axes, -1 along diagonals; 0 of the mean."""
    ky, kx = np.fft.fftfreq(shape[0])[:, None], np.fft.fftfreq(shape[1])
    cosine = np.cos(4 * np.arctan2(ky, kx))
    cosine[0, 0] = 0
    return cosine


class Sums:
    """Sums over maps from which moments, pairs and tapered power follow, whatever the mean turns out to be."""

    def __init__(self):
        self.size, self._count, self._powers = 0, 0, np.zeros(4)

    def add(self, maps: Float[np.ndarray, "maps size size"]) -> None:
        """Add maps, all of one size."""
        if not self._count:
            self.size = maps.shape[-1]
            self._window = _hann(self.size)
            double = (2 * self.size, 2 * self.size)
            self._pairs = np.zeros((2 * self.size, self.size + 1))
            self._pixels = np.zeros((self.size, self.size))
            self._tapered, self._tapered_field = np.zeros((self.size, self.size)), 0.0
            self._double = double
            # Near the mean, so that nothing is lost when the rest of it is taken off later.
            self._near = maps.mean()
        maps = maps - self._near
        self._powers += [(maps**p).sum() for p in range(4)]
        self._count += len(maps)
        self._pixels += maps.sum(0)
        self._pairs += (np.abs(np.fft.rfft2(maps, s=self._double)) ** 2).sum(0)
        tapered = np.fft.fft2(maps * self._window)
        self._tapered += (np.abs(tapered) ** 2).sum(0)
        self._tapered_field = self._tapered_field + tapered.sum(0)

    def moments(self) -> tuple[float, float, float]:
        """Return mean, variance and skewness over all pixels."""
        if not self._count:
            raise ValueError("no training map: the base field has nothing to be measured on")
        m1, m2, m3 = self._powers[1:] / self._powers[0]
        variance = m2 - m1**2
        third = m3 - 3 * m1 * m2 + 2 * m1**3
        skewness = third / variance**1.5 if variance > 0 else 0.0
        return float(m1 + self._near), float(variance), float(skewness)

    def correlation(self, mean: float) -> tuple[np.ndarray, np.ndarray]:
        """Return distances in pixels and the mean product there, over all pairs of pixels of one map."""
        size, off = self.size, mean - self._near
        ones = np.fft.rfft2(np.ones((size, size)), s=self._double)
        field = np.fft.rfft2(self._pixels, s=self._double)
        # |f - off w|^2 summed over maps, w the transform of the whole square.
        spectra = self._pairs - 2 * off * (field * ones.conj()).real + self._count * off**2 * np.abs(ones) ** 2
        products = np.fft.irfft2(spectra, s=self._double) / self._count
        count = np.rint(np.fft.irfft2(np.abs(ones) ** 2, s=self._double))
        lag = np.fft.fftfreq(2 * size, 1 / (2 * size))
        distance = np.hypot(lag[:, None], lag)
        # Lag 0 alone; then, from the neighbours on, rings half a pixel wide.
        edges = np.concatenate([[-0.5, 0.5], np.arange(1.2, 1.5 * size, 0.5)])
        ring, known = np.digitize(distance.ravel(), edges), count.ravel() > 0
        pairs = np.bincount(ring[known], count.ravel()[known], len(edges) + 1)
        used = pairs > 0
        mean_of = [
            np.bincount(ring[known], value.ravel()[known], len(edges) + 1)[used] / pairs[used]
            for value in (count * distance, products)
        ]
        return mean_of[0], mean_of[1]

    def tapered(self, mean: float) -> tuple[np.ndarray, np.ndarray]:
        """Return wave numbers, and the mean power of maps under the window; white noise of variance v has v."""
        k = wave_numbers(self._tapered.shape)
        _, (at, power) = _by_band(_TAPERED_BANDS, k, k, self._tapered_power(mean))
        return at, power

    def fourfold(self, mean: float) -> tuple[np.ndarray, np.ndarray]:
        """Return wave numbers, and b there: half the slope of the logarithm of the power in cos 4 phi."""
        k, cosine = wave_numbers(self._tapered.shape), cos_4_phi(self._tapered.shape)
        power = self._tapered_power(mean)
        logs = np.log(np.maximum(power, 1e-12 * power.max()))
        modes, (at, c, y, cy, cc) = _by_band(_DIRECTED_BANDS, k, k, cosine, logs, cosine * logs, cosine**2)
        used = (modes >= _FEWEST_MODES) & (at > _DIRECTED_ABOVE) & (at < _DIRECTED_BELOW)
        if not used.any():
            return np.zeros(1), np.zeros(1)
        at, c, y, cy, cc = (v[used] for v in (at, c, y, cy, cc))
        return np.append(_DIRECTED_ABOVE, at), np.append(0, (cy - c * y) / (cc - c**2) / 2)

    def _tapered_power(self, mean: float) -> np.ndarray:
        off = mean - self._near
        window = np.fft.fft2(self._window)
        total = self._tapered - 2 * off * (self._tapered_field * window.conj()).real
        return (total / self._count + off**2 * np.abs(window) ** 2) / (self._window**2).sum()


def _by_band(bands: int, k: np.ndarray, *values: np.ndarray) -> tuple[np.ndarray, list[np.ndarray]]:
    """Count the modes of each band of wave numbers, and average over them; empty bands are left out."""
    band = np.minimum((k / LARGEST_WAVE * bands).astype(int), bands - 1).ravel()
    modes = np.bincount(band, minlength=bands)
    used = modes > 0
    return modes[used], [np.bincount(band, v.ravel(), bands)[used] / modes[used] for v in values]


def _hann(size: int) -> Float[np.ndarray, "size size"]:
    window = np.hanning(size + 2)[1:-1]
    return window[:, None] * window


def _power(k, distance, xi, tapered_k, tapered_power, size):
    """Return power on a canvas: of the correlation function at long waves, of tapered maps at short ones."""
    lag = np.fft.fftfreq(len(k), 1 / len(k))
    r = np.hypot(lag[:, None], lag)
    # Every lag of a map counts fully along its axes; towards the few pairs of the far corners it ends smoothly.
    end = np.clip((np.sqrt(2) - r / size) / (np.sqrt(2) - 1), 0, 1)
    of_pairs = np.fft.fft2(np.interp(r, distance, xi) * end**2 * (3 - 2 * end)).real
    of_tapered = np.exp(np.interp(k, tapered_k, np.log(np.maximum(tapered_power, 1e-12 * tapered_power.max()))))
    x = np.clip((k - _PAIRS_BELOW) / (_TAPERED_ABOVE - _PAIRS_BELOW), 0, 1)
    share = x**2 * (3 - 2 * x)
    return np.maximum((1 - share) * of_pairs, 0) + share * of_tapered


def _by_wave(k: np.ndarray, values: np.ndarray) -> Float[np.ndarray, " waves"]:
    """Average over rings of a canvas's modes, at NUM_WAVES wave numbers."""
    step = 2 * np.pi / len(k)
    ring = np.rint(k / step).astype(int).ravel()
    modes = np.bincount(ring)
    used = modes > 0
    at, mean = (np.bincount(ring, v.ravel())[used] / modes[used] for v in (k, values))
    return np.interp(_WAVES, at, mean)
