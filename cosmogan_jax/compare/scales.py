"""Edges and thresholds of all statistics, fixed once by real maps, the same for every set compared.

Bins that are judged hold enough of every real map: of a bin that most maps leave empty, the scatter over maps
is not known before there are some ten thousand maps, and no emulator could pass in it.
"""

from typing import NamedTuple

import numpy as np
from jax import numpy as jnp
from jaxtyping import Float, Int

from cosmogan_jax.geometry import MapGeometry, log_l_edges
from cosmogan_jax.summaries import PAPER_THRESHOLDS, peak_counts

# The display's bins, and how many of the tests' make one of them.
PIXEL_BINS, FINE = 60, 16
_BISPECTRUM_BINS = 6
# Shares of the pixels below the edges of the judged density; the outermost bins are open.
_DENSITY_SHARES = (0.01, 0.03, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.98, 0.99)
# Heights of peaks in units of the reference maps' sigma: an error of the amplitude is one of the peaks too.
# Bins from either end are joined until a map holds so many peaks of one, on average.
_PEAK_HEIGHTS, _FEWEST_PEAKS = np.arange(-1.0, 6.01, 0.5), 1.0


class Scales(NamedTuple):
    """Edges of all statistics that have any, set by the reference maps as they are seen.

    density_cells: of the fine pixel bins, those at which bins of the judged density begin, but for its first.
    """

    l_edges: Float[np.ndarray, " edges"]
    pixel_edges: Float[np.ndarray, " edges"]
    density_cells: Int[np.ndarray, " edges"]
    peak_edges: Float[np.ndarray, " edges"]
    bispectrum_edges: Float[np.ndarray, " edges"]
    kappa_thresholds: Float[np.ndarray, " edges"]

    def fine_pixel_edges(self) -> Float[np.ndarray, " edges"]:
        """FINE bins in each of the display's."""
        return fine_edges(self.pixel_edges)


def fine_edges(pixel_edges: Float[np.ndarray, " edges"]) -> Float[np.ndarray, " fine_edges"]:
    """FINE bins in each of the display's."""
    return np.linspace(pixel_edges[0], pixel_edges[-1], PIXEL_BINS * FINE + 1)


def scales(kappa: Float[np.ndarray, "maps size size"], geometry: MapGeometry, num_bands: int) -> Scales:
    """Scales from some of the reference maps.

    Pixels reach a quarter of their own range (quantiles 1e-4) beyond it on both sides; peaks and thresholds in
    kappa are the mean and so many standard deviations of all pixels together.

    Raises:
      ValueError: maps that are constant or not finite.
    """
    low, high = np.quantile(kappa, [1e-4, 1 - 1e-4])
    sigma = kappa.std()
    if not (np.isfinite(sigma) and high > low):
        raise ValueError(f"validation maps with pixels between {low:g} and {high:g} are constant or not finite")
    pixels = np.linspace(low - 0.25 * (high - low), high + 0.25 * (high - low), PIXEL_BINS + 1)
    at = np.quantile(kappa, _DENSITY_SHARES)
    return Scales(
        log_l_edges(geometry, num_bands),
        pixels,
        np.unique(np.searchsorted(fine_edges(pixels), at)),
        _peak_edges(kappa, kappa.mean() + sigma * _PEAK_HEIGHTS),
        _triangle_edges(geometry),
        kappa.mean() + sigma * np.asarray(PAPER_THRESHOLDS),
    )


def _peak_edges(kappa: np.ndarray, edges: np.ndarray) -> Float[np.ndarray, " edges"]:
    """The edges without those that would cut off a bin of too few peaks, from either end; two at least."""
    number = np.asarray(peak_counts(jnp.asarray(kappa), edges), np.float64).mean(0) * np.diff(edges)
    kept = list(range(len(edges)))
    while len(kept) > 2 and number[kept[-2] :].sum() < _FEWEST_PEAKS:
        del kept[-2]
    while len(kept) > 2 and number[: kept[1]].sum() < _FEWEST_PEAKS:
        del kept[1]
    return edges[kept]


def _triangle_edges(geometry: MapGeometry) -> Float[np.ndarray, " edges"]:
    """Log bands for equilateral triangles; their legs stay within the square of modes up to 2/sqrt(3) N/2."""
    return np.geomspace(0.999 * geometry.fundamental_ell, geometry.nyquist_ell * 0.999, _BISPECTRUM_BINS + 1)
