"""Multi-scale structural similarity: how alike two maps are."""

import jax
import numpy as np
from jax import numpy as jnp
from jaxtyping import Array, Float, Int

from cosmogan_jax.summaries.batching import over_maps
from cosmogan_jax.summaries.edges import check_kappa
from cosmogan_jax.switches import with_usual

# Wang, Simoncelli & Bovik 2003: exponents of the five scales; window, K1 and K2 are those of Wang et al. 2004.
_WEIGHTS = np.array([0.0448, 0.2856, 0.3001, 0.2363, 0.1333])
WINDOW_PIXELS, _WINDOW_SIGMA = 11, 1.5
_K1, _K2 = 0.01, 0.03


@with_usual
def ms_ssim(
    one: Float[Array, "*batch height width"], two: Float[Array, "*batch height width"], data_range: float
) -> Float[Array, "*batch"]:
    """Compute the similarity of each pair of maps, 0 to 1, where 1 is equality; without units.

        MS-SSIM = prod_{s=1}^{S-1} relu(<cs>_s)^{w_s} * relu(<l cs>_S)^{w_S}
        l  = (2 m1 m2 + C1)/(m1^2 + m2^2 + C1)        C1 = (0.01 data_range)^2
        cs = (2 s12 + C2)/(s1^2 + s2^2 + C2)          C2 = (0.03 data_range)^2

    Wang, Simoncelli & Bovik 2003 (37th Asilomar Conference, 1398). Means m, variances s^2 and the covariance
    s12 are under a Gaussian of 11 pixels and sigma 1.5, at the places where all of it lies on the map; < > is
    over these places; each scale is the one before averaged over 2 by 2 pixels (an odd last row or column is
    left out). S is 5 for maps of 176 pixels and more; smaller ones have as many scales as hold the window (4
    from 88 pixels, 3 from 44, 2 from 22, 1 from 11), whose weights are multiplied to have the five's sum:
    values of maps of different size are not comparable. Negative means, of maps that are opposite, count as 0,
    as in the usual codes.

    Convergence has both signs: l compares local means with 0, not with the low end of the range.

    Args:
      one: maps.
      two: maps of the same shape.
      data_range: largest less smallest kappa that is to be told apart, one number for all pairs that are
        compared: it sets what difference is visible.

    Raises:
      ValueError: maps of different shape, or smaller than the window, or not of real numbers; data_range not a
        positive number.
    """
    one, two = check_kappa(one), check_kappa(two)
    if one.shape != two.shape or one.dtype != two.dtype:
        raise ValueError(f"one of {one.dtype}{one.shape} and two of {two.dtype}{two.shape} must be alike")
    height, width = one.shape[-2:]
    if min(height, width) < WINDOW_PIXELS:
        raise ValueError(f"maps of {height} x {width} pixels must hold a window of {WINDOW_PIXELS}")
    if not 0 < data_range < np.inf:
        raise ValueError(f"data_range={data_range} must be positive and finite")
    num_scales = min(len(_WEIGHTS), int(np.log2(min(height, width) / WINDOW_PIXELS)) + 1)
    weights = _WEIGHTS[:num_scales] * (_WEIGHTS.sum() / _WEIGHTS[:num_scales].sum())

    def similarity(both):
        pair = jnp.stack([both[:height], both[height:]])
        product = jnp.ones((), pair.dtype)
        for scale, weight in enumerate(weights.tolist()):
            luminance, contrast = _terms(pair, float(data_range))
            last = scale == num_scales - 1
            mean = (luminance * contrast).mean() if last else contrast.mean()
            # A power of 0 has no gradient.
            product *= jnp.where(
                mean > 0, jnp.where(mean > 0, mean, 1) ** weight, jnp.where(mean <= 0, 0, mean)
            )
            pair = _halved(pair)
        return product

    # The second map travels below the first: both are cut along the same batch axes.
    return over_maps(similarity, jnp.concatenate([one, two], axis=-2))


@with_usual
def pair_similarity(
    kappa: Float[Array, "maps height width"], pairs: Int[np.ndarray, "pairs 2"], data_range: float
) -> Float[Array, " pairs"]:
    """Compute `ms_ssim` of pairs of one set's maps, given by their numbers.

    Its mean over random pairs tells of collapse: a generator whose maps are more like each other than the
    simulated ones are makes too few different maps (Odena, Olah & Shlens 2017; of convergence maps
    Perraudin et al. 2021, Front. Artif. Intell. 4, 673062).

    Raises:
      ValueError: pairs that are not rows of two integers, of a map with itself or with one that is not there;
        and as `ms_ssim`.
    """
    kappa, pairs = check_kappa(kappa), np.asarray(pairs)
    if kappa.ndim != 3:
        raise ValueError(f"kappa.shape={kappa.shape} must be (maps, height, width)")
    if pairs.ndim != 2 or pairs.shape[1] != 2 or pairs.dtype.kind not in "iu":
        raise ValueError(f"pairs of {pairs.dtype}{pairs.shape} must be rows of two integers")
    wrong = pairs[((pairs < 0) | (pairs >= len(kappa))).any(1) | (pairs[:, 0] == pairs[:, 1])]
    if len(wrong):
        raise ValueError(f"pairs={wrong[0].tolist()} must be two different numbers from 0 to {len(kappa) - 1}")
    return ms_ssim(kappa[pairs[:, 0]], kappa[pairs[:, 1]], data_range)


def _terms(pair: Float[Array, "2 height width"], data_range: float) -> tuple[Array, Array]:
    """Compute luminance, and contrast times structure, at every place of the window."""
    first, second = pair
    fields = jnp.stack([first, second, first * first + second * second, first * second])
    mean1, mean2, squares, product = _under_window(_under_window(fields, 1), 2)
    c1, c2 = (_K1 * data_range) ** 2, (_K2 * data_range) ** 2
    square_means, mean_product = mean1**2 + mean2**2, mean1 * mean2
    luminance = (2 * mean_product + c1) / (square_means + c1)
    return luminance, (2 * (product - mean_product) + c2) / (squares - square_means + c2)


def _under_window(
    fields: Float[Array, "fields height width"], axis: int
) -> Float[Array, "fields rows columns"]:
    place = np.arange(WINDOW_PIXELS) - WINDOW_PIXELS // 2
    window = np.exp(-(place**2) / (2 * _WINDOW_SIGMA**2))
    window /= window.sum()
    size = fields.shape[axis] - WINDOW_PIXELS + 1
    # Written out once: XLA's CPU code would compute it anew for each of its slices.
    fields = jax.lax.optimization_barrier(fields)
    total = jnp.zeros((), fields.dtype)
    for i, weight in enumerate(window):
        total = total + float(weight) * jax.lax.slice_in_dim(fields, i, i + size, axis=axis)
    return total


def _halved(pair: Float[Array, "2 height width"]) -> Float[Array, "2 rows columns"]:
    height, width = pair.shape[-2] // 2 * 2, pair.shape[-1] // 2 * 2
    pair = pair[:, :height, :width]
    return (pair[:, ::2, ::2] + pair[:, ::2, 1::2] + pair[:, 1::2, ::2] + pair[:, 1::2, 1::2]) / 4
