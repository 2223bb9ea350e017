"""How far two ensembles of power spectra lie apart: the score by which generators are ranked.

    chi2_l = 1/2 sum_h (g_h - r_h)^2 / (g_h + r_h),    chi2 = mean over modes of chi2_l

g and r are the shares of maps in bins of the power of mode l, bounded by the reference's quantiles and open at
both ends: 0 for equal histograms, 1 for disjoint ones; with ten bins 0.82 where all power lies beyond the
outermost quantile. (The paper names a chi-squared distance between histograms of the spectra; its formula is
unpublished.) There the distance saturates: the mean squared log ratio of the mean spectra, squashed below
1e-2, orders such candidates.

Ties: a power equal to an edge belongs to the bin above it; where edges coincide, the bins between them are
empty on both sides and add nothing. Modes whose reference power is constant (no mode of the map in the bin) do
not count. A spectrum that is not finite makes the distance NaN, the worst of all scores.

The histograms are counts, so generated maps stream: `count_spectra` over any batches in any order gives the
same counts, and `distance` is a few operations on them. All of it may be jitted and stays on the device.
"""

from typing import NamedTuple

import jax
import numpy as np
from jax import numpy as jnp
from jaxtyping import Array, Bool, Float, Int

NUM_HISTOGRAM_BINS = 10


class SpectrumReference(NamedTuple):
    """What the reference ensemble leaves: its histograms, mean spectrum, and which modes vary."""

    edges: Float[Array, "inner_edges bins"]
    shares: Float[Array, "histogram_bins bins"]
    mean: Float[Array, " bins"]
    informative: Bool[Array, " bins"]


class SpectrumCounts(NamedTuple):
    """Spectra counted so far: how many in each histogram bin, their sum in units of the reference's mean."""

    counts: Int[Array, "histogram_bins bins"]
    total: Float[Array, " bins"]
    maps: Int[Array, ""]


class SpectrumScore(NamedTuple):
    """The distance, and the largest factor by which a mode's mean power is off, up or down."""

    chi2: Float[Array, ""]
    worst_power_factor: Float[Array, ""]


def spectrum_reference(
    power: Float[np.ndarray, "maps bins"], num_histogram_bins: int = NUM_HISTOGRAM_BINS
) -> SpectrumReference:
    """Return the reference's side of the distance, once for all candidates.

    Raises:
      ValueError: fewer than two maps, spectra that are not finite, or no mode that varies.
    """
    power = np.asarray(power, np.float64)
    if power.ndim != 2 or len(power) < 2 or not np.isfinite(power).all():
        raise ValueError(f"reference spectra of shape {power.shape} must be two or more and finite")
    informative = np.ptp(power, axis=0) > 0
    if not informative.any():
        raise ValueError("the reference spectra hold no mode that varies")
    edges = np.quantile(power, np.linspace(0, 1, num_histogram_bins + 1)[1:-1], axis=0)
    edges, power32 = jnp.asarray(edges, jnp.float32), jnp.asarray(power, jnp.float32)
    # float32 as the candidates' spectra are: a power that ties with an edge does so on both sides.
    shares = jax.jit(_histogram)(edges, power32) / len(power)
    return SpectrumReference(edges, shares, jnp.asarray(power.mean(0), jnp.float32), jnp.asarray(informative))


def no_spectra(reference: SpectrumReference) -> SpectrumCounts:
    """Return the counts of no spectra."""
    shares = reference.shares
    return SpectrumCounts(
        jnp.zeros(shares.shape, jnp.int32), jnp.zeros(shares.shape[1:], shares.dtype), jnp.zeros((), jnp.int32)
    )


def count_spectra(
    counts: SpectrumCounts, reference: SpectrumReference, power: Float[Array, "maps bins"]
) -> SpectrumCounts:
    """Return the counts with the spectra of a batch added."""
    relative = power / jnp.where(reference.informative, reference.mean, 1)
    return SpectrumCounts(
        counts.counts + _histogram(reference.edges, power),
        counts.total + relative.sum(0),
        counts.maps + power.shape[0],
    )


def distance(counts: SpectrumCounts, reference: SpectrumReference) -> SpectrumScore:
    """Return the module's distance of the spectra counted from the reference."""
    g, r = counts.counts / counts.maps, reference.shares
    total = g + r
    of_mode = 0.5 * jnp.where(total > 0, (g - r) ** 2 / jnp.where(total > 0, total, 1), 0).sum(0)
    ratio = jnp.where(reference.informative, counts.total / counts.maps, 1)
    log_ratio = jnp.log(jnp.maximum(ratio, jnp.finfo(ratio.dtype).tiny))
    num_modes = reference.informative.sum()
    offset = (log_ratio**2).sum() / num_modes
    mean = jnp.where(reference.informative, of_mode, 0).sum() / num_modes
    # A sum that overflowed has no offset either: the worst score, as NaN.
    squashed = jnp.where(jnp.isfinite(offset), offset / (1 + offset), jnp.nan)
    return SpectrumScore(mean + 1e-2 * squashed, jnp.exp(jnp.abs(log_ratio).max()))


def expected_distance(
    num_generated: int, num_reference: int, num_histogram_bins: int = NUM_HISTOGRAM_BINS
) -> float:
    """Return the mean distance of two samples of one distribution.

    It is (h - 1)/4 (1/N_gen + 1/N_ref), for h bins of many independent maps; crops of one parent hang together,
    and the distance from them is larger.
    """
    return (num_histogram_bins - 1) / 4 * (1 / num_generated + 1 / num_reference)


def spectrum_chi2(
    generated: Float[np.ndarray, "maps bins"],
    reference: Float[np.ndarray, "maps bins"],
    num_histogram_bins: int = NUM_HISTOGRAM_BINS,
) -> float:
    """Return the module's distance of two ensembles held in memory.

    Raises:
      ValueError: different modes, fewer than two maps on a side, or no informative mode.
    """
    if generated.shape[1:] != reference.shape[1:] or min(len(generated), len(reference)) < 2:
        raise ValueError(f"spectra of shapes {generated.shape} and {reference.shape} cannot be compared")
    fixed = spectrum_reference(reference, num_histogram_bins)
    counts = count_spectra(no_spectra(fixed), fixed, jnp.asarray(generated, jnp.float32))
    return float(distance(counts, fixed).chi2)


def _histogram(edges: Array, power: Array) -> Int[Array, "histogram_bins bins"]:
    # How many lie at or above each edge, largest first; differences are the bins' counts.
    above = (power[:, None, :] >= edges[None]).sum(0, dtype=jnp.int32)
    all_, none = jnp.full_like(above[:1], power.shape[0]), jnp.zeros_like(above[:1])
    padded = jnp.concatenate([all_, above, none])
    return padded[:-1] - padded[1:]
