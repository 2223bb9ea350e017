"""How means of statistics answer to parameters: slopes of independent units, their mean, and its errors.

A unit is what is independent of all others: a simulated box whose white noise is the same at every cosmology,
or a map of an emulator, whose latents are. Its slope by parameter a is

    g_a = (d(theta_a + h) - d(theta_a - h)) / 2h,    d the mean data vector of the unit's maps,

in which most of what is random cancels, or the derivative itself where maps are differentiable
(`emulators/parameter_response.py`). The estimate is the mean over units; its covariance, that of the slopes
over their number, joins all parameters: the units are the same. Float64 NumPy on the host.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Shaped

from cosmogan_jax.compare.ensembles import Estimate
from cosmogan_jax.compare.parents import numbered


class ParameterResponse(NamedTuple):
    """Slopes of a data vector by parameters.

    Attributes:
      names: of the parameters.
      slopes: of each independent unit, in units of the data vector per unit of the parameter.
    """

    names: tuple[str, ...]
    slopes: Float[np.ndarray, "units parameters modes"]

    @property
    def estimate(self) -> Estimate:
        """Return the mean slope (parameters, modes) and its standard error."""
        error = self.slopes.std(0, ddof=1) / np.sqrt(len(self.slopes))
        return Estimate(self.slopes.mean(0), error)

    def covariance_of_mean(self) -> Float[np.ndarray, "parameters modes parameters modes"]:
        """Return the covariance of the mean slope, between all parameters and modes."""
        units, parameters, modes = self.slopes.shape
        flat = self.slopes.reshape(units, -1)
        covariance = np.atleast_2d(np.cov(flat.T)) / units
        return covariance.reshape(parameters, modes, parameters, modes)

    def of_modes(self, columns: Shaped[np.ndarray, " kept"] | slice) -> "ParameterResponse":
        """Return the slopes of some of the modes."""
        return ParameterResponse(self.names, self.slopes[..., columns])


def means_by_unit(
    values: Float[np.ndarray, "maps modes"], parents: Shaped[np.ndarray, " maps"]
) -> Float[np.ndarray, "units modes"]:
    """Return the mean data vector of each unit's maps, in the order of the units' labels.

    Raises:
      ValueError: labels that are not one for each map.
    """
    values = np.asarray(values, np.float64)
    numbers, count = numbered(parents, len(values))
    sums = np.zeros((count, values.shape[1]))
    np.add.at(sums, numbers, values)
    return sums / np.bincount(numbers)[:, None]


def matched_differences(
    names: Sequence[str],
    lower: Float[np.ndarray, "units parameters modes"],
    upper: Float[np.ndarray, "units parameters modes"],
    distance: Float[np.ndarray, " parameters"],
) -> ParameterResponse:
    """Return (upper - lower) / distance of every unit; distance = 2h, between the two cosmologies.

    lower, upper: data vectors of the same units where one parameter is smaller and larger.

    Raises:
      ValueError: values that are not finite or not of one shape, fewer than two units, a distance of 0.
    """
    lower, upper, distance = _checked(names, lower, upper, distance)
    return ParameterResponse(tuple(names), (upper - lower) / distance[:, None])


def logarithmic_differences(
    names: Sequence[str],
    lower: Float[np.ndarray, "units parameters modes"],
    upper: Float[np.ndarray, "units parameters modes"],
    log_distance: Float[np.ndarray, " parameters"],
) -> ParameterResponse:
    """Return d ln <d> / d ln theta = ln(<d_upper> / <d_lower>) / ln(theta_upper / theta_lower).

    Of the ratio of means over units, not the mean of ratios, which the scatter of each would bias. A unit's
    slope is the estimate and its own part in the error (the linearised ratio), so that the mean over units is
    the estimate, and their scatter its error.

    Raises:
      ValueError: as `matched_differences`; a mean that is not positive.
    """
    lower, upper, log_distance = _checked(names, lower, upper, log_distance)
    mean_lower, mean_upper = _positive(lower.mean(0)), _positive(upper.mean(0))
    value = np.log(mean_upper / mean_lower)
    slopes = (value + upper / mean_upper - lower / mean_lower) / log_distance[:, None]
    return ParameterResponse(tuple(names), slopes)


def logarithmic_slopes(
    response: ParameterResponse,
    values: Float[np.ndarray, "units modes"],
    theta: Float[np.ndarray, " parameters"],
) -> ParameterResponse:
    """Return d ln <d> / d ln theta = theta <g> / <d> of slopes g and the same units' data vectors d.

    Linearised as in `logarithmic_differences`.

    Raises:
      ValueError: other units than the response's, or a mean that is not positive.
    """
    values, theta = np.asarray(values, np.float64), np.asarray(theta, np.float64)
    if values.shape != (len(response.slopes), response.slopes.shape[2]) or theta.shape != (
        len(response.names),
    ):
        raise ValueError(
            f"values.shape={values.shape} and theta.shape={theta.shape} must be (units, modes) and "
            f"(parameters,) of slopes {response.slopes.shape}"
        )
    mean, slope = _positive(values.mean(0)), response.slopes.mean(0)
    own = response.slopes - slope * (values / mean - 1)[:, None]
    return ParameterResponse(response.names, theta[:, None] * own / mean)


def difference_of_responses(first: ParameterResponse, second: ParameterResponse) -> Estimate:
    """Return first less second and its standard error, of units that have nothing in common."""
    one, other = first.estimate, second.estimate
    return Estimate(one.value - other.value, np.hypot(one.standard_error, other.standard_error))


def _checked(
    names: Sequence[str], lower: np.ndarray, upper: np.ndarray, distance: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    lower, upper, distance = (np.asarray(array, np.float64) for array in (lower, upper, distance))
    if lower.shape != upper.shape or lower.ndim != 3 or lower.shape[1] != len(names) or len(lower) < 2:
        raise ValueError(
            f"lower.shape={lower.shape} and upper.shape={upper.shape} must both be (units, {len(names)} "
            "parameters, modes) with at least two units"
        )
    if not (np.isfinite(lower).all() and np.isfinite(upper).all()):
        raise ValueError("data vectors on both sides must be finite")
    if distance.shape != (len(names),) or not (np.isfinite(distance) & (distance != 0)).all():
        raise ValueError(f"distance={distance} must be a number other than 0 for each of {', '.join(names)}")
    return lower, upper, distance


def _positive(mean: np.ndarray) -> np.ndarray:
    if not (mean > 0).all():
        raise ValueError(f"a logarithmic slope needs positive means, and the smallest is {mean.min():g}")
    return mean
