"""The base field at any cosmology: each of its numbers a smooth function of the parameters.

The bases of the training cosmologies, each measured on its own maps, are regressed on phi(theta)
(`conditioning.py`): logarithms of sigma and of the lognormal's spread, the rest as it is. Of spectra that is
the power: a wave of which a few boxes hold next to nothing is then averaged with the others', where its
logarithm would outweigh them. The shift follows from the spread, so that the field's variance is 1 at every
cosmology. A cosmology counts by its number of maps; the error at one that was not there is known from leaving
each out.
"""

from collections.abc import Sequence
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from cosmogan_jax.emulators.lognormal_gan.base import Base
from cosmogan_jax.emulators.lognormal_gan.waves import NUM_WAVES, WAVES

_FAINT = 1e-10  # of the largest power: where a regression falls below, roots and their slopes stay finite
_WIDEST_WINDOW = 2.0  # as `base.measured` allows


class BaseOfTheta(NamedTuple):
    """Coefficients of phi for all that a `Base` is made of; the first axis is that of phi's terms."""

    mean: Float[Array, " terms"]
    log_sigma: Float[Array, " terms"]
    log_spread: Float[Array, " terms"]
    power_of_log: Float[Array, "terms waves"]
    power: Float[Array, "terms waves"]
    window: Float[Array, "terms waves"]
    fourfold: Float[Array, "terms waves"] | None = None
    modulation: Float[Array, " terms"] | None = None


class ErrorsLeftOut(NamedTuple):
    """What the regression errs by at a cosmology that it has not seen: rms over each left out in turn.

    Attributes:
      log_sigma, log_spread: of ln sigma and ln spread.
      power: of the power over its mean, mean square over wave numbers up to Nyquist.
    """

    log_sigma: Float[Array, ""]
    log_spread: Float[Array, ""]
    power: Float[Array, ""]


def unmeasured(num_terms: int, fourfold: bool, modulated: bool = False) -> tuple[BaseOfTheta, ErrorsLeftOut]:
    """Return white noise of variance 1 at every cosmology, and no errors."""
    nothing, no_table = jnp.zeros(num_terms), jnp.zeros((num_terms, NUM_WAVES))
    spread, even = nothing.at[0].set(jnp.log(0.25)), no_table.at[0].set(1.0)
    tables = even, jnp.copy(even), jnp.copy(even)
    directed = jnp.copy(no_table) if fourfold else None
    beta = jnp.copy(nothing) if modulated else None
    of_theta = BaseOfTheta(nothing, jnp.copy(nothing), spread, *tables, directed, beta)
    return of_theta, ErrorsLeftOut(*jnp.zeros(3))


def regressed(
    bases: Sequence[Base],
    phi: Float[np.ndarray, "cosmologies terms"],
    num_maps: Float[np.ndarray, " cosmologies"],
) -> BaseOfTheta:
    """Regress the bases by least squares over cosmologies, each weighted by its number of maps."""
    solve = least_squares(np.asarray(phi, np.float64), np.asarray(num_maps, np.float64))
    of_term = {name: jnp.asarray(solve @ values, jnp.float32) for name, values in _numbers(bases).items()}
    return BaseOfTheta(**of_term)


def at(base: BaseOfTheta, phi: Float[Array, " terms"]) -> Base:
    """Compute the base of one cosmology; differentiable in phi."""
    spread = jnp.exp(phi @ base.log_spread)
    return Base(
        mean=phi @ base.mean,
        sigma=jnp.exp(phi @ base.log_sigma),
        shift=1 / jnp.sqrt(jnp.expm1(spread**2)),
        spread=spread,
        log_amplitude=_root(phi @ base.power_of_log),
        amplitude=_root(phi @ base.power),
        window=jnp.clip(phi @ base.window, 0.0, _WIDEST_WINDOW),
        fourfold=None if base.fourfold is None else phi @ base.fourfold,
        modulation=None if base.modulation is None else phi @ base.modulation,
    )


def errors_left_out(
    bases: Sequence[Base],
    phi: Float[np.ndarray, "cosmologies terms"],
    num_maps: Float[np.ndarray, " cosmologies"],
) -> ErrorsLeftOut:
    """Leave each cosmology out of the regression in turn; what its own few boxes leave open is in the errors.

    Not counted is a cosmology without which nothing would be known of one of the terms.
    """
    phi, weights = np.asarray(phi, np.float64), np.asarray(num_maps, np.float64)
    hat = phi @ least_squares(phi, weights)
    numbers = _numbers(bases)
    resolved = np.pi >= WAVES
    left = 1 - np.diag(hat)
    known = left > 1e-9
    power = numbers["power"] / numbers["power"].mean(0)

    def error(values: np.ndarray) -> Float[Array, ""]:
        off = (values - hat @ values).reshape(len(bases), -1)
        return jnp.float32(np.sqrt(((off[known] / left[known, None]) ** 2).mean()))

    return ErrorsLeftOut(error(numbers["log_sigma"]), error(numbers["log_spread"]), error(power[:, resolved]))


def _root(power: Float[Array, " waves"]) -> Float[Array, " waves"]:
    return jnp.sqrt(jnp.maximum(power, _FAINT * power.max()))


def least_squares(phi: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return the matrix that turns values at the cosmologies into coefficients."""
    root = np.sqrt(weights / weights.sum())[:, None]
    return np.linalg.pinv(root * phi) * root.T


def _numbers(bases: Sequence[Base]) -> dict[str, np.ndarray]:
    """Return what is regressed, by the names of BaseOfTheta's fields: a row for each base."""

    def rows(name: str) -> np.ndarray:
        return np.stack([np.asarray(getattr(base, name), np.float64) for base in bases])

    power_of_log = rows("log_amplitude") ** 2
    numbers = {
        "mean": rows("mean"),
        "log_sigma": np.log(rows("sigma")),
        "log_spread": np.log(rows("spread")),
        "power_of_log": power_of_log / power_of_log.mean(-1, keepdims=True),  # its scale has no meaning
        "power": rows("amplitude") ** 2,
        "window": rows("window"),
    }
    optional = (name for name in ("fourfold", "modulation") if getattr(bases[0], name) is not None)
    return numbers | {name: rows(name) for name in optional}
