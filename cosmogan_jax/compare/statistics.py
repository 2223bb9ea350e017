"""The one table of statistics of a map: what each is, how it is named, tested, judged and shown.

Adding one takes a row here and the function that it names; summarising, tests, verdict, contrasts, report and
model cards read this table. A statistic that a table lacks is an error that names it.
"""

import dataclasses
import functools
import itertools
import operator
from collections.abc import Callable, Iterable
from typing import Literal

import jax
import numpy as np
from jax import numpy as jnp
from jaxtyping import Array, Bool, Float

from cosmogan_jax.compare.scales import FINE, PIXEL_BINS, SCATTERING_FROM, Edges, Scales
from cosmogan_jax.geometry import MapGeometry
from cosmogan_jax.summaries import (
    PAPER_L_EDGES,
    PAPER_THRESHOLDS,
    MinkowskiFunctionals,
    StarletStatistics,
    bispectrum,
    minimum_counts,
    minkowski_functionals,
    moments,
    peak_counts,
    power_spectrum,
    roughness,
    roughness_labels,
    scattering_coefficients,
    scattering_labels,
    starlet_statistics,
)
from cosmogan_jax.summaries.batching import over_maps
from cosmogan_jax.summaries.bin_sums import by_selection
from cosmogan_jax.summaries.edges import bin_index

_ANGLES = 4  # of the scattering wavelets
MOMENTS = ("sigma0", "sigma1", "S0", "S1", "S2", "K0", "K1", "K2", "K3")  # what `moments` gives, by name


@dataclasses.dataclass(frozen=True, eq=False)
class Measured:
    """Maps that are being measured, inside a trace; what several statistics are made of is computed once.

    mask: True where a pixel is a measurement; None where all are. Other pixels are 0 in kappa.
    """

    kappa: Float[Array, "maps size size"]
    edges: Edges
    geometry: MapGeometry
    mask: Bool[Array, "maps size size"] | None = None

    @functools.cached_property
    def minkowski(self) -> MinkowskiFunctionals:
        """At thresholds in units of each map's own standard deviation, as the paper has them."""
        return minkowski_functionals(self.kappa, PAPER_THRESHOLDS, mask=self.mask)

    @functools.cached_property
    def minkowski_of_kappa(self) -> MinkowskiFunctionals:
        """At thresholds in kappa, the same for all maps: an amplitude that is wrong is seen."""
        thresholds = self.edges.kappa_thresholds
        return minkowski_functionals(self.kappa, thresholds, normalised=False, mask=self.mask)

    @functools.cached_property
    def starlet(self) -> StarletStatistics:
        """l1 norm and peaks of every starlet scale."""
        return starlet_statistics(self.kappa, self.edges.starlet_l1, self.edges.starlet_peaks)

    @functools.cached_property
    def fine_pixels(self) -> Float[Array, "maps fine_bins"]:
        """Valid pixels in equal bins of kappa; the outermost are open, so that none is lost."""
        low, each_unit = self.edges.pixels
        num_bins = PIXEL_BINS * FINE

        def counts(kappa, valid=None):
            # `pixel_histogram`'s comparison an edge compiles for minutes.
            scaled = (kappa.ravel() - low) * each_unit
            index = jnp.clip(jnp.floor(scaled), 0, num_bins - 1).astype(jnp.int32)
            each = 1 if valid is None else valid.ravel().astype(jnp.int32)
            return jnp.zeros(num_bins, jnp.int32).at[jax.lax.optimization_barrier(index)].add(each)

        return over_maps(counts, self.kappa, self.mask)

    @property
    def num_valid(self) -> int | Float[Array, " maps"]:
        """Return the pixels of a map, or the valid ones of each."""
        if self.mask is None:
            return self.kappa.shape[-1] * self.kappa.shape[-2]
        return self.mask.sum((-2, -1)).astype(self.kappa.dtype)

    @property
    def side_deg(self) -> float:
        """Return the side of the maps."""
        return self.geometry.side_deg


@dataclasses.dataclass(frozen=True)
class Statistic:
    """One statistic of a map.

    Attributes:
      name, title: its key in files of results, and what a reader is told.
      measure: its values, (maps, modes), traced.
      labels: what each mode is.
      matched_by: losses of `emulators/matched_statistics.py` that train on it: agreement is then no finding.
      mean_unit: of differences of means: the mean, of what is positive by construction, or real maps' scatter.
      tested: by two-sample tests, mode by mode.
      judged: by effects with margins. required: no emulator passes without it. covariance: correlations of its
        modes are judged too.
      selected_by: whether the choice of a generator looks at it.
      shown: mean and scatter stand in statistics.json. heights: the paper's protocol is followed on it.
      takes_masks: whether it is defined on part of a map's pixels; others mix what is masked into all modes.
      differentiable: by the pixels, as its mean over maps is; counts in bins and above thresholds only jump.
    """

    name: str
    title: str
    measure: Callable[[Measured], Array]
    labels: Callable[[Scales], list[str]]
    matched_by: tuple[str, ...]
    mean_unit: Literal["mean", "scatter"] = "scatter"
    tested: bool = True
    judged: bool = True
    required: bool = False
    covariance: bool = False
    selected_by: bool = False
    shown: bool = False
    heights: bool = False
    takes_masks: bool = False
    differentiable: bool = False


def _ranges(name: str, edges: np.ndarray, form: str) -> list[str]:
    return [f"{name} {low:{form}} to {high:{form}}" for low, high in itertools.pairwise(edges)]


def _of_sigma(scales: Scales) -> list[str]:
    return [f"{low:.1f} to {high:.1f} sigma" for low, high in itertools.pairwise(np.asarray(PAPER_THRESHOLDS))]


def _of_kappa(scales: Scales) -> list[str]:
    return _ranges("kappa", scales.kappa_thresholds, ".4f")


def _power(measured: Measured) -> Array:
    l_edges = np.array(measured.edges.l_edges)
    return power_spectrum(measured.kappa, l_edges, measured.side_deg, mode_weights="full_plane")


def _density(measured: Measured) -> Array:
    """Share of the pixels in each of the judged bins."""
    cells, fine = measured.edges.density_cells, measured.fine_pixels
    counts = by_selection(fine, bin_index(jnp.arange(fine.shape[-1]), cells), len(cells) + 1)
    counts, number = counts.astype(measured.kappa.dtype), measured.num_valid
    return counts / (number if isinstance(number, int) else number[:, None])


def _mean(measured: Measured) -> Array:
    if measured.mask is None:
        return measured.kappa.mean((-2, -1))[..., None]
    return (measured.kappa.sum((-2, -1)) / measured.num_valid)[..., None]


def _starlet_labels(edges: np.ndarray) -> list[str]:
    """Return the labels of every scale and bin; the last scale is the smooth one."""
    labels = []
    for j, row in enumerate(edges):
        scale = "smooth scale" if j == len(edges) - 1 else f"scale {2**j} pixel{'s' if j else ''}"
        inner = _ranges("w", row[1:-1], ".4f")
        labels += [f"{scale}, {bin_}" for bin_ in (f"w below {row[1]:.4f}", *inner, f"w above {row[-2]:.4f}")]
    return labels


def ell_labels(l_edges: Float[np.ndarray, " edges"]) -> list[str]:
    """Return what each band of ell is called."""
    return _ranges("ell", l_edges, ".0f")


def _density_labels(scales: Scales) -> list[str]:
    at = scales.fine_pixel_edges()[scales.density_cells]
    return [f"kappa below {at[0]:.4f}", *_ranges("kappa", at, ".4f"), f"kappa above {at[-1]:.4f}"]


def _minkowski_losses(name: str) -> tuple[str, ...]:
    """Return the losses of a functional; V0 is the pixels' cumulative density."""
    return ("pdf", "heights", "large_heights") if name == "V0" else ("minkowski",)


_ROWS = (
    Statistic(
        "power_spectrum", "power spectrum, the paper's modes",
        lambda m: power_spectrum(m.kappa, PAPER_L_EDGES, m.side_deg),
        lambda s: _ranges("ell", np.asarray(PAPER_L_EDGES), ".0f"),
        matched_by=("power",), judged=False, selected_by=True, shown=True, heights=True, differentiable=True,
    ),
    Statistic(
        "power_bands", "power spectrum, log bands", _power, lambda s: _ranges("ell", s.l_edges, ".0f"),
        matched_by=("power", "covariance"), mean_unit="mean", required=True, covariance=True, selected_by=True,
        shown=True, differentiable=True,
    ),
    Statistic(
        "pdf", "density of the pixels", _density,
        _density_labels, matched_by=("pdf", "heights", "large_heights"), required=True, takes_masks=True,
    ),
    *(
        Statistic(
            name, f"Minkowski {name}, thresholds in each map's sigma",
            operator.attrgetter(f"minkowski.{name}"), _of_sigma,
            matched_by=_minkowski_losses(name), required=True, shown=True, heights=True, takes_masks=True,
        )
        for name in MinkowskiFunctionals._fields
    ),
    *(
        Statistic(
            f"{name}_of_kappa", f"Minkowski {name}, thresholds in kappa",
            operator.attrgetter(f"minkowski_of_kappa.{name}"), _of_kappa, matched_by=_minkowski_losses(name),
            takes_masks=True,
        )
        for name in MinkowskiFunctionals._fields
    ),
    Statistic(
        "peaks", "peak counts", lambda m: peak_counts(m.kappa, m.edges.peaks, mask=m.mask),
        lambda s: _ranges("kappa", s.peak_edges, ".3f"), matched_by=("peaks",), required=True, shown=True,
        takes_masks=True,
    ),
    Statistic(
        "minima", "counts of minima",
        lambda m: minimum_counts(m.kappa, m.edges.minima, mask=m.mask),
        lambda s: _ranges("kappa", s.minimum_edges, ".3f"), matched_by=("minima",), takes_masks=True,
    ),
    Statistic(
        "starlet_l1", "starlet l1 norm", lambda m: m.starlet.l1_norm.reshape(len(m.kappa), -1),
        lambda s: _starlet_labels(s.starlet_l1_edges), matched_by=("wavelets", "starlet_l1"),
    ),
    Statistic(
        "starlet_peaks", "starlet peak counts", lambda m: m.starlet.peak_counts.reshape(len(m.kappa), -1),
        lambda s: _starlet_labels(s.starlet_peak_edges), matched_by=("starlet_peaks",),
    ),
    Statistic(
        "scattering", "scattering coefficients, first and second order",
        lambda m: scattering_coefficients(
            m.kappa, m.edges.scattering_scales, _ANGLES, first_scale=SCATTERING_FROM
        ),
        lambda s: scattering_labels(s.scattering_scales, first_scale=SCATTERING_FROM),
        matched_by=("scattering",), differentiable=True,
    ),
    Statistic(
        "bispectrum", "bispectrum, equilateral",
        lambda m: bispectrum(m.kappa, np.array(m.edges.bispectrum_edges), m.side_deg),
        lambda s: _ranges("ell", s.bispectrum_edges, ".0f"), matched_by=("bispectrum",), shown=True,
        differentiable=True,
    ),
    Statistic(
        "roughness", "roughness by height", lambda m: roughness(m.kappa, *m.edges.mean_and_sigma),
        lambda s: roughness_labels(), matched_by=("roughness",), shown=True, differentiable=True,
    ),
    Statistic(
        "moments", "moments of the map and its derivatives", lambda m: moments(m.kappa, m.mask),
        lambda s: list(MOMENTS), matched_by=("moments",), takes_masks=True, differentiable=True,
    ),
    Statistic(
        "crop_mean", "mean of the map", _mean,
        lambda s: ["mean kappa"], matched_by=("mean",), takes_masks=True, differentiable=True,
    ),
)  # fmt: skip

STATISTICS: dict[str, Statistic] = {row.name: row for row in _ROWS}


def trained_on_by(losses: Iterable[str]) -> set[str]:
    """Return the names of the statistics that training with these losses matches."""
    losses = set(losses)
    return {row.name for row in STATISTICS.values() if losses.intersection(row.matched_by)}


def measure(
    kappa: Float[Array, "maps size size"], edges: Edges, geometry: MapGeometry, *, masked: bool = False
) -> dict[str, Float[Array, "maps _"]]:
    """Measure every statistic of the table, and `fine_pixels`: to be jitted with the edges as an argument.

    Beyond the modes that a statistic has (`num_modes`) bins that fill up the edges are empty.

    masked: NaN marks pixels that are no measurement, and only statistics that take masks are measured.
    """
    valid = jnp.isfinite(kappa) if masked else None
    measured = Measured(kappa if valid is None else jnp.where(valid, kappa, 0), edges, geometry, valid)
    rows = [row for row in STATISTICS.values() if row.takes_masks or not masked]
    return {row.name: row.measure(measured) for row in rows} | {"fine_pixels": measured.fine_pixels}


def num_modes(scales: Scales) -> dict[str, int]:
    """Return how many modes each statistic has; what is measured beyond these fills the edges up."""
    return {row.name: len(row.labels(scales)) for row in STATISTICS.values()}
