"""How well a score tells two sets of maps apart, with errors that count parents.

Generated maps are judged by how much better they are told from validation maps than real maps of other boxes
are (`excess_auc`). Errors come from as many parents as there are, often a dozen boxes: limits take Student's t.
"""

import functools
from collections.abc import Sequence
from typing import Literal, NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Shaped
from scipy.stats import rankdata
from scipy.stats import t as student

from cosmogan_jax.compare.clustered import clustered_error, group

Outcome = Literal["pass", "fail", "yardstick off", "undecided"]


class Share(NamedTuple):
    """A share that is 1/2 where sets cannot be told apart, its standard error, and that error's freedom.

    degrees: of Student's t: parents of the set that has fewer, less one.
    """

    value: float
    standard_error: float
    degrees: int

    @property
    def interval(self) -> tuple[float, float]:
        """Return the 95 % interval, cut off at 0 and 1."""
        half = _quantile(0.975, self.degrees) * self.standard_error
        return max(0.0, self.value - half), min(1.0, self.value + half)


class Discrimination(NamedTuple):
    """Both are 1/2 where the sets cannot be told apart.

    accuracy: share of maps whose score has their set's sign, the sets weighing alike.
    auc: probability that of two maps the one of the first set has the higher score.
    """

    accuracy: Share
    auc: Share


class Excess(NamedTuple):
    """How far an AUC lies above what real maps excuse, with one-sided 95 % limits, and what that says."""

    value: float
    lower: float
    upper: float
    outcome: Outcome


def excess_auc(generated: Share, control: Share, margin: float, together: int = 1) -> Excess:
    """Return the AUC of generated against validation maps beyond that of real maps against the same.

        excess = AUC(generated) - baseline
        baseline = AUC(control), but 1/2 at least and 1/2 + margin at most

    fail: the lower limit is above the margin. yardstick off: not so, but real maps are told apart by more than
    the margin themselves (the lower limit of AUC(control) - 1/2 is above it), and nothing passes by them. pass:
    the upper limit is below the margin. undecided: none of these.

    A control below one half is chance (no rule is worse than guessing, but on few boxes), and one above
    1/2 + margin is a yardstick that would excuse anything: hence the two bounds. The limits are
    -+ t sqrt(s_generated^2 + s_control^2), with t of the fewer degrees of freedom. Both errors count whatever
    the bounds: where the control's truth lies at a bound its estimate falls beyond it half of the time, and
    with s_generated alone there a pass would be wrong up to 7 times in 100. The areas share the validation
    maps, which makes them err together, not apart: quadrature is too wide by that. A wrong pass, or a wrong
    fail, comes to 5 % at most (`tests/test_classification.py`).

    together: how many areas are judged as one (of several cosmologies): a fail, and a yardstick that is off,
    then come to 5 % at most in all of them (Bonferroni). `lower` and `upper` are those of one.
    """
    baseline = min(max(control.value, 0.5), 0.5 + margin)
    quantile = _quantile(0.95, min(generated.degrees, control.degrees))
    half = quantile * np.hypot(generated.standard_error, control.standard_error)
    value = generated.value - baseline
    lower, upper = value - half, value + half
    level, sure = 0.95, lower
    if together > 1:
        level = 1 - 0.05 / together
        sure = value - half * _quantile(level, min(generated.degrees, control.degrees)) / quantile
    control_lower = control.value - _quantile(level, control.degrees) * control.standard_error
    outcome: Outcome = "undecided"
    if sure > margin:
        outcome = "fail"
    elif control_lower > 0.5 + margin:
        outcome = "yardstick off"
    elif upper < margin:
        outcome = "pass"
    return Excess(float(value), float(lower), float(upper), outcome)


@functools.lru_cache
def _quantile(probability: float, degrees: int) -> float:
    return float(student.ppf(probability, degrees))


def discrimination(
    first: Float[np.ndarray, " maps"],
    second: Float[np.ndarray, " others"],
    first_parents: Shaped[np.ndarray, " maps"],
    second_parents: Shaped[np.ndarray, " others"],
) -> Discrimination:
    """Return accuracy and area under the ROC curve of scores that are to be positive for the first set.

    A score of exactly 0 counts one half, and so do ties between the sets. The variance of either mean over a
    set is summed over parents (`clustered_error`), and the two sets' are added; for the area the summands are
    the placements of DeLong et al. (1988, Biometrics 44, 837), with clusters as Obuchowski (1997, Biometrics
    53, 567). Parents of the two sets count as different ones. The scores must not come from a classifier that
    has seen these maps, and the errors are those of the test maps, the classifier taken as given.

    Raises:
      ValueError: scores that are not finite, parents of another length, fewer than two parents in a set.
    """
    sets = []
    for name, values, parents in (("first", first, first_parents), ("second", second, second_parents)):
        values = np.asarray(values, np.float64)
        if not np.isfinite(values).all():
            raise ValueError(f"{name} scores hold {np.count_nonzero(~np.isfinite(values))} non-finite values")
        if np.shape(parents) != values.shape or values.ndim != 1:
            raise ValueError(
                f"{name}_parents.shape={np.shape(parents)} must be {values.shape}, one for each map"
            )
        sets.append((values, group(parents)))
    (a, a_groups), (b, b_groups) = sets

    def share(value, of_first, of_second, scale=1.0):
        parts = ((of_first, a_groups), (of_second, b_groups))
        error = np.sqrt(sum(float(clustered_error(jnp.asarray(x), groups)) ** 2 for x, groups in parts))
        return Share(float(value), float(scale * error), min(a_groups.count, b_groups.count) - 1)

    right, (of_first, of_second) = _right(a, b), _placements(a, b)
    return Discrimination(
        share((right[0].mean() + right[1].mean()) / 2, *right, scale=0.5),
        share(of_first.mean(), of_first, of_second),
    )


class Told(NamedTuple):
    """Scores of the maps of two sets at one cosmology, as `discrimination` takes them."""

    first: Float[np.ndarray, " maps"]
    second: Float[np.ndarray, " others"]
    first_parents: Shaped[np.ndarray, " maps"]
    second_parents: Shaped[np.ndarray, " others"]


def mean_discrimination(points: Sequence[Told]) -> Discrimination:
    """Return the means over cosmologies of accuracy and area, where maps of each are told apart by themselves.

    A parent (a seed) may have maps at several of them, and then errs alike in all: the variance is summed over
    parents, of all of their maps' deviations from the mean of their own cosmology.

    Raises:
      ValueError: as `discrimination`; no cosmology.
    """
    every = [discrimination(*told) for told in points]
    labels = [np.concatenate([told[2 + of_set] for told in points]) for of_set in (0, 1)]
    groups = [group(parents) for parents in labels]
    shares = []
    for values, measure, scale in (
        ([one.accuracy.value for one in every], _right, 0.5),
        ([one.auc.value for one in every], _placements, 1.0),
    ):
        square, each = 0.0, [measure(told.first, told.second) for told in points]
        for of_set in (0, 1):
            # Weighed so that the mean over all maps is the mean over cosmologies.
            deviations = [(pair[of_set] - pair[of_set].mean()) / len(pair[of_set]) for pair in each]
            influence = np.concatenate(deviations) * len(labels[of_set]) / len(points)
            square += float(clustered_error(jnp.asarray(influence), groups[of_set])) ** 2
        degrees = min(of_set.count for of_set in groups) - 1
        shares.append(Share(float(np.mean(values)), float(scale * np.sqrt(square)), degrees))
    return Discrimination(*shares)


def _right(a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return 1 of each map on the side of its own set, 0 on the other, 1/2 between."""
    return (np.sign(a) + 1) / 2, (1 - np.sign(b)) / 2


def _placements(a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return of each map the share of the other set that lies on the expected side of it."""
    ranks = rankdata(np.concatenate([a, b]))
    return (ranks[: len(a)] - rankdata(a)) / len(b), 1 - (ranks[len(a) :] - rankdata(b)) / len(a)
