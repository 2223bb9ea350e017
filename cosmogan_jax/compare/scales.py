"""Edges and thresholds of all statistics, fixed once by real maps, the same for every set compared.

Bins that are judged hold enough of every real map: of a bin that most maps leave empty, the scatter over maps
is not known before there are some ten thousand maps, and no emulator could pass in it.
"""

import dataclasses
import functools
from collections.abc import Callable
from typing import NamedTuple

import jax
import numpy as np
from jax import numpy as jnp
from jaxtyping import Array, Float, Int

from cosmogan_jax.geometry import MapGeometry, log_l_edges
from cosmogan_jax.summaries import PAPER_THRESHOLDS, minimum_counts, peak_counts, starlet_transform
from cosmogan_jax.summaries.edges import Bins, filled_bins

# The display's bins, and how many of the tests' make one of them.
PIXEL_BINS, FINE = 60, 16
_BISPECTRUM_BINS = 6
# Shares of the pixels below the edges of the judged density; the outermost bins are open.
_DENSITY_SHARES = (0.01, 0.03, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.98, 0.99)
# Heights of peaks in units of the reference maps' sigma: an error of the amplitude is one of the peaks too.
# Bins from either end are joined until a map holds so many peaks of one, on average.
_PEAK_HEIGHTS, _FEWEST_PEAKS = np.arange(-1.0, 6.01, 0.5), 1.0
_MINIMUM_HEIGHTS = np.arange(-4.0, 2.01, 0.25)
# Starlet scales, the smooth one among them, where the map has room for so many; edges in units of each scale's
# own sigma over the reference maps, the outermost bins open.
_STARLET_SCALES = 5
_OPEN = 1000.0
_L1_EDGES = np.array([-_OPEN, -2.0, -1.0, 0.0, 1.0, 2.0, 3.0, _OPEN])
_STARLET_PEAKS = np.array([-_OPEN, 0.5, 1.0, 2.0, _OPEN])
# Scattering wavelets of 2.67 * 2^j pixels; the finest, j = 0, would take four times the time of all others.
_STARLET_MAPS = 64  # of the reference, that the sigmas rest on
SCATTERING_FROM, _SCATTERING_SCALES = 1, 4


@functools.partial(
    jax.tree_util.register_dataclass,
    data_fields=[
        "pixels", "density_cells", "peaks", "minima", "starlet_l1", "starlet_peaks", "kappa_thresholds",
        "mean_and_sigma",
    ],
    meta_fields=["l_edges", "scattering_scales", "bispectrum_edges"],
)  # fmt: skip
@dataclasses.dataclass(frozen=True)
class Edges:
    """Scales as a compiled program takes them: what rests on the reference maps is an argument of it.

    What follows from the geometry is the program's own, so that one program serves every reference of maps of
    one size. Bins of which some references leave out a few are filled up with empty ones at the end.

    pixels: below the first of the fine bins, and how many of these a unit of kappa holds.
    """

    l_edges: tuple[float, ...]
    scattering_scales: int
    bispectrum_edges: tuple[float, ...]
    pixels: Float[Array | np.ndarray, "2"]
    density_cells: Int[Array | np.ndarray, " edges"]
    peaks: Bins
    minima: Bins
    starlet_l1: Float[np.ndarray, "scales edges"]
    starlet_peaks: Float[np.ndarray, "scales edges"]
    kappa_thresholds: Bins
    mean_and_sigma: Float[np.ndarray, "2"]


class Scales(NamedTuple):
    """Edges of all statistics that have any, set by the reference maps as they are seen.

    density_cells: of the fine pixel bins, those at which bins of the judged density begin, but for its first.
    mean_and_sigma: of all pixels together.
    """

    l_edges: Float[np.ndarray, " edges"]
    pixel_edges: Float[np.ndarray, " edges"]
    density_cells: Int[np.ndarray, " edges"]
    peak_edges: Float[np.ndarray, " edges"]
    minimum_edges: Float[np.ndarray, " edges"]
    starlet_l1_edges: Float[np.ndarray, "scales edges"]
    starlet_peak_edges: Float[np.ndarray, "scales edges"]
    scattering_scales: int
    bispectrum_edges: Float[np.ndarray, " edges"]
    kappa_thresholds: Float[np.ndarray, " edges"]
    mean_and_sigma: Float[np.ndarray, "2"]

    def fine_pixel_edges(self) -> Float[np.ndarray, " edges"]:
        """FINE bins in each of the display's."""
        return fine_edges(self.pixel_edges)

    def edges(self) -> Edges:
        """Return the edges in float32, as arguments of a compiled program."""
        fine = self.fine_pixel_edges()
        low, num_cells = fine[0], len(fine) - 1
        return Edges(
            l_edges=tuple(self.l_edges.tolist()),
            scattering_scales=self.scattering_scales,
            bispectrum_edges=tuple(self.bispectrum_edges.tolist()),
            pixels=np.array([low, num_cells / (fine[-1] - low)], np.float32),
            density_cells=np.append(
                self.density_cells, [num_cells] * (len(_DENSITY_SHARES) - len(self.density_cells))
            ).astype(np.int32),
            peaks=filled_bins(self.peak_edges, len(_PEAK_HEIGHTS)),
            minima=filled_bins(self.minimum_edges, len(_MINIMUM_HEIGHTS)),
            starlet_l1=self.starlet_l1_edges.astype(np.float32),
            starlet_peaks=self.starlet_peak_edges.astype(np.float32),
            kappa_thresholds=filled_bins(self.kappa_thresholds, len(self.kappa_thresholds)),
            mean_and_sigma=self.mean_and_sigma.astype(np.float32),
        )


def fine_edges(pixel_edges: Float[np.ndarray, " edges"]) -> Float[np.ndarray, " fine_edges"]:
    """FINE bins in each of the display's."""
    return np.linspace(pixel_edges[0], pixel_edges[-1], PIXEL_BINS * FINE + 1)


def scales(
    kappa: Float[np.ndarray, "maps size size"], geometry: MapGeometry, num_bands: int, *, masked: bool = False
) -> Scales:
    """Set the scales by some of the reference maps.

    Pixels reach a quarter of their own range (quantiles 1e-4) beyond it on both sides; peaks and thresholds in
    kappa are the mean and so many standard deviations of all pixels together.

    masked: NaN marks pixels that are no measurement. Starlet scales, which take no masks, are then those of
    maps with the mean in their place.

    Raises:
      ValueError: maps that are constant or not finite.
    """
    valid = np.isfinite(kappa) if masked else None
    values = kappa if valid is None else kappa[valid]
    if not values.size:
        raise ValueError("validation maps hold no valid pixel")
    low, high = np.quantile(values, [1e-4, 1 - 1e-4])
    mean, sigma = values.mean(), values.std()
    if valid is not None:
        kappa = np.where(valid, kappa, mean)
    if not (np.isfinite(sigma) and high > low):
        raise ValueError(f"validation maps with pixels between {low:g} and {high:g} are constant or not finite")
    pixels = np.linspace(low - 0.25 * (high - low), high + 0.25 * (high - low), PIXEL_BINS + 1)
    at = np.quantile(values, _DENSITY_SHARES)
    starlet = _starlet_sigma(kappa)[:, None]
    of_sigma = mean + sigma * _PEAK_HEIGHTS, mean + sigma * _MINIMUM_HEIGHTS
    return Scales(
        log_l_edges(geometry, num_bands),
        pixels,
        np.unique(np.searchsorted(fine_edges(pixels), at)),
        _joined(peak_counts, kappa, of_sigma[0], valid),
        _joined(minimum_counts, kappa, of_sigma[1], valid),
        starlet * _L1_EDGES,
        starlet * _STARLET_PEAKS,
        num_scattering_scales(geometry.num_pixels),
        triangle_edges(geometry),
        mean + sigma * np.asarray(PAPER_THRESHOLDS),
        np.array([mean, sigma]),
    )


def _joined(
    counts: Callable, kappa: np.ndarray, edges: np.ndarray, valid: np.ndarray | None
) -> Float[np.ndarray, " edges"]:
    """The edges without those that would cut off a bin of too few extrema, from either end; two at least."""
    measured = _counted(counts, jnp.asarray(kappa), filled_bins(edges, len(edges)), valid)
    number = np.asarray(measured, np.float64).mean(0) * np.diff(edges)
    kept = list(range(len(edges)))
    while len(kept) > 2 and number[kept[-2] :].sum() < _FEWEST_PEAKS:
        del kept[-2]
    while len(kept) > 2 and number[: kept[1]].sum() < _FEWEST_PEAKS:
        del kept[1]
    return edges[kept]


@functools.partial(jax.jit, static_argnums=0)
def _counted(counts: Callable, kappa: Array, bins: Bins, valid: Array | None) -> Float[Array, "maps bins"]:
    return counts(kappa, bins, mask=valid)


_transformed = jax.jit(starlet_transform, static_argnums=1)


def _starlet_sigma(kappa: np.ndarray) -> Float[np.ndarray, " scales"]:
    """Standard deviation of each starlet scale over the maps; as many scales as the map has room for."""
    num_scales = max(2, min(_STARLET_SCALES, int(np.log2(kappa.shape[-1])) - 2))
    found = [np.asarray(_transformed(jnp.asarray(one), num_scales)) for one in kappa[:_STARLET_MAPS]]
    sigma = np.std(np.stack(found), axis=(0, 2, 3))
    return np.maximum(sigma, np.finfo(np.float32).tiny)


def num_scattering_scales(num_pixels: int) -> int:
    """Return how many from SCATTERING_FROM on a map has room for: waves of half of its side at most."""
    return max(1, min(_SCATTERING_SCALES, int(np.log2(num_pixels / 2 / 2.67)) - SCATTERING_FROM + 1))


def triangle_edges(geometry: MapGeometry) -> Float[np.ndarray, " edges"]:
    """Return log bands for equilateral triangles; their legs stay within the modes up to 2/sqrt(3) N/2."""
    return np.geomspace(0.999 * geometry.fundamental_ell, geometry.nyquist_ell * 0.999, _BISPECTRUM_BINS + 1)


def display_pixels(
    fine_pixels: Float[np.ndarray, "maps fine_bins"], scales: Scales
) -> Float[np.ndarray, "maps bins"]:
    """Return the density of the pixels per unit of kappa in the display's bins."""
    counts = fine_pixels.reshape(-1, PIXEL_BINS, FINE).sum(-1)
    return counts / counts.sum(-1, keepdims=True) / np.diff(scales.pixel_edges)
