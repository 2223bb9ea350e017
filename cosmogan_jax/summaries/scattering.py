"""Scattering coefficients of first and second order, averaged over angles."""

import functools
import itertools
from typing import NamedTuple

import numpy as np
from jax import numpy as jnp
from jaxtyping import Array, Complex, Float

from cosmogan_jax.summaries.batching import over_maps
from cosmogan_jax.summaries.edges import check_kappa
from cosmogan_jax.switches import with_usual

# Modes along an axis that a wavelet's field keeps at least, however large its scale.
_LEAST_MODES = 16


@with_usual
def scattering_coefficients(
    kappa: Float[Array, "*batch height width"],
    num_scales: int,
    num_angles: int = 4,
    *,
    first_scale: int = 0,
    reduced: bool = False,
    full_resolution: bool = False,
) -> Float[Array, "*batch coefficients"]:
    """Compute S1(j) and S2(j1, j2), j1 < j2, in kappa: means over map and angles (`scattering_labels`).

        S1(j)      = < |kappa * psi_{j,l}| >                             over pixels and l
        S2(j1, j2) = < ||kappa * psi_{j1,l1}| * psi_{j2,l2}| >           over pixels, l1 and l2

    Mallat 2012 (Comm. Pure Appl. Math. 65, 1331); Cheng, Ting, Menard & Bruna 2020 (MNRAS 499, 5902) took these
    averages over angles of convergence maps. psi_{j,l} are the Morlet wavelets of Kymatio and of Cheng's code:
    a wave exp(i xi x) of xi = (3 pi/4) 2^-j a pixel, that is of 2.67 * 2^j pixels, along the angle pi l/L,
    under a Gaussian whose sigma is 0.8 * 2^j pixels along and 0.8 * 2^j L/4 across, less that Gaussian times
    what makes its sum 0. The map is periodic. Turning it by 90 degrees (even num_angles), mirroring and
    shifting it change nothing, and a factor multiplies all coefficients. S0, the mean of the map, is not among
    them: they do not depend on it.

    Each field |...| of scale j is computed on 2^j times fewer pixels a side, 16 at least, from the modes around
    the wavelet's own wave number: the modulus does not see that they are moved to the origin, and
    beyond half a window's width the wavelet is below exp(-3.1) of its maximum. Coefficients differ from those
    of full_resolution=True by 0.1 to 0.8 %, up to 2 % on maps smoothed over two pixels: a small part of their
    scatter from map to map, and the same is done to every map (tests/test_scattering.py).

    The finest scale, j = 0, is on all pixels: with its second order it takes four fifths of the time.
    first_scale=1 leaves it out.

    Args:
      kappa: maps.
      num_scales: J, scales j = first_scale to first_scale + J - 1.
      num_angles: L, angles of each scale.
      first_scale: the finest j.
      reduced: S2(j1, j2)/S1(j1) instead of S2, without units (Cheng's s21); NaN or noise where S1 is 0.
      full_resolution: every field on all pixels.

    Raises:
      ValueError: num_scales or num_angles below 1, first_scale below 0; 2^(first_scale + num_scales) beyond the
        map's shorter side; maps not of real numbers.
    """
    kappa = check_kappa(kappa)
    side = min(kappa.shape[-2:])
    if num_scales < 1 or first_scale < 0 or 2 ** (first_scale + num_scales) > side:
        raise ValueError(
            f"num_scales={num_scales} must be at least 1, first_scale={first_scale} at least 0, and "
            f"2^(first_scale + num_scales) at most the map's {side} pixels"
        )
    if num_angles < 1:
        raise ValueError(f"num_angles={num_angles} must be at least 1")
    scales = range(first_scale, first_scale + num_scales)
    return over_maps(lambda k: _coefficients(k, scales, num_angles, reduced, full_resolution), kappa)


def _coefficients(
    k: Float[Array, "height width"], scales: range, num_angles: int, reduced: bool, full_resolution: bool
) -> Float[Array, " coefficients"]:
    def fields(plane, j):
        """Return |u * psi_{j,l}| for all l, of the maps u with these Fourier planes."""
        wavelets = _wavelets(k.shape, plane.shape[-2:], j, num_angles, full_resolution)
        parts = []
        for (row, column), psi in zip(wavelets.corners, wavelets.psi):
            height, width = psi.shape
            window = plane[..., row : row + height, column : column + width]
            parts.append(window * jnp.asarray(psi, k.dtype))
        return jnp.abs(jnp.fft.ifft2(jnp.stack(parts, axis=-3)))

    plane = _fourier_plane(k)
    first, second = [], []
    for j1 in scales:
        u1 = fields(plane, j1)
        first.append(u1.mean())
        larger = range(j1 + 1, scales.stop)
        plane1 = _fourier_plane(u1) if larger else None
        for j2 in larger:
            u2 = fields(plane1, j2).mean()
            second.append(u2 / first[-1] if reduced else u2)
    return jnp.stack(first + second)


def scattering_labels(num_scales: int, *, first_scale: int = 0, reduced: bool = False) -> list[str]:
    """Name each of `scattering_coefficients`: S1 of every j, then S2 of the first j1, of the next, ..."""
    second = "s21" if reduced else "S2"
    scales = range(first_scale, first_scale + num_scales)
    pairs = itertools.combinations(scales, 2)
    return [f"S1 j={j}" for j in scales] + [f"{second} j={j1},{j2}" for j1, j2 in pairs]


def _fourier_plane(u: Float[Array, "*batch height width"]) -> Complex[Array, "*batch height width"]:
    """Return all modes of real maps in increasing order, (0, 0) at (height//2, width//2)."""
    height, width = u.shape[-2:]
    # Half of the transform of complex numbers; the other half are its conjugates.
    half = jnp.fft.fftshift(jnp.fft.rfft2(u), axes=-2)
    positive = half[..., : (width + 1) // 2]
    mirrored = jnp.conj(half[..., ::-1, (width - 1) // 2 : 0 : -1])
    if height % 2 == 0:
        mirrored = jnp.roll(mirrored, 1, axis=-2)  # the row of -height/2 is its own mirror image
    nyquist = half[..., width // 2 :] if width % 2 == 0 else half[..., :0]
    return jnp.concatenate([nyquist, mirrored, positive], axis=-1)


class _Wavelets(NamedTuple):
    """Wavelets of one scale: for each angle the window's first mode in the plane, and psi in the window."""

    corners: list[tuple[int, int]]
    psi: list[Float[np.ndarray, "rows columns"]]


@functools.lru_cache(maxsize=64)
def _wavelets(
    shape: tuple[int, int], plane: tuple[int, int], j: int, num_angles: int, full_resolution: bool
) -> _Wavelets:
    """Make them for planes of so many modes, in increasing order, of maps of `shape`."""
    directions = [np.pi * angle / num_angles for angle in range(num_angles)]
    # The wavelets' own modes: a wave of 3/8 * 2^-j a pixel.
    centres = np.rint([0.375 / 2**j * np.array(shape) * (np.sin(d), np.cos(d)) for d in directions]).astype(int)
    size = np.minimum(plane, np.maximum(_LEAST_MODES, 2 * np.ceil(np.array(shape) / 2 ** (j + 1)).astype(int)))
    lowest = centres - size // 2
    fits = (lowest >= -(np.array(plane) // 2)).all() and (lowest + size <= (np.array(plane) + 1) // 2).all()
    if full_resolution or not fits:
        size, lowest = np.array(plane), np.broadcast_to(-(np.array(plane) // 2), centres.shape)
    psi_of_angles = []
    for direction, low in zip(directions, lowest):
        rows, columns = (np.arange(low[axis], low[axis] + size[axis]) for axis in (0, 1))
        psi = _morlet(rows / shape[0], columns / shape[1], j, direction, 4.0 / num_angles)
        # As many modes on both sides of the centre, so that mirrored maps plane mirrored windows.
        psi[: int(size[0] < plane[0])] = 0
        psi[:, : int(size[1] < plane[1])] = 0
        psi_of_angles.append(psi * (size.prod() / np.prod(plane)))  # what the inverse transform divides by
    corners = lowest + np.array(plane) // 2
    return _Wavelets([(int(row), int(column)) for row, column in corners], psi_of_angles)


def _morlet(
    rows: Float[np.ndarray, " rows"],
    columns: Float[np.ndarray, " columns"],
    j: int,
    direction: float,
    slant: float,
) -> Float[np.ndarray, "rows columns"]:
    """Return the Fourier transform, at frequencies per pixel, of a Morlet wavelet sampled at the pixels."""
    sigma, xi = 0.8 * 2**j, 0.75 * np.pi / 2**j
    cos, sin = np.cos(direction), np.sin(direction)
    reach = 2 + int(8 * max(1.0, slant) / (2 * np.pi * sigma))  # eight sigma of the transform's wider axis
    aliases = range(-reach, reach + 1)

    def gaussian(y, x, centre):
        """Transform the envelope, moved by `centre`; sampled at pixels, it is repeated at every 2 pi."""
        total = 0.0
        for alias_y in aliases:
            for alias_x in aliases:
                ky, kx = 2 * np.pi * (y + alias_y), 2 * np.pi * (x + alias_x)
                along, across = cos * kx + sin * ky - centre, cos * ky - sin * kx
                total = total + np.exp(-(sigma**2) / 2 * (along**2 + (across / slant) ** 2))
        return total

    y, x = rows[:, None], columns[None, :]
    return gaussian(y, x, xi) - gaussian(0.0, 0.0, xi) / gaussian(0.0, 0.0, 0.0) * gaussian(y, x, 0.0)
