"""From parameters of a cosmology to what networks see of them, and to what is regressed on them.

    t = (f(theta) - <f>) W,    phi = (1, t_i, t_i t_j) R

f is the logarithm of parameters that are positive by nature and the parameter itself of others; W whitens t
over the training maps, and R makes phi orthonormal over them, phi_0 = 1. Networks are given t. A quantity
q(theta) = c . phi(theta) that is fitted to the training maps by least squares then has c_n = <q phi_n>, and
noise in one term is none in another.
All is defined and differentiable wherever f is, also outside the training design.
"""

from typing import Any, NamedTuple, TypeVar

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from cosmogan_jax.emulators.bands import MapScale
from cosmogan_jax.emulators.joint_bands import JointScale

# Amplitudes and densities, and what else cannot be negative; of users' own names nothing is known.
POSITIVE = frozenset(("omega_m", "omega_b", "sigma8", "n_s", "h", "s8", "a_s", "source_redshift"))
Scale = TypeVar("Scale", bound=MapScale | JointScale)
ORDERS = (1, 2)  # linear in t, or quadratic
_EXACTLY = "highest"  # a GPU's usual products of a few bits would shift every cosmology
_FLAT = 1e-6  # relative to what is largest, of values, or of variances of standardised ones: no variation


class Standardisation(NamedTuple):
    """What standardises parameters, centre and whitening of f(theta); goes with the emulator."""

    centre: Float[Array, " parameters"]
    whitening: Float[Array, "parameters parameters"]


class Conditioning(NamedTuple):
    """A standardisation and what makes regressors, measured on the training maps; goes with the emulator.

    Attributes:
      centre, whitening: of f(theta).
      basis: from monomials to orthonormal regressors.
    """

    centre: Float[Array, " parameters"]
    whitening: Float[Array, "parameters parameters"]
    basis: Float[Array, "terms terms"]


class Cosmologies(NamedTuple):
    """What the maps of a batch are conditioned on; nothing where all training maps are of one cosmology.

    Attributes:
      t: standardised parameters, which networks are given beside what they see of a map.
      phi: the regressors on which depends what is expected of a map.
    """

    t: Float[Array, "batch parameters"] | None = None
    phi: Float[Array, "batch terms"] | None = None

    def beside(self, features: Float[Array, "batch features"]) -> Float[Array, "batch more"]:
        """Return the features with t behind them."""
        return features if self.t is None else jnp.concatenate([features, self.t], -1)

    def scale(self, scale: Scale) -> Scale:
        """Return the scale of these maps' bands."""
        return scale if self.phi is None else scale.at(self.phi)  # type: ignore[return-value]

    def rows(self, rows: Any) -> "Cosmologies":
        """Return those of some of the maps."""
        return Cosmologies(*(None if values is None else values[rows] for values in self))

    def followed_by(self, other: "Cosmologies") -> "Cosmologies":
        """Return those of these maps and then of others."""
        pairs = zip(self, other, strict=True)
        return Cosmologies(*(None if a is None or b is None else jnp.concatenate([a, b]) for a, b in pairs))


ONE = Cosmologies()


def num_terms(num_parameters: int, order: int) -> int:
    """Count the regressors, the constant included."""
    quadratic = num_parameters * (num_parameters + 1) // 2 if order > 1 else 0
    return 1 + num_parameters + quadratic


def unstandardised(num_parameters: int) -> Standardisation:
    """Return a standardisation of the shapes that `standardisation_of` gives."""
    return Standardisation(jnp.zeros(num_parameters), jnp.eye(num_parameters))


def unmeasured(num_parameters: int, order: int) -> Conditioning:
    """Return a conditioning of the shapes that `measured` gives."""
    return Conditioning(*unstandardised(num_parameters), jnp.eye(num_terms(num_parameters, order)))


def standardisation_of(theta: Float[np.ndarray, "maps parameters"], names: tuple[str, ...]) -> Standardisation:
    """Measure the standardisation of training maps of these parameters.

    Raises:
      ValueError: parameters that are not finite, not positive where they must be, or that do not vary, each by
        itself, over the training maps.
    """
    return Standardisation(*(jnp.asarray(value, jnp.float32) for value in _standardising(theta, names)))


def measured(theta: Float[np.ndarray, "maps parameters"], names: tuple[str, ...], order: int) -> Conditioning:
    """Measure the conditioning of training maps of these parameters.

    Raises:
      ValueError: as `standardisation_of`, or maps of too few cosmologies to tell the terms apart.
    """
    theta = _checked(theta, names)
    points, terms = np.unique(theta, axis=0), num_terms(theta.shape[1], order)
    if len(points) <= terms:
        raise ValueError(
            f"{_maps_of(points, names)} do not tell the {terms} terms of theta_order={order} apart"
        )
    centre, whitening = _standardising(theta, names)
    t = (_transformed(theta, names, np) - centre) @ whitening
    _, triangle = np.linalg.qr(np.asarray(_monomials(t, order, np)))
    if np.abs(np.diag(triangle)).min() <= _FLAT * np.abs(triangle[0, 0]):
        raise ValueError(
            f"{_maps_of(points, names)} lie so that the terms of theta_order={order} cannot be told apart"
        )
    basis = np.linalg.inv(triangle) * np.sqrt(len(theta)) * np.sign(triangle[0, 0])
    return Conditioning(*(jnp.asarray(value, jnp.float32) for value in (centre, whitening, basis)))


def is_logarithmic(name: str) -> bool:
    """Say whether a parameter's logarithm is regressed on."""
    return name.lower() in POSITIVE


def standardised(
    conditioning: Standardisation | Conditioning,
    theta: Float[Array, "*batch parameters"],
    names: tuple[str, ...],
) -> Float[Array, "*batch parameters"]:
    """Compute t, of mean 0 and variance 1, uncorrelated, over the training maps."""
    off = _transformed(theta, names, jnp) - conditioning.centre
    return jnp.matmul(off, conditioning.whitening, precision=_EXACTLY)


def regressors(
    conditioning: Conditioning, theta: Float[Array, "*batch parameters"], names: tuple[str, ...], order: int
) -> Float[Array, "*batch terms"]:
    """Compute phi: the constant, and what is orthonormal to it over the training maps."""
    return regressors_of(standardised(conditioning, theta, names), conditioning.basis, order)


def regressors_of(
    t: Float[Array, "*batch parameters"], basis: Float[Array, "terms terms"], order: int
) -> Float[Array, "*batch terms"]:
    """Compute phi of parameters that are standardised already."""
    return jnp.matmul(_monomials(t, order, jnp), basis, precision=_EXACTLY)


def _checked(
    theta: Float[np.ndarray, "maps parameters"], names: tuple[str, ...]
) -> Float[np.ndarray, "maps parameters"]:
    """Return them in float64; ValueError where f(theta) is not defined."""
    theta = np.asarray(theta, np.float64)
    for name, column in zip(names, theta.T):
        if not np.isfinite(column).all():
            raise ValueError(f"{name} of the training maps must be finite")
        if is_logarithmic(name) and not (column > 0).all():
            raise ValueError(f"{name}={column.min():g} of the training maps must be positive")
    return theta


def _standardising(
    theta: Float[np.ndarray, "maps parameters"], names: tuple[str, ...]
) -> tuple[Float[np.ndarray, " parameters"], Float[np.ndarray, "parameters parameters"]]:
    """Return centre and whitening in float64."""
    theta = _checked(theta, names)
    values, points = _transformed(theta, names, np), np.unique(theta, axis=0)
    covariance = np.atleast_2d(np.cov(values.T, bias=True))
    deviation = np.sqrt(np.diag(covariance))
    if (
        len(points) <= len(names)
        or (deviation <= _FLAT * np.abs(values).max(0)).any()
        or np.linalg.eigvalsh(covariance / np.outer(deviation, deviation))[0] <= _FLAT
    ):
        raise ValueError(
            f"{_maps_of(points, names)} do not tell the parameters apart: each must vary, and not with the "
            "others alone"
        )
    variance, axes = np.linalg.eigh(covariance)
    return values.mean(0), axes / np.sqrt(variance) @ axes.T


def _maps_of(points: Float[np.ndarray, "cosmologies parameters"], names: tuple[str, ...]) -> str:
    """Return how errors about cosmologies of the training maps begin."""
    return f"condition_on={','.join(names)}: training maps of {len(points)} different {', '.join(names)}"


def _transformed(theta, names, xp):
    """Compute f(theta); its slopes are finite at every theta that is allowed."""
    positive = np.array([is_logarithmic(name) for name in names], bool)
    return xp.where(positive, xp.log(xp.where(positive, theta, 1.0)), theta)


def _monomials(t, order, xp):
    terms = [xp.ones_like(t[..., :1]), t]
    if order > 1:
        first, second = np.triu_indices(t.shape[-1])
        terms.append(t[..., first] * t[..., second])
    return xp.concatenate(terms, -1)
