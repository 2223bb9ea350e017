"""Data vectors of maps: chosen statistics of the one table, one after the other in a row of numbers a map."""

import dataclasses
import functools
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from cosmogan_jax.compare.scales import Scales, scales
from cosmogan_jax.compare.statistics import STATISTICS, Measured
from cosmogan_jax.geometry import MapGeometry
from cosmogan_jax.summaries.batching import in_batches


@dataclasses.dataclass(frozen=True, eq=False)
class DataVector:
    """Which numbers of a map are compared with those of others.

    Attributes:
      names: of the statistics, as the one table has them.
      scales: edges of their bins, the same for all maps.
      geometry: of the maps.
    """

    names: tuple[str, ...]
    scales: Scales
    geometry: MapGeometry

    def measure(self, kappa: Float[Array, "maps size size"]) -> Float[Array, "maps modes"]:
        """Measure maps; pure, to be traced, and differentiable where `differentiable` says so."""
        measured = Measured(kappa, self.scales.edges(), self.geometry)
        rows = [STATISTICS[name] for name in self.names]
        # Beyond a statistic's own modes bins that fill up the edges are empty.
        return jnp.concatenate([row.measure(measured)[:, : len(row.labels(self.scales))] for row in rows], -1)

    def of_maps(
        self, kappa: Float[np.ndarray, "maps size size"], size: int = 64
    ) -> Float[np.ndarray, "maps modes"]:
        """Measure any number of maps, `size` at a time, and return float64 on the host."""
        return np.asarray(in_batches(self._compiled, kappa, size=size), np.float64)

    @property
    def labels(self) -> list[str]:
        """Return what each mode is."""
        return [label for name in self.names for label in STATISTICS[name].labels(self.scales)]

    @property
    def differentiable(self) -> bool:
        """Say whether all statistics are smooth in the pixels."""
        return all(STATISTICS[name].differentiable for name in self.names)

    def columns(self, name: str) -> slice:
        """Return which modes are those of a statistic."""
        before = self.names[: self.names.index(name)]
        first = sum(len(STATISTICS[other].labels(self.scales)) for other in before)
        return slice(first, first + len(STATISTICS[name].labels(self.scales)))

    @functools.cached_property
    def _compiled(self):
        return jax.jit(self.measure)


def data_vector(
    names: Sequence[str],
    reference: Float[np.ndarray, "maps size size"],
    geometry: MapGeometry,
    num_bands: int = 12,
    largest_ell: float = np.inf,
) -> DataVector:
    """Return the data vector whose bins are set by some reference maps, as they are seen.

    Args:
      names: of the one table, `compare/statistics.py`.
      num_bands: of ell, even in its logarithm from the fundamental to Nyquist, as everywhere.
      largest_ell: bands that reach beyond it are left out.

    Raises:
      ValueError: a name that is none of the table's, or stands there twice; no band below largest_ell;
        reference maps that are constant or not finite.
    """
    for name in names:
        if name not in STATISTICS:
            raise ValueError(f"statistic={name!r} must be one of {', '.join(STATISTICS)}")
    if not names or len(set(names)) < len(names):
        raise ValueError(f"statistics={','.join(names)} must name each statistic once")
    edges = scales(np.asarray(reference, np.float32), geometry, num_bands)
    kept = edges.l_edges[edges.l_edges <= largest_ell]
    if len(kept) < 2:
        raise ValueError(
            f"largest_ell={largest_ell:g} leaves no band; the first is up to {edges.l_edges[1]:.0f}"
        )
    return DataVector(tuple(names), edges._replace(l_edges=kept), geometry)
