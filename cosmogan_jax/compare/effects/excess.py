"""Squared distances free of sampling noise, and how far generated maps lie beyond what real maps do.

A difference x of two sets, measured with noise, has E x^2 = X^2 + Var x; so the debiased square is x^2 - Var x.
The excess distance sets the distance from validation to the generated maps against that to an auxiliary set,

    Delta = D^2(generated, validation) - D^2(auxiliary, validation) = (x^2 - Var x) - (y^2 - Var y),

averaged over the effects of a block; both share the validation set, whose noise partly cancels. Variances and
covariances come from a bootstrap over parents that draws each set once for both distances.

Real maps may excuse a part of a difference, not any: an auxiliary set that is itself off (another simulation)
would excuse as much as it is off. What is taken off can be capped,

    Delta = D^2(generated, validation) - min(D^2(auxiliary, validation), cap)
          = max(D^2(generated, validation) - D^2(auxiliary, validation), D^2(generated, validation) - cap).

Its upper limit is the larger one of the two differences' own, its lower limit that of the one whose estimate is
larger: each covers its difference, and neither difference exceeds Delta.

That is at most D^2(generated, validation) itself, whose upper limit, free of the auxiliary set's noise, holds
for Delta too and is taken where it is the smaller one.

Limits. Near 0 a bootstrap of squares is useless: it repeats the estimate's own noise. The limits here use the
bootstrap for the joint covariance of (x, y) alone, which is regular, and Student's law of means over parents,
with z = 1.645 of very many parents and more of fewer (2.13 of five); the covariance is freed of the factor
(G - 1)/G by which a bootstrap over G parents underestimates it:

- one effect: the largest and the smallest X^2 - Y^2 in the region of (X, Y) that the data allow, the ellipse
  (X - x, Y - y) Sigma^-1 (X - x, Y - y) <= (1.125 z)^2 (a profile likelihood interval). Were the contours of
  the excess straight, z would give 95 % limits; where they curve it covers as little as 88 %;
- a block of several: estimate -+ z sqrt(4 g Sigma g + 2 tr(J Sigma J Sigma)) with g = (x, -y) and
  J = diag(1, -1). The first term is the noise along the gradient, the second what is left where the gradient
  is 0. Far from 0 the square of a normal is skewed: (1 + z^2) times the curvature along the noisiest
  direction is added where it widens the interval.

Least coverage of a limit, simulated for true (X, Y) from 0 to 10 standard errors: 94 % for one effect while the
variances of the three sets are within a factor of four (92 % with an auxiliary set ten times as noisy); for a
block of 15 or 36 effects 94 %, 92 % where they all but repeat one another. At an excess of 0 it is above 95 %.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int
from scipy.stats import norm
from scipy.stats import t as student_t

from cosmogan_jax.compare.effects.differences import Difference

_LEVEL = 0.95
_PROFILE = 1.125
_ANGLES = np.linspace(0, 2 * np.pi, 180, endpoint=False)
# Draws that the expected limit of equal sets is averaged over: known to about 4 %.
_NULL_DRAWS = 200


class Limits(NamedTuple):
    """Debiased squared distances, 95 % limits of each side, and upper limits that equal sets would give.

    sure: lower limits that all of `family` effects together exceed by chance in one of twenty cases only
      (Bonferroni): what many effects are to be convicted by.
    null: the upper limits of draws of equal sets with the same noise; of one draw over all blocks together.
    """

    value: Float[np.ndarray, " blocks"]
    lower: Float[np.ndarray, " blocks"]
    upper: Float[np.ndarray, " blocks"]
    sure: Float[np.ndarray, " blocks"]
    null: Float[np.ndarray, "blocks draws"]

    @property
    def expected(self) -> Float[np.ndarray, " blocks"]:
        """Return the upper limit that equal sets would give on average."""
        return self.null.mean(-1)


def squared_distance(
    difference: Difference,
    blocks: Sequence[Int[np.ndarray, " effects"]] | None = None,
    *,
    num_parents: int | None = None,
    family: int = 1,
) -> Limits:
    """Return D^2 = mean over a block of (x^2 - Var x); without blocks each effect is one.

    num_parents: of the smallest set; None for very many. family: effects that are judged together.

    Raises:
      ValueError: an empty block.
    """
    nothing = Difference(np.zeros_like(difference.value), np.zeros_like(difference.draws))
    return excess_distance(difference, nothing, blocks, num_parents=num_parents, family=family)


def excess_distance(
    generated: Difference,
    baseline: Difference,
    blocks: Sequence[Int[np.ndarray, " effects"]] | None = None,
    cap: float = np.inf,
    *,
    num_parents: int | None = None,
    family: int = 1,
) -> Limits:
    """Return the module's Delta: of generated against validation beyond auxiliary against validation.

    cap: the most that the baseline's square may take off. num_parents: of the smallest set, whose limits are
    then Student's; None for very many. family: how many effects are judged together, for `Limits.sure`.

    Where there is no auxiliary set, the baseline is the difference of two halves of the validation set
    (`parents.halves`), and generated maps are compared with all of it. Row r of both draws must come from the
    same resample of the validation parents.

    Raises:
      ValueError: differences of other shapes, or an empty block.
    """
    if generated.draws.shape != baseline.draws.shape:
        raise ValueError(f"draws of shapes {generated.draws.shape} and {baseline.draws.shape} must be alike")
    if blocks is None:
        blocks = list(np.arange(len(generated.value))[:, None])
    levels = np.array([_LEVEL, 1 - (1 - _LEVEL) / family])
    z, z_sure = norm.ppf(levels) if num_parents is None else student_t.ppf(levels, num_parents - 1)
    freed = 1.0 if num_parents is None else np.sqrt(num_parents / (num_parents - 1))
    rows: list[np.ndarray] = []
    null: list[np.ndarray] = []
    for block in blocks:
        if not len(block):
            raise ValueError("a block holds no effect")
        at = np.concatenate([generated.value[block], baseline.value[block]])
        draws = np.concatenate([generated.draws[:, block], baseline.draws[:, block]], 1)
        if not (np.isfinite(at).all() and np.isfinite(draws).all()):
            rows.append(np.full(4, np.nan))
            null.append(np.full(min(len(draws), _NULL_DRAWS), np.nan))
            continue
        noise = freed * (draws - draws.mean(0))
        covariance = np.cov(noise.T)
        points = np.concatenate([at[None], noise[:_NULL_DRAWS]])
        limits = _of_block(points, covariance, float(z), cap)
        rows.append(np.append(limits[:, 0], _of_block(points[:1], covariance, float(z_sure), cap)[1, 0]))
        null.append(limits[2, 1:])
    value, lower, upper, sure = np.array(rows).T
    return Limits(value, lower, upper, sure, np.array(null))


def _of_block(points: np.ndarray, covariance: np.ndarray, z: float, cap: float) -> np.ndarray:
    """Return estimate, lower and upper limit (3, points) of a block's mean square, capped."""
    size = points.shape[1] // 2
    limits = _limits(points, covariance, z) / size
    if cap < np.inf:
        limits = _capped(limits, _limits(*_without_baseline(points, covariance), z) / size, cap)
    return limits


def _limits(at: Float[np.ndarray, "points two_effects"], covariance: np.ndarray, z: float) -> np.ndarray:
    """Return estimate, lower and upper limit (3, points) of the block's sum of squares at measured (x, y)."""
    size = at.shape[1] // 2
    sign = np.repeat([1.0, -1.0], size)
    signed = covariance * sign
    value = at**2 @ sign - np.trace(signed)
    lower, upper = (_profile if size == 1 else _normal)(at, covariance, value, z)
    return np.stack([value, np.minimum(lower, value), np.maximum(upper, value)])


def _without_baseline(at: np.ndarray, covariance: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return points and covariance with a baseline of 0 that is known exactly."""
    ours = np.repeat([1.0, 0.0], at.shape[1] // 2)
    return at * ours, covariance * np.outer(ours, ours)


def _capped(limits: np.ndarray, distance: np.ndarray, cap: float) -> np.ndarray:
    """Return estimate and limits of the larger one of the excess and of the distance less the cap."""
    (value, lower, upper), (other, other_lower, other_upper) = limits, distance - cap
    return np.stack(
        [
            np.maximum(value, other),
            np.where(value >= other, lower, other_lower),
            np.minimum(np.maximum(upper, other_upper), np.maximum(distance[2], np.maximum(value, other))),
        ]
    )


def _profile(
    at: np.ndarray, covariance: np.ndarray, value: np.ndarray, z: float
) -> tuple[np.ndarray, np.ndarray]:
    eigenvalues, vectors = np.linalg.eigh(covariance)
    root = vectors * np.sqrt(np.maximum(eigenvalues, 0))
    x, y = _PROFILE * z * root @ np.stack([np.cos(_ANGLES), np.sin(_ANGLES)])
    square = (at[:, :1] + x) ** 2 - (at[:, 1:] + y) ** 2
    return square.min(1), square.max(1)


def _normal(
    at: np.ndarray, covariance: np.ndarray, value: np.ndarray, z: float
) -> tuple[np.ndarray, np.ndarray]:
    sign = np.repeat([1.0, -1.0], at.shape[1] // 2)
    signed = covariance * sign
    slope = 2 * (at * sign) @ covariance
    along = 2 * (slope * at) @ sign
    # The step of one standard error along the gradient's noise; its own square is the curvature.
    curvature = slope**2 @ sign / np.where(along > 0, along, 1)
    error = z * np.sqrt(along + 2 * np.trace(signed @ signed))
    skew = 1 + z**2
    return value - error + skew * np.minimum(curvature, 0), value + error + skew * np.maximum(curvature, 0)
