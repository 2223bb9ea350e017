"""The 5x5 stride-2 transposed convolution of the generator, stock and decomposed into phases.

A transposed convolution with stride 2 writes every output pixel from the taps of one parity only.
Splitting the output into its four phases (row parity p, column parity q) turns it into four ordinary
convolutions of the small input, with kernels of 2x2, 2x3, 3x2 and 3x3 taps (25 in all, none wasted):

    y[2m+p, 2n+q] = sum_{i,j} x[m - 1 + i, n - 1 + j] w[(1-p) + 2i, (1-q) + 2j]

With few features four small convolutions waste more than they save: there one 3x3 convolution makes all
four phases at once, as channels, with zeros in the taps that a phase lacks.

The stock form dilates the input with zeros. On CPUs the gradient of such an lhs-dilated convolution
with respect to its kernel runs at a few GFLOP/s, which makes the whole train step several times slower
(experiments/benchmarks/train_step.py measures it).
"""

from typing import Literal

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

Form = Literal["phases", "stock"]

KERNEL_SIZE = 5
STRIDE = 2
_DIMENSIONS = ("NHWC", "HWIO", "NHWC")
# Up to here one convolution of 36 taps beats four of 25 (measured at 1 feature: 2 to 8 times; at 16 it loses).
_FEW_FEATURES = 4


def transposed_convolution(
    x: Float[Array, "batch height width channels"],
    kernel: Float[Array, "5 5 channels features"],
    form: Form = "phases",
) -> Float[Array, "batch 2*height 2*width features"]:
    """SAME-padded 5x5 stride-2 transposed convolution without bias.

    Both forms give what `flax.linen.ConvTranspose(features, (5, 5), (2, 2), padding="SAME")` gives with
    the same kernel (layout height, width, input channels, features; not transposed).

    Raises:
      ValueError: the kernel is not 5x5, or the form is unknown.
    """
    if kernel.shape[:2] != (KERNEL_SIZE, KERNEL_SIZE):
        raise ValueError(f"kernel.shape={kernel.shape} must begin with (5, 5)")
    if form == "stock":
        return jax.lax.conv_transpose(
            x, kernel, (STRIDE, STRIDE), padding="SAME", dimension_numbers=_DIMENSIONS
        )
    if form != "phases":
        raise ValueError(f"form={form!r} must be 'phases' or 'stock'")
    if kernel.shape[-1] <= _FEW_FEATURES:
        phases = _all_phases(x, kernel)
    else:
        phases = _four_phases(x, kernel)
    batch, height, _, width, _, features = phases.shape
    return phases.reshape(batch, STRIDE * height, STRIDE * width, features)


def _four_phases(x: Array, kernel: Array) -> Float[Array, "batch height 2 width 2 features"]:
    rows = [
        jnp.stack([_phase(x, kernel, p, q) for q in range(STRIDE)], axis=3)  # batch, m, n, q, features
        for p in range(STRIDE)
    ]
    return jnp.stack(rows, axis=2)  # batch, m, p, n, q, features


def _all_phases(x: Array, kernel: Array) -> Float[Array, "batch height 2 width 2 features"]:
    batch, height, width, channels = x.shape
    features = kernel.shape[-1]
    # Tap i of phase p is w[(1-p) + 2i]: pairs of taps, in falling order of p; the sixth tap is 0.
    pairs = jnp.pad(kernel, ((0, 1), (0, 1), (0, 0), (0, 0))).reshape(3, 2, 3, 2, channels, features)
    taps = pairs[:, ::-1, :, ::-1].transpose(0, 2, 4, 1, 3, 5).reshape(3, 3, channels, 4 * features)
    y = jax.lax.conv_general_dilated(x, taps, (1, 1), ((1, 1), (1, 1)), dimension_numbers=_DIMENSIONS)
    return y.reshape(batch, height, width, 2, 2, features).transpose(0, 1, 3, 2, 4, 5)


def _phase(x: Array, kernel: Array, p: int, q: int) -> Array:
    return jax.lax.conv_general_dilated(
        x,
        kernel[1 - p :: STRIDE, 1 - q :: STRIDE],
        window_strides=(1, 1),
        padding=((1, p), (1, q)),
        dimension_numbers=_DIMENSIONS,
    )
