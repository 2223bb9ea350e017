"""The data vector of maps in several source bins: all auto and cross powers, and other statistics of each bin.

Mean and covariance over maps in one call, with what every number is, and as tables in the layout of two-point
data of surveys (`files/data_vector_files.py` writes them): bins count from 1 there. Float64 NumPy on the host.
"""

import dataclasses
import functools
from collections.abc import Sequence

import jax
import numpy as np
from jaxtyping import Array, Float

from cosmogan_jax.compare.data_vectors import data_vector
from cosmogan_jax.geometry import MapGeometry, log_l_edges
from cosmogan_jax.summaries.batching import in_batches
from cosmogan_jax.summaries.spectrum import check_bins_of_sources, pair_power_spectra

Table = dict[str, np.ndarray]


@dataclasses.dataclass(frozen=True, eq=False)
class JointDataVector:
    """Mean and covariance of a row of numbers a map, of independent maps.

    Attributes:
      labels: what each number is.
      mean: over maps.
      covariance: of one map (divisor maps - 1); that of the mean of n maps is a n-th of it.
      num_maps: that both are of.
      columns: by statistic ("power", then those asked for), its place in the row.
      bins: pairs (i, j), i <= j, of the power's numbers, from 0; then of each other statistic's (i, i).
      l_edges: bands of ell of the powers.
      ell: mean multipole of the modes in each band.
    """

    labels: tuple[str, ...]
    mean: Float[np.ndarray, " numbers"]
    covariance: Float[np.ndarray, "numbers numbers"]
    num_maps: int
    columns: dict[str, slice]
    bins: tuple[tuple[int, int], ...]
    l_edges: Float[np.ndarray, " edges"]
    ell: Float[np.ndarray, " bands"]

    @property
    def sigma(self) -> Float[np.ndarray, " numbers"]:
        """Return the standard deviation of one map."""
        return np.sqrt(np.diag(self.covariance))

    @property
    def correlation(self) -> Float[np.ndarray, "numbers numbers"]:
        """Return the correlation matrix; NaN for numbers that do not vary."""
        with np.errstate(invalid="ignore", divide="ignore"):
            return self.covariance / np.outer(self.sigma, self.sigma)

    def tables(self) -> dict[str, Table]:
        """Return columns by statistic, in the order of the covariance; bins count from 1.

        Of the power bin_i, bin_j, ell_min, ell_max, ell_eff, value (steradian) and sigma (of one map); of
        others bin, mode (its number, from 1), value and sigma.
        """
        tables: dict[str, Table] = {}
        for name, columns in self.columns.items():
            pairs = np.array(self.bins[columns]) + 1
            numbers = {"value": self.mean[columns], "sigma": self.sigma[columns]}
            if name == "power":
                num_pairs = len(pairs) // len(self.ell)
                low, high, ell = (np.tile(of, num_pairs) for of in (*_bands(self.l_edges), self.ell))
                where = {"bin_i": pairs[:, 0], "bin_j": pairs[:, 1], "ell_min": low, "ell_max": high}
                tables[name] = {**where, "ell_eff": ell, **numbers}
            else:
                modes = np.arange(len(pairs)) % (pairs[:, 0] == pairs[0, 0]).sum() + 1
                tables[name] = {"bin": pairs[:, 0], "mode": modes, **numbers}
        return tables


def joint_data_vector(
    kappa: Float[Array | np.ndarray, "maps bins size size"],
    geometry: MapGeometry,
    *,
    num_bands: int = 12,
    largest_ell: float = np.inf,
    statistics: Sequence[str] = (),
) -> JointDataVector:
    """Measure maps of several source bins; return mean and covariance of all their numbers over the maps.

    First the powers of all pairs i <= j in the order of `numpy.triu_indices(bins)`, all bands of a pair
    together; then each statistic of the one table (`compare/statistics.py`: "peaks", "V0", ...), bin by bin,
    on bins that these maps set. `maps.source_bins.bins_first` turns maps whose bins are the last axis.

    Args:
      num_bands: of ell, even in its logarithm from the fundamental to Nyquist.
      largest_ell: bands that reach beyond it are left out.

    Raises:
      ValueError: another shape, fewer than two bins or maps, maps of another size than the geometry's or not
        finite, no band below largest_ell, an unknown statistic.
    """
    kappa = np.asarray(check_bins_of_sources(kappa))
    if kappa.ndim != 4 or len(kappa) < 2 or kappa.shape[-1] != geometry.num_pixels:
        wanted = f"(maps, bins, {geometry.num_pixels}, {geometry.num_pixels})"
        raise ValueError(f"kappa.shape={kappa.shape} must be {wanted}, of two maps or more")
    if not np.isfinite(kappa).all():
        raise ValueError(f"kappa holds {np.count_nonzero(~np.isfinite(kappa))} values that are not finite")
    edges = log_l_edges(geometry, num_bands)
    edges = edges[edges <= largest_ell]
    if len(edges) < 2:
        raise ValueError(
            f"largest_ell={largest_ell:g} leaves no band of maps {geometry.side_deg:g} degrees wide"
        )
    spectra = functools.partial(pair_power_spectra, l_edges=edges, side_deg=geometry.side_deg)
    power = np.asarray(in_batches(jax.jit(spectra), kappa), np.float64)
    num_bins = kappa.shape[1]
    pairs = [(int(i), int(j)) for i, j in zip(*np.triu_indices(num_bins))]
    values = [power.reshape(len(kappa), -1)]
    bins = [pair for pair in pairs for _ in edges[1:]]
    bands = [f"ell {low:.0f} to {high:.0f}" for low, high in zip(*_bands(edges))]
    labels = [f"P{i}{j}, {band}" if num_bins < 10 else f"P{i},{j}, {band}" for i, j in pairs for band in bands]
    columns = {"power": slice(0, len(labels))}
    for name in statistics:
        first = len(labels)
        for number in range(num_bins):
            # Bins of values are each source bin's own: its kappa are larger the farther it is.
            vector = data_vector([name], kappa[:, number], geometry, num_bands, largest_ell)
            values.append(vector.of_maps(kappa[:, number]))
            labels += [f"{name} of bin {number}, {label}" for label in vector.labels]
            bins += [(number, number)] * len(vector.labels)
        columns[name] = slice(first, len(labels))
    row = np.concatenate(values, 1)
    return JointDataVector(
        tuple(labels), row.mean(0), np.cov(row.T), len(row), columns, tuple(bins), edges,
        effective_ell(geometry, edges),
    )  # fmt: skip


def effective_ell(geometry: MapGeometry, l_edges: Float[np.ndarray, " edges"]) -> Float[np.ndarray, " bands"]:
    """Return the mean multipole of the modes of the full plane in each band; NaN where there is none."""
    bands, weights = geometry.half_plane_bins(l_edges).ravel(), geometry.half_plane_weights().ravel()
    used = bands >= 0
    ell = geometry.half_plane_ell().ravel()[used]
    count, total = (
        np.bincount(bands[used], of, len(l_edges) - 1) for of in (weights[used], weights[used] * ell)
    )
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)


def _bands(l_edges: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return l_edges[:-1], l_edges[1:]
