"""Summary statistics as losses: a generator is drawn towards the training maps' means of what is matched.

With f(x) the statistics of a map (`matched_statistics.py`), t their mean over training maps, a_c a combination
of them that has variance 1 over training maps (`Targets.combined`), and mu a running mean over generated maps,
G's gradient with respect to a map x of a batch of B is that of

    weight / B  sum_c  s(a_c . (mu - t)) a_c . f(x),     s(u) = sign(u) clip(|u| - n, 0, 1/2)

which without n and 1/2 is the gradient of weight sum_c (a_c . (mu - t))^2 / 2 but that mu is averaged over many
steps, a batch being too small to tell a mean. n is the standard error that mu has of finitely many maps,
sqrt(rate / (2 - rate) / B): of hundreds of combinations most are off by no more than that, and together they
would drown those that are. The 1/2, and a norm capped at a share of the adversarial gradient's (`capped`), keep
it from taking over the game, which alone knows of what no statistic tells.

The combinations are every number by itself, and uncorrelated ones of each statistic. The shares of pixels above
many heights go up and down together from map to map; where they do not, a classifier needs few maps to see a
difference of a tenth of each one's scatter.

Where maps are of several cosmologies, t is that of each map's own, linear in regressors phi of it (phi_0 = 1,
the others orthonormal over training maps), and the same is asked of every mean phi_j (f - t): what is right on
average must be right at every cosmology.

Maps are in units of the training maps' standard deviation. What is matched here is what a verdict must not call
agreement found: `matched_by` in `compare/statistics.py` names the losses that train on a statistic.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float

from cosmogan_jax.emulators.joint_statistics import JOINT_STATISTICS
from cosmogan_jax.emulators.matched_statistics import AnyScale, OfAnyBins, check_names, matched
from cosmogan_jax.emulators.trends import without_trend
from cosmogan_jax.settings.matching import Matching as Settings

_LARGEST_DEVIATION = 0.5
_SMALLEST_VARIANCE = 1e-6  # of a combination that is matched, of its statistic's largest: float32's accuracy
_MAPS_A_NUMBER = 10  # from which on a statistic's covariance over training maps says what does not vary


class Targets(NamedTuple):
    """Means and combinations of training maps' statistics, of all that is matched.

    Attributes:
      mean: over the maps.
      per_deviation: one over the standard deviation of each number; 0 of what is not matched.
      whitening: of each statistic in turn, columns that are combinations of its own numbers alone.
      slopes: of the mean in what a map's cosmology is regressed on; None where maps are of one.
    """

    mean: Float[Array, " numbers"]
    per_deviation: Float[Array, " numbers"]
    whitening: tuple[Float[Array, "own own"], ...]
    slopes: Float[Array, "slopes numbers"] | None = None

    def combined(self, off: Float[Array, "*terms numbers"]) -> Float[Array, "*terms combinations"]:
        """Return a_c . off of every combination: each number by itself, then each statistic's uncorrelated."""
        parts, start = [off * self.per_deviation], 0
        for own in self.whitening:
            parts.append(off[..., start : start + len(own)] @ own)
            start += len(own)
        return jnp.concatenate(parts, -1)

    def towards(self, pressed: Float[Array, "*terms combinations"]) -> Float[Array, "*terms numbers"]:
        """Return sum_c pressed_c a_c, the transpose of `combined`."""
        count = len(self.mean)
        parts, start = list[Array](), count
        for own in self.whitening:
            parts.append(pressed[..., start : start + len(own)] @ own.T)
            start += len(own)
        return pressed[..., :count] * self.per_deviation + jnp.concatenate(parts, -1)

    def reached(self) -> Float[Array, "*terms numbers"]:
        """Return running means as they are where generated maps are what is asked for; a copy."""
        if self.slopes is None:
            return jnp.copy(self.mean)
        return jnp.concatenate([self.mean[None], jnp.zeros_like(self.slopes)])


class Matcher(NamedTuple):
    """Statistics to be matched, and how strongly; hashable.

    Attributes:
      names: of statistics of maps in units of the training maps' standard deviation.
      weight, cap, rate: as in `settings/matching.py`.
      num_bins: source bins of the maps; more than one are the last axis of maps.
      num_sums: of what follows them on that axis, sums of bins of which the same is matched as of each.
    """

    names: tuple[str, ...]
    weight: float
    cap: float
    rate: float
    num_bins: int = 1
    num_sums: int = 0

    @property
    def num_channels(self) -> int:
        """Count what each statistic is matched of by itself."""
        return self.num_bins + self.num_sums

    @property
    def statistics(self) -> OfAnyBins:
        """Return all of them in one row a map."""
        return matched(self.names, self.num_bins)

    def numbers(self, size: int, scale: AnyScale) -> tuple[int, ...]:
        """Count the numbers of each statistic of a map of this size; of each bin, and sum, of several."""
        bins = () if self.num_bins == 1 else (self.num_channels,)
        some = jax.ShapeDtypeStruct((1, size, size, *bins), jnp.float32)
        counts: list[int] = []
        for name in self.names:
            count = jax.eval_shape(matched((name,), self.num_bins), some, scale).shape[1]
            shares = 1 if name in JOINT_STATISTICS else self.num_channels
            counts += [count // shares] * shares
        return tuple(counts)

    def unmeasured(self, size: int, scale: AnyScale, num_slopes: int = 0) -> Targets:
        """Return targets of the shapes that `targets_of` gives."""
        counts = self.numbers(size, scale)
        slopes = jnp.zeros((num_slopes, sum(counts))) if num_slopes else None
        return Targets(jnp.zeros(sum(counts)), jnp.ones(sum(counts)), tuple(map(jnp.eye, counts)), slopes)

    def added(
        self,
        slope: Float[Array, "batch size size *bins"],
        x: Float[Array, "batch size size *bins"],
        targets: Targets,
        running: Float[Array, "*terms numbers"],
        scale: AnyScale,
        step: Array,
        rate: Float[Array, ""] | float | None = None,
        units: Callable[[Array], Array] | None = None,
        phi: Float[Array, "batch terms"] | None = None,
    ) -> tuple[
        Float[Array, "batch size size *bins"], Float[Array, "*terms numbers"], dict[str, Float[Array, ""]]
    ]:
        """Add the gradient of the loss above to the adversarial one of maps; return running means and metrics.

        In the first steps the running means are those of all maps so far; rate takes the place of the setting.
        units takes the maps to units of the training maps' standard deviation where they are in others, and
        puts the sums of bins beside them where there are any. phi: regressors of the maps' cosmologies, where
        the targets have slopes; the scale is then that at phi.
        """
        rate = jnp.maximum(self.rate if rate is None else rate, 1 / (step + 1.0))
        running, towards = pull(self.statistics, targets, running, x, scale, rate, units, phi)
        towards = self.weight * towards
        off = deviations(running, targets)
        metrics = {
            "match_rms": jnp.sqrt((off**2).mean()),
            "match_worst": jnp.abs(off).max(),
            "match_share": optax.tree.norm(towards) / (optax.tree.norm(slope) + 1e-12),
        }
        return slope + capped(towards, slope, self.cap), running, metrics


def matcher(settings: Settings, num_bins: int = 1, num_sums: int = 0) -> Matcher | None:
    """Make the matcher of a kind's settings; None where nothing is matched.

    Of several bins it matches what is named of each, and of so many sums of them, and what they have together
    (`joint_statistics.py`).

    Raises:
      ValueError: a name that cannot be matched, or twice the same.
    """
    check_names(settings.match)
    if not settings.match or not settings.match_weight > 0:
        return None
    names = (*settings.match, *JOINT_STATISTICS) if num_bins > 1 else tuple(settings.match)
    how = settings.match_weight, settings.match_cap, settings.match_rate
    return Matcher(names, *how, num_bins, num_sums)


def targets_of(
    values: Float[np.ndarray, "maps numbers"],
    numbers: Sequence[int],
    least: float = 0.0,
    phi: Float[np.ndarray, "maps terms"] | None = None,
) -> Targets:
    """Compute targets from the statistics of training maps, of which so many numbers are one each.

    Where there are fewer than ten maps a number of a statistic, each of its numbers stands for itself alone.
    What does not vary is not matched. Nor is what varies by less than `least`: a height that no training map
    comes near, whose gradient would be all that a generator sees whose maps do.
    """
    values, slopes = without_trend(values, phi)
    mean, deviation = values.mean(0), values.std(0)
    varies = deviation > np.maximum(1e-6 * np.maximum(np.abs(mean), 1e-12), least)
    per_deviation = np.where(varies, 1 / np.where(varies, deviation, 1.0), 0.0)
    whitening, start = list[Array](), 0
    for count in numbers:
        own = slice(start, start + count)
        unit = (values[:, own] - mean[own]) * per_deviation[own]
        variance, axes = np.linalg.eigh(unit.T @ unit / len(unit))
        kept = (variance > _SMALLEST_VARIANCE * variance[-1]) & (len(values) >= _MAPS_A_NUMBER * count)
        columns = per_deviation[own, None] * axes * np.where(kept, np.abs(variance), np.inf) ** -0.5
        whitening.append(jnp.asarray(columns, jnp.float32))
        start += count
    of_cosmology = jnp.asarray(slopes, jnp.float32) if len(slopes) else None
    means, scales = (jnp.asarray(v, jnp.float32) for v in (mean, per_deviation))
    return Targets(means, scales, tuple(whitening), of_cosmology)


def pull(
    statistics: OfAnyBins,
    targets: Targets,
    running: Float[Array, "*terms numbers"],
    x: Float[Array, "batch size size *bins"],
    scale: AnyScale,
    rate: Float[Array, ""],
    units: Callable[[Array], Array] | None = None,
    phi: Float[Array, "batch terms"] | None = None,
) -> tuple[Float[Array, "*terms numbers"], Float[Array, "batch size size *bins"]]:
    """Return the running means after this batch, moved at `rate`, and the gradient of the loss of weight 1.

    units, phi: as in `Matcher.added`. The covariance is that about the batch's own means: about the training
    maps' it would be matched, too, by a generator whose maps hardly differ in a step, but swing from one to
    the next.
    """

    def statistics_of(maps: Array) -> Array:
        maps = maps if units is None else units(maps)
        return statistics(maps, scale.about(maps))

    values, pullback = jax.vjp(statistics_of, x)
    means = values.mean(0) if phi is None else _means_by_term(values, phi, targets)
    running = running + rate * (means - running)
    off = deviations(running, targets)
    noise = jnp.sqrt(rate / (2 - rate) / len(x))
    pressed = jnp.sign(off) * jnp.clip(jnp.abs(off) - noise, 0, _LARGEST_DEVIATION)
    if phi is None:
        slope = jnp.broadcast_to(targets.towards(pressed) / len(x), values.shape)
    else:
        slope = phi @ targets.towards(pressed) / len(x)
    return running, pullback(slope)[0]


def _means_by_term(values: Array, phi: Array, targets: Targets) -> Float[Array, "terms numbers"]:
    """Return the mean of f, as of the mean cosmology, and those of phi_j (f - t), 0 where f follows theta."""
    assert targets.slopes is not None
    values = values - phi[:, 1:] @ targets.slopes
    return jnp.concatenate([values.mean(0)[None], phi[:, 1:].T @ (values - targets.mean) / len(values)])


def deviations(
    running: Float[Array, "*terms numbers"], targets: Targets
) -> Float[Array, "*terms combinations"]:
    """Return how far generated maps' means are from training maps', in the latter's standard deviations."""
    expected = targets.mean
    if targets.slopes is not None:
        expected = jnp.zeros_like(running).at[0].set(targets.mean)
    return targets.combined(running - expected)


def capped(gradient: Array, other: Array, share: float) -> Array:
    """Cap the norm of a gradient at `share` of the other's."""
    norm, other_norm = (jnp.sqrt((v**2).sum()) for v in (gradient, other))
    return gradient * jnp.minimum(1.0, share * other_norm / (norm + 1e-12))
