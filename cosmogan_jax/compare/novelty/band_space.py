"""Power spectra as points between which distances mean something: log band powers in units of their scatter.

    x_b = (ln max(P_b, 1e-12 mean P_b) - mu_b) / sigma_b

mu and sigma are the mean and standard deviation of ln P_b over real maps, so that every band weighs the same
whatever its power; the rms over bands of a difference is then about sqrt(2) between independent maps. Bands
that do not vary among the real maps are left out. The floor keeps a constant map finite, and far from others.
"""

from typing import NamedTuple

import numpy as np
from jax import numpy as jnp
from jaxtyping import Array, Bool, Float

_FLOOR = 1e-12


class BandSpace(NamedTuple):
    """What real maps say of each band; `used` are the bands that vary."""

    floor: Float[np.ndarray, " bands"]
    mean: Float[np.ndarray, " bands"]
    sigma: Float[np.ndarray, " bands"]
    used: Bool[np.ndarray, " bands"]


def band_space(power: Float[np.ndarray, "maps bands"]) -> BandSpace:
    """Return the space that real maps' band powers span.

    Raises:
      ValueError: powers that are not finite, or no band that varies.
    """
    power = np.asarray(power, np.float64)
    if not np.isfinite(power).all():
        raise ValueError(f"real map {int(np.argwhere(~np.isfinite(power))[0, 0])} has no finite power spectrum")
    used = (power.mean(0) > 0) & (np.ptp(power, axis=0) > 0)
    if not used.any():
        raise ValueError(f"no band of the power spectra of {len(power)} real maps varies")
    floor = np.where(used, _FLOOR * power.mean(0), 1.0)
    logs = np.log(np.maximum(power, floor))
    return BandSpace(floor, logs.mean(0), np.where(used, logs.std(0), 1.0), used)


def coordinates(space: BandSpace, power: Float[Array, "maps bands"]) -> Float[Array, "maps used"]:
    """Return the module's x of each map."""
    floor, mean, sigma = (jnp.asarray(values[space.used], jnp.float32) for values in space[:3])
    return (jnp.log(jnp.maximum(power[:, np.flatnonzero(space.used)], floor)) - mean) / sigma
