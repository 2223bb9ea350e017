"""What two sets of maps say of the cosmology: bias of parameters and figures of merit, by Fisher matrices.

The data are bands of the power spectrum (or any statistic) of maps, with mean mu and covariance C, Gaussian
with a covariance that does not vary with the parameters (Tegmark, Taylor & Heavens 1997, ApJ 480, 22):

    F_ab = dmu/dtheta_a^T C^-1 dmu/dtheta_b          for one map, n F for n independent maps
    Delta theta = F^-1 (dmu/dtheta)^T C^-1 (mu_generated - mu_validation)

Float64 NumPy on the host.
"""

import functools
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Shaped

from cosmogan_jax.compare.ensembles import Estimate
from cosmogan_jax.compare.parents import map_weights, numbered

MAX_BANDS = 20


class Inference(NamedTuple):
    """Each with its standard error from a bootstrap over the parents of both sets.

    bias: Delta theta between a fit to the generated and one to the validation maps' mean (generated less
      validation), with the validation covariance; in the parameters' units, the same for any area.
    bias_of_one_map, bias_of_survey: the bias in units of the parameter's marginal standard deviation for the
      area of one map and of the survey; grows as the square root of the area.
    sigma_of_survey: that standard deviation for the survey, with the validation covariance.
    sigma_ratio: standard deviations with the generated covariance over those with the validation covariance.
    figure_of_merit_ratio: sqrt(det F) with the generated covariance over that with the validation covariance.
    maps_generated, maps_validation: how many independent maps the covariances are worth.
    """

    bias: Estimate
    bias_of_one_map: Estimate
    bias_of_survey: Estimate
    sigma_of_survey: Estimate
    sigma_ratio: Estimate
    figure_of_merit_ratio: Estimate
    maps_generated: float
    maps_validation: float


def infer(
    generated: Float[np.ndarray, "maps bands"],
    validation: Float[np.ndarray, "others bands"],
    derivatives: Float[np.ndarray, "bands parameters"],
    generated_parents: Shaped[np.ndarray, " maps"],
    validation_parents: Shaped[np.ndarray, " others"],
    *,
    map_deg2: float,
    survey_deg2: float,
    seed: int,
    num_resamples: int = 200,
) -> Inference:
    """Return the bias and figures of merit that the generated maps give in place of the validation maps.

    The survey is n = survey_deg2 / map_deg2 maps that are independent of each other: modes longer than a map,
    and the loss at its border, are left out. Inverse covariances are those of `inverse_covariance`.

    Raises:
      ValueError: values not (maps, bands) and finite, more than MAX_BANDS bands, other numbers of bands in the
        derivatives, parents of another length, too few maps for the bands, a band that does not vary,
        derivatives that are zero or proportional, areas not positive, fewer than two resamples.
    """
    derivatives = np.asarray(derivatives, np.float64)
    sets = [
        _checked("generated", generated, generated_parents),
        _checked("validation", validation, validation_parents),
    ]
    _check_sizes(derivatives, *(values for values, _ in sets))
    for name, area in (("map_deg2", map_deg2), ("survey_deg2", survey_deg2)):
        if not 0 < area < np.inf:
            raise ValueError(f"{name}={area} must be positive")
    if num_resamples < 2:
        raise ValueError(f"num_resamples={num_resamples} must be at least 2")
    worth = [independent_maps(values, numbers) for values, numbers in sets]
    # A resample holds 63 % of the parents.
    num_bands, survey = derivatives.shape[0], survey_deg2 / map_deg2
    needed = 2 * (num_bands + 3)
    for name, maps in zip(("generated", "validation"), worth):
        if maps < needed:
            raise ValueError(
                f"{name}: {maps:.4g} independent maps are too few for {num_bands} bands, which need {needed}"
            )
    # Bands in units of their scatter: powers of 1e-12 and their products then keep their digits.
    unit = sets[1][0].std(0)
    scaled = [values / unit for values, _ in sets]
    conclude = functools.partial(_concluded, scaled, worth, derivatives / unit[:, None], survey)
    value = conclude([np.ones(len(values)) for values in scaled])
    # Another stream for the second set: where both have as many parents, equal draws would tie them together.
    streams = (map_weights(numbers, seed + i * 2**32, num_resamples) for i, (_, numbers) in enumerate(sets))
    error = np.std([conclude(weights) for weights in zip(*streams)], axis=0, ddof=1)
    columns = np.split(np.stack([value, error]), np.arange(1, 6) * derivatives.shape[1], axis=1)
    merit = Estimate(*columns.pop()[:, 0])
    bias, in_sigma, in_survey, sigma, ratio = (Estimate(*column) for column in columns)
    return Inference(bias, in_sigma, in_survey, sigma, ratio, merit, *worth)


def _check_sizes(derivatives: np.ndarray, generated: np.ndarray, validation: np.ndarray) -> None:
    """Check that derivatives and both sets are of the same bands."""
    num_bands = validation.shape[1]
    if generated.shape[1] != num_bands or derivatives.shape[:1] != (num_bands,) or derivatives.ndim != 2:
        raise ValueError(
            f"derivatives.shape={derivatives.shape} must be (bands, parameters), of the {generated.shape[1]} "
            f"generated and {num_bands} validation bands"
        )


def _concluded(
    sets: list[np.ndarray],
    worth: list[float],
    derivatives: np.ndarray,
    survey: float,
    weights: Sequence[np.ndarray],
) -> np.ndarray:
    """Return the numbers of `Inference`, one after the other, of generated and validation maps with weights."""
    means, matrices = [], []
    for values, weight, maps in zip(sets, weights, worth):
        means.append(weight @ values / weight.sum())
        matrices.append(fisher_matrix(derivatives, values, weight, maps))
    (of_generated, _), (of_validation, projector) = matrices
    bias = projector @ (means[0] - means[1])
    sigma, sigma_generated = (np.sqrt(np.diag(np.linalg.inv(f))) for f in (of_validation, of_generated))
    merit = np.sqrt(np.linalg.det(of_generated) / np.linalg.det(of_validation))
    in_sigma = bias / sigma
    return np.concatenate(
        [
            bias, in_sigma, in_sigma * np.sqrt(survey), sigma / np.sqrt(survey), sigma_generated / sigma,
            [merit],
        ]
    )  # fmt: skip


def fisher_matrix(
    derivatives: Float[np.ndarray, "bands parameters"],
    values: Float[np.ndarray, "maps bands"],
    weight: Float[np.ndarray, " maps"],
    maps: float,
) -> tuple[Float[np.ndarray, "parameters parameters"], Float[np.ndarray, "parameters bands"]]:
    """Return F of one map, and F^-1 (dmu/dtheta)^T C^-1.

    The latter turns a difference of means into one of parameters. C is the covariance of values with the
    weights, worth so many independent maps.

    Raises:
      ValueError: too few maps for the bands, derivatives that parameters share.
    """
    weighted = inverse_covariance(values, weight, maps) @ derivatives
    fisher = derivatives.T @ weighted
    scale = np.sqrt(np.diag(fisher))
    if not (scale > 0).all() or np.linalg.cond(fisher / scale / scale[:, None]) > 1e12:
        raise ValueError("the derivatives by the parameters are zero or proportional to each other")
    return fisher, np.linalg.solve(fisher, weighted.T)


def inverse_covariance(
    values: Float[np.ndarray, "maps bands"], weight: Float[np.ndarray, " maps"], maps: float
) -> Float[np.ndarray, "bands bands"]:
    """Return (N - p - 2)/(N - 1) times the inverse of the covariance of p bands, N the maps it is worth.

    Without the factor the inverse of a noisy covariance is too large in the mean (Hartlap, Simon & Schneider
    2007, A&A 464, 399; for normal data).

    Raises:
      ValueError: N < p + 3; a band that does not vary.
    """
    bands = values.shape[1]
    if maps < bands + 3:
        raise ValueError(
            f"{maps:.4g} independent maps are too few for the inverse covariance of {bands} bands, which needs "
            f"{bands + 3}"
        )
    centred = values - weight @ values / weight.sum()
    covariance = (centred * weight[:, None]).T @ centred / (weight.sum() - 1)
    scatter = np.sqrt(np.diag(covariance))
    if not (scatter > 0).all():
        raise ValueError(f"band {int(np.argmin(scatter))} does not vary over the maps")
    return (
        (maps - bands - 2)
        / (maps - 1)
        * np.linalg.inv(covariance / np.outer(scatter, scatter))
        / np.outer(scatter, scatter)
    )


def independent_maps(values: Float[np.ndarray, "maps bands"], numbers: Shaped[np.ndarray, " maps"]) -> float:
    """Return how many independent maps the covariance of maps of some parents is worth.

    N (sum of Var_0 C_ij) / (sum of Var C_ij) over the bands, made independent of each other: Var_0 for maps
    that are independent, Var from sums over parents (`compare/clustered.py`). At most N; copies of one map
    count as one.
    """
    centred = values - values.mean(0)
    lower = np.linalg.cholesky(centred.T @ centred / len(values) + 1e-12 * np.diag(values.var(0)))
    white = np.linalg.solve(lower, centred.T).T
    pairs = np.triu_indices(values.shape[1])
    products = white[:, pairs[0]] * white[:, pairs[1]]
    products -= products.mean(0)
    count = int(numbers.max()) + 1
    sums = np.zeros((count, products.shape[1]))
    np.add.at(sums, numbers, products)
    clustered = count / (count - 1) * (sums**2).sum()
    alone = len(values) / (len(values) - 1) * (products**2).sum()
    return float(len(values) * min(1.0, alone / clustered))


def _checked(name: str, values: np.ndarray, parents: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return a set's values in float64 and the numbers of its parents, checked."""
    values = np.asarray(values, np.float64)
    if values.ndim != 2 or not 1 <= values.shape[1] <= MAX_BANDS:
        raise ValueError(f"{name}.shape={values.shape} must be (maps, bands) with at most {MAX_BANDS} bands")
    if not np.isfinite(values).all():
        map_, band = np.argwhere(~np.isfinite(values))[0]
        raise ValueError(f"{name}[{map_}, {band}]={values[map_, band]} must be finite")
    numbers, _ = numbered(
        parents, len(values), name=f"{name}_parents", fewest=2, purpose=f"an error over {name} parents"
    )
    if not (np.ptp(values, axis=0) > 0).all():
        raise ValueError(f"{name} band {int(np.argmin(np.ptp(values, axis=0)))} does not vary over the maps")
    return values, numbers
