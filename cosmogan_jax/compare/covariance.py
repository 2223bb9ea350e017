"""Two covariances of a data vector side by side: element by element, and along the directions of one of them.

Elements are compared in units of the validation maps' scatter, (C_g - C_v)_ij / sqrt(C_v,ii C_v,jj), so that
the diagonal is a relative difference of variances and the rest one of covariances. Directions are the
generalised eigenvectors, C_g v = lambda C_v v: a combination of modes that the generated maps scatter in lambda
times as much; all are 1 where the covariances are equal. Of finitely many maps they spread about 1 even so;
`equal_range` says how far. Float64 NumPy on the host.
"""

import functools
from typing import Literal, NamedTuple

import numpy as np
from jaxtyping import Float, Int, Shaped
from scipy import stats
from scipy.linalg import eigh

from cosmogan_jax.compare.ensembles import Estimate, checked
from cosmogan_jax.compare.fisher import independent_maps
from cosmogan_jax.compare.parents import map_weights

Errors = Literal["bootstrap", "wishart"]
_EQUAL_DRAWS = 200


class CovarianceComparison(NamedTuple):
    """How the covariance of generated maps differs from that of validation maps.

    Attributes:
      difference: (C_g - C_v)_ij / sqrt(C_v,ii C_v,jj).
      eigenvalues: of C_g in the basis of C_v, ascending.
      equal_range: 2.5 and 97.5 % of each eigenvalue, by order, for equal covariances of Gaussian data of as
        many independent maps.
      errors: where the standard errors come from: "bootstrap" over parents of both sets, or "wishart", those of
        Gaussian data of as many independent maps (eigenvalues: the scatter of `equal_range`'s draws, relative).
      maps_generated, maps_validation: how many independent maps the covariances are worth.
    """

    difference: Estimate
    eigenvalues: Estimate
    equal_range: Float[np.ndarray, "2 modes"]
    errors: Errors
    maps_generated: float
    maps_validation: float


def compare_covariances(
    generated: Float[np.ndarray, "maps modes"],
    validation: Float[np.ndarray, "others modes"],
    generated_parents: Shaped[np.ndarray, " maps"],
    validation_parents: Shaped[np.ndarray, " others"],
    *,
    seed: int,
    errors: Errors = "bootstrap",
    num_resamples: int = 200,
) -> CovarianceComparison:
    """Return how the covariances differ, with standard errors.

    Modes must be independent of each other (`independent_columns`).

    Raises:
      ValueError: values not (maps, modes) and finite or of other modes, parents of another length, fewer than
        two of them, fewer independent maps than modes + 2, unknown errors, fewer than two resamples.
    """
    if errors not in ("bootstrap", "wishart"):
        raise ValueError(f"errors={errors!r} must be bootstrap or wishart")
    if num_resamples < 2:
        raise ValueError(f"num_resamples={num_resamples} must be at least 2")
    sets = [checked(generated, generated_parents), checked(validation, validation_parents)]
    modes = sets[1][0].shape[1]
    if sets[0][0].shape[1] != modes:
        raise ValueError(f"generated maps have {sets[0][0].shape[1]} modes, validation maps {modes}")
    unit = sets[1][0].std(0)
    if not (unit > 0).all():
        raise ValueError(f"mode {int(np.argmin(unit))} does not vary over the validation maps")
    worth = (independent_maps(*sets[0]), independent_maps(*sets[1]))
    for name, maps in zip(("generated", "validation"), worth):
        if maps < modes + 2:
            raise ValueError(f"{name}: {maps:.4g} independent maps are too few for {modes} modes")
    scaled = [(values / unit, numbers) for values, numbers in sets]
    own = [_covariance(values, np.ones(len(values))) for values, _ in scaled]
    compared, equal = _compared(own[0], own[1]), _equal_eigenvalues(modes, *worth, seed)
    if errors == "bootstrap":
        standard_errors = _bootstrap_errors(scaled, seed, num_resamples)
    else:
        of_eigenvalues = compared[1] * equal.std(0, ddof=1) / equal.mean(0)
        standard_errors = _wishart_errors(own[0], own[1], *worth), of_eigenvalues
    return CovarianceComparison(
        Estimate(compared[0], standard_errors[0]),
        Estimate(compared[1], standard_errors[1]),
        np.quantile(equal, [0.025, 0.975], axis=0),
        errors,
        *worth,
    )


def independent_columns(
    *sets: Float[np.ndarray, "maps modes"], least: float = 1e-3
) -> Int[np.ndarray, " kept"]:
    """Return numbers of modes that vary in every set, and not only by what those before them say.

    At least the share `least` of the variance of a mode that is kept does not follow from those kept before it.
    Shares of pixels that add up to 1, and thresholds that no map reaches, have covariances without inverse.
    """
    kept = [_independent_of_one(np.asarray(values, np.float64), least) for values in sets]
    # Some of the modes that are independent of each other are.
    return functools.reduce(np.intersect1d, kept)


def _independent_of_one(values: np.ndarray, least: float) -> Int[np.ndarray, " kept"]:
    scatter = values.std(0)
    varies = np.flatnonzero(scatter > 1e-12 * np.abs(values).max(0, initial=0))
    left = (values[:, varies] - values[:, varies].mean(0)) / scatter[varies]
    kept = []
    for number, column in enumerate(varies):
        own = left[:, number]
        if (own**2).mean() >= least:
            kept.append(column)
            direction = own / np.sqrt((own**2).sum())
            left = left - np.outer(direction, direction @ left)
    return np.array(kept, np.int64)


def _covariance(values: np.ndarray, weight: np.ndarray) -> np.ndarray:
    centred = values - weight @ values / weight.sum()
    return (centred * weight[:, None]).T @ centred / (weight.sum() - 1)


def _compared(generated: np.ndarray, validation: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    scatter = np.sqrt(np.diag(validation))
    return (generated - validation) / np.outer(scatter, scatter), _eigenvalues(generated, validation)


def _eigenvalues(generated: np.ndarray, validation: np.ndarray) -> np.ndarray:
    try:
        return eigh(generated, validation, eigvals_only=True)
    except np.linalg.LinAlgError:
        raise ValueError(
            "the validation covariance is not positive definite: a mode follows from the others"
        ) from None


def _bootstrap_errors(
    sets: list[tuple[np.ndarray, np.ndarray]], seed: int, num_resamples: int
) -> tuple[np.ndarray, np.ndarray]:
    # Another stream for the second set: where both have as many parents, equal draws would tie them together.
    streams = (map_weights(numbers, seed + i * 2**32, num_resamples) for i, (_, numbers) in enumerate(sets))
    resamples = [
        _compared(*(_covariance(values, weight) for (values, _), weight in zip(sets, weights)))
        for weights in zip(*streams)
    ]
    differences, eigenvalues = zip(*resamples)
    return np.std(differences, axis=0, ddof=1), np.std(eigenvalues, axis=0, ddof=1)


def _wishart_errors(
    generated: np.ndarray, validation: np.ndarray, maps_generated: float, maps_validation: float
) -> np.ndarray:
    """Return errors of the scaled difference by Var S_ij = (S_ij^2 + S_ii S_jj) / (n - 1), of both sets."""
    scatter = np.outer(*(np.sqrt(np.diag(validation)),) * 2)
    variance = sum(
        (one**2 + np.outer(np.diag(one), np.diag(one))) / (maps - 1)
        for one, maps in ((generated, maps_generated), (validation, maps_validation))
    )
    return np.sqrt(variance) / scatter


def _equal_eigenvalues(
    modes: int, maps_generated: float, maps_validation: float, seed: int
) -> Float[np.ndarray, "draws modes"]:
    """Draw eigenvalues of two covariances of the same Gaussian data, of so many maps."""
    random = np.random.default_rng(seed)
    draws = [
        stats.wishart.rvs(maps - 1, np.eye(modes) / (maps - 1), _EQUAL_DRAWS, random).reshape(-1, modes, modes)
        for maps in (maps_generated, maps_validation)
    ]
    return np.stack([_eigenvalues(*pair) for pair in zip(*draws)])
