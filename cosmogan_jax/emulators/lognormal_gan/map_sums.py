"""Sums over training maps from which a base field follows: moments, products of pairs of pixels, power.

Those of several bins (`JointSums`) hold the same of products of two bins' maps.
"""

import itertools
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from cosmogan_jax.emulators.lognormal_gan.waves import LARGEST_WAVE, cos_4_phi, wave_numbers
from cosmogan_jax.summaries.pixels import block_means

_TAPERED_BANDS = 64
# Longer waves come from too few modes to tell directions apart, and shorter than Nyquist from corners alone.
_DIRECTED_ABOVE, _DIRECTED_BELOW = 0.5, np.pi
_DIRECTED_BANDS, _FEWEST_MODES = 24, 24  # that tell directions apart; of each


class Sums:
    """Sums over maps from which moments, pairs and tapered power follow, whatever the mean turns out to be.

    blocks: side in pixels of the blocks of whose means third and fourth moments are taken.
    """

    def __init__(self, blocks: int = 1):
        self.size, self.count, self._powers, self.blocks = 0, 0, np.zeros(3), blocks
        self._powers_of_blocks = np.zeros(5)

    def add(self, maps: Float[np.ndarray, "maps size size"]) -> tuple[np.ndarray, np.ndarray]:
        """Add maps, all of one size; return their transforms, on a doubled canvas and under the window."""
        if not self.count:
            self.size = maps.shape[-1]
            self._window = _hann(self.size)
            double = (2 * self.size, 2 * self.size)
            self._pairs = np.zeros((2 * self.size, self.size + 1))
            self.pixels = np.zeros((self.size, self.size))
            self._tapered, self.tapered_field = np.zeros((self.size, self.size)), 0.0
            self._double = double
            # Near the mean, so that nothing is lost when the rest of it is taken off later.
            self.near = maps.mean()
        maps = maps - self.near
        self._powers += [(maps**p).sum() for p in range(3)]
        of_blocks = block_means(maps, self.blocks)
        self._powers_of_blocks += [(of_blocks**p).sum() for p in range(5)]
        self.count += len(maps)
        self.pixels += maps.sum(0)
        doubled = np.fft.rfft2(maps, s=self._double)
        self._pairs += (np.abs(doubled) ** 2).sum(0)
        tapered = np.fft.fft2(maps * self._window)
        self._tapered += (np.abs(tapered) ** 2).sum(0)
        self.tapered_field = self.tapered_field + tapered.sum(0)
        return doubled, tapered

    def moments(self) -> tuple[float, float, float]:
        """Return the pixels' mean and variance, and the third moment of blocks in their sigma.

        Where a block is a pixel that is the skewness.
        """
        if not self.count:
            raise ValueError("no training map: the base field has nothing to be measured on")
        m1, m2 = self._powers[1:] / self._powers[0]
        variance = m2 - m1**2
        b1, b2, b3, _ = self._powers_of_blocks[1:] / self._powers_of_blocks[0]
        third = b3 - 3 * b1 * b2 + 2 * b1**3
        in_sigma = third / variance**1.5 if variance > 0 else 0.0
        return float(m1 + self.near), float(variance), float(in_sigma)

    def fourth(self) -> float:
        """Return the fourth moment of blocks in the pixels' sigma."""
        _, variance, _ = self.moments()
        b1, b2, b3, b4 = self._powers_of_blocks[1:] / self._powers_of_blocks[0]
        return float((b4 - 4 * b1 * b3 + 6 * b1**2 * b2 - 3 * b1**4) / variance**2)

    def correlation(self, mean: float) -> tuple[np.ndarray, np.ndarray]:
        """Return distances in pixels and the mean product there, over all pairs of pixels of one map."""
        size, off = self.size, mean - self.near
        ones = np.fft.rfft2(np.ones((size, size)), s=self._double)
        field = np.fft.rfft2(self.pixels, s=self._double)
        # |f - off w|^2 summed over maps, w the transform of the whole square.
        spectra = self._pairs - 2 * off * (field * ones.conj()).real + self.count * off**2 * np.abs(ones) ** 2
        return _by_distance(size, spectra, self.count)

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
        off = mean - self.near
        window = np.fft.fft2(self._window)
        total = self._tapered - 2 * off * (self.tapered_field * window.conj()).real
        return (total / self.count + off**2 * np.abs(window) ** 2) / (self._window**2).sum()


class JointSums:
    """Sums over maps of several bins: those of each bin, and of the products of every two.

    Attributes:
      each: the sums of every bin; blocks: theirs.
    """

    def __init__(self, num_bins: int, blocks: int = 1):
        self.each = [Sums(blocks) for _ in range(num_bins)]
        self._pairs: dict[tuple[int, int], np.ndarray] = {}
        self._tapered: dict[tuple[int, int], np.ndarray] = {}

    @property
    def size(self) -> int:
        """Return pixels of a map's side."""
        return self.each[0].size

    def add(self, maps: Float[np.ndarray, "maps size size bins"]) -> None:
        """Add maps, all of one size."""
        transforms = [sums.add(maps[..., number]) for number, sums in enumerate(self.each)]
        for first, second in itertools.combinations(range(len(self.each)), 2):
            for sums, ours, theirs in zip(
                (self._pairs, self._tapered), transforms[first], transforms[second], strict=True
            ):
                product = np.einsum("mxy,mxy->xy", ours, theirs.conj()).real
                sums[first, second] = sums.get((first, second), 0.0) + product

    def correlation(self, first: int, second: int, means: Sequence[float]) -> tuple[np.ndarray, np.ndarray]:
        """Return distances in pixels and the mean product there of two bins' pixels; means: of every bin."""
        ours, theirs = self.each[first], self.each[second]
        size, double = self.size, (2 * self.size, 2 * self.size)
        ones = np.fft.rfft2(np.ones((size, size)), s=double)
        fields = [np.fft.rfft2(sums.pixels, s=double) for sums in (ours, theirs)]
        offs = means[first] - ours.near, means[second] - theirs.near
        products = self._pairs[first, second]
        return _by_distance(size, _about(products, ones, fields, offs, ours.count), ours.count)

    def tapered(self, first: int, second: int, means: Sequence[float]) -> tuple[np.ndarray, np.ndarray]:
        """Return wave numbers, and the mean cross power of two bins' maps under the window."""
        ours, theirs = self.each[first], self.each[second]
        window = _hann(self.size)
        fields = [np.asarray(sums.tapered_field) for sums in (ours, theirs)]
        offs = means[first] - ours.near, means[second] - theirs.near
        products = self._tapered[first, second]
        power = _about(products, np.fft.fft2(window), fields, offs, ours.count) / ours.count
        k = wave_numbers(power.shape)
        _, (at, means_of_bands) = _by_band(_TAPERED_BANDS, k, k, power / (window**2).sum())
        return at, means_of_bands


def _about(
    products: np.ndarray,
    ones: np.ndarray,
    fields: Sequence[np.ndarray],
    offs: tuple[float, float],
    num_maps: int,
) -> np.ndarray:
    """Return Re (f - a w)(g - b w)* summed over maps, of Re f g* so summed, the sums of f and g, and w."""
    of_ours, of_theirs = ((field * ones.conj()).real for field in fields)
    return products - offs[1] * of_ours - offs[0] * of_theirs + num_maps * offs[0] * offs[1] * np.abs(ones) ** 2


def _by_distance(size: int, spectra: np.ndarray, num_maps: int) -> tuple[np.ndarray, np.ndarray]:
    """Return distances and mean products there, of spectra on the doubled canvas summed over maps."""
    double = (2 * size, 2 * size)
    ones = np.fft.rfft2(np.ones((size, size)), s=double)
    products = np.fft.irfft2(spectra, s=double) / num_maps
    count = np.rint(np.fft.irfft2(np.abs(ones) ** 2, s=double))
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


def _by_band(bands: int, k: np.ndarray, *values: np.ndarray) -> tuple[np.ndarray, list[np.ndarray]]:
    """Count the modes of each band of wave numbers, and average over them; empty bands are left out."""
    band = np.minimum((k / LARGEST_WAVE * bands).astype(int), bands - 1).ravel()
    modes = np.bincount(band, minlength=bands)
    used = modes > 0
    return modes[used], [np.bincount(band, v.ravel(), bands)[used] / modes[used] for v in values]


def _hann(size: int) -> Float[np.ndarray, "size size"]:
    window = np.hanning(size + 2)[1:-1]
    return window[:, None] * window
