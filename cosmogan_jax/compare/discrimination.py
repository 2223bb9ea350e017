"""How well a score tells two sets of maps apart, with errors that count parents, and the split it needs."""

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Int, Shaped
from scipy.stats import rankdata

from cosmogan_jax.compare.clustered import clustered_error, group
from cosmogan_jax.compare.ensembles import Estimate

_INTERVAL = 1.96  # of a normal distribution, 95 %


class Discrimination(NamedTuple):
    """Both are 1/2 where the sets cannot be told apart.

    accuracy: share of maps whose score has their set's sign, the sets weighing alike.
    auc: probability that of two maps the one of the first set has the higher score.
    """

    accuracy: Estimate
    auc: Estimate


def discrimination(
    first: Float[np.ndarray, " maps"],
    second: Float[np.ndarray, " others"],
    first_parents: Shaped[np.ndarray, " maps"],
    second_parents: Shaped[np.ndarray, " others"],
) -> Discrimination:
    """Accuracy and area under the ROC curve of scores that are to be positive for the first set.

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

    def error(of_first, of_second):
        parts = ((of_first, a_groups), (of_second, b_groups))
        return np.sqrt(sum(float(clustered_error(jnp.asarray(x), groups)) ** 2 for x, groups in parts))

    right = (np.sign(a) + 1) / 2, (1 - np.sign(b)) / 2
    accuracy = (right[0].mean() + right[1].mean()) / 2
    ranks = rankdata(np.concatenate([a, b]))
    # A map's placement: the share of the other set that lies on the expected side of it.
    of_first = (ranks[: len(a)] - rankdata(a)) / len(b)
    of_second = 1 - (ranks[len(a) :] - rankdata(b)) / len(a)
    return Discrimination(
        Estimate(np.asarray(accuracy, np.float64), error(*right) / 2),
        Estimate(of_first.mean(), error(of_first, of_second)),
    )


def interval(estimate: Estimate) -> tuple[float, float]:
    """95 % interval of a share: normal errors, cut off at 0 and 1."""
    half = _INTERVAL * float(estimate.standard_error)
    return max(0.0, float(estimate.value) - half), min(1.0, float(estimate.value) + half)


def halves_by_parent(
    parents: Shaped[np.ndarray, " maps"], *, seed: int
) -> tuple[Int[np.ndarray, " first"], Int[np.ndarray, " second"]]:
    """Indices of two disjoint parts of the maps without a parent in common, as equal as whole parents allow.

    Parents are put in a random order that the seed decides; each goes to the part that has fewer maps.

    Raises:
      ValueError: fewer than four parents: two in each half.
    """
    names, index, counts = np.unique(np.asarray(parents), return_inverse=True, return_counts=True)
    if len(names) < 4:
        raise ValueError(f"{len(names)} parents are too few: two halves need at least four")
    order = np.random.Generator(np.random.Philox(key=[seed, 0])).permutation(len(names))
    side, total = np.empty(len(names), int), [0, 0]
    for parent in order:
        side[parent] = int(total[1] < total[0])
        total[side[parent]] += counts[parent]
    return np.flatnonzero(side[index] == 0), np.flatnonzero(side[index] == 1)


def equally_many(
    count: int, parents: Shaped[np.ndarray, " maps"], index: Int[np.ndarray, " some"]
) -> Int[np.ndarray, " count"]:
    """`count` of the indexed maps, as many of each parent as of any other while they last."""
    order = index[np.argsort(parents[index], kind="stable")]
    _, counts = np.unique(parents[order], return_counts=True)
    turn = np.concatenate([np.arange(n) for n in counts])
    return np.sort(order[np.argsort(turn, kind="stable")[:count]])
