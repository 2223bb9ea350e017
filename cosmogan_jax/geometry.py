"""Geometry of square, flat convergence maps, and the Fourier modes they hold."""

import dataclasses
import functools
import math

import numpy as np
from jaxtyping import Float, Int


@dataclasses.dataclass(frozen=True)
class MapGeometry:
    """A square map of num_pixels**2 pixels, side_deg degrees wide.

    Raises:
      ValueError: num_pixels < 1, or a side that is not positive and finite.
    """

    num_pixels: int
    side_deg: float

    def __post_init__(self):
        if self.num_pixels < 1:
            raise ValueError(f"num_pixels={self.num_pixels} must be positive")
        if not (math.isfinite(self.side_deg) and self.side_deg > 0):
            raise ValueError(f"side_deg={self.side_deg} must be positive and finite")

    @property
    def side_rad(self) -> float:
        """Side in radian."""
        return math.radians(self.side_deg)

    @property
    def pixel_rad(self) -> float:
        """Pixel width in radian."""
        return self.side_rad / self.num_pixels

    @property
    def pixel_arcmin(self) -> float:
        """Pixel width in arc minutes."""
        return 60 * self.side_deg / self.num_pixels

    @property
    def fundamental_ell(self) -> float:
        """Multipole of the longest wave along a side, 2 pi / side_rad."""
        return 2 * math.pi / self.side_rad

    @property
    def nyquist_ell(self) -> float:
        """Multipole of the shortest wave along a side, pi / pixel_rad."""
        return math.pi / self.pixel_rad

    def crop(self, num_pixels: int) -> "MapGeometry":
        """Geometry of a crop with the same pixels.

        Raises:
          ValueError: the crop is larger than the map.
        """
        if num_pixels > self.num_pixels:
            raise ValueError(f"crop_size={num_pixels} is larger than the map's {self.num_pixels} pixels")
        return MapGeometry(num_pixels, self.side_deg * num_pixels / self.num_pixels)


def half_plane_ell(geometry: MapGeometry) -> Float[np.ndarray, "size half"]:
    """|ell| of every mode that a real Fourier transform stores, in float64."""
    size = geometry.num_pixels
    rows = np.minimum(np.arange(size), size - np.arange(size))
    columns = np.arange(size // 2 + 1)
    return geometry.fundamental_ell * np.sqrt(rows[:, None] ** 2 + columns[None, :] ** 2)


def ell_bins(ell: Float[np.ndarray, "..."], l_edges: Float[np.ndarray, " edges"]) -> Int[np.ndarray, "..."]:
    """Bin of each multipole, l_b < ell <= l_{b+1}; -1 where it lies in none.

    Decided once in float64: in float32 modes that lie exactly on an edge change their bin.
    """
    index = np.searchsorted(l_edges, ell, side="left") - 1
    return np.where((index >= 0) & (index < len(l_edges) - 1), index, -1)


@functools.lru_cache(maxsize=32)
def log_l_edges(geometry: MapGeometry, num_bins: int) -> tuple[float, ...]:
    """Edges, evenly spaced in log ell, from just below the fundamental to the Nyquist multipole."""
    return tuple(np.geomspace(0.999 * geometry.fundamental_ell, geometry.nyquist_ell, num_bins + 1))
