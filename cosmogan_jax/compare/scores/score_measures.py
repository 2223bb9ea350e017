"""What scores of a generator are made of, measured of its maps and of the development maps alike."""

import functools
from collections.abc import Iterable
from typing import Literal, NamedTuple

import jax
import numpy as np
from jax import numpy as jnp
from jaxtyping import Array, Float, Shaped, UInt

from cosmogan_jax.compare.position_moments import PositionMoments, add_maps, no_maps
from cosmogan_jax.compare.scores import band_chi2, pixel_distance, sample_health, spectrum_distance
from cosmogan_jax.compare.scores.band_chi2 import BandReference
from cosmogan_jax.compare.scores.pixel_distance import PixelBins
from cosmogan_jax.compare.scores.spectrum_distance import SpectrumReference
from cosmogan_jax.compare.stationarity import axis_power, ring_moments, ring_widths
from cosmogan_jax.geometry import MapGeometry
from cosmogan_jax.summaries import power_spectrum

# Scores of the spectra alone, or all of them.
What = Literal["spectrum", "all"]


class PooledMaps(NamedTuple):
    """Counts of pixels and moments at every position, to which batches of maps are added."""

    pixels: UInt[Array, " counts"]
    moments: PositionMoments


class Measured(NamedTuple):
    """Sums and counts of an ensemble, and the few numbers of each map that errors need."""

    pooled: PooledMaps
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
    has no limit), neighbours the maps among which near-duplicates are sought, at most a batch. band_edges are
    those of `band_chi2`; where None, it is not measured.
    """

    geometry: MapGeometry
    l_edges: Float[np.ndarray, " edges"]
    pixel_bins: PixelBins
    upsamplings: int
    saturated_from: float | None
    neighbours: int
    band_edges: Float[np.ndarray, " band_edges"] | None = None

    def spectra(self, kappa: Float[Array, "maps size size"]) -> tuple[Array, Array | None]:
        """Return powers (maps, modes) and, of the bands, (maps, bands), by the full plane's mean."""

        def power(l_edges):
            return power_spectrum(kappa, l_edges, self.geometry.side_deg, mode_weights="full_plane")

        modes = power(self.l_edges)
        if self.band_edges is None:
            return modes, None
        return modes, modes if np.array_equal(self.l_edges, self.band_edges) else power(self.band_edges)

    def no_maps(self) -> PooledMaps:
        """Return the counts and moments of no maps."""
        num_pixels = self.geometry.num_pixels
        return PooledMaps(jnp.zeros(pixel_distance.NUM_BINS + 3, jnp.uint32), no_maps((num_pixels, num_pixels)))

    def add_maps(self, pooled: PooledMaps, kappa: Float[Array, "maps size size"]) -> PooledMaps:
        """Return the counts and moments with the maps of a batch added."""
        pixels = pooled.pixels + pixel_distance.count_pixels(self.pixel_bins, kappa)
        return PooledMaps(pixels, add_maps(pooled.moments, kappa))

    def of_maps(self, kappa: Float[Array, "maps size size"]) -> tuple[Array, ...]:
        """Return the few numbers of each map: checkerboard shares, ring moments, axis powers, share saturated.

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


def reference(
    measures: Measures,
    batches: Iterable[Float[np.ndarray, "maps size size"]],
    parents: Shaped[np.ndarray, " maps"] | None = None,
    what: What = "all",
) -> Reference:
    """Measure the development maps, given in batches of which one is in memory at a time.

    parents names the map that each was cut from, in the order of the batches; bands need it. what is that of
    the scorers that compare with it (`make_scorer`).

    Raises:
      ValueError: fewer than two maps, non-finite or constant ones; too few parents for the bands.
    """
    spectra: list[np.ndarray] = []
    bands: list[Array] = []
    numbers: list[tuple[Array, ...]] = []
    near: list[np.ndarray] = []
    count, pooled = 0, measures.no_maps()
    measure = jax.jit(functools.partial(_measured_batch, measures, what))
    for kappa in batches:
        pooled, (of_modes, of_bands), of_maps = measure(pooled, kappa)
        spectra.append(np.asarray(of_modes))
        if of_bands is not None:
            bands.append(of_bands)
        numbers.append(of_maps)
        near.append(kappa[: max(0, measures.neighbours - count)])
        count += len(kappa)
    if not 2 <= measures.neighbours <= count:
        raise ValueError(
            f"neighbours={measures.neighbours} must be two or more of the {count} development maps"
        )
    measured = None
    if what == "all":
        checkerboard, rings, axes, saturated = (jnp.concatenate(column) for column in zip(*numbers))
        nearest = jax.jit(sample_health.nearest_distance)(np.concatenate(near))
        measured = Measured(pooled, checkerboard, rings, axes, saturated, nearest)
    return Reference(
        spectrum_distance.spectrum_reference(np.concatenate(spectra)),
        measured,
        None
        if measures.band_edges is None
        else band_chi2.band_reference(np.concatenate(bands), np.asarray(parents)),
    )


def _measured_batch(
    measures: Measures, what: What, pooled: PooledMaps, kappa: Float[Array, "maps size size"]
) -> tuple[PooledMaps, tuple[Array, Array | None], tuple[Array, ...]]:
    """Return the pooled maps with a batch added, its spectra, and the few numbers of each of its maps."""
    if what == "spectrum":
        return pooled, measures.spectra(kappa), ()
    return measures.add_maps(pooled, kappa), measures.spectra(kappa), measures.of_maps(kappa)
