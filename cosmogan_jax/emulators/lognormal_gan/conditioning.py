"""From parameters of a cosmology to the regressors on which all that depends on them is linear.

    t = (f(theta) - <f>) W,    phi = (1, t_i, t_i t_j) R

f is the logarithm of parameters that are positive by nature and the parameter itself of others; W whitens t
over the training maps, and R makes phi orthonormal over them, phi_0 = 1. A quantity q(theta) = c . phi(theta)
that is fitted to the training maps by least squares then has c_n = <q phi_n>, and noise in one term is none in
another.
All is defined and differentiable wherever f is, also outside the training design.
"""

from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from cosmogan_jax.emulators.bands import MapScale

# Amplitudes and densities, and what else cannot be negative; of users' own names nothing is known.
POSITIVE = frozenset(("omega_m", "omega_b", "sigma8", "n_s", "h", "s8", "a_s", "source_redshift"))
ORDERS = (1, 2)  # linear in t, or quadratic
_FLAT = 1e-6  # of t's variances, relative to the largest: less is no variation


class Conditioning(NamedTuple):
    """What standardises parameters, measured on the training maps; goes with the emulator.

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

    def scale(self, scale: MapScale) -> MapScale:
        """Return the scale of these maps' bands."""
        return scale if self.phi is None else scale.at(self.phi)

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


def unmeasured(num_parameters: int, order: int) -> Conditioning:
    """Return a conditioning of the shapes that `measured` gives."""
    return Conditioning(
        jnp.zeros(num_parameters), jnp.eye(num_parameters), jnp.eye(num_terms(num_parameters, order))
    )


def measured(theta: Float[np.ndarray, "maps parameters"], names: tuple[str, ...], order: int) -> Conditioning:
    """Measure the conditioning of training maps of these parameters.

    Raises:
      ValueError: parameters that are not finite, not positive where they must be, or whose maps are of too few
        cosmologies to tell the terms apart.
    """
    theta = np.asarray(theta, np.float64)
    for name, column in zip(names, theta.T):
        if not np.isfinite(column).all():
            raise ValueError(f"{name} of the training maps must be finite")
        if is_logarithmic(name) and not (column > 0).all():
            raise ValueError(f"{name}={column.min():g} of the training maps must be positive")
    values = _transformed(theta, names, np)
    centre = values.mean(0)
    variance, axes = np.linalg.eigh(np.atleast_2d(np.cov(values.T, bias=True)))
    points, terms = np.unique(theta, axis=0), num_terms(theta.shape[1], order)
    if len(points) <= terms or variance[0] <= _FLAT * variance[-1]:
        raise ValueError(
            f"condition_on={','.join(names)}: training maps of {len(points)} different {', '.join(names)} do "
            f"not tell the {terms} terms of theta_order={order} apart"
        )
    whitening = axes / np.sqrt(variance) @ axes.T
    _, triangle = np.linalg.qr(np.asarray(_monomials((values - centre) @ whitening, order, np)))
    if np.abs(np.diag(triangle)).min() <= _FLAT * np.abs(triangle[0, 0]):
        raise ValueError(
            f"condition_on={','.join(names)}: training maps of {len(points)} different {', '.join(names)} lie "
            f"so that the terms of theta_order={order} cannot be told apart"
        )
    basis = np.linalg.inv(triangle) * np.sqrt(len(theta)) * np.sign(triangle[0, 0])
    return Conditioning(*(jnp.asarray(value, jnp.float32) for value in (centre, whitening, basis)))


def is_logarithmic(name: str) -> bool:
    """Say whether a parameter's logarithm is regressed on."""
    return name.lower() in POSITIVE


def standardised(
    conditioning: Conditioning, theta: Float[Array, "*batch parameters"], names: tuple[str, ...]
) -> Float[Array, "*batch parameters"]:
    """Compute t, of mean 0 and variance 1, uncorrelated, over the training maps."""
    return (_transformed(theta, names, jnp) - conditioning.centre) @ conditioning.whitening


def regressors(
    conditioning: Conditioning, theta: Float[Array, "*batch parameters"], names: tuple[str, ...], order: int
) -> Float[Array, "*batch terms"]:
    """Compute phi: the constant, and what is orthonormal to it over the training maps."""
    return _monomials(standardised(conditioning, theta, names), order, jnp) @ conditioning.basis


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
