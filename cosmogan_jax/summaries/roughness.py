"""How rough a map is where it is low, and where it is high: ln of its squared gradient by height.

Of simulated maps each is about as rough in its voids as any other, and peaks of one map are much sharper than
another's. Power spectra know nothing of it, nor do heights: an emulator whose small scales are noise may have
both right, and differ here by more than maps scatter (experiments/026-roughness).
"""

import itertools

import jax
from jax import numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Float

from cosmogan_jax.summaries.batching import over_maps
from cosmogan_jax.summaries.edges import check_kappa
from cosmogan_jax.summaries.pixels import block_means
from cosmogan_jax.switches import with_usual

ROUGHNESS_HEIGHTS = (-0.9, -0.4, 0.4, 1.5)  # between ranges of height, in standard deviations of real maps
_WIDTH = 0.25  # over which one range gives way to the next
_POOLED = (1, 2)  # pixels that are averaged
_LOGISTIC = 1.702  # exp(-1.702 x) is the logistic's nearest to a normal distribution's
_FAINT, _FEWEST = 1e-5, 1e-3  # of squared gradients and of pixels: a range without pixels stays finite
NUM_ROUGHNESSES = len(_POOLED) * (len(ROUGHNESS_HEIGHTS) + 1)


@with_usual
def roughness(
    kappa: Float[Array, "*batch height width"], mean: ArrayLike = 0.0, sigma: ArrayLike = 1.0
) -> Float[Array, "*batch roughnesses"]:
    """Compute ln <w |grad x|^2> / <w> over the pixels of five ranges of height, x = (kappa - mean) / sigma.

    grad x is the difference to the next pixel along either axis, without borders; a pixel's height is the mean
    of it and these two, and w its share in a range, logistic at the ends: below -0.9, to -0.4, to 0.4, to 1.5,
    and above. Five numbers of the pixels, five of means of 2x2 pixels.

    Args:
      kappa: maps.
      mean, sigma: of all pixels of real maps: the same for every map that is compared.

    Raises:
      ValueError: maps not of real numbers.
    """
    kappa = check_kappa(kappa)
    mean, sigma = (jnp.asarray(value, kappa.dtype) for value in (mean, sigma))
    return over_maps(lambda one_map: log_squared_gradients(((one_map - mean) / sigma)[None])[0], kappa)


def log_squared_gradients(
    x: Float[Array, "batch height width"], heights_of: Float[Array, "batch height width"] | None = None
) -> Float[Array, "batch roughnesses"]:
    """Compute `roughness` of maps of mean 0 and sigma 1, all at once; for losses.

    heights_of: maps of the same sky whose pixels' heights are meant, those of another source bin; None: x.
    """
    numbers = []
    for pixels in _POOLED:
        here, below, right = _neighbours(block_means(x, pixels))
        squares = (below - here) ** 2 + (right - here) ** 2
        at = (here, below, right) if heights_of is None else _neighbours(block_means(heights_of, pixels))
        height = sum(at) / 3
        above = [jax.nn.sigmoid(_LOGISTIC * (height - h) / _WIDTH) for h in ROUGHNESS_HEIGHTS]
        above = [jnp.ones_like(height), *above, jnp.zeros_like(height)]
        for low, high in itertools.pairwise(above):
            within = low - high
            mean = ((within * squares).mean((1, 2)) + _FAINT) / (within.mean((1, 2)) + _FEWEST)
            numbers.append(jnp.log(mean))
    return jnp.stack(numbers, -1)


def _neighbours(maps: Array) -> tuple[Array, Array, Array]:
    """Return pixels, those below and those to the right, of all that have both."""
    return maps[:, :-1, :-1], maps[:, 1:, :-1], maps[:, :-1, 1:]


def roughness_labels() -> list[str]:
    """Return what each number of `roughness` is."""
    between = [f"{low:g} to {high:g}" for low, high in itertools.pairwise(ROUGHNESS_HEIGHTS)]
    ranges = [f"below {ROUGHNESS_HEIGHTS[0]:g}", *between, f"above {ROUGHNESS_HEIGHTS[-1]:g}"]
    names = ["pixels" if pixels == 1 else f"{pixels}x{pixels} pixels" for pixels in _POOLED]
    return [f"{name} {heights} sigma" for name in names for heights in ranges]
