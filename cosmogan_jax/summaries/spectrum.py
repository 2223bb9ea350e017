"""Azimuthally averaged power spectrum."""

from typing import Literal

import jax
import numpy as np
from jax import numpy as jnp
from jaxtyping import Array, Float, Int

from cosmogan_jax.geometry import MapGeometry, check_edges
from cosmogan_jax.summaries import bin_sums
from cosmogan_jax.summaries.batching import over_maps
from cosmogan_jax.summaries.edges import check_kappa
from cosmogan_jax.switches import with_usual


@with_usual
def power_spectrum(
    kappa: Float[Array, "*batch size size"],
    l_edges: Float[np.ndarray, " edges"],
    side_deg: float,
    *,
    mode_weights: Literal["half_plane", "full_plane"] = "half_plane",
) -> Float[Array, "*batch bins"]:
    """Compute P_b = (theta/N^2)^2 <|f|^2> over the modes with l_b < l <= l_{b+1}, in steradian.

    f is the unnormalised real Fourier transform of the map, theta its side in radian, N its pixels; the
    mean is not subtracted; a bin without modes gives 0. "half_plane" is LensTools' mean: every stored mode
    weighs one, so the columns j = 0 and j = N/2, which hold both conjugates, weigh double, and the result
    changes when a map is transposed. "full_plane" is the mean over the whole plane (columns 0 < j < N/2
    weigh two), symmetric and equal to Parseval's sum.

    A NaN pixel makes every bin that holds modes NaN, as in LensTools, and leaves 0 in the empty ones.
    In float32 the transform rounds all modes by what the strongest are: a bin of power p is good to about
    5e-9 sqrt(P/p), P being the largest bin's power, and to 5e-7 at best (`tests/test_summaries.py`):
    4e-6 at p = 1e-6 P, 3e-3 at 1e-12 P. Bins below 1e-15 P, as in the tails of smoothed maps, hold rounding and
    nothing else; float64 maps under enable_x64 show them.

    Raises:
      ValueError: edges that do not increase or are fewer than two, maps not square or not of real numbers,
        side_deg not positive, unknown mode_weights.
    """
    l_edges = check_edges("l_edges", l_edges)
    kappa = check_kappa(kappa, square=True)
    if mode_weights not in ("half_plane", "full_plane"):
        raise ValueError(f"mode_weights={mode_weights!r} must be 'half_plane' or 'full_plane'")
    geometry = MapGeometry(kappa.shape[-1], side_deg)
    bins, share = _of_modes(geometry, l_edges, mode_weights)
    norm = jnp.asarray(share, kappa.dtype)

    def spectrum(map_):
        f = jnp.fft.rfft2(map_).ravel()
        return bin_sums.of_known_bins((f.real**2 + f.imag**2) * norm, bins, len(l_edges) - 1)

    return over_maps(spectrum, kappa)


@with_usual
def cross_power_spectra(
    kappa: Float[Array, "*batch bins size size"], l_edges: Float[np.ndarray, " edges"], side_deg: float
) -> Float[Array, "*batch pairs bands"]:
    """Compute P_b = (theta/N^2)^2 <Re f_i f_j*> of every pair i < j of maps of one sky, in steradian.

    Pairs are those of `numpy.triu_indices(bins, 1)`, in its order. f, theta, N and bands are those of
    `power_spectrum` with the mean over the full plane: the pair of a map with itself would be its power.

    Raises:
      ValueError: edges that do not increase or are fewer than two, maps not square or not real floating, fewer
        than two bins, side_deg not positive.
    """
    return _of_pairs(check_bins_of_sources(kappa), l_edges, side_deg, 1)


@with_usual
def pair_power_spectra(
    kappa: Float[Array, "*batch bins size size"], l_edges: Float[np.ndarray, " edges"], side_deg: float
) -> Float[Array, "*batch pairs bands"]:
    """Compute P_b = (theta/N^2)^2 <Re f_i f_j*> of all pairs i <= j: every auto and cross power, in steradian.

    Pairs are those of `numpy.triu_indices(bins)`, in its order: of three bins 00, 01, 02, 11, 12, 22. Autos are
    `power_spectrum`'s with the mean over the full plane, crosses those of `cross_power_spectra`; every map is
    transformed once. `maps.source_bins.bins_first` turns maps whose bins are the last axis.

    Raises:
      ValueError: as `cross_power_spectra`.
    """
    return _of_pairs(check_bins_of_sources(kappa), l_edges, side_deg, 0)


def check_bins_of_sources(kappa) -> Float[Array, "*batch bins size size"]:
    """Return square maps of two source bins or more as `check_kappa` does; ValueError of others."""
    kappa = check_kappa(kappa, square=True)
    if kappa.ndim < 3 or kappa.shape[-3] < 2:
        raise ValueError(f"kappa of shape {kappa.shape} must hold two bins or more, (..., bins, size, size)")
    return kappa


def _of_pairs(kappa: Array, l_edges: np.ndarray, side_deg: float, apart: int) -> Array:
    """Return the spectra of pairs i, j with j >= i + apart."""
    l_edges = check_edges("l_edges", l_edges)
    bands, share = _of_modes(MapGeometry(kappa.shape[-1], side_deg), l_edges, "full_plane")
    norm = jnp.asarray(share, kappa.dtype)
    first, second = np.triu_indices(kappa.shape[-3], apart)
    f = jnp.fft.rfft2(kappa).reshape(*kappa.shape[:-2], -1)

    def of_pair(pair):
        f1, f2 = f[..., pair[0], :], f[..., pair[1], :]
        return bin_sums.of_known_bins((f1.real * f2.real + f1.imag * f2.imag) * norm, bands, len(l_edges) - 1)

    # In turn: all products of forty bins would take twenty times the maps' own memory.
    return jnp.moveaxis(jax.lax.map(of_pair, jnp.stack([jnp.asarray(first), jnp.asarray(second)], 1)), 0, -2)


def _of_modes(
    geometry: MapGeometry, l_edges: np.ndarray, mode_weights: str
) -> tuple[Int[np.ndarray, " modes"], Float[np.ndarray, " modes"]]:
    """Return every mode's bin, of the half plane, and the factor of |f|^2 in that bin's power."""
    bins = geometry.half_plane_bins(l_edges).ravel()
    used = bins >= 0
    weights = geometry.half_plane_weights().ravel() if mode_weights == "full_plane" else np.ones(bins.shape)
    total = np.bincount(bins[used], weights[used], len(l_edges) - 1)
    weight = np.where(used, weights, 0.0) * (geometry.side_rad / geometry.num_pixels**2) ** 2
    return bins, weight / np.maximum(total, 1)[bins]
