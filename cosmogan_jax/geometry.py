"""Map geometry: the pixels and the Fourier modes of a square, periodic, flat-sky map.

Everything here is float64 NumPy on the host and depends on static numbers only. Which mode falls in which
bin is decided here once: modes lie exactly on bin edges (667 of the half plane's, up to its Nyquist mode, for
one-fundamental-wide bins on a 256² map), and float32 arithmetic puts those in the wrong bin.

Conventions: a map is `kappa[y, x]`, N×N pixels, `side_deg` degrees wide; `ell` is dimensionless (radian⁻¹).
The half plane is the layout of `numpy.fft.rfft2`: N rows (i, axis 0) and N//2 + 1 columns (j, axis 1).
"""

import dataclasses
import math
import numbers

import numpy as np
from numpy.typing import ArrayLike, NDArray

ARCMIN_PER_DEG = 60.0
# Half the sky around: no tangent plane reaches it. What is wider was given in other units.
_MAX_SIDE_DEG = 180.0


@dataclasses.dataclass(frozen=True)
class MapGeometry:
    """A square map of `num_pixels`² pixels that is `side_deg` degrees wide.

    Attributes:
        num_pixels: pixels along a side, a positive integer.
        side_deg: angular width in degrees, positive, at most 180.

    Raises:
        ValueError: if either is out of range.
    """

    num_pixels: int
    side_deg: float

    def __post_init__(self):
        is_integer = isinstance(self.num_pixels, numbers.Integral) and not isinstance(self.num_pixels, bool)
        if not is_integer or self.num_pixels < 1:
            raise ValueError(f"num_pixels={self.num_pixels!r} must be a positive integer")
        object.__setattr__(self, "num_pixels", int(self.num_pixels))
        object.__setattr__(self, "side_deg", check_side_deg(self.side_deg))

    @property
    def side_rad(self) -> float:
        """Angular width in radians."""
        return math.radians(self.side_deg)

    @property
    def pixel_rad(self) -> float:
        """Width of a pixel in radians."""
        return self.side_rad / self.num_pixels

    @property
    def pixel_arcmin(self) -> float:
        """Width of a pixel in arcminutes."""
        return self.side_deg * ARCMIN_PER_DEG / self.num_pixels

    @property
    def fundamental_ell(self) -> float:
        """Multipole of the longest wave that fits the side: 2π / side_rad = 360 / side_deg."""
        return 360.0 / self.side_deg

    @property
    def nyquist_ell(self) -> float:
        """Multipole of the shortest wave along an axis: π / pixel_rad."""
        return self.fundamental_ell * self.num_pixels / 2.0

    def crop(self, num_pixels: int) -> "MapGeometry":
        """Return the geometry of a cut-out of `num_pixels` pixels a side, each of the same size.

        Raises:
            ValueError: if `num_pixels` is not between 1 and this map's.
        """
        cropped = MapGeometry(num_pixels, self.side_deg * num_pixels / self.num_pixels)
        if cropped.num_pixels > self.num_pixels:
            raise ValueError(f"crop num_pixels={num_pixels} must be at most {self.num_pixels}")
        return cropped

    def half_plane_ell(self) -> NDArray[np.float64]:
        """Return the multipole of every stored mode, l = l_f √(min(i, N−i)² + j²), shape (N, N//2 + 1)."""
        row, column = half_plane_indices(self.num_pixels)
        # Scale, then square and add: the order in which LensTools rounds, which decides ties on an edge.
        return np.sqrt(
            (row * self.fundamental_ell)[:, None] ** 2 + (column * self.fundamental_ell)[None, :] ** 2
        )

    def half_plane_bins(self, l_edges: ArrayLike) -> NDArray[np.int32]:
        """Return the bin b of every stored mode, l_b < l ≤ l_{b+1}, and −1 where none, shape (N, N//2 + 1).

        Raises:
            ValueError: if `l_edges` is not an increasing sequence of at least two finite numbers.
        """
        edges = check_edges("l_edges", l_edges)
        # side='left' returns b with edges[b-1] < l <= edges[b]: open below, closed above.
        bins = np.searchsorted(edges, self.half_plane_ell(), side="left") - 1
        return np.where(bins < edges.size - 1, bins, -1).astype(np.int32)

    def half_plane_weights(self) -> NDArray[np.float64]:
        """Return `half_plane_weights` of this map, shape (N, N//2 + 1)."""
        return half_plane_weights((self.num_pixels, self.num_pixels))


def half_plane_indices(num_pixels: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return absolute wave numbers, in fundamentals, of the rows (N,) and columns (N//2 + 1,) of `rfft2`."""
    index = np.arange(num_pixels)
    return np.minimum(index, num_pixels - index), np.arange(num_pixels // 2 + 1)


def half_plane_weights(shape: tuple[int, int]) -> NDArray[np.float64]:
    """Return how many modes of the full plane each mode stands for that `rfft2` stores of (height, width).

    Two, but one in the columns j = 0 and (even width) j = width/2, which hold both conjugates of each pair.
    """
    height, width = shape
    column = np.arange(width // 2 + 1)
    holds_both = (column == 0) | (2 * column == width)
    return np.broadcast_to(np.where(holds_both, 1.0, 2.0), (height, len(column))).copy()


def check_side_deg(side_deg: float) -> float:
    """Return `side_deg` as a float; ValueError unless it is a positive number of degrees, at most 180."""
    if not isinstance(side_deg, numbers.Real) and not (
        isinstance(side_deg, np.ndarray) and side_deg.ndim == 0 and side_deg.dtype.kind in "fiu"
    ):
        raise ValueError(f"side_deg={side_deg!r} must be a number of degrees")
    side = float(side_deg)
    if not (math.isfinite(side) and side > 0.0):
        raise ValueError(f"side_deg={side_deg!r} must be positive and finite")
    if side > _MAX_SIDE_DEG:
        raise ValueError(f"side_deg={side_deg!r} must be at most {_MAX_SIDE_DEG:g}: maps are flat, in degrees")
    return side


def check_edges(name: str, edges: ArrayLike) -> NDArray[np.float64]:
    """Return bin edges as float64; ValueError unless two or more, finite and strictly increasing."""
    values = np.asarray(edges)
    if values.ndim != 1 or values.size < 2:
        raise ValueError(f"{name} of shape {values.shape} must be a sequence of at least 2 edges")
    if values.dtype.kind not in "fiu":
        raise ValueError(f"{name} of dtype {values.dtype} must be real numbers")
    values = values.astype(np.float64)
    if not np.all(np.isfinite(values)):
        raise ValueError(f"{name}={values[~np.isfinite(values)][0]} must be finite")
    falls = np.flatnonzero(np.diff(values) <= 0.0)
    if falls.size:
        lower, upper = values[falls[0]], values[falls[0] + 1]
        raise ValueError(f"{name} must increase strictly: edge {falls[0]} is {lower}, the next is {upper}")
    return values


def log_l_edges(geometry: MapGeometry, num_bins: int) -> NDArray[np.float64]:
    """Return edges, evenly spaced in log ell, from just below the fundamental to the Nyquist multipole.

    A bin that holds no mode of the map is joined to the next, so there may be fewer than `num_bins`.

    Raises:
        ValueError: if `num_bins` is less than 1.
    """
    if num_bins < 1:
        raise ValueError(f"num_bins={num_bins} must be positive")
    edges = np.geomspace(0.999 * geometry.fundamental_ell, geometry.nyquist_ell, num_bins + 1)
    counts = np.histogram(geometry.half_plane_ell(), edges)[0]
    return np.concatenate([edges[:1], edges[1:][counts > 0]])
