"""Are posteriors right? Ranks of truths drawn from the prior are uniform, intervals hold as many as they say.

Simulation-based calibration (Talts et al. 2018, arXiv:1804.06788). Where posteriors are right a rank does not
depend on the data either, so ranks and posterior means are uncorrelated: a mean that answers too strongly or
too weakly to a parameter shifts posteriors outwards or inwards, which hardly shows in ranks of all truths
together, and at once in that correlation (on the choice of such quantities: Modrák et al. 2023, Bayesian
Analysis). SciPy on the host.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int
from scipy import stats

from cosmogan_jax.compare.ensembles import Estimate


class Calibration(NamedTuple):
    """What ranks in [0, 1] of independent truths say of posteriors.

    Attributes:
      p_value: of ranks as far from uniform, by Kolmogorov and Smirnov's test.
      histogram_p_value: by chi^2 of the histogram, which sees posteriors too wide or too narrow better.
      histogram: ranks in even bins.
      coverage: shares of truths inside central intervals of each level; binomial errors of the level itself.
      mean: of the ranks, with the error 1 / sqrt(12 n) of uniform ones: 0.5 where nothing is biased.
      trend: Spearman's correlation of ranks with posterior means, negative where the model answers too weakly.
      trend_p_value: of one as far from 0.
    """

    p_value: float
    histogram_p_value: float
    histogram: Int[np.ndarray, " bins"]
    coverage: Estimate
    mean: Estimate
    trend: float
    trend_p_value: float


def calibration(
    ranks: Float[np.ndarray, " truths"],
    posterior_means: Float[np.ndarray, " truths"],
    levels: Sequence[float] = (0.68,),
    num_bins: int = 10,
) -> Calibration:
    """Return how far ranks of a quantity are from uniform, and the coverage of its central intervals.

    posterior_means: of the same quantity, in the posteriors of the same truths.

    Raises:
      ValueError: ranks not in [0, 1], fewer than five a bin, means of another number, levels not in (0, 1).
    """
    ranks, wanted = np.asarray(ranks, np.float64), np.asarray(levels, np.float64)
    if ranks.ndim != 1 or not ((ranks >= -1e-9) & (ranks <= 1 + 1e-9)).all():
        raise ValueError(f"ranks of shape {ranks.shape} must be a row of numbers from 0 to 1")
    if num_bins < 2 or len(ranks) < 5 * num_bins:
        raise ValueError(f"{len(ranks)} ranks are too few for {num_bins} bins, which need five each")
    if np.shape(posterior_means) != ranks.shape:
        raise ValueError(f"posterior_means of shape {np.shape(posterior_means)} must be one for each rank")
    if not ((wanted > 0) & (wanted < 1)).all():
        raise ValueError(f"levels={tuple(wanted)} must lie in (0, 1)")
    count = len(ranks)
    histogram = np.histogram(ranks, num_bins, (0, 1 + 1e-9))[0]
    trend = stats.spearmanr(ranks, posterior_means)
    inside = np.array([(np.abs(ranks - 0.5) <= level / 2).mean() for level in wanted])
    return Calibration(
        float(stats.kstest(np.clip(ranks, 0, 1), "uniform").pvalue),
        float(stats.chisquare(histogram).pvalue),
        histogram,
        Estimate(inside, np.sqrt(wanted * (1 - wanted) / count)),
        Estimate(np.array(ranks.mean()), np.array(1 / np.sqrt(12 * count))),
        float(trend.statistic),
        float(trend.pvalue),
    )
