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

Limits. Near 0 a bootstrap of squares is useless: it repeats the estimate's own noise. The limits here use the
bootstrap for the joint covariance of (x, y) alone, which is regular, and the normal law of means over parents:

- one effect: the largest and the smallest X^2 - Y^2 in the region of (X, Y) that the data allow, the ellipse
  (X - x, Y - y) Sigma^-1 (X - x, Y - y) <= 1.85^2 (a profile likelihood interval). Were the contours of the
  excess straight, 1.645 would give 95 % limits; where they curve it covers as little as 88 %;
- a block of several: estimate -+ 1.645 sqrt(4 g Sigma g + 2 tr(J Sigma J Sigma)) with g = (x, -y) and
  J = diag(1, -1). The first term is the noise along the gradient, the second what is left where the gradient
  is 0. Far from 0 the square of a normal is skewed: (1 + 1.645^2) times the curvature along the noisiest
  direction is added where it widens the interval.

Least coverage of a limit, simulated for true (X, Y) from 0 to 10 standard errors: 94 % for one effect while the
variances of the three sets are within a factor of four (92 % with an auxiliary set ten times as noisy); for a
block of 15 or 36 effects 94 %, 92 % where they all but repeat one another. At an excess of 0 it is above 95 %.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int, Shaped

from cosmogan_jax.compare.effects import Difference

_Z = 1.645
_Z_PROFILE = 1.85
_ANGLES = np.linspace(0, 2 * np.pi, 180, endpoint=False)
# Draws that the expected limit of equal sets is averaged over: known to about 4 %.
_NULL_DRAWS = 200


class Limits(NamedTuple):
    """Debiased squared distances, 95 % limits of each side, and the upper limit that equal sets would give."""

    value: Float[np.ndarray, " blocks"]
    lower: Float[np.ndarray, " blocks"]
    upper: Float[np.ndarray, " blocks"]
    expected: Float[np.ndarray, " blocks"]


def squared_distance(
    difference: Difference, blocks: Sequence[Int[np.ndarray, " effects"]] | None = None
) -> Limits:
    """D^2 = mean over a block of (x^2 - Var x); without blocks each effect is one.

    Raises:
      ValueError: an empty block.
    """
    nothing = Difference(np.zeros_like(difference.value), np.zeros_like(difference.draws))
    return excess_distance(difference, nothing, blocks)


def excess_distance(
    generated: Difference,
    baseline: Difference,
    blocks: Sequence[Int[np.ndarray, " effects"]] | None = None,
    cap: float = np.inf,
) -> Limits:
    """Delta of the module's equation: of generated against validation beyond auxiliary against validation.

    cap: the most that the baseline's square may take off.

    Where there is no auxiliary set, the baseline is the difference of two halves of the validation set
    (`halves`), and generated maps are compared with all of it. Row r of both draws must come from the same
    resample of the validation parents.

    Raises:
      ValueError: differences of other shapes, or an empty block.
    """
    if generated.draws.shape != baseline.draws.shape:
        raise ValueError(f"draws of shapes {generated.draws.shape} and {baseline.draws.shape} must be alike")
    if blocks is None:
        blocks = list(np.arange(len(generated.value))[:, None])
    found = []
    for block in blocks:
        if not len(block):
            raise ValueError("a block holds no effect")
        at = np.concatenate([generated.value[block], baseline.value[block]])
        draws = np.concatenate([generated.draws[:, block], baseline.draws[:, block]], 1)
        if not (np.isfinite(at).all() and np.isfinite(draws).all()):
            found.append([np.nan] * 4)
            continue
        noise = (draws - draws.mean(0))[:_NULL_DRAWS]
        covariance = np.cov(draws.T)
        points = np.concatenate([at[None], noise])
        limits = _limits(points, covariance) / len(block)
        if cap < np.inf:
            limits = _capped(limits, _limits(*_without_baseline(points, covariance)) / len(block) - cap)
        found.append([*limits[:, 0], limits[2, 1:].mean()])
    return Limits(*np.array(found).T)


def halves(
    parents: Shaped[np.ndarray, " maps"], *, seed: int
) -> tuple[Int[np.ndarray, " maps_of_one"], Int[np.ndarray, " maps_of_two"]]:
    """Maps of a random half of the parents, and those of the other half (one parent more if they are odd).

    Raises:
      ValueError: fewer than two parents.
    """
    names, groups = np.unique(np.asarray(parents), return_inverse=True)
    if len(names) < 2:
        raise ValueError(f"{len(names)} parent is too few to be halved")
    rng = np.random.Generator(np.random.Philox(key=[seed, 0]))
    first = np.zeros(len(names), bool)
    first[rng.permutation(len(names))[: len(names) // 2]] = True
    return np.flatnonzero(first[groups]), np.flatnonzero(~first[groups])


def _limits(at: Float[np.ndarray, "points two_effects"], covariance: np.ndarray) -> np.ndarray:
    """Estimate, lower and upper limit (3, points) of the block's sum of squares at measured (x, y)."""
    size = at.shape[1] // 2
    sign = np.repeat([1.0, -1.0], size)
    signed = covariance * sign
    value = at**2 @ sign - np.trace(signed)
    lower, upper = (_profile if size == 1 else _normal)(at, covariance, value)
    return np.stack([value, np.minimum(lower, value), np.maximum(upper, value)])


def _without_baseline(at: np.ndarray, covariance: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The same with a baseline of 0 that is known exactly."""
    ours = np.repeat([1.0, 0.0], at.shape[1] // 2)
    return at * ours, covariance * np.outer(ours, ours)


def _capped(limits: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Estimate, lower and upper limit of the larger of two differences."""
    (value, lower, upper), (other, other_lower, other_upper) = limits, others
    return np.stack(
        [
            np.maximum(value, other),
            np.where(value >= other, lower, other_lower),
            np.maximum(upper, other_upper),
        ]
    )


def _profile(at: np.ndarray, covariance: np.ndarray, value: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    eigenvalues, vectors = np.linalg.eigh(covariance)
    root = vectors * np.sqrt(np.maximum(eigenvalues, 0))
    x, y = _Z_PROFILE * root @ np.stack([np.cos(_ANGLES), np.sin(_ANGLES)])
    square = (at[:, :1] + x) ** 2 - (at[:, 1:] + y) ** 2
    return square.min(1), square.max(1)


def _normal(at: np.ndarray, covariance: np.ndarray, value: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    sign = np.repeat([1.0, -1.0], at.shape[1] // 2)
    signed = covariance * sign
    slope = 2 * (at * sign) @ covariance
    along = 2 * (slope * at) @ sign
    # The step of one standard error along the gradient's noise; its own square is the curvature.
    curvature = slope**2 @ sign / np.where(along > 0, along, 1)
    error = _Z * np.sqrt(along + 2 * np.trace(signed @ signed))
    skew = 1 + _Z**2
    return value - error + skew * np.minimum(curvature, 0), value + error + skew * np.maximum(curvature, 0)
