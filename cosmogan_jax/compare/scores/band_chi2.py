"""How far the mean band powers of generated maps lie from the development maps', in units of their errors.

    chi2 = h d^T (S/N_gen + V)^-1 d,    h = (G - p - 2)/(G - 1)

d is the relative difference of the mean powers of p bands, generated over development minus 1. S is the
covariance of single development maps and V that of their mean; with N_dev independent maps V is S/N_dev.
Crops of one parent hang together, so V is taken over the G parents,

    V = G/(G - 1) sum_g u_g u_g^T / N^2,    u_g = sum of (x - mean x) over the maps of parent g

(Liang & Zeger 1986; `compare/clustered.py` has its diagonal). h makes the inverse of an estimated covariance
unbiased (Hartlap, Simon & Schneider 2007), with as many independent samples as there are parents, whatever
the number of crops: the mean of chi2 for equal ensembles is then p. S, too, is the development maps': all
candidates are measured by one metric, and none gains by scattering more.

Bands whose development power is constant do not count. A mean that is not finite makes chi2 NaN, the worst of
all scores. Over hundreds of modes the covariance would be singular or all noise: at most `MOST_BANDS` bands,
and two parents a band (`most_bands`), where h is about a half.
"""

from typing import NamedTuple

import numpy as np
from jax import numpy as jnp
from jaxtyping import Array, Float, Int, Shaped
from scipy import linalg

from cosmogan_jax.compare.parents import numbered

MOST_BANDS = 20


class BandReference(NamedTuple):
    """The development maps' side: mean powers, and directions in which S and V are both diagonal.

    chi2 = sum_k (directions d)_k^2 / (1 + scatter_k / N_gen), h included.
    """

    mean: Float[Array, " bands"]
    directions: Float[Array, "informative bands"]
    scatter: Float[Array, " informative"]


def most_bands(num_parents: int) -> int:
    """Return how many bands so many independent development maps allow: 0 where they are fewer than four."""
    return max(0, min(MOST_BANDS, num_parents // 2, num_parents - 3))


def band_reference(
    power: Float[np.ndarray, "maps bands"], parents: Shaped[np.ndarray, " maps"]
) -> BandReference:
    """Return the reference of all candidates, from band powers and any labels of the parents.

    Raises:
      ValueError: more than `MOST_BANDS` bands, fewer than three parents more than bands, powers that are not
        finite, no band that varies, or bands that are not linearly independent.
    """
    power, parents = np.asarray(power, np.float64), np.asarray(parents)
    if power.ndim != 2 or parents.shape != power.shape[:1] or not np.isfinite(power).all():
        raise ValueError(
            f"band powers of shape {power.shape} must be finite, (maps, bands), with as many parents as maps, "
            f"not {parents.shape}"
        )
    varies = np.ptp(power, axis=0) > 0 if len(power) else np.zeros(power.shape[1], bool)
    num_bands, (index, num_parents) = int(varies.sum()), numbered(parents)
    if not 1 <= num_bands <= MOST_BANDS:
        raise ValueError(f"{num_bands} bands vary; a covariance form takes 1 to {MOST_BANDS}")
    if num_parents < num_bands + 3:
        raise ValueError(
            f"{num_bands} bands need {num_bands + 3} independent development maps or more; there are "
            f"{num_parents}, which allow at most {max(0, num_parents - 3)}"
        )
    mean = power.mean(0)
    relative = power[:, varies] / mean[varies] - 1
    sums = np.zeros((num_parents, num_bands))
    np.add.at(sums, index, relative)
    of_mean = num_parents / (num_parents - 1) * sums.T @ sums / len(power) ** 2
    of_map = relative.T @ relative / (len(power) - 1)
    try:
        # of_map x = s of_mean x, with x^T of_mean x = 1: where of_mean is 1, of_map is s.
        scatter, columns = linalg.eigh(of_map, of_mean)
    except linalg.LinAlgError as error:
        raise ValueError(f"{num_bands} bands of {num_parents} development maps are not independent") from error
    hartlap = (num_parents - num_bands - 2) / (num_parents - 1)
    directions = np.zeros((num_bands, len(mean)))
    directions[:, varies] = hartlap**0.5 * columns.T
    return BandReference(*(jnp.asarray(x, jnp.float32) for x in (mean, directions, scatter)))


def relative_power(reference: BandReference, power: Float[Array, "maps bands"]) -> Float[Array, " bands"]:
    """Return the sum over maps of their band powers in units of the reference's means."""
    return (power / jnp.where(reference.mean > 0, reference.mean, 1)).sum(0)


def band_chi2(
    total: Float[Array, " bands"], num_maps: int | Int[Array, ""], reference: BandReference
) -> Float[Array, ""]:
    """Return the module's chi2 of independent maps from the sum of their `relative_power`. May be jitted."""
    # Full precision: an accelerator would round the factors of a matrix product to 10 or 8 bits.
    along = jnp.matmul(reference.directions, total / num_maps - 1, precision="highest")
    return (along**2 / (1 + reference.scatter / num_maps)).sum()
