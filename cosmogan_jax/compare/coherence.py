"""The correlation coefficient r(ell) of two source bins, of a set of maps, with its error.

    r_ij = <P_ij> / sqrt(<P_ii> <P_jj>),

the ratio of mean powers: means of the set are unbiased, so that r errs by O(1/maps) only, where the mean of
single maps' coefficients errs by O(1/modes) whatever their number. Its error is that of its linearisation
(delta method), one number a map,

    u_n = r + r (P_ij,n / <P_ij> - P_ii,n / 2<P_ii> - P_jj,n / 2<P_jj>),

whose mean over the set is r itself, so that what counts units, or draws them anew, does so with u as with any
statistic of a map. Sample variance that the three powers share cancels in u: r is known far better than they.
The verdict (`effects/differences.py`) draws units anew and takes the ratio of each draw's means. Float64
NumPy on the host.
"""

import numpy as np
from jaxtyping import Float, Shaped

from cosmogan_jax.compare.ensembles import Estimate, checked
from cosmogan_jax.summaries.source_bins import num_bins_of_pairs


def of_each_map(power: Float[np.ndarray, "maps pairs bands"]) -> Float[np.ndarray, "maps crosses bands"]:
    """Return u_n of every pair i < j; `power` of pairs i <= j, as `summaries.pair_power_spectra` gives it.

    Raises:
      ValueError: another shape, values that are not finite, a bin without power in a band.
    """
    power = np.asarray(power, np.float64)
    if power.ndim != 3 or not len(power) or not np.isfinite(power).all():
        raise ValueError(f"power of shape {power.shape} must be (maps, pairs, bands) and finite")
    bins = num_bins_of_pairs(power.shape[1])
    row, column = np.triu_indices(bins)
    auto, cross = power[:, row == column], power[:, row != column]
    means = auto.mean(0)
    if not (means > 0).all():
        empty = int(np.argwhere(~(means > 0))[0, 0])
        raise ValueError(f"bin {empty} has no power in some band: it has no correlation with others")
    first, second = np.triu_indices(bins, 1)
    scale = np.sqrt(means[first] * means[second])
    r = cross.mean(0) / scale
    relative = auto / means
    return cross / scale + r * (1 - (relative[:, first] + relative[:, second]) / 2)


def coherence_of_set(
    power: Float[np.ndarray, "maps pairs bands"], parents: Shaped[np.ndarray, " maps"] | None = None
) -> Estimate:
    """Return r(ell) of every pair i < j, (crosses, bands), with the standard error of independent parents.

    parents: what each map was cut from; None for independent maps.

    Raises:
      ValueError: as `of_each_map`; parents of another length, fewer than two.
    """
    u = of_each_map(power)
    return mean_and_error(u, np.arange(len(u)) if parents is None else parents)


def mean_and_error(values: Float[np.ndarray, "maps *shape"], parents: Shaped[np.ndarray, " maps"]) -> Estimate:
    """Return the mean over maps and its standard error, by sums over parents (Liang & Zeger 1986).

    Raises:
      ValueError: values that are not finite, parents of another length, fewer than two.
    """
    shape = np.shape(values)[1:]
    flat, numbers = checked(np.reshape(values, (len(values), -1)), parents)
    mean = flat.mean(0)
    sums = np.zeros((numbers.max() + 1, flat.shape[1]))
    np.add.at(sums, numbers, flat - mean)
    error = np.sqrt(len(sums) / (len(sums) - 1) * (sums**2).sum(0)) / len(flat)
    return Estimate(mean.reshape(shape), error.reshape(shape))
