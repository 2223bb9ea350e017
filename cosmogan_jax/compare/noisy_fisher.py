"""Fisher matrices from simulated derivatives and covariances, without what the derivatives' noise adds.

    F_ab = mu_a^T C^-1 mu_b,    mu_a = d mu / d theta_a,    for one map; n F for n independent maps

Noise of the mean slope adds tr(C^-1 Cov(mu_a, mu_b)) to the mean of an estimate, never less than 0 on the
diagonal: constraints then look better than they are (Coulton & Wandelt 2023, arXiv:2305.08994, who combine it
with an estimate that is biased to the other side). Units of equal seeds give Cov itself, which is subtracted
here. What is left is the mean of g_a^T C^-1 g_b over pairs of different units, whose noise has nothing in
common: unbiased, as C^-1 is with Hartlap's factor where slopes and covariance are of different simulations. The
naive matrix is an upper bound in the mean. Float64 NumPy on the host.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from cosmogan_jax.compare.ensembles import Estimate
from cosmogan_jax.compare.fisher import inverse_covariance
from cosmogan_jax.compare.parameter_response import ParameterResponse


class NoisyFisher(NamedTuple):
    """Fisher matrix of one map.

    Attributes:
      names: of the parameters.
      naive: of the mean slopes; too large in the mean by `noise`.
      noise: what the slopes' noise adds, estimated.
      corrected: naive - noise, and its standard error: of the slopes (jackknife over units) and of the
        covariance (Wishart) together.
      sigma: marginal standard deviations of the parameters by the corrected matrix, and their error; NaN where
        the noise leaves no positive definite matrix.
      sigma_alone: of each parameter where the others are known, 1 / sqrt(F_aa); NaN where F_aa is not positive.
      naive_sigma: by the naive one; a lower bound in the mean.
    """

    names: tuple[str, ...]
    naive: Float[np.ndarray, "parameters parameters"]
    noise: Float[np.ndarray, "parameters parameters"]
    corrected: Estimate
    sigma: Estimate
    sigma_alone: Estimate
    naive_sigma: Float[np.ndarray, " parameters"]


def noisy_fisher(
    response: ParameterResponse, values: Float[np.ndarray, "maps modes"], maps: float | None = None
) -> NoisyFisher:
    """Return the Fisher matrix of slopes and of the covariance of values, for one map.

    Args:
      response: slopes of at least three units, best of other simulations than the values.
      values: data vectors of single maps, that give the covariance.
      maps: how many independent maps they are worth (`fisher.independent_maps`); None: all of them.

    Raises:
      ValueError: fewer than three units, other modes in the values, too few maps, a mode that does not vary.
    """
    values = np.asarray(values, np.float64)
    slopes, maps = response.slopes, float(len(values) if maps is None else maps)
    units, parameters, modes = slopes.shape
    if units < 3:
        raise ValueError(f"{units} units are too few for the noise of slopes, which needs 3")
    if values.ndim != 2 or values.shape[1] != modes:
        raise ValueError(f"values.shape={values.shape} must be (maps, {modes}), of the slopes' modes")
    if maps < modes + 5:
        raise ValueError(f"{maps:.4g} independent maps are too few for {modes} modes, which need {modes + 5}")
    inverse = inverse_covariance(values, np.ones(len(values)), maps)
    products = np.einsum("uai,ij,ubj->uab", slopes, inverse, slopes)
    total, own = slopes.sum(0), products.sum(0)
    naive = total @ inverse @ total.T / units**2
    corrected = _of_pairs(total, own, units, inverse)
    without = np.stack([
        _of_pairs(total - slope, own - product, units - 1, inverse) for slope, product in zip(slopes, products)
    ])  # fmt: skip
    error = np.hypot(_jackknife_error(without), _wishart_error(corrected, maps, modes))
    sigma = marginal_sigma(corrected)
    # (G^T S^-1 G)^-1 follows a Wishart distribution of maps - 1 - modes + parameters degrees of freedom.
    of_covariance = sigma / np.sqrt(2 * (maps - 1 - modes + parameters))
    sigma_error = np.hypot(_jackknife_error(np.stack([marginal_sigma(f) for f in without])), of_covariance)
    return NoisyFisher(
        response.names,
        naive,
        naive - corrected,
        Estimate(corrected, error),
        Estimate(sigma, sigma_error),
        _alone(corrected, error),
        marginal_sigma(naive),
    )


def marginal_sigma(fisher: Float[np.ndarray, "parameters parameters"]) -> Float[np.ndarray, " parameters"]:
    """Return sqrt((F^-1)_aa); NaN where F is not positive definite."""
    scale = np.sqrt(np.abs(np.diag(fisher)))
    if not (np.diag(fisher) > 0).all():
        return np.full(len(fisher), np.nan)
    values, axes = np.linalg.eigh(fisher / np.outer(scale, scale))
    if values[0] <= 1e-12:
        return np.full(len(fisher), np.nan)
    return np.sqrt((axes**2 / values).sum(1)) / scale


def _alone(fisher: np.ndarray, error: np.ndarray) -> Estimate:
    information = np.where(np.diag(fisher) > 0, np.diag(fisher), np.nan)
    sigma = 1 / np.sqrt(information)
    return Estimate(sigma, sigma * np.diag(error) / information / 2)


def _of_pairs(total: np.ndarray, own: np.ndarray, units: int, inverse: np.ndarray) -> np.ndarray:
    """Return the mean of g_a^T C^-1 g_b over pairs of different units: all pairs less those of one unit."""
    return (total @ inverse @ total.T - own) / (units * (units - 1))


def _jackknife_error(without: np.ndarray) -> np.ndarray:
    """Return the standard error of a number from its values with each unit left out."""
    units = len(without)
    return np.sqrt((units - 1) / units * ((without - without.mean(0)) ** 2).sum(0))


def _wishart_error(fisher: np.ndarray, maps: float, modes: int) -> np.ndarray:
    """Return the standard deviation that the covariance's noise gives F, an inverse Wishart matrix."""
    free = maps - 1 - modes
    diagonal = np.outer(np.diag(fisher), np.diag(fisher))
    variance = ((free + 1) * fisher**2 + (free - 1) * diagonal) / (free * (free - 3))
    return np.sqrt(np.maximum(variance, 0.0))
