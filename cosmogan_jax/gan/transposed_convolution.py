"""The 5x5 stride-2 transposed convolution of the generator, stock and decomposed into phases.

A transposed convolution with stride 2 writes every output pixel from the taps of one parity only.
Splitting the output into its four phases (row parity p, column parity q) turns it into four ordinary
convolutions of the small input, with kernels of 2x2, 2x3, 3x2 and 3x3 taps (25 in all, none wasted):

    y[2m+p, 2n+q] = sum_{i,j} x[m - 1 + i, n - 1 + j] w[(1-p) + 2i, (1-q) + 2j]

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
    rows = [
        jnp.stack([_phase(x, kernel, p, q) for q in range(STRIDE)], axis=3)  # batch, m, n, q, features
        for p in range(STRIDE)
    ]
    phases = jnp.stack(rows, axis=2)  # batch, m, p, n, q, features
    batch, height, _, width, _, features = phases.shape
    return phases.reshape(batch, STRIDE * height, STRIDE * width, features)


def _phase(x: Array, kernel: Array, p: int, q: int) -> Array:
    return jax.lax.conv_general_dilated(
        x,
        kernel[1 - p :: STRIDE, 1 - q :: STRIDE],
        window_strides=(1, 1),
        padding=((1, p), (1, q)),
        dimension_numbers=_DIMENSIONS,
    )
