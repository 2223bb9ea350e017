"""The table of statistics of several source bins: those of a pair of maps of one sky, bin i and bin j.

A table of its own, of the same form as `statistics.py`'s: a row there is measured of maps of one bin, and all
that reads that table (data vectors, scales, masks, selection, losses) hands it such maps. A row here is
measured of maps of all bins and gives its modes for every pair i < j, in the order of
`numpy.triu_indices(bins, 1)`. What is of one bin (auto power, peaks, Minkowski functionals, ...) is judged bin
by bin by the one table.
"""

import dataclasses
import functools
from collections.abc import Callable

import numpy as np
from jax import numpy as jnp
from jaxtyping import Array, Float

from cosmogan_jax.compare.statistics import ell_labels
from cosmogan_jax.settings.margins import MeanUnit
from cosmogan_jax.summaries.source_bins import joint_moments, joint_roughness, joint_roughness_labels
from cosmogan_jax.summaries.spectrum import pair_power_spectra


@dataclasses.dataclass(frozen=True, eq=False)
class JointScales:
    """What all sets are measured by, fixed by real maps: bands of ell; mean and sigma of each bin's pixels."""

    l_edges: Float[np.ndarray, " edges"]
    side_deg: float
    mean: Float[np.ndarray, " bins"]
    sigma: Float[np.ndarray, " bins"]


@dataclasses.dataclass(frozen=True, eq=False)
class MeasuredBins:
    """Maps of several bins that are being measured, inside a trace; their spectra are computed once."""

    kappa: Float[Array, "maps bins size size"]
    scales: JointScales

    @functools.cached_property
    def power(self) -> Float[Array, "maps pairs bands"]:
        """Powers of all pairs i <= j."""
        return pair_power_spectra(self.kappa, self.scales.l_edges, self.scales.side_deg)

    @functools.cached_property
    def crosses(self) -> Float[Array, "maps crosses bands"]:
        """Powers of the pairs i < j."""
        row, column = np.triu_indices(self.kappa.shape[1])
        return self.power[:, np.flatnonzero(row != column)]

    @functools.cached_property
    def autos(self) -> Float[Array, "maps bins bands"]:
        """Powers of the bins."""
        row, column = np.triu_indices(self.kappa.shape[1])
        return self.power[:, np.flatnonzero(row == column)]


@dataclasses.dataclass(frozen=True)
class JointStatistic:
    """One statistic of two bins.

    Attributes:
      name, title: its key in files of results, and what a reader is told.
      measure: its values, (maps, pairs, modes), traced.
      labels: what each mode is, of any pair; i is its first bin, j its second.
      matched_by: losses that train on it (all of them do where a training matches statistics of several bins).
      mean_unit: of differences of means. "mean" is real maps' scatter for pairs whose mean is not well above 0
        in every band. "coherence": modes are P_ij, P_ii and P_jj, and r(ell) is what is judged.
      required: no emulator passes without it.
    """

    name: str
    title: str
    measure: Callable[[MeasuredBins], Array]
    labels: Callable[[JointScales], list[str]]
    matched_by: tuple[str, ...]
    mean_unit: MeanUnit = "scatter"
    required: bool = True


def _three_powers(measured: MeasuredBins) -> Float[Array, "maps crosses powers"]:
    first, second = np.triu_indices(measured.kappa.shape[1], 1)
    powers = (measured.crosses, measured.autos[:, first], measured.autos[:, second])
    return jnp.concatenate(powers, -1)


def _three_labels(scales: JointScales) -> list[str]:
    labels = ell_labels(scales.l_edges)
    return [*labels, *(f"P of bin {which}, {label}" for which in "ij" for label in labels)]


_ROWS = (
    JointStatistic(
        "cross_power", "cross power", lambda m: m.crosses, lambda s: ell_labels(s.l_edges),
        matched_by=("cross_power",), mean_unit="mean",
    ),
    JointStatistic(
        "coherence", "correlation coefficient r(ℓ)", _three_powers, _three_labels,
        matched_by=("cross_power", "coherence"),
        mean_unit="coherence",
    ),
    # As the moments of one bin, it is told and can fail, but no pass rests on it: the tails decide it.
    JointStatistic(
        "joint_moments", "joint moments",
        lambda m: joint_moments(m.kappa, m.scales.mean, m.scales.sigma),
        lambda s: ["<κi κj>", "<κi² κj>", "<κi κj²>", "<κi² κj²>"], matched_by=("joint_moments",),
        required=False,
    ),
    JointStatistic(
        "joint_roughness", "roughness of one bin by height of another",
        lambda m: joint_roughness(m.kappa, m.scales.mean, m.scales.sigma),
        lambda s: joint_roughness_labels(), matched_by=("joint_roughness",),
    ),
)  # fmt: skip

JOINT_STATISTICS: dict[str, JointStatistic] = {row.name: row for row in _ROWS}


def measure_pairs(
    kappa: Float[Array, "maps bins size size"], scales: JointScales
) -> dict[str, Float[Array, "maps crosses modes"]]:
    """Measure every statistic of the table, of every pair i < j, and `power`, that of all pairs i <= j."""
    measured = MeasuredBins(kappa, scales)
    rows = {row.name: row.measure(measured) for row in JOINT_STATISTICS.values()}
    return {**rows, "power": measured.power}
