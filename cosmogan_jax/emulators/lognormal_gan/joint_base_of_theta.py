"""The base of several source bins at any cosmology: each bin's as `base_of_theta.py` has it, and the roots.

What is regressed on phi(theta) of the coherences are the entries of their symmetric roots, which are smooth
functions of the matrices. Rows brought to norm 1 are roots of a coherence whatever the regression gives: no
matrix must be made positive definite, or decomposed, where maps are made and differentiated.
"""

import operator
from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from cosmogan_jax.emulators.lognormal_gan import base_of_theta, joint_base
from cosmogan_jax.emulators.lognormal_gan.base import Base
from cosmogan_jax.emulators.lognormal_gan.base_of_theta import BaseOfTheta, ErrorsLeftOut
from cosmogan_jax.emulators.lognormal_gan.joint_base import JointBase


class JointBaseOfTheta(NamedTuple):
    """Coefficients of phi for all that a `JointBase` is made of.

    Attributes:
      each: the bins' own, with a leading axis of bins.
      field_root, noise_root: the first axis is that of phi's terms.
      mixing: the same at every cosmology.
    """

    each: BaseOfTheta
    field_root: Float[Array, "terms waves bins bins"]
    noise_root: Float[Array, "terms waves bins bins"]
    mixing: Float[Array, "bins bins"]


def unmeasured(
    num_terms: int, num_bins: int, fourfold: bool, modulated: bool = False
) -> tuple[JointBaseOfTheta, ErrorsLeftOut]:
    """Return independent white noise of variance 1 in every bin at every cosmology, and no errors."""
    own, errors = base_of_theta.unmeasured(num_terms, fourfold, modulated)
    each = jax.tree.map(lambda leaf: jnp.stack([leaf] * num_bins), own)
    alone = joint_base.unmeasured(num_bins).field_root
    root = jnp.zeros((num_terms, *alone.shape)).at[0].set(alone)
    return JointBaseOfTheta(each, root, jnp.copy(root), jnp.eye(num_bins)), errors


def regressed(
    bases: Sequence[JointBase],
    phi: Float[np.ndarray, "cosmologies terms"],
    num_maps: Float[np.ndarray, " cosmologies"],
) -> JointBaseOfTheta:
    """Regress bases of one mixing by least squares over cosmologies, each weighted by its number of maps."""
    each = [base_of_theta.regressed(of_bin, phi, num_maps) for of_bin in _by_bin(bases)]
    solve = base_of_theta.least_squares(np.asarray(phi, np.float64), np.asarray(num_maps, np.float64))
    roots = [
        jnp.asarray(
            np.tensordot(solve, np.stack([np.asarray(root, np.float64) for root in roots]), 1), jnp.float32
        )
        for roots in zip(*((base.field_root, base.noise_root) for base in bases))
    ]
    stacked = jax.tree.map(lambda *leaves: jnp.stack(leaves), *each)
    return JointBaseOfTheta(stacked, roots[0], roots[1], bases[0].mixing)


def at(base: JointBaseOfTheta, phi: Float[Array, " terms"]) -> JointBase:
    """Compute the base of one cosmology; differentiable in phi. No smallest eigenvalue is known there."""
    each = jax.vmap(base_of_theta.at, (0, None))(base.each, phi)
    roots = [jnp.tensordot(phi, root, 1) for root in (base.field_root, base.noise_root)]
    field_root, noise_root = (root / jnp.sqrt((root**2).sum(-1, keepdims=True)) for root in roots)
    return JointBase(each, field_root, noise_root, jnp.zeros(2), base.mixing)


def errors_left_out(
    bases: Sequence[JointBase],
    phi: Float[np.ndarray, "cosmologies terms"],
    num_maps: Float[np.ndarray, " cosmologies"],
) -> ErrorsLeftOut:
    """Return `base_of_theta.errors_left_out`, mean square over the bins."""
    of_bins = [base_of_theta.errors_left_out(of_bin, phi, num_maps) for of_bin in _by_bin(bases)]
    return ErrorsLeftOut(*(jnp.sqrt(jnp.mean(jnp.stack(values) ** 2)) for values in zip(*of_bins)))


def _by_bin(bases: Sequence[JointBase]) -> list[list[Base]]:
    """Return the bases of each bin at all cosmologies."""
    num_bins = len(bases[0].each.mean)
    return [[jax.tree.map(operator.itemgetter(n), base.each) for base in bases] for n in range(num_bins)]
