"""Wasserstein distances between the distributions of a statistic over two sets of maps, with limits."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from cosmogan_jax.compare.effects.resamples import Ensemble, check_pair

_LEVEL = 0.95
# Resamples from which the noise of a distance is read: its 95 % quantile rests on the ten largest.
_NUM_DRAWS = 200


class Distances(NamedTuple):
    """W1 distances with 95 % limits, and what noise alone gives on average."""

    value: Float[np.ndarray, " modes"]
    lower: Float[np.ndarray, " modes"]
    upper: Float[np.ndarray, " modes"]
    noise_mean: Float[np.ndarray, " modes"]


def wasserstein(generated: Ensemble, validation: Ensemble) -> Distances:
    """Return W1 = integral |F_g - F_v| dx of every mode, in units of the validation scatter.

    A distance is never negative and noise adds to it, so its own bootstrap says little near 0. The limits are
    W1 -+ q with q the 95 % quantile of N = integral |(F_g* - F_g) - (F_v* - F_v)| dx: by the triangle
    inequality |W1 - true W1| is at most the real sample's N. Safe for every shape, and wide. The mean of N
    is what two equal ensembles of these sizes would show.

    Raises:
      ValueError: other modes.
    """
    check_pair(generated, validation)
    weights = []
    for sample, sign in ((generated, 1.0), (validation, -1.0)):
        by_map = sample.resampling.weights[: 1 + _NUM_DRAWS, sample.resampling.groups]
        weights.append(sign * by_map / by_map.sum(1, keepdims=True))
    # Maps first: the sort by value then moves whole rows. float32 keeps sums of 1e4 shares to 1e-6.
    signed = np.ascontiguousarray(np.concatenate(weights, 1).T, np.float32)
    distances = np.empty((4, generated.values.shape[1]))
    for mode in range(distances.shape[1]):
        values = np.concatenate([generated.values[:, mode], validation.values[:, mode]])
        order = np.argsort(values)
        steps = np.diff(values[order]) / validation.values[:, mode].std(ddof=1)
        apart = np.cumsum(signed[order[:-1]], axis=0)
        value = float(steps @ np.abs(apart[:, 0]))
        apart -= apart[:, :1].copy()
        noise = steps.astype(np.float32) @ np.abs(apart[:, 1:], out=apart[:, 1:])
        reach = float(np.quantile(noise, _LEVEL))
        distances[:, mode] = value, max(value - reach, 0), value + reach, noise.mean()
    return Distances(*distances)
