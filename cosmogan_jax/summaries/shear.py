"""Shear of convergence maps, and back: Kaiser & Squires (1993, ApJ 404, 441) on the flat sky.

Both come from one lensing potential psi, kappa = (d1^2 + d2^2) psi / 2, gamma1 = (d1^2 - d2^2) psi / 2 and
gamma2 = d1 d2 psi, so that in Fourier space

    gamma1 + i gamma2 = D kappa,    D(l) = (l1^2 - l2^2 + 2 i l1 l2) / |l|^2,    D(0) = 0,

with l1 along the last axis (x, columns) and l2 along the one before (y, rows), pixels being squares, as in
LensTools' `ShearMap`. gamma1 > 0 stretches images along x, gamma2 > 0 along x = y; around a mass the shear is
tangential, -(gamma1 cos 2 phi + gamma2 sin 2 phi) = mean kappa within r - kappa(r) > 0.

|D| = 1, but on the modes at Nyquist of a side of even length: there l and its mirror image are one mode, and D
is the mean of both, which is real.
"""

import functools
from typing import NamedTuple

import numpy as np
from jax import numpy as jnp
from jaxtyping import Array, Complex, Float

from cosmogan_jax.summaries.edges import check_kappa
from cosmogan_jax.switches import with_usual


class Shear(NamedTuple):
    """Convergence and both components of the shear of the same pixels."""

    kappa: Float[Array, "*batch height width"]
    gamma1: Float[Array, "*batch height width"]
    gamma2: Float[Array, "*batch height width"]


@with_usual
def kappa_to_shear(
    kappa: Float[Array, "*batch height width"],
) -> tuple[Float[Array, "*batch height width"], Float[Array, "*batch height width"]]:
    """Compute gamma1 and gamma2 of periodic convergence maps: each mode times D; the mean has no shear.

    The transform is periodic, and the shear of a point depends on mass far from it, as 1/theta^2: of maps that
    were cut from the sky use `shear_of_canvas`. Exact, linear and pure: any batch, jit, jvp, grad.

    Raises:
      ValueError: maps that are not of real numbers, or of fewer than two axes.
    """
    kappa = check_kappa(kappa)
    cosine, sine = _kernel(kappa.shape[-2:], kappa.dtype)
    modes = jnp.fft.rfft2(kappa)
    gamma1, gamma2 = (jnp.fft.irfft2(modes * kernel, s=kappa.shape[-2:]) for kernel in (cosine, sine))
    return gamma1, gamma2


@with_usual
def shear_to_kappa(
    gamma1: Float[Array, "*batch height width"], gamma2: Float[Array, "*batch height width"]
) -> tuple[Float[Array, "*batch height width"], Float[Array, "*batch height width"]]:
    """Compute the E and B convergence of periodic shear maps: E + i B = D* (gamma1 + i gamma2), mode by mode.

    The inverse of `kappa_to_shear`, whose maps have B = 0 and E = kappa without its mean, which no shear tells.
    Modes at Nyquist of a side of even length come back times D^2 <= 1. A cut map has no such split: by its
    borders E leaks into B, 1e-2 of the longest waves' power and more; `pure_modes` shows what is B itself.

    Raises:
      ValueError: maps that are not of real numbers, or of two shapes.
    """
    gamma1, gamma2 = _pair(gamma1, gamma2)
    cosine, sine = _kernel(gamma1.shape[-2:], gamma1.dtype)
    modes1, modes2 = jnp.fft.rfft2(gamma1), jnp.fft.rfft2(gamma2)
    modes = cosine * modes1 + sine * modes2, cosine * modes2 - sine * modes1
    e, b = (jnp.fft.irfft2(mode, s=gamma1.shape[-2:]) for mode in modes)
    return e, b


@with_usual
def shear_of_canvas(kappa: Float[Array, "*batch tall wide"], height: int, width: int) -> Shear:
    """Compute kappa, gamma1 and gamma2 of the middle of canvases that were cut from the sky.

    A canvas is not periodic: the transform alone would take each border for the neighbour of the opposite one.
    So its mean is taken off and zeros are put behind it, as many pixels again: mass outside of the canvas is
    missing, instead of being that of the other side. What is cut is the shear of a real mass map, pure E, and
    that map is kappa less a constant. Missing are the waves that shear the middle from further away. On cuts
    of a large sky whose waves are at most some 1.6 sides of the middle long, the rms error of the shear over
    its rms is 3.0 % for canvases of 2 sides, 1.4 % for 3, 0.9 % for 4; with the periodic transform 4.2, 1.8 and
    1.2 %; with a cosine taper over the outer half of the margin, zeros behind it, 3.7, 1.6 and 0.8 %: what is
    tapered away shears the middle too. With power at all waves the errors are 15, 10 and 8 %, of which all but
    6, 3 and 2 % is a constant (`experiments/020-map-reconstruction/canvases.py`).

    Raises:
      ValueError: as `kappa_to_shear`; a canvas that is not at least twice as high and wide as its middle.
    """
    kappa = check_kappa(kappa)
    tall, wide = kappa.shape[-2:]
    for name, inner, outer in (("height", height, tall), ("width", width, wide)):
        if not 1 <= inner <= outer // 2:
            raise ValueError(f"{name}={inner} must be 1 to {outer // 2}, half of the canvas of {outer} pixels")
    alone = kappa - kappa.mean((-2, -1), keepdims=True)
    around = [(0, 0)] * (kappa.ndim - 2) + [(0, tall), (0, wide)]
    row, column = (tall - height) // 2, (wide - width) // 2
    gamma1, gamma2 = kappa_to_shear(jnp.pad(alone, around))
    middle = (..., slice(row, row + height), slice(column, column + width))
    return Shear(kappa[middle], gamma1[middle], gamma2[middle])


@with_usual
def pure_modes(
    gamma1: Float[Array, "*batch height width"], gamma2: Float[Array, "*batch height width"]
) -> tuple[Complex[Array, "*batch height half"], Complex[Array, "*batch height half"]]:
    """Compute modes of E and of B of cut shear maps, under a window, without a leak from one to the other.

    (d1 - i d2)^2 (gamma1 + i gamma2) = laplace E + i laplace B holds at every point and needs no border. Under
    a window W that vanishes at the border with its first derivatives, two integrations by parts move the
    derivatives from the shear to W exp(-i l x) (Smith 2006, PRD 74, 083002):

        E + i B = -|l|^-2 sum_x (gamma1 + i gamma2) (d1 - i d2)^2 [W exp(-i l x)]

    W = sin^4 along both sides. The half plane of `rfft2`, in the transform's units: modes of W E as far as W
    is flat on a wavelength, and 0 at l = 0. For l close to Nyquist the sum is no integral any more.

    Raises:
      ValueError: maps that are not of real numbers, or of two shapes.
    """
    gamma1, gamma2 = _pair(gamma1, gamma2)
    shape, dtype = gamma1.shape[-2:], gamma1.dtype
    (y0, y1, y2), (x0, x1, x2) = (_window(length) for length in shape)
    half = shape[-1] // 2 + 1
    l1, l2 = 2 * np.pi * np.fft.rfftfreq(shape[1]), 2 * np.pi * np.fft.fftfreq(shape[0])[:, None]
    square = np.where(l1**2 + l2**2 > 0, l1**2 + l2**2, np.inf)

    # (d1 - i d2)^2 [W e] / e, e = exp(-i l x), by derivatives of W of order 2, 1 and 0.
    def at(real, imaginary):
        """Return modes of (gamma1 + i gamma2)(real + i imaginary): the real part's, then the other's."""
        real, imaginary = jnp.asarray(real, dtype), jnp.asarray(imaginary, dtype)
        components = gamma1 * real - gamma2 * imaginary, gamma1 * imaginary + gamma2 * real
        return (jnp.fft.rfft2(component) for component in components)

    def times(a, b):
        """Return (a[0] + i a[1]) (b[0] + i b[1]), both of b transforms of real maps, or all numbers."""
        return a[0] * b[0] - a[1] * b[1], a[0] * b[1] + a[1] * b[0]

    def numbers(values):
        return jnp.asarray(np.broadcast_to(values, (shape[0], half)), jnp.result_type(dtype, jnp.complex64))

    second = at(np.outer(y0, x2) - np.outer(y2, x0), -2 * np.outer(y1, x1))
    first = at(np.outer(y0, x1), -np.outer(y1, x0))
    zeroth = at(np.outer(y0, x0), np.zeros(shape))
    # -2 i (l1 - i l2) and -(l1 - i l2)^2; exp(-i l x)'s i is a complex number's, the shear's is kept apart.
    turned = times((numbers(-2j * l1), numbers(2j * l2)), tuple(first))
    squared = times((numbers(l2**2 - l1**2), numbers(2 * l1 * l2)), tuple(zeroth))
    e, b = (-(u + v + w) / jnp.asarray(square, dtype) for u, v, w in zip(second, turned, squared))
    return e, b


@functools.lru_cache(maxsize=16)
def _host_kernel(shape: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    l1, l2 = np.fft.rfftfreq(shape[1])[None], np.fft.fftfreq(shape[0])[:, None]
    square = l1**2 + l2**2
    square[0, 0] = 1
    nyquist = (np.abs(l1) == 0.5) | (np.abs(l2) == 0.5)
    return (l1**2 - l2**2) / square, np.where(nyquist, 0, 2 * l1 * l2 / square)


def _kernel(shape: tuple[int, ...], dtype) -> tuple[Array, Array]:
    """Return cos 2 phi and sin 2 phi of every stored mode, 0 at l = 0: D's real and imaginary part."""
    cosine, sine = _host_kernel((shape[0], shape[1]))
    return jnp.asarray(cosine, dtype), jnp.asarray(sine, dtype)


def _window(length: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return sin^4 over the pixels' centres, and its first and second derivative by pixel."""
    w = np.pi / length
    angle = w * (np.arange(length) + 0.5)
    s, c = np.sin(angle), np.cos(angle)
    return s**4, 4 * w * s**3 * c, w**2 * (12 * s**2 * c**2 - 4 * s**4)


def _pair(gamma1, gamma2) -> tuple[Array, Array]:
    gamma1, gamma2 = check_kappa(gamma1), check_kappa(gamma2)
    if gamma1.shape != gamma2.shape:
        raise ValueError(f"gamma1.shape={gamma1.shape} and gamma2.shape={gamma2.shape} must be one")
    return gamma1, gamma2
