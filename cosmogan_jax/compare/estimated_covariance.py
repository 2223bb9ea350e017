"""Gaussian data whose covariance is itself estimated from n simulated maps: chi^2, p-values and likelihoods.

With S the sample covariance (divisor n - 1) of p modes and T^2 = (d - mu)^T S^-1 (d - mu):

    Hartlap, Simon & Schneider (2007, A&A 464, 399): (n - p - 2)/(n - 1) S^-1 is an unbiased inverse; chi^2 with
        it has the right mean, but too broad a distribution.
    Sellentin & Heavens (2016, MNRAS 456, L132): marginalised over the unknown covariance the likelihood is
        a multivariate t, ln L = const - ln|S|/2 - n/2 ln(1 + T^2 / (n - 1)).

The distribution of T^2 over data sets is Hotelling's: (n - p) T^2 / (p (n - 1)) follows F(p, n - p). Where the
mean is that of m simulated maps too, d - mean scatters by 1 + 1/m more, and T^2 / (1 + 1/m) takes its place.
maps=inf is a covariance that is known. Float64 NumPy on the host.
"""

from typing import Literal

import numpy as np
from jaxtyping import Float
from scipy import stats
from scipy.special import gammaln

Form = Literal["sellentin-heavens", "hartlap"]


def hartlap_factor(maps: float, modes: int) -> float:
    """Return (n - p - 2)/(n - 1), which makes the inverse of a sample covariance unbiased.

    Raises:
      ValueError: n < p + 3.
    """
    if maps < modes + 3:
        raise ValueError(
            f"{maps:.4g} maps are too few for the covariance of {modes} modes, which needs {modes + 3}"
        )
    return 1.0 if np.isinf(maps) else (maps - modes - 2) / (maps - 1)


def chi_squared(
    data: Float[np.ndarray, "sets modes"],
    mean: Float[np.ndarray, "*points modes"],
    covariance: Float[np.ndarray, "*points modes modes"],
) -> Float[np.ndarray, "*points sets"]:
    """Compute T^2 = (d - mean)^T covariance^-1 (d - mean), uncorrected, of every set at every point.

    Raises:
      ValueError: shapes that do not fit, or a covariance that is not positive definite.
    """
    data, mean, covariance = (np.asarray(array, np.float64) for array in (data, mean, covariance))
    modes = data.shape[-1]
    if data.ndim != 2 or mean.shape[-1:] != (modes,) or covariance.shape != (*mean.shape, modes):
        raise ValueError(
            f"data.shape={data.shape}, mean.shape={mean.shape} and covariance.shape={covariance.shape} must be "
            "(sets, modes), (..., modes) and (..., modes, modes)"
        )
    whitening = np.linalg.inv(_cholesky(covariance))
    # The whitened mean is subtracted from the whitened data: no array of all differences in between.
    white = np.einsum("...ij,sj->...si", whitening, data)
    white -= np.einsum("...ij,...j->...i", whitening, mean)[..., None, :]
    return np.einsum("...si,...si->...s", white, white)


def hotelling_p_values(
    t_squared: Float[np.ndarray, "..."], modes: int, maps: float, mean_maps: float = np.inf
) -> Float[np.ndarray, "..."]:
    """Return the share of data sets with a larger T^2, uniform for Gaussian data that are like the simulated.

    Args:
      t_squared: of `chi_squared`.
      maps: independent ones that the covariance is of. mean_maps: those that the mean is of; inf: it is known.

    Raises:
      ValueError: maps <= modes, or no map for the mean.
    """
    if not (maps > modes and mean_maps > 0):
        raise ValueError(
            f"maps={maps:.4g} must exceed the {modes} modes, and mean_maps={mean_maps:.4g} be positive"
        )
    scaled = np.asarray(t_squared, np.float64) / (1 + 1 / mean_maps)
    if np.isinf(maps):
        return stats.chi2.sf(scaled, modes)
    return stats.f.sf(scaled * (maps - modes) / (modes * (maps - 1)), modes, maps - modes)


def log_likelihood(
    data: Float[np.ndarray, "sets modes"],
    mean: Float[np.ndarray, "*points modes"],
    covariance: Float[np.ndarray, "*points modes modes"],
    maps: float,
    form: Form = "sellentin-heavens",
    mean_maps: float = np.inf,
) -> Float[np.ndarray, "*points sets"]:
    """Compute ln L of data at every point, normalised over data, with the covariance's noise allowed for.

    Raises:
      ValueError: another form, too few maps for the modes; as `chi_squared`.
    """
    if form not in ("sellentin-heavens", "hartlap"):
        raise ValueError(f"form={form!r} must be sellentin-heavens or hartlap")
    widened = np.asarray(covariance, np.float64) * (1 + 1 / mean_maps)
    t_squared = chi_squared(data, mean, widened)
    modes = np.shape(data)[1]
    log_det = 2 * np.log(np.diagonal(_cholesky(widened), axis1=-2, axis2=-1)).sum(-1)[..., None]
    factor = hartlap_factor(maps, modes)
    if np.isinf(maps) or form == "hartlap":
        # Of the covariance whose inverse is used: S / factor.
        log_det = log_det - modes * np.log(factor)
        return -0.5 * (factor * t_squared + log_det + modes * np.log(2 * np.pi))
    constant = gammaln(maps / 2) - gammaln((maps - modes) / 2) - modes / 2 * np.log(np.pi * (maps - 1))
    return constant - 0.5 * log_det - maps / 2 * np.log1p(t_squared / (maps - 1))


def _cholesky(covariance: np.ndarray) -> np.ndarray:
    try:
        return np.linalg.cholesky(covariance)
    except np.linalg.LinAlgError:
        raise ValueError("a covariance is not positive definite: a mode follows from the others") from None
