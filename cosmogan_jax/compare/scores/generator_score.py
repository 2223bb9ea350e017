"""A generator's maps scored against the development set, wholly on the device.

`make_scorer` fixes how maps are drawn and what the development maps leave (a `Reference`, made once), and gives
one pure function of the emulator's variables. Maps are drawn from their numbers batch by batch, and only counts
and sums are kept: memory is one batch of latents and maps, whatever the number of maps. The same numbers serve
every candidate, so that two candidates differ by their weights and not by luck.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
from jax import numpy as jnp
from jaxtyping import Array, Float, Int

from cosmogan_jax.compare.clustered import Groups
from cosmogan_jax.compare.scores import band_chi2, pixel_distance, sample_health, spectrum_distance
from cosmogan_jax.compare.scores.score_measures import Measured, Measures, PooledMaps, Reference, What
from cosmogan_jax.compare.scores.spectrum_distance import SpectrumCounts
from cosmogan_jax.compare.stationarity import border_against_centre, row_against_column

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


def not_shown(upsamplings: int, limit: float | None) -> tuple[str, ...]:
    """Return the scores without a meaning for a generator that has no upsamplings, or no largest |x|."""
    return (() if upsamplings else _OF_UPSAMPLING) + (() if limit is not None else _OF_LIMIT)


def make_scorer(
    draw: Draw,
    num_maps: int,
    measures: Measures,
    batch_size: int,
    what: What = "all",
) -> Callable[[Any, Reference], Scores]:
    """Return score(variables, reference) -> scores: pure, to be jitted.

    draw(variables, index) makes maps in kappa; scored are maps 0 to num_maps.

    what="spectrum": `spectrum_chi2` and `worst_power_factor` (`spectrum_distance.py`) and `band_chi2`
    (`band_chi2.py`; NaN without bands), all that the ranking of every step's generator needs.
    what="all" adds:

    - `pixel_ks`: distance of the pooled pixel distributions (`pixel_distance.py`)
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

    def score(variables, reference: Reference) -> Scores:
        if what == "all" and reference.measured is None:
            raise ValueError("the reference holds spectra alone; what='all' needs one of what='all'")

        def add(sums, index):
            return _added(measures, reference, sums, draw(variables, index))

        numbers = jnp.arange(num_maps).reshape(-1, batch_size)
        sums, kept = jax.lax.scan(add, _no_sums(measures, reference, what), numbers)
        scores = _of_spectra(sums, reference, num_maps)
        if sums.pooled is None or reference.measured is None:
            return scores
        numbers_of_maps, nearest = kept
        checkerboard, rings, axes, saturated = (
            leaf.reshape(num_maps, *leaf.shape[2:]) for leaf in numbers_of_maps
        )
        generated = Measured(sums.pooled, checkerboard, rings, axes, saturated, nearest.mean())
        return scores | _compare(generated, reference.measured, measures)

    return score


class _Sums(NamedTuple):
    """What is kept of maps that stream by; pooled None where spectra suffice."""

    spectra: SpectrumCounts
    bands: Float[Array, "..."]
    pooled: PooledMaps | None


def _no_sums(measures: Measures, reference: Reference, what: What) -> _Sums:
    """Return the sums of no maps."""
    return _Sums(
        spectrum_distance.no_spectra(reference.spectrum),
        jnp.zeros(()) if reference.bands is None else jnp.zeros_like(reference.bands.mean),
        measures.no_maps() if what == "all" else None,
    )


def _added(
    measures: Measures, reference: Reference, sums: _Sums, kappa: Float[Array, "maps size size"]
) -> tuple[_Sums, tuple[Any, ...]]:
    """Return the sums with a batch of maps added, and what is kept of it besides."""
    of_modes, of_bands = measures.spectra(kappa)
    spectra, bands = spectrum_distance.count_spectra(sums.spectra, reference.spectrum, of_modes), sums.bands
    if reference.bands is not None and of_bands is not None:
        bands = bands + band_chi2.relative_power(reference.bands, of_bands)
    if sums.pooled is None:
        return _Sums(spectra, bands, None), ()
    nearest = sample_health.nearest_distance(kappa[: measures.neighbours])
    pooled = measures.add_maps(sums.pooled, kappa)
    return _Sums(spectra, bands, pooled), (measures.of_maps(kappa), nearest)


def _of_spectra(sums: _Sums, reference: Reference, num_maps: int) -> Scores:
    """Return the scores that spectra give."""
    distance = spectrum_distance.distance(sums.spectra, reference.spectrum)
    unknown = jnp.full((), jnp.nan)
    bands = reference.bands
    return {
        "spectrum_chi2": distance.chi2,
        "worst_power_factor": distance.worst_power_factor,
        "band_chi2": unknown if bands is None else band_chi2.band_chi2(sums.bands, num_maps, bands),
    }


def _compare(generated: Measured, real: Measured, measures: Measures) -> Scores:
    """Return the scores of all but the spectra."""
    maps = generated.rings.shape[0]
    groups = Groups(jnp.arange(maps), maps)
    border = border_against_centre(generated.rings, groups)
    axes = row_against_column(generated.axes, groups)

    def largest(contrast):
        ring = jnp.argmax(jnp.abs(contrast.value))
        return contrast.value[ring], contrast.significance[ring]

    scores = {"pixel_ks": pixel_distance.histogram_ks(generated.pooled.pixels, real.pooled.pixels).distance}
    if measures.upsamplings:
        share, real_share = (
            ensemble.checkerboard.mean(0)[:_CHECKERBOARD_SETS] for ensemble in (generated, real)
        )
        scores |= {
            "checkerboard_ratio": jnp.max((share + _FAINTEST) / (real_share + _FAINTEST)),
            "checkerboard_excess": jnp.max(share - real_share),
            "pattern": sample_health.pattern_amplitude(generated.pooled.moments, measures.upsamplings),
        }
    scores |= {
        "variance_ratio": sample_health.sample_variance(generated.pooled.moments)
        / sample_health.sample_variance(real.pooled.moments),
        "nearest_ratio": generated.nearest / real.nearest,
    }
    if measures.saturated_from is not None:
        scores["saturated"] = generated.saturated.mean() - real.saturated.mean()
    scores["border_mean"], scores["border_mean_significance"] = largest(border.mean)
    scores["border_sigma"], scores["border_sigma_significance"] = largest(border.sigma)
    scores["row_column"], scores["row_column_significance"] = axes.value[0], axes.significance[0]
    return scores
