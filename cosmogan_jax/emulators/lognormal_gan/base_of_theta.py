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

from cosmogan_jax.emulators.lognormal_gan import base as lognormal_base
from cosmogan_jax.emulators.lognormal_gan.base import Base

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


def unmeasured(num_terms: int, fourfold: bool) -> BaseOfTheta:
    """White noise of variance 1 at every cosmology."""
    return regressed([lognormal_base.unmeasured(fourfold)], np.eye(1, num_terms), np.ones(1))


def regressed(
    bases: Sequence[Base],
    phi: Float[np.ndarray, "cosmologies terms"],
    num_maps: Float[np.ndarray, " cosmologies"],
) -> BaseOfTheta:
    """Least squares over cosmologies, each weighted by its number of maps."""
    solve = _least_squares(np.asarray(phi, np.float64), np.asarray(num_maps, np.float64))
    return BaseOfTheta(*(None if v is None else jnp.asarray(solve @ v, jnp.float32) for v in _numbers(bases)))


def at(base: BaseOfTheta, phi: Float[Array, " terms"]) -> Base:
    """The base of one cosmology; differentiable in phi."""
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
    )


def errors_left_out(
    bases: Sequence[Base],
    phi: Float[np.ndarray, "cosmologies terms"],
    num_maps: Float[np.ndarray, " cosmologies"],
) -> dict[str, float]:
    """What the regression errs by at a cosmology that it has not seen: rms over each left out in turn.

    Of ln sigma, ln spread and of the power over its mean (mean square over wave numbers up to Nyquist). What
    the few boxes of the cosmology itself leave open is in it. NaN where leaving one out leaves too few.
    """
    phi, weights = np.asarray(phi, np.float64), np.asarray(num_maps, np.float64)
    hat = phi @ _least_squares(phi, weights)
    numbers = dict(zip(BaseOfTheta._fields, _numbers(bases)))
    resolved = np.linspace(0, lognormal_base.LARGEST_WAVE, lognormal_base.NUM_WAVES) <= np.pi
    quantities = {
        "ln sigma": numbers["log_sigma"],
        "ln spread": numbers["log_spread"],
        "power": (numbers["power"] / numbers["power"].mean(0))[:, resolved],
    }
    errors = {}
    for name, values in quantities.items():
        off = (values - hat @ values).reshape(len(bases), -1)
        left = 1 - np.diag(hat)
        with np.errstate(divide="ignore", invalid="ignore"):
            without = np.where(left[:, None] > 1e-9, off / left[:, None], np.nan)
        errors[name] = float(np.sqrt((without**2).mean()))
    return errors


def _root(power: Float[Array, " waves"]) -> Float[Array, " waves"]:
    return jnp.sqrt(jnp.maximum(power, _FAINT * power.max()))


def _least_squares(phi: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """The matrix that turns values at the cosmologies into coefficients."""
    root = np.sqrt(weights / weights.sum())[:, None]
    return np.linalg.pinv(root * phi) * root.T


def _numbers(bases: Sequence[Base]) -> tuple[np.ndarray | None, ...]:
    """What is regressed, in the order of BaseOfTheta's fields: a row for each base."""

    def rows(name: str) -> np.ndarray:
        return np.stack([np.asarray(getattr(base, name), np.float64) for base in bases])

    power_of_log = rows("log_amplitude") ** 2
    return (
        rows("mean"),
        np.log(rows("sigma")),
        np.log(rows("spread")),
        power_of_log / power_of_log.mean(-1, keepdims=True),  # its scale has no meaning
        rows("amplitude") ** 2,
        rows("window"),
        None if bases[0].fourfold is None else rows("fourfold"),
    )
