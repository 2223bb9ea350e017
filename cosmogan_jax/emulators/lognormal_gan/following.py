"""The base's fields follow, wave by wave, the power that generated maps lack while the network is trained.

A network that sees eleven pixels makes longer waves by what it does to every pixel alike. What it takes from
them for the sake of small scales no loss gives back: single maps scatter in their longest waves by as much as
these hold, so that 14 % too little is a seventh of a map's scatter, one of thousands of numbers that are
matched. The fields that it is given can give it back. With t the training maps' mean power in a ring of
waves and r the generated ones' running mean (`matching.py`), every step multiplies the fields' power there by

    (t / r)^rate

an integral control, which ends where r = t whatever the network makes of the fields. It is slow beside the
running means, and slows down as the learning rates do. Where maps are of several cosmologies, ln(t / r) is
linear in phi, as the running means are (`Matcher.added`).

Where few maps hold much of the longest waves' power (a hundredth of them a tenth, at source redshift 0.5), a
base that has not their tail can only raise all others instead, which the discriminator resists: there some of
it stays lacking (experiments/027-source-bins).
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from cosmogan_jax.emulators.bands import bands_of_rings
from cosmogan_jax.emulators.lognormal_gan.base import Base
from cosmogan_jax.emulators.lognormal_gan.conditional_base import ConditionalBase
from cosmogan_jax.emulators.lognormal_gan.joint_base import JointBase
from cosmogan_jax.emulators.lognormal_gan.joint_base_of_theta import JointBaseOfTheta
from cosmogan_jax.emulators.lognormal_gan.waves import WAVES
from cosmogan_jax.emulators.matched_statistics import AnyScale
from cosmogan_jax.emulators.matching import Matcher, Targets

POWER = "power"  # of what is matched; without it nothing can be followed
_MOST = 0.5  # of |ln(t / r)|: the first maps' is not what an integral should remember


def followed(
    base: Base | JointBase | ConditionalBase,
    lacking: Float[Array, "*terms_bins waves"],
    rate: Float[Array, ""] | float,
) -> Any:
    """Return the base whose fields hold exp(rate lacking) times their power, at every wave of the tables.

    lacking: ln(t / r), with axes of phi's terms and of bins where there are any.
    """
    if isinstance(base, ConditionalBase):
        own = base.coefficients
        if isinstance(own, JointBaseOfTheta):
            by_bin = jax.vmap(_terms_followed, (0, 1, None))(own.each, lacking, rate)
            return base._replace(coefficients=own._replace(each=by_bin))
        return base._replace(coefficients=_terms_followed(own, lacking, rate))
    if isinstance(base, JointBase):
        return base._replace(each=_raised(base.each, lacking, rate))
    return _raised(base, lacking, rate)


def _raised(base: Base, lacking: Array, rate: Array | float) -> Base:
    gain = jnp.exp(rate * lacking / 2)
    return base._replace(window=base.window * gain, amplitude=base.amplitude * gain)


def _terms_followed(base: Any, lacking: Float[Array, "terms waves"], rate: Array | float) -> Any:
    """Follow coefficients of phi: what is linear in it of (1 + rate sum_j phi_j c_j) times a table at phi."""

    def raised(table: Float[Array, "terms waves"], share: float) -> Array:
        own = table * jnp.exp(share * rate * lacking[0])
        return own.at[1:].add(share * rate * lacking[1:] * table[0])

    return base._replace(window=raised(base.window, 0.5), power=raised(base.power, 1.0))


def lacking_power(
    matcher: Matcher,
    size: int,
    scale: AnyScale,
    targets: Targets,
    running: Float[Array, "*terms numbers"],
) -> Float[Array, "*terms_bins waves"]:
    """Return ln(t / r) at the waves of the base's tables, with axes as `followed` takes them.

    Rings are averages of the bands that are parts of them; between their middles it is interpolated in |k|, and
    beyond the first and the last it is theirs.
    """
    own = _power_of(matcher, size, scale)
    t = targets.mean[own]
    r = running if targets.slopes is None else running[0]
    lacking = jnp.clip(jnp.log(t / jnp.maximum(r[own], 0.1 * t)), -_MOST, _MOST)
    if targets.slopes is not None:
        slopes = jnp.clip(-running[1:, own] / t, -_MOST, _MOST)
        lacking = jnp.concatenate([lacking[None], slopes])
    if matcher.num_bins > 1:
        lacking = lacking.reshape(*lacking.shape[:-1], matcher.num_bins, -1)
    return lacking @ _to_waves(size)


def _power_of(matcher: Matcher, size: int, scale: AnyScale) -> slice:
    """Return where the matched power stands among the numbers, that of all bins; not of their sums."""
    counts, place = matcher.numbers(size, scale), matcher.names.index(POWER)
    assert matcher.names[: place + 1].count(POWER) == 1
    before = place * matcher.num_channels
    start = sum(counts[:before])
    return slice(start, start + sum(counts[before : before + matcher.num_bins]))


def _to_waves(size: int) -> Float[np.ndarray, "bands waves"]:
    k, shares = bands_of_rings(size)
    between = np.stack([np.interp(WAVES, k, one) for one in np.eye(len(k))])
    return (shares.T @ between).astype(np.float32)
