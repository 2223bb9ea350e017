"""Statistics of every map of a set, by any view of it; in parts that an interruption keeps."""

import hashlib
import itertools
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from cosmogan_jax.compare.position_moments import PositionMoments, add_maps, merge, no_maps
from cosmogan_jax.compare.stationarity import axis_power, ring_moments, ring_widths
from cosmogan_jax.geometry import MapGeometry, log_l_edges
from cosmogan_jax.stages.map_sets import MapSet
from cosmogan_jax.stages.progress import progress
from cosmogan_jax.stages.side_by_side import SideBySide, jit_on_one_thread
from cosmogan_jax.storage.numpy_files import read_npz
from cosmogan_jax.storage.whole_files import write_arrays
from cosmogan_jax.summaries import (
    PAPER_L_EDGES,
    PAPER_THRESHOLDS,
    bispectrum,
    minkowski_functionals,
    moments,
    peak_counts,
    power_spectrum,
)

CHUNK = 256  # maps in memory at a time, and in one part of an interrupted run: 67 MB at 256^2
_TOGETHER = 16  # maps in one program of a CPU's
# The display's bins, and how many of the tests' make one of them.
PIXEL_BINS, FINE = 60, 16
_BISPECTRUM_BINS = 6
_PIXELS_IN_A_DIGEST = 4096
# Heights of peaks in units of the validation maps' sigma: an error of the amplitude is one of the peaks too.
_PEAK_HEIGHTS = np.arange(-1.0, 6.01, 0.5)
# What `moments` gives, by name.
MOMENTS = ("sigma0", "sigma1", "S0", "S1", "S2", "K0", "K1", "K2", "K3")

Summaries = dict[str, np.ndarray]
View = Callable[[Float[np.ndarray, "maps size size"], np.ndarray], jax.Array]


class Scales(NamedTuple):
    """Edges of all statistics that have any, set by the validation maps as they are seen."""

    l_edges: Float[np.ndarray, " edges"]
    pixel_edges: Float[np.ndarray, " edges"]
    peak_edges: Float[np.ndarray, " edges"]
    bispectrum_edges: Float[np.ndarray, " edges"]

    def labels(self) -> dict[str, list[str]]:
        """What each band of the judged statistics is."""
        t = np.asarray(PAPER_THRESHOLDS)
        between = [f"{a:.1f} to {b:.1f} sigma" for a, b in itertools.pairwise(t)]
        return {
            "power_bands": _ranges("ell", self.l_edges, ".0f"),
            "V0": between,
            "V1": between,
            "V2": between,
            "peaks": _ranges("kappa", self.peak_edges, ".3f"),
            "bispectrum": _ranges("ell", self.bispectrum_edges, ".0f"),
            "moments": list(MOMENTS),
            "crop_mean": ["mean kappa"],
        }

    def fine_pixel_edges(self) -> Float[np.ndarray, " edges"]:
        """FINE bins in each of the display's."""
        return np.linspace(self.pixel_edges[0], self.pixel_edges[-1], PIXEL_BINS * FINE + 1)


def scales(kappa: Float[np.ndarray, "maps size size"], geometry: MapGeometry, num_bands: int) -> Scales:
    """Scales from some of the validation maps.

    Pixels reach a quarter of their own range (quantiles 1e-4) beyond it on both sides.

    Raises:
      ValueError: maps that are constant or not finite.
    """
    low, high = np.quantile(kappa, [1e-4, 1 - 1e-4])
    sigma = kappa.std()
    if not (np.isfinite(sigma) and high > low):
        raise ValueError(f"validation maps with pixels between {low:g} and {high:g} are constant or not finite")
    pixels = np.linspace(low - 0.25 * (high - low), high + 0.25 * (high - low), PIXEL_BINS + 1)
    return Scales(
        log_l_edges(geometry, num_bands),
        pixels,
        kappa.mean() + sigma * _PEAK_HEIGHTS,
        _triangle_edges(geometry),
    )


def summariser(
    scale: Scales, geometry: MapGeometry
) -> Callable[[Float[np.ndarray, "maps size size"]], Summaries]:
    """A jitted function of maps: every statistic of each. On a CPU it runs on one thread.

    power_spectrum: the paper's 248 bins (LensTools' half-plane mean); power_bands: mean of the full plane in
    bands of log ell; fine_pixels: counts; crop_mean: the map's own mean (the super-sample mode).
    """

    @jit_on_one_thread
    def summarise(kappa):
        v = minkowski_functionals(kappa, PAPER_THRESHOLDS)
        side = geometry.side_deg
        return {
            "power_spectrum": power_spectrum(kappa, PAPER_L_EDGES, side),
            "power_bands": power_spectrum(kappa, scale.l_edges, side, mode_weights="full_plane"),
            # The outermost bins are open: what lies beyond counts there, and no pixel is lost.
            "fine_pixels": _pixel_counts(kappa, scale.fine_pixel_edges()),
            **v._asdict(),
            "peaks": peak_counts(kappa, scale.peak_edges),
            "bispectrum": bispectrum(kappa, scale.bispectrum_edges, side),
            "moments": moments(kappa),
            "crop_mean": kappa.mean((-2, -1))[..., None],
            "rings": ring_moments(kappa, ring_widths(geometry.num_pixels)),
            "axes": axis_power(kappa, scale.l_edges, side),
            **_position_sums(kappa),
        }

    return summarise


def _pixel_counts(kappa, edges):
    """Pixels of each map in equal bins. (`pixel_histogram`'s comparison an edge compiles for minutes.)"""
    num_bins = len(edges) - 1
    scaled = (kappa.reshape(len(kappa), -1) - edges[0]) * (num_bins / (edges[-1] - edges[0]))
    index = jnp.clip(jnp.floor(scaled), 0, num_bins - 1).astype(jnp.int32)
    return jax.vmap(lambda bins: jnp.zeros(num_bins, jnp.int32).at[bins].add(1))(index)


def _position_sums(kappa):
    """Moments at every pixel of this chunk, with a leading axis of one so that chunks can be joined."""
    found = add_maps(no_maps(kappa.shape[1:]), kappa)
    return {f"position_{name}": value[None] for name, value in found._asdict().items()}


def position_moments(summaries: Summaries) -> PositionMoments:
    """Mean and scatter over all maps at every pixel, from the sums of all chunks."""
    total = no_maps(summaries["position_mean"].shape[1:])
    for chunk in zip(*(summaries[f"position_{name}"] for name in PositionMoments._fields)):
        total = merge(total, PositionMoments(*chunk))
    return total


def of_each_map(summaries: Summaries) -> Summaries:
    """Those statistics that have one row a map."""
    return {key: value for key, value in summaries.items() if not key.startswith("position_")}


def in_parts(summarise: Callable, view: View, maps: MapSet, out: Path, label: str) -> Summaries:
    """Statistics of all maps of a set by chunks; finished chunks stay as files until `remove_parts`.

    Raises:
      ValueError: a map with a value that is not finite.
    """
    # So few at a time that every core gets some of a chunk; as many whatever the number of cores.
    size = _TOGETHER if jax.default_backend() == "cpu" else CHUNK

    def seen(part: tuple[np.ndarray, np.ndarray]) -> Summaries:
        return jax.tree.map(np.asarray, summarise(view(*part)))

    side_by_side = SideBySide(seen)
    parts = []
    starts = range(0, maps.num_maps, CHUNK)
    for start in progress(starts, desc=f"evaluate {maps.name} {label}".strip(), unit="chunk"):
        path = out / ("_".join(["part", maps.name, *label.split(), f"{start:08d}"]) + ".npz")
        if not path.exists():
            kappa = maps.read_finite(start, min(start + CHUNK, maps.num_maps))
            index = np.arange(start, start + len(kappa))
            pieces = [(kappa[i : i + size], index[i : i + size]) for i in range(0, len(kappa), size)]
            found = _joined(side_by_side(pieces))
            write_arrays(path, {**found, "digest": np.array([_digest(one) for one in kappa])})
        parts.append(read_npz(path))
    return {key: np.concatenate([part[key] for part in parts]) for key in parts[0]}


def _joined(pieces: list[Summaries]) -> Summaries:
    """The statistics of a chunk: rows one after the other, the moments at every pixel merged."""
    found = {key: np.concatenate([piece[key] for piece in pieces]) for key in pieces[0]}
    moments = position_moments(found)._asdict()
    return found | {f"position_{name}": np.asarray(value)[None] for name, value in moments.items()}


def _digest(kappa: Float[np.ndarray, "size size"]) -> np.uint64:
    """A map's mark, from some thousand of its pixels: no two maps of a simulation have all of them equal."""
    some = kappa.reshape(-1)[:: max(1, kappa.size // _PIXELS_IN_A_DIGEST)]
    return np.uint64(int.from_bytes(hashlib.blake2b(some.tobytes(), digest_size=8).digest(), "little"))


def remove_parts(out: Path) -> None:
    """The chunks that `in_parts` kept."""
    for part in out.glob("part_*"):
        part.unlink()


def as_it_is(kappa: Float[np.ndarray, "maps size size"], index: np.ndarray) -> jax.Array:
    """The view of the maps themselves."""
    return jnp.asarray(kappa)


def display_pixels(summaries: Summaries, scale: Scales) -> Float[np.ndarray, "maps bins"]:
    """Density of the pixels per unit of kappa in the display's bins."""
    counts = summaries["fine_pixels"].reshape(-1, PIXEL_BINS, FINE).sum(-1)
    return counts / counts.sum(-1, keepdims=True) / np.diff(scale.pixel_edges)


def _ranges(name: str, edges: np.ndarray, form: str) -> list[str]:
    return [f"{name} {low:{form}} to {high:{form}}" for low, high in itertools.pairwise(edges)]


def _triangle_edges(geometry: MapGeometry) -> Float[np.ndarray, " edges"]:
    """Log bands for equilateral triangles; their legs stay within the square of modes up to 2/sqrt(3) N/2."""
    return np.geomspace(0.999 * geometry.fundamental_ell, geometry.nyquist_ell * 0.999, _BISPECTRUM_BINS + 1)
