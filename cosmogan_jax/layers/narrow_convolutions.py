"""Valid 3x3 convolutions of few features.

A matrix product with twelve columns leaves half of a CPU's vector units idle. Two neighbours of a row as one
pixel of twice the features, with kernels of 3x4 taps of which a quarter are 0, fill them:

    y[m, 2n + p] = sum_ij x[m + i, 2n + j] w[i, j - p],    w[i, j] = 0 where j is not 0, 1 or 2

which takes 0.35 to 0.6 of the time where features are few and pixels not so many that what the product packs
falls out of the cache (experiments/benchmarks/README.md). Derivatives are those of the ordinary form, as the
strided one's are slow on CPUs (`convolutions.py`); on other platforms it is taken throughout.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

_DIMENSIONS = ("NHWC", "HWIO", "NHWC")
# Up to here pairs were faster: features, and pixels of a whole batch.
_FEW_FEATURES, _FEW_PIXELS = 12, 8192


@jax.custom_jvp
def narrow_convolution(
    x: Float[Array, "batch height+2 width+2 channels"], kernel: Float[Array, "3 3 channels features"]
) -> Float[Array, "batch height width features"]:
    """Convolve as `flax.linen.Conv(features, (3, 3), padding="VALID")` without bias, in float32.

    Differentiable in both modes, to any order.
    """
    batch, tall, wide, _ = x.shape
    if kernel.shape[-1] > _FEW_FEATURES or batch * tall * wide > _FEW_PIXELS:
        return ordinary(x, kernel)
    return jax.lax.platform_dependent(x, kernel, cpu=by_pairs, default=ordinary)


@narrow_convolution.defjvp
def _derivative(at, along):
    (x, kernel), (dx, dkernel) = at, along
    return narrow_convolution(x, kernel), ordinary(dx, kernel) + ordinary(x, dkernel)


def ordinary(x: Array, kernel: Array, stride: int = 1) -> Array:
    """Convolve by one product a pixel, or one for every `stride` pixels of a row."""
    return jax.lax.conv_general_dilated(
        x, kernel, (1, stride), "VALID", dimension_numbers=_DIMENSIONS, precision=jax.lax.Precision.HIGHEST
    )


def dilated(x: Array, kernel: Array, apart: int) -> Array:
    """Convolve by `ordinary` with its taps apart: `flax.linen.Conv(..., kernel_dilation=apart)`."""
    return jax.lax.conv_general_dilated(
        x, kernel, (1, 1), "VALID", rhs_dilation=(apart, apart), dimension_numbers=_DIMENSIONS,
        precision=jax.lax.Precision.HIGHEST,
    )  # fmt: skip


def by_pairs(x: Array, kernel: Array) -> Array:
    """Convolve by one product for two neighbours of a row."""
    width, (*_, channels, features) = x.shape[2] - 2, kernel.shape
    both = jnp.stack([jnp.pad(kernel, ((0, 0), (p, 1 - p), (0, 0), (0, 0))) for p in (0, 1)], axis=3)
    even = jnp.pad(x, ((0, 0), (0, 0), (0, width % 2), (0, 0)))
    y = ordinary(even, both.reshape(3, 4, channels, 2 * features), stride=2)
    return y.reshape(*y.shape[:2], -1, features)[:, :, :width]
