"""Wave numbers: those at which tables are kept, and those of a canvas."""

import numpy as np
from jaxtyping import Float

# Wave numbers, in radian a pixel, at which amplitudes are kept: finer than canvases of 700 pixels resolve.
NUM_WAVES = 512
LARGEST_WAVE = np.sqrt(2) * np.pi
WAVES = np.linspace(0, LARGEST_WAVE, NUM_WAVES)


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


def by_wave(k: np.ndarray, values: np.ndarray) -> Float[np.ndarray, " waves"]:
    """Average over rings of a canvas's modes, at NUM_WAVES wave numbers."""
    step = 2 * np.pi / len(k)
    ring = np.rint(k / step).astype(int).ravel()
    modes = np.bincount(ring)
    used = modes > 0
    at, mean = (np.bincount(ring, v.ravel())[used] / modes[used] for v in (k, values))
    return np.interp(WAVES, at, mean)
