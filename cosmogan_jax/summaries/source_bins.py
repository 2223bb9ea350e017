"""What maps of one sky in several source bins say together, beside their power spectra (`spectrum.py`)."""

from collections.abc import Callable

import jax
import numpy as np
from jax import numpy as jnp
from jaxtyping import Array, Float

from cosmogan_jax.summaries.roughness import log_squared_gradients, roughness_labels
from cosmogan_jax.summaries.spectrum import check_bins_of_sources
from cosmogan_jax.switches import with_usual

# Powers of kappa_i and kappa_j in the joint moments, in their order.
JOINT_POWERS = ((1, 1), (2, 1), (1, 2), (2, 2))


@with_usual
def coherence(power: Float[Array, "*batch pairs bands"]) -> Float[Array, "*batch crosses bands"]:
    """Compute the correlation coefficient r_ij = P_ij / sqrt(P_ii P_jj) of every pair i < j of bins, by band.

    Give it mean powers of a set of maps: the ratio of means is consistent. That of a single map is not r: the
    same few modes make up all three powers, and of n modes with coherence r the mean of single maps' is
    r (1 - (1 - r^2) / 2n + ...), too small by as much as the scatter that cancels. For the error of a set's
    ratio see `compare.coherence`.

    Args:
      power: as `pair_power_spectra` gives it, of pairs i <= j.

    Raises:
      ValueError: a number of pairs that is not that of two bins or more.
    """
    power = jnp.asarray(power)
    bins = num_bins_of_pairs(power.shape[-2])
    row, column = np.triu_indices(bins)
    auto = power[..., np.flatnonzero(row == column), :]
    first, second = np.triu_indices(bins, 1)
    return power[..., np.flatnonzero(row != column), :] / jnp.sqrt(auto[..., first, :] * auto[..., second, :])


def num_bins_of_pairs(num_pairs: int) -> int:
    """Return how many bins have so many pairs i <= j; ValueError where none has, or one."""
    bins = int(np.sqrt(2 * num_pairs))
    if bins < 2 or bins * (bins + 1) // 2 != num_pairs:
        raise ValueError(f"{num_pairs} pairs i <= j are not those of two bins or more: 3, 6, 10, ...")
    return bins


@with_usual
def joint_moments(
    kappa: Float[Array, "*batch bins size size"],
    mean: Float[Array | np.ndarray, " bins"],
    sigma: Float[Array | np.ndarray, " bins"],
) -> Float[Array, "*batch crosses 4"]:
    """Compute <a b>, <a^2 b>, <a b^2>, <a^2 b^2> over the pixels of pairs i < j of source bins.

    a = (kappa_i - mean_i)/sigma_i, and b is the same of bin j; pairs as in `numpy.triu_indices(bins, 1)`. Mean
    and sigma are numbers of the bins, the same for every map that is compared (those of real maps): moments in
    units of each map's own sigma would be biased, since its pixels are correlated, and would not see a wrong
    amplitude. Of Gaussian maps the four are r, 0, 0 and 1 + 2 r^2, r being the correlation of pixels.

    Raises:
      ValueError: maps not square or not of real numbers, fewer than two bins; another number of means or
        sigmas, or of known ones a sigma that is not positive.
    """
    unit = _in_units(kappa, mean, sigma)

    def of_pair(a, b):
        return jnp.stack([(a**p * b**q).mean((-2, -1)) for p, q in JOINT_POWERS], -1)

    return _of_pairs(of_pair, unit)


@with_usual
def joint_roughness(
    kappa: Float[Array, "*batch bins size size"],
    mean: Float[Array | np.ndarray, " bins"],
    sigma: Float[Array | np.ndarray, " bins"],
) -> Float[Array, "*batch crosses numbers"]:
    """Compute `roughness` of each bin by the height of the other, of pairs i < j of source bins.

    First how rough bin j is where bin i is low, ..., high, then the other way round: `joint_roughness_labels`.
    Bins whose cross spectra and joint moments are right may have their peaks' sharp edges in other places than
    the sky, where light of far sources passes the lenses of near ones.

    Raises:
      ValueError: as `joint_moments`.
    """
    unit = _in_units(kappa, mean, sigma)

    def of_pair(a, b):
        flat = [v.reshape(-1, *v.shape[-2:]) for v in (a, b)]
        both = [log_squared_gradients(of, heights_of=at) for of, at in (flat[::-1], flat)]
        return jnp.concatenate(both, -1).reshape(*a.shape[:-2], -1)

    return _of_pairs(of_pair, unit)


def joint_roughness_labels() -> list[str]:
    """Return what each number of `joint_roughness` is."""
    return [f"bin {of} where {at} is {label}" for of, at in ("ji", "ij") for label in roughness_labels()]


def _in_units(kappa: Array, mean: Array | np.ndarray, sigma: Array | np.ndarray) -> Array:
    """Return (kappa_i - mean_i) / sigma_i of every bin, what is given checked."""
    kappa = check_bins_of_sources(kappa)
    bins = kappa.shape[-3]
    for name, values in (("mean", mean), ("sigma", sigma)):
        if np.shape(values) != (bins,):
            raise ValueError(f"{name}.shape={np.shape(values)} must be ({bins},), a number for each bin")
    if not isinstance(sigma, jax.core.Tracer) and not (np.asarray(sigma) > 0).all():
        raise ValueError(f"sigma={np.asarray(sigma)} must be positive in every bin")
    mean, sigma = (jnp.asarray(values, kappa.dtype)[:, None, None] for values in (mean, sigma))
    return (kappa - mean) / sigma


def _of_pairs(numbers: Callable[[Array, Array], Array], unit: Array) -> Array:
    """Return numbers of every pair i < j, as (..., pairs, numbers).

    In turn, as cross spectra are: the pairs of forty bins are twenty times their maps.
    """
    first, second = np.triu_indices(unit.shape[-3], 1)

    def of_pair(pair: Array) -> Array:
        return numbers(unit[..., pair[0], :, :], unit[..., pair[1], :, :])

    return jnp.moveaxis(jax.lax.map(of_pair, jnp.stack([jnp.asarray(first), jnp.asarray(second)], 1)), 0, -2)
