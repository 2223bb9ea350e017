"""The base of several source bins: correlated lognormal fields, one of each bin, with the maps' cross spectra.

Bins here are those of `bins_apart.py`: of each what it has beyond the nearer ones, which `mixing` puts together
again. Each has a `Base` of its own. What two bins share is in their white noise: at every wave number that of
bin i is sum_j R_ij(k) w_j(k) with w_j independent, so that R R^T is the bins' coherence there; all else is made
of it bin by bin. There are two such tables, of the lognormal fields and of the noise beside them.

With P_ij the cross power of maps in units of their sigmas, pairs of pixels at long waves and tapered maps at
short ones as for one bin (`base.py`), the maps' coherence is

    r_ij(k) = P_ij / sqrt(P_ii P_jj)

It is that of the noise as it stands. Of lognormal fields y_i with power C_ii (which the window makes into the
maps' own, bin by bin) the cross power must be r_ij sqrt(C_ii C_jj), of a correlation function xi_ij; and since

    xi_ij = shift_i shift_j (exp(s_i s_j xi_ij^G) - 1)

(Hilbert, Hartlap & Schneider 2011; Xavier, Abdalla & Joachimi 2016, for several fields) the Gaussian fields'
is xi_ij^G = ln(1 + xi_ij / (shift_i shift_j)) / (s_i s_j), and their coherence its power over the root of the
autos'.

A measured table need not be a coherence: of maps that differ little, noise or the lognormal's own limits leave
an eigenvalue below 0 at some waves. There eigenvalues below `FLOOR` are raised to it and the matrix is brought
back to a diagonal of 1 (`positive_definite`); `lowest` keeps the smallest eigenvalue that was measured, and a
packed emulator's card tells it. The roots are the symmetric ones: bins in another order have the same roots
in that order.
"""

import itertools
from collections.abc import Iterable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from cosmogan_jax.emulators.lognormal_gan import base as base_of_one
from cosmogan_jax.emulators.lognormal_gan import bins_apart
from cosmogan_jax.emulators.lognormal_gan.base import Base, ShareOfNoise, Spectra
from cosmogan_jax.emulators.lognormal_gan.map_sums import JointSums
from cosmogan_jax.emulators.lognormal_gan.waves import NUM_WAVES, WAVES, by_wave

# Of a coherence matrix, whose mean eigenvalue is 1: two bins of which 0.9999 is shared are as near as any are.
FLOOR = 1e-4
_FAINT = 1e-6  # of the largest power: of a wave that holds less, the coherence is not known
_LEAST = -0.9  # of xi_ij / (shift_i shift_j), as `base.py` has it


class JointBase(NamedTuple):
    """Tables of the base of several bins, measured on training maps; all of them go with the emulator.

    Attributes:
      each: the bins' own, every table with a leading axis of bins.
      field_root, noise_root: R of the Gaussian fields behind the lognormal ones, and of the noise, at NUM_WAVES
        wave numbers; every row has norm 1.
      lowest: smallest eigenvalue that was measured, of either coherence; below FLOOR it was raised.
      mixing: what puts bins that were taken apart together; of bins as they are, the identity.
    """

    each: Base
    field_root: Float[Array, "waves bins bins"]
    noise_root: Float[Array, "waves bins bins"]
    lowest: Float[Array, "2"]
    mixing: Float[Array, "bins bins"]


def unmeasured(num_bins: int, fourfold: bool = False, modulated: bool = False) -> JointBase:
    """Return independent white noise of variance 1 in every bin, of the shapes that `measured` gives."""
    each = jax.tree.map(lambda leaf: jnp.stack([leaf] * num_bins), base_of_one.unmeasured(fourfold, modulated))
    alone = jnp.tile(jnp.eye(num_bins), (NUM_WAVES, 1, 1))
    return JointBase(each, alone, jnp.copy(alone), jnp.ones(2), jnp.eye(num_bins))


def measured(
    maps: Iterable[Float[np.ndarray, "maps size size bins"]],
    num_bins: int,
    fourfold: bool = False,
    share_of_noise: ShareOfNoise | None = None,
    mixing: Float[np.ndarray, "bins bins"] | None = None,
    blocks: int = 1,
    modulated_over: float | None = None,
) -> JointBase:
    """Measure the base of maps of several bins in network units; arguments as of `base.measured`.

    Of the bins the first alone is modulated: the field is of all bins, and what far ones have is not near.

    mixing: what puts the bins together, where they were taken apart; None where they are as they are.

    Raises:
      ValueError: no map, or a bin of which `base.measured` makes no base; it is named.
    """
    sums = JointSums(num_bins, blocks)
    for some_maps in maps:
        sums.add(np.asarray(some_maps, np.float64))
    return base_of(sums, fourfold, share_of_noise, mixing, modulated_over)


def base_of(
    sums: JointSums,
    fourfold: bool = False,
    share_of_noise: ShareOfNoise | None = None,
    mixing: Float[np.ndarray, "bins bins"] | None = None,
    modulated_over: float | None = None,
) -> JointBase:
    """Return the base of the maps that were added up; arguments and errors as of `measured`."""
    fields = [_of_bin(sums, 0, modulated_over)]
    fields += [_of_bin(sums, number, None) for number in range(1, len(sums.each))]
    if modulated_over is not None:
        fields[1:] = [field._replace(modulation=0.0) for field in fields[1:]]
    each = [
        base_of_one.tabulated(field, own, fourfold, share_of_noise) for field, own in zip(fields, sums.each)
    ]
    of_maps, lowest_of_maps = positive_definite(_coherence_of_maps(sums, fields))
    of_fields, lowest_of_fields = positive_definite(_coherence_of_gaussians(fields, of_maps))
    return JointBase(
        jax.tree.map(lambda *leaves: jnp.stack(leaves), *each),
        jnp.asarray(root_of(of_fields), jnp.float32),
        jnp.asarray(root_of(of_maps), jnp.float32),
        jnp.asarray([lowest_of_fields, lowest_of_maps], jnp.float32),
        jnp.asarray(np.eye(len(each)) if mixing is None else mixing, jnp.float32),
    )


def in_units(
    x: Float[Array, "*batch height width bins"], base: JointBase
) -> Float[Array, "*batch height width bins"]:
    """Take bins apart, each about its mean in units of its sigma; the base may be one a map."""
    own = bins_apart.apart(x, base.mixing) - base.each.mean[..., None, None, :]
    return own / jnp.maximum(base.each.sigma[..., None, None, :], 1e-30)


def of_units(
    u: Float[Array, "*batch height width bins"], base: JointBase
) -> Float[Array, "*batch height width bins"]:
    """Return the maps of bins taken apart, in units of their sigmas; the inverse of `in_units`."""
    own = base.each.mean[..., None, None, :] + base.each.sigma[..., None, None, :] * u
    return bins_apart.together(own, base.mixing)


def with_bins_as_they_are(
    u: Float[Array, "*batch height width bins"], base: JointBase
) -> Float[Array, "*batch height width bins_and_sums"]:
    """Return bins taken apart, in units, and behind them all but the first as they are, in their own sigma.

    The first is the same either way. Parts are uncorrelated, so that sigma_i^2 = sum_j a_ij^2 sigma_j^2 of x_i.
    """
    weights = base.mixing * base.each.sigma[..., None, :]
    weights = weights / jnp.maximum(jnp.sqrt((weights**2).sum(-1, keepdims=True)), 1e-30)
    return jnp.concatenate([u, bins_apart.weighted(u, weights)[..., 1:]], -1)


def positive_definite(
    coherence: Float[np.ndarray, "waves bins bins"],
) -> tuple[Float[np.ndarray, "waves bins bins"], float]:
    """Raise eigenvalues below FLOOR to it and bring the diagonal back to 1; return the smallest there was too.

    Where none is below, the matrices stay as they are.
    """
    values, axes = np.linalg.eigh(coherence)
    raised = (axes * np.maximum(values, FLOOR)[:, None]) @ np.swapaxes(axes, 1, 2)
    sigma = np.sqrt(np.diagonal(raised, axis1=1, axis2=2))
    raised = raised / (sigma[:, :, None] * sigma[:, None])
    below = values.min(1) < FLOOR
    return np.where(below[:, None, None], raised, coherence), float(values.min())


def root_of(coherence: Float[np.ndarray, "waves bins bins"]) -> Float[np.ndarray, "waves bins bins"]:
    """Return the symmetric root of every matrix."""
    values, axes = np.linalg.eigh(coherence)
    return (axes * np.sqrt(np.maximum(values, 0))[:, None]) @ np.swapaxes(axes, 1, 2)


def _of_bin(sums: JointSums, number: int, modulated_over: float | None) -> Spectra:
    try:
        return base_of_one.spectra_of(sums.each[number], modulated_over)
    except ValueError as error:
        raise ValueError(f"source bin {number} of 0 to {len(sums.each) - 1}: {error}") from error


def _coherence_of_maps(sums: JointSums, fields: list[Spectra]) -> Float[np.ndarray, "waves bins bins"]:
    """Return r_ij of the maps, as measured: cross power at every wave over the root of the autos' there."""
    means, k = [field.mean for field in fields], fields[0].k
    autos = [by_wave(k, field.power) * field.level for field in fields]
    tapered = [own.tapered(mean)[1] for own, mean in zip(sums.each, means)]
    coherence = np.tile(np.eye(len(fields)), (NUM_WAVES, 1, 1))
    for first, second in itertools.combinations(range(len(fields)), 2):
        at, shared = sums.tapered(first, second, means)
        both = np.sqrt(tapered[first] * tapered[second])
        shared_of_tapered = shared / np.maximum(both, 1e-12 * both.max())
        of_tapered = np.interp(k, at, shared_of_tapered) * base_of_one.power_of_bands(k, at, both)
        of_pairs = base_of_one.power_of_pairs(k, *sums.correlation(first, second, means), sums.size)
        cross = by_wave(k, base_of_one.joined(k, of_pairs, of_tapered))
        coherence[:, first, second] = coherence[:, second, first] = _shared(cross, autos[first], autos[second])
    return coherence


def _shared(cross: np.ndarray, ours: np.ndarray, theirs: np.ndarray) -> np.ndarray:
    """Return cross power over the root of the autos', from -1 to 1; of faint waves that of the next one."""
    autos = np.sqrt(np.maximum(ours * theirs, 0))
    known = autos > _FAINT * autos.max()
    return np.clip(np.interp(WAVES, WAVES[known], cross[known] / autos[known]), -1, 1)


def _coherence_of_gaussians(
    fields: list[Spectra], of_maps: Float[np.ndarray, "waves bins bins"]
) -> Float[np.ndarray, "waves bins bins"]:
    """Return the coherence of the Gaussian fields whose lognormals have that of the maps."""
    gaussian = [by_wave(field.k, field.log_power) / field.log_power.mean() for field in fields]
    coherence = of_maps.copy()
    for first, second in itertools.combinations(range(len(fields)), 2):
        ours, theirs = fields[first], fields[second]
        shifts, spreads = ours.shift * theirs.shift, ours.spread * theirs.spread
        # Of what is modulated and what is not, <M> = exp(-beta^2 / 2) of the cross power is left.
        left = np.exp(-((ours.modulation or 0.0) ** 2 + (theirs.modulation or 0.0) ** 2) / 2)
        shared = np.interp(ours.k, WAVES, of_maps[:, first, second]) / left
        power = shared * np.sqrt(np.maximum(ours.lognormal_power * theirs.lognormal_power, 0))
        xi = np.fft.ifft2(power).real
        of_g = np.fft.fft2(np.log1p(np.maximum(xi / shifts, _LEAST))).real / spreads
        of_pair = _shared(by_wave(ours.k, of_g), gaussian[first], gaussian[second])
        coherence[:, first, second] = coherence[:, second, first] = of_pair
    return coherence
