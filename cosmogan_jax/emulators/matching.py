"""Summary statistics as losses: a generator is drawn towards the training maps' means of what is matched.

With f_j(x) the statistics of a map (`matched_statistics.py`), t_j and d_j their mean and standard deviation
over training maps, and mu_j a running mean over generated ones, G's gradient with respect to a map x of a batch
of B is that of

    weight / B  sum_j  clip((mu_j - t_j) / d_j, -1/2, 1/2) f_j(x) / d_j

which is the gradient of weight sum_j ((mu_j - t_j) / d_j)^2 / 2 but that mu_j is averaged over many steps, a
batch being too small to tell a mean. The clip, and a norm capped at a share of the adversarial gradient's
(`capped`), keep it from taking over the game, which alone knows of what no statistic tells.

Maps are in units of the training maps' standard deviation. What is matched here is what a verdict must not call
agreement found: `matched_statistics.SEEN_BY` names the statistics of the one table that each loss trains on.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float

from cosmogan_jax.emulators.bands import MapScale
from cosmogan_jax.emulators.matched_statistics import Statistic, check_names, matched
from cosmogan_jax.settings.matching import Matching as Settings

_LARGEST_DEVIATION = 0.5


class Targets(NamedTuple):
    """Means and standard deviations over training maps, of all that is matched."""

    mean: Float[Array, " numbers"]
    deviation: Float[Array, " numbers"]


class Matcher(NamedTuple):
    """What is matched, and how strongly; hashable.

    Attributes:
      statistics: of maps in units of the training maps' standard deviation.
      weight, cap, rate: as in `settings/matching.py`.
    """

    statistics: Statistic
    weight: float
    cap: float
    rate: float

    def num_numbers(self, size: int, scale: MapScale) -> int:
        """How many numbers a map of this size gives."""
        some = jax.ShapeDtypeStruct((1, size, size), jnp.float32)
        return jax.eval_shape(lambda x: self.statistics(x, scale), some).shape[1]

    def added(
        self,
        slope: Float[Array, "batch size size"],
        x: Float[Array, "batch size size"],
        targets: Targets,
        running: Float[Array, " numbers"],
        scale: MapScale,
        step: Array,
        units: Callable[[Array], Array] | None = None,
    ) -> tuple[Float[Array, "batch size size"], Float[Array, " numbers"], dict[str, Float[Array, ""]]]:
        """The adversarial gradient with respect to maps, that of the loss above added; running means; metrics.

        In the first steps the running means are those of all maps so far. units takes the maps to units of the
        training maps' standard deviation where they are in others.
        """

        def statistics(maps: Array, scale: MapScale) -> Array:
            return self.statistics(maps if units is None else units(maps), scale)

        rate = jnp.maximum(self.rate, 1 / (step + 1.0))
        running, towards = pull(statistics, targets, running, x, scale, rate)
        towards = self.weight * towards
        off = deviations(running, targets)
        metrics = {
            "match_rms": jnp.sqrt((off**2).mean()),
            "match_worst": jnp.abs(off).max(),
            "match_share": optax.tree.norm(towards) / (optax.tree.norm(slope) + 1e-12),
        }
        return slope + capped(towards, slope, self.cap), running, metrics


def matcher(settings: Settings) -> Matcher | None:
    """The matcher of a kind's settings; None where nothing is matched.

    Raises:
      ValueError: a name that cannot be matched, or twice the same.
    """
    check_names(settings.match)
    if not settings.match or not settings.match_weight > 0:
        return None
    return Matcher(
        matched(tuple(settings.match)), settings.match_weight, settings.match_cap, settings.match_rate
    )


def targets_of(values: Float[np.ndarray, "maps numbers"], least: float = 0.0) -> Targets:
    """Targets from the statistics of training maps; what does not vary is not matched (deviation infinite).

    Nor is what varies by less than `least`: a height that no training map comes near, whose gradient would be
    all that a generator sees whose maps do.
    """
    values = np.asarray(values, np.float64)
    deviation = values.std(0)
    constant = deviation <= np.maximum(1e-6 * np.maximum(np.abs(values.mean(0)), 1e-12), least)
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
