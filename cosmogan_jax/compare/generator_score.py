"""A generator's maps scored against the development set, wholly on the device.

`make_scorer` fixes how maps are drawn and what the development maps leave (a `Reference`, made once), and gives
one pure function of the emulator's variables. Maps are drawn from their numbers batch by batch, and only counts
and sums are kept: memory is one batch of latents and maps, whatever the number of maps. The same numbers serve
every candidate, so that two candidates differ by their weights and not by luck.
"""

from collections.abc import Callable, Iterable
from typing import Any, Literal, NamedTuple

import jax
import numpy as np
from jax import numpy as jnp
from jaxtyping import Array, Float, Int, Shaped, UInt

from cosmogan_jax.compare import band_chi2, pixel_distance, sample_health, spectrum_distance
from cosmogan_jax.compare.band_chi2 import BandReference
from cosmogan_jax.compare.clustered import Groups
from cosmogan_jax.compare.pixel_distance import PixelBins
from cosmogan_jax.compare.position_moments import PositionMoments, add_maps, no_maps
from cosmogan_jax.compare.spectrum_distance import SpectrumReference
from cosmogan_jax.compare.stationarity import (
    axis_power,
    border_against_centre,
    ring_moments,
    ring_widths,
    row_against_column,
)
from cosmogan_jax.geometry import MapGeometry
from cosmogan_jax.summaries import power_spectrum

Draw = Callable[[Any, Int[Array, " maps"]], Float[Array, "maps size size"]]
Scores = dict[str, Float[Array, ""]]
# Share of the variance below which a pattern counts as none: 0.1 % of sigma. Smooth maps hold nothing but
# rounding in the highest modes, and a ratio of roundings says nothing.
_FAINTEST = 1e-6
# Of `checkerboard_share`'s sets: near the Nyquist frequency, and periods of 2 and 4 pixels. Longer periods are
# long waves of a sky too; what is common to all maps shows in `pattern`.
_CHECKERBOARD_SETS = 3
# Names of all scores, in the order of `make_scorer`'s docstring.
SCORES = (
    "spectrum_chi2",
    "worst_power_factor",
    "band_chi2",
    "pixel_ks",
    "checkerboard_ratio",
    "checkerboard_excess",
    "pattern",
    "variance_ratio",
    "nearest_ratio",
    "saturated",
    "border_mean",
    "border_mean_significance",
    "border_sigma",
    "border_sigma_significance",
    "row_column",
    "row_column_significance",
)
# Those that ask for a generator that upsamples, and for one that has a largest |x|.
_OF_UPSAMPLING = ("checkerboard_ratio", "checkerboard_excess", "pattern")
_OF_LIMIT = ("saturated",)


class Measured(NamedTuple):
    """Sums and counts of an ensemble, and the few numbers a map that errors need."""

    pixels: UInt[Array, " counts"]
    moments: PositionMoments
    checkerboard: Float[Array, "maps shares"]
    rings: Float[Array, "maps regions 2"]
    axes: Float[Array, "maps 2 1"]
    saturated: Float[Array, " maps"] | Float[Array, "maps 0"]
    nearest: Float[Array, ""]


class Reference(NamedTuple):
    """The development maps, as every candidate is compared with them; measured None where spectra suffice."""

    spectrum: SpectrumReference
    measured: Measured | None
    bands: BandReference | None = None


class Measures(NamedTuple):
    """What is measured of maps, for maps of one geometry and one network.

    upsamplings are those of the generator (0: there is no pattern of theirs to be measured), saturated_from the
    kappa at which it counts as saturated (`sample_health.SATURATED_FROM` of its limit, in kappa; None where it
    has no limit), neighbours the maps among which near-duplicates are
    sought, at most a batch. band_edges are those of `band_chi2`; where None, it is not measured.
    """

    geometry: MapGeometry
    l_edges: Float[np.ndarray, " edges"]
    pixel_bins: PixelBins
    upsamplings: int
    saturated_from: float | None
    neighbours: int
    band_edges: Float[np.ndarray, " band_edges"] | None = None

    def spectra(self, kappa: Float[Array, "maps size size"]) -> tuple[Array, Array | None]:
        """Powers of the modes and of the bands, (maps, modes) and (maps, bands), by the full plane's mean."""

        def power(l_edges):
            return power_spectrum(kappa, l_edges, self.geometry.side_deg, mode_weights="full_plane")

        modes = power(self.l_edges)
        if self.band_edges is None:
            return modes, None
        return modes, modes if np.array_equal(self.l_edges, self.band_edges) else power(self.band_edges)

    def of_maps(self, kappa: Float[Array, "maps size size"]) -> tuple[Array, ...]:
        """The few numbers of each map: checkerboard shares, ring moments, axis powers, share saturated.

        No column of what the generator cannot show.
        """
        # Bands over all modes in one: the least noisy contrast of the two axes, by the waves that dominate.
        band = np.array([0.5 * self.geometry.fundamental_ell, self.geometry.nyquist_ell])
        none = jnp.zeros((kappa.shape[0], 0), kappa.dtype)
        return (
            sample_health.checkerboard_share(kappa, self.upsamplings) if self.upsamplings else none,
            ring_moments(kappa, ring_widths(self.geometry.num_pixels)),
            axis_power(kappa, band, self.geometry.side_deg),
            none if self.saturated_from is None else sample_health.saturated_share(kappa, self.saturated_from),
        )


def not_shown(upsamplings: int, limit: float | None) -> tuple[str, ...]:
    """Scores without a meaning for a generator that has no upsamplings, or no largest |x|."""
    return (() if upsamplings else _OF_UPSAMPLING) + (() if limit is not None else _OF_LIMIT)


def reference(
    measures: Measures,
    batches: Iterable[Float[np.ndarray, "maps size size"]],
    parents: Shaped[np.ndarray, " maps"] | None = None,
    what: Literal["spectrum", "all"] = "all",
) -> Reference:
    """What the development maps leave, given in batches of which one is in memory at a time.

    parents names the map that each was cut from, in the order of the batches; bands need it. what is that of
    the scorers that compare with it (`make_scorer`).

    Raises:
      ValueError: fewer than two maps, non-finite or constant ones; too few parents for the bands.
    """
    spectra: list[np.ndarray] = []
    bands: list[Array] = []
    numbers: list[tuple[Array, ...]] = []
    near: list[np.ndarray] = []
    sums = (
        jnp.zeros(pixel_distance.NUM_BINS + 3, jnp.uint32),
        no_maps((measures.geometry.num_pixels,) * 2),
    )

    @jax.jit
    def add(sums, kappa):
        if what == "spectrum":
            return sums, measures.spectra(kappa), ()
        pixels, moments = sums
        pixels = pixels + pixel_distance.count_pixels(measures.pixel_bins, kappa)
        return (pixels, add_maps(moments, kappa)), measures.spectra(kappa), measures.of_maps(kappa)

    for kappa in batches:
        sums, power, found = add(sums, kappa)
        spectra.append(np.asarray(power[0]))
        if power[1] is not None:
            bands.append(power[1])
        numbers.append(found)
        near.append(kappa[: max(0, measures.neighbours - sum(len(part) for part in near))])
    count = sum(len(part) for part in spectra)
    if not 2 <= measures.neighbours <= count:
        raise ValueError(
            f"neighbours={measures.neighbours} must be two or more of the {count} development maps"
        )
    measured = None
    if what == "all":
        checkerboard, rings, axes, saturated = (jnp.concatenate(parts) for parts in zip(*numbers))
        measured = Measured(
            *sums,
            checkerboard,
            rings,
            axes,
            saturated,
            jax.jit(sample_health.nearest_distance)(np.concatenate(near)),
        )
    return Reference(
        spectrum_distance.spectrum_reference(np.concatenate(spectra)),
        measured,
        None
        if measures.band_edges is None
        else band_chi2.band_reference(np.concatenate(bands), np.asarray(parents)),
    )


def make_scorer(
    draw: Draw,
    num_maps: int,
    measures: Measures,
    batch_size: int,
    what: Literal["spectrum", "all"] = "all",
) -> Callable[[Any, Reference], Scores]:
    """score(variables, reference) -> scores; pure, to be jitted. draw(variables, index) makes maps in kappa.

    Scored are maps 0 to num_maps.

    what="spectrum": `spectrum_chi2` and `worst_power_factor` (`compare/spectrum_distance.py`) and `band_chi2`
    (`compare/band_chi2.py`; NaN without bands), all that the ranking of every step's generator needs.
    what="all" adds:

    - `pixel_ks`: distance of the pooled pixel distributions (`compare/pixel_distance.py`)
    - `checkerboard_ratio`, `checkerboard_excess`: largest ratio to, and difference from, the development
      maps' `sample_health.checkerboard_share` near the Nyquist frequency and in the patterns of 2 and 4 pixels;
      `pattern`: `pattern_amplitude`
    - `variance_ratio`, `nearest_ratio`: `sample_variance` and `nearest_distance` over the development maps'
    - `saturated`: the share of saturated pixels beyond the development maps'
      Scores that have no meaning for the generator (`not_shown`) are left out.
    - `border_mean`, `border_sigma` (the ring that differs most from the centre), `row_column`: contrasts of
      `compare/stationarity.py`, each with its `..._significance`, generated maps counted as independent

    Raises:
      ValueError: fewer than two maps; batch_size that does not divide their number, or is less than the
        neighbours; (from score) a reference of spectra alone for what="all".
    """
    if num_maps < 2 or batch_size < 1 or num_maps % batch_size:
        raise ValueError(f"{num_maps} maps cannot be scored in batches of {batch_size}")
    if what == "all" and batch_size < measures.neighbours:
        raise ValueError(f"batch_size={batch_size} is less than neighbours={measures.neighbours}")
    size = measures.geometry.num_pixels

    def score(variables, reference: Reference) -> Scores:
        spectrum, with_bands, real = reference.spectrum, reference.bands, reference.measured

        def add(sums, index):
            counts, bands, *of_all = sums
            kappa = draw(variables, index)
            of_modes, of_bands = measures.spectra(kappa)
            counts = spectrum_distance.count_spectra(counts, spectrum, of_modes)
            if with_bands is not None and of_bands is not None:
                bands = bands + band_chi2.relative_power(with_bands, of_bands)
            if what == "spectrum":
                return (counts, bands), ()
            pixels, moments = of_all
            pixels = pixels + pixel_distance.count_pixels(measures.pixel_bins, kappa)
            nearest = sample_health.nearest_distance(kappa[: measures.neighbours])
            return (counts, bands, pixels, add_maps(moments, kappa)), (measures.of_maps(kappa), nearest)

        nothing: tuple[Any, ...] = (
            spectrum_distance.no_spectra(spectrum),
            jnp.zeros(()) if with_bands is None else jnp.zeros_like(with_bands.mean),
        )
        if what == "all":
            if real is None:
                raise ValueError("the reference holds spectra alone; what='all' needs one of what='all'")
            nothing += jnp.zeros_like(real.pixels), no_maps((size, size))
        sums, kept = jax.lax.scan(add, nothing, jnp.arange(num_maps).reshape(-1, batch_size))
        counts, bands, *of_all = sums
        found = spectrum_distance.distance(counts, spectrum)
        scores = {
            "spectrum_chi2": found.chi2,
            "worst_power_factor": found.worst_power_factor,
            "band_chi2": jnp.full((), jnp.nan)
            if with_bands is None
            else band_chi2.band_chi2(bands, num_maps, with_bands),
        }
        if what == "spectrum" or real is None:
            return scores
        (pixels, moments), (numbers, nearest) = of_all, kept
        checkerboard, rings, axes, saturated = (leaf.reshape(num_maps, *leaf.shape[2:]) for leaf in numbers)
        generated = Measured(pixels, moments, checkerboard, rings, axes, saturated, nearest.mean())
        return scores | _compare(generated, real, measures)

    return score


def _compare(generated: Measured, real: Measured, measures: Measures) -> Scores:
    maps = generated.rings.shape[0]
    groups = Groups(jnp.arange(maps), maps)
    border = border_against_centre(generated.rings, groups)
    axes = row_against_column(generated.axes, groups)

    def largest(contrast):
        ring = jnp.argmax(jnp.abs(contrast.value))
        return contrast.value[ring], contrast.significance[ring]

    scores = {"pixel_ks": pixel_distance.histogram_ks(generated.pixels, real.pixels).distance}
    if measures.upsamplings:
        share, real_share = (of.checkerboard.mean(0)[:_CHECKERBOARD_SETS] for of in (generated, real))
        scores |= {
            "checkerboard_ratio": jnp.max((share + _FAINTEST) / (real_share + _FAINTEST)),
            "checkerboard_excess": jnp.max(share - real_share),
            "pattern": sample_health.pattern_amplitude(generated.moments, measures.upsamplings),
        }
    scores |= {
        "variance_ratio": sample_health.sample_variance(generated.moments)
        / sample_health.sample_variance(real.moments),
        "nearest_ratio": generated.nearest / real.nearest,
    }
    if measures.saturated_from is not None:
        scores["saturated"] = generated.saturated.mean() - real.saturated.mean()
    scores["border_mean"], scores["border_mean_significance"] = largest(border.mean)
    scores["border_sigma"], scores["border_sigma_significance"] = largest(border.sigma)
    scores["row_column"], scores["row_column_significance"] = axes.value[0], axes.significance[0]
    return scores
