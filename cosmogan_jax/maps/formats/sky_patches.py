"""Flat squares cut from a HEALPix sky by the gnomonic projection, none of which overlap.

A patch is the tangent plane at its centre, N x N pixels of side_deg / N degrees each (as a FITS WCS of type TAN
counts them). A point (x, y) of it, in radians to the east and north of a centre at longitude a0 and latitude
d0, lies at (Snyder 1987, Map Projections: A Working Manual, eq. 20-14 and 20-15)

    sin d = (sin d0 + y cos d0) / sqrt(1 + x² + y²),    tan(a - a0) = x / (cos d0 - y sin d0).

Each pixel takes the value of the sky's pixel that its centre lies in (healpy.gnomview does so), which keeps the
distribution of kappa; pixels of a patch should be about as wide as the sky's.
"""

import math

import numpy as np
from jaxtyping import Float, Int

from cosmogan_jax.even_choice import evenly_spread

# Areas of a tangent plane's corners are 1.2 times the sky's at this width.
_WIDEST_DEG = 30.0


def num_side(num_pixels: int) -> int | None:
    """Return nside of a sky of 12 nside² pixels; None where the number is none of these."""
    nside = math.isqrt(max(num_pixels, 0) // 12)
    return nside if nside and 12 * nside**2 == num_pixels else None


def patch_centres(side_deg: float) -> Float[np.ndarray, "patches 2"]:
    """Return longitude and latitude in degrees of squares that do not overlap, in bands from south to north.

    Bands of latitude lie as close as the squares' own edges and corners allow, one on the equator; the squares
    of a band are evenly spaced. The caps around the poles, where a band has no room, stay empty.

    Raises:
      ValueError: a width that is not positive, or more than 30 degrees.
    """
    if not 0 < side_deg <= _WIDEST_DEG:
        raise ValueError(f"side_deg={side_deg:g} of flat patches must be positive and at most {_WIDEST_DEG:g}")
    half = math.radians(side_deg) / 2  # of a patch, in its plane
    lean = math.atan(half)
    bands = [(0.0, math.atan2(half, 1.0))]
    top = lean
    # The lowest points of a northern square are its lower corners, the highest the middle of its upper edge.
    while (sine := math.sin(top) * math.sqrt((1 + 2 * half**2) / (1 + half**2))) < 1:
        latitude = lean + math.asin(sine)
        room = math.cos(latitude) - half * math.sin(latitude)
        if latitude + lean >= math.pi / 2 or room <= 0:
            break
        bands.append((latitude, math.atan2(half, room)))
        top = latitude + lean
    centres = []
    for latitude, reach in [(-d, w) for d, w in reversed(bands[1:])] + bands:
        count = int(math.pi / reach + 1e-9)
        centres += [(360.0 * number / count, math.degrees(latitude)) for number in range(count)]
    return np.array(centres)


def chosen_centres(side_deg: float, most: int | None) -> Float[np.ndarray, "patches 2"]:
    """Choose all of `patch_centres`, or so many of them, evenly spread over their order."""
    every = patch_centres(side_deg)
    return every if most is None else every[evenly_spread(len(every), most)]


def patch_directions(
    centre: Float[np.ndarray, " 2"], num_pixels: int, side_deg: float
) -> tuple[Float[np.ndarray, "size size"], Float[np.ndarray, "size size"]]:
    """Return longitude and latitude of every pixel's centre, in radians; rows go north, columns east."""
    plane = (np.arange(num_pixels) - (num_pixels - 1) / 2) * math.radians(side_deg) / num_pixels
    x, y = plane[None, :], plane[:, None]
    longitude, latitude = np.radians(centre)
    sine = (np.sin(latitude) + y * np.cos(latitude)) / np.sqrt(1 + x**2 + y**2)
    around = np.arctan2(x, np.cos(latitude) - y * np.sin(latitude))
    return np.mod(longitude + around, 2 * np.pi), np.arcsin(np.clip(sine, -1, 1))


def patch_indices(
    centre: Float[np.ndarray, " 2"], num_pixels: int, side_deg: float, nside: int, *, nested: bool
) -> Int[np.ndarray, "size size"]:
    """Return the sky's pixel in which each pixel of a patch lies.

    Raises:
      ModuleNotFoundError: astropy-healpix is not installed.
    """
    try:
        from astropy_healpix import core
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            "HEALPix maps need astropy-healpix: pip install 'cosmogan_jax[healpix]'"
        ) from error
    from astropy import units

    longitude, latitude = patch_directions(centre, num_pixels, side_deg)
    order = "nested" if nested else "ring"
    return core.lonlat_to_healpix(longitude * units.rad, latitude * units.rad, nside, order=order)
