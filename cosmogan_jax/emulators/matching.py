"""Summary statistics as losses: a generator is drawn towards the training maps' means of what is matched.

With f_j(x) the statistics of a map, t_j and d_j their mean and standard deviation over training maps, and mu_j
a running mean over generated ones, G's gradient with respect to a map x of a batch of B is that of

    weight / B  sum_j  clip((mu_j - t_j) / d_j, -1/2, 1/2) f_j(x) / d_j

which is the gradient of weight sum_j ((mu_j - t_j) / d_j)^2 / 2 but that mu_j is averaged over many steps, a
batch being too small to tell a mean. The clip, and a norm capped at a share of the adversarial gradient's
(`capped`), keep it from taking over the game, which alone knows of what no statistic tells.

Maps are in units of the training maps' standard deviation. What is matched here is what a verdict must not call
agreement found: `SEEN_BY` names the statistics of `compare/statistics.py` that each loss trains on.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from cosmogan_jax.emulators.bands import NUM_WAVELETS, MapScale, log_band_power, wavelets
from cosmogan_jax.summaries.derivatives import shifted
from cosmogan_jax.summaries.minkowski import minkowski_functionals

_LARGEST_DEVIATION = 0.5
_LARGEST_BAND = 4.0  # standard deviations: one map's outlier is not a covariance
_HEIGHTS = (-1.2, -0.9, -0.6, -0.4, -0.2, 0.0, 0.2, 0.5, 1.0, 1.5, 2.0, 3.0, 4.5, 6.5, 9.0)
_WIDTH = 0.25  # of what is smooth in a histogram's place
_POOLED = (1, 2, 4)  # pixels that are averaged before heights are read
_THRESHOLDS = (-1.75, -1.25, -0.75, -0.25, 0.25, 0.75, 1.25, 1.75, 2.25, 2.75, 3.5, 4.5, 6.0)
_COEFFICIENTS = (-5.0, -3.5, -2.5, -1.7, -1.0, -0.5, 0.0, 0.5, 1.0, 1.7, 2.5, 3.5, 5.0, 7.0)
_PEAKS = (-0.5, 0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 7.0)
_PEAK_WIDTH = 0.1
# exp(-1.702 x) is the logistic's nearest to a normal distribution's.
_LOGISTIC = 1.702

Statistic = Callable[[Float[Array, "batch size size"], MapScale], Float[Array, "batch numbers"]]


class Targets(NamedTuple):
    """Means and standard deviations over training maps, of all that is matched."""

    mean: Float[Array, " numbers"]
    deviation: Float[Array, " numbers"]


def _power(x, scale):
    """Linear power, the mean of which is the spectrum; in units of the bands' typical power."""
    return jnp.exp(log_band_power(x) - scale.centre)


def _mean(x, scale):
    mean = x.mean((1, 2))
    return jnp.stack([mean, mean**2], -1)


def _covariance(x, scale):
    """Products of standardised log bands: their means are the covariance, its diagonal included."""
    band = jnp.clip(scale.standardised(log_band_power(x)), -_LARGEST_BAND, _LARGEST_BAND)
    first, second = np.triu_indices(band.shape[-1])
    return band[:, first] * band[:, second]


def _pdf(x, scale):
    """Shares of pixels above heights, smooth, of maps averaged over blocks of pixels."""
    return jnp.concatenate([_above(_block_means(x, pixels), _HEIGHTS, _WIDTH) for pixels in _POOLED], -1)


def _wavelets(x, scale):
    """Shares of coefficients above heights, smooth, of the finest starlet scales in units of their sigma."""
    found = wavelets(x) / scale.wavelet_sigma[:, None, None]
    shares = [_above(found[:, j], _COEFFICIENTS, _WIDTH) for j in range(NUM_WAVELETS)]
    return jnp.concatenate(shares, -1)


def _minkowski(x, scale):
    found = minkowski_functionals(x, np.asarray(_THRESHOLDS), normalised=False, smooth_width=_WIDTH)
    return jnp.concatenate([found.V1, found.V2], -1)


def _peaks(x, scale):
    """Peaks above heights, smooth: pixels by how far they lie above their highest neighbour; no borders."""
    at = shifted(x, 1)
    around = [(row, column) for row in (-1, 0, 1) for column in (-1, 0, 1) if (row, column) != (0, 0)]
    highest = jnp.stack([at(*place) for place in around]).max(0)
    inside = (slice(None), slice(1, -1), slice(1, -1))
    peak = jax.nn.sigmoid(_LOGISTIC * (x - highest)[inside] / _PEAK_WIDTH)
    return _above(x[inside], _PEAKS, _WIDTH, peak)


def _above(x, heights, width, weight=1.0):
    shares = [(jax.nn.sigmoid(_LOGISTIC * (x - height) / width) * weight).mean((1, 2)) for height in heights]
    return jnp.stack(shares, -1)


def _block_means(x, pixels):
    size = x.shape[-1] - x.shape[-1] % pixels
    blocks = x[:, :size, :size].reshape(len(x), size // pixels, pixels, size // pixels, pixels)
    return blocks.mean((2, 4))


STATISTICS: dict[str, Statistic] = {
    "power": _power,
    "mean": _mean,
    "pdf": _pdf,
    "covariance": _covariance,
    "wavelets": _wavelets,
    "minkowski": _minkowski,
    "peaks": _peaks,
}
# V0 is the pixels' cumulative density, so who matches the one matches the other.
SEEN_BY: dict[str, tuple[str, ...]] = {
    "power": ("power_spectrum", "power_bands"),
    "mean": ("crop_mean",),
    "pdf": ("pdf", "V0", "V0_of_kappa"),
    "covariance": ("power_bands",),
    "wavelets": ("starlet_l1",),
    "minkowski": ("V1", "V2", "V1_of_kappa", "V2_of_kappa"),
    "peaks": ("peaks",),
}


def check_names(names: Sequence[str]) -> None:
    """ValueError for a name that is none of STATISTICS, or stands there twice."""
    for name in names:
        if name not in STATISTICS:
            raise ValueError(f"match={name!r} is none of the statistics there are: {', '.join(STATISTICS)}")
    if len(set(names)) < len(names):
        raise ValueError(f"match={','.join(names)} names a statistic twice")


def matched(names: Sequence[str]) -> Statistic:
    """All statistics of these names in one row a map."""

    def statistics(x, scale):
        return jnp.concatenate([STATISTICS[name](x, scale) for name in names], -1)

    return statistics


def targets_of(values: Float[np.ndarray, "maps numbers"]) -> Targets:
    """Targets from the statistics of training maps; what does not vary is not matched (deviation infinite)."""
    values = np.asarray(values, np.float64)
    deviation = values.std(0)
    constant = deviation <= 1e-6 * np.maximum(np.abs(values.mean(0)), 1e-12)
    return Targets(
        jnp.asarray(values.mean(0), jnp.float32),
        jnp.asarray(np.where(constant, np.inf, deviation), jnp.float32),
    )


def pull(
    statistics: Statistic,
    targets: Targets,
    running: Float[Array, " numbers"],
    x: Float[Array, "batch size size"],
    scale: MapScale,
    rate: Float[Array, ""],
) -> tuple[Float[Array, " numbers"], Float[Array, "batch size size"]]:
    """The running means after this batch, moved at `rate`, and the gradient of the loss above for weight 1."""
    found, pullback = jax.vjp(lambda maps: statistics(maps, scale), x)
    running = running + rate * (found.mean(0) - running)
    off = deviations(running, targets)
    slope = jnp.clip(off, -_LARGEST_DEVIATION, _LARGEST_DEVIATION) / targets.deviation
    return running, pullback(jnp.broadcast_to(slope / len(x), found.shape))[0]


def deviations(running: Float[Array, " numbers"], targets: Targets) -> Float[Array, " numbers"]:
    """How far the generated maps' means are from the training maps', in the latter's standard deviations."""
    return (running - targets.mean) / targets.deviation


def capped(gradient: Array, beside: Array, share: float) -> Array:
    """The gradient, its norm at most `share` of the other's."""
    norm, other = (jnp.sqrt((v**2).sum()) for v in (gradient, beside))
    return gradient * jnp.minimum(1.0, share * other / (norm + 1e-12))
