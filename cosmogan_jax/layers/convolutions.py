"""The 5x5 stride-2 convolutions of both networks, plain and transposed, each the other's gradient.

With S the strided convolution, T the transposed one, w' the kernel turned by 180 degrees with its channels
exchanged, and K the correlation of a large with a small set of maps,

    S(x, w)[m] = sum_i x[2m - 1 + i] w[i]        dS/dx: T(dy, w')    dS/dw: K(x, dy)
    T(x, w)[n] = sum_{m, i: 2m - i = n - 3} x[m] w[i]     dT/dx: S(dy, w')    dT/dw: K(dy, x)'
    K(x, y)[i] = sum_m x[2m - 1 + i] y[m]                  dK/dx: T(y, dw')    dK/dy: S(x, dw)

along each axis (SAME padding; sums over batch and channels left out): three maps closed under differentiation,
so that gradients of gradients, of a gradient penalty say, are made of the same three. Autodiff writes T, and
both gradients with respect to kernels, as dilated convolutions, which run at a few GFLOP/s on CPUs. There T is
split into the four phases of its output (row parity p, column parity q), ordinary convolutions of 2x2, 2x3, 3x2
and 3x3 taps, 25 in all and none wasted:

    T(x, w)[2m + p, 2n + q] = sum_{i,j} x[m - 1 + i, n - 1 + j] w[(1-p) + 2i, (1-q) + 2j]

and K, where it is large, into one matrix product a tap. experiments/benchmarks/train_step.py measures the
whole step. On other platforms T is the gradient of S and K is left to the compiler: cuDNN has kernels for both
(experiments/gpu/compiled.py shows what becomes of them on a GPU).

The form "winograd" computes large layers of many channels with half the multiplications (`winograd.py`), on
CPUs; all others are as in "phases". Programs of it take 20 to 60 s more to compile, so the form "auto" takes it
for very large layers only.

Products, all of them or only those of the gradients, may be computed in a dtype of fewer bits: what is
multiplied is rounded to it, sums are kept as the device keeps them, and results come back in the maps' dtype.
"""

import functools
from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from cosmogan_jax.layers import winograd
from cosmogan_jax.layers.winograd import turned

Form = Literal["auto", "phases", "winograd", "stock"]
FORMS = ("auto", "phases", "winograd", "stock")


class Products(NamedTuple):
    """Dtypes in which products are computed, forward and for gradients; None is the maps' own."""

    forward: jnp.dtype | None = None
    gradients: jnp.dtype | None = None

    @property
    def of_gradients(self) -> "Products":
        """Return those of a convolution that is itself a gradient, and of its own gradients."""
        return Products(self.gradients, self.gradients)


_DIMENSIONS = ("NHWC", "HWIO", "NHWC")
# Up to here one convolution of 36 taps beats four of 25 (measured at 1 feature: 2 to 8 times; at 16 it loses).
_FEW_FEATURES = 4
# From here on (pixels of the small maps times batch; channels) matrix products beat the CPU's own kernel
# gradient (measured: 1.5 to 2 times at 32,768 pixels and 64 channels, even below 8192).
_MANY_PIXELS, _MANY_CHANNELS = 16384, 32
# From here on (channels; floating-point operations of 25 taps) Winograd's transforms cost less than they save,
# and by so much ("auto") that some hundred steps make up for the compilation.
_WINOGRAD_CHANNELS, _WINOGRAD_OPERATIONS = 32, {"winograd": 1e8, "auto": 1e9}


def strided_convolution(
    x: Float[Array, "batch 2*height 2*width channels"],
    kernel: Float[Array, "5 5 channels features"],
    form: Form = "phases",
    products: Products = Products(),  # noqa: B008  immutable
) -> Float[Array, "batch height width features"]:
    """Convolve, SAME-padded 5x5, stride 2, without bias: `flax.linen.Conv(features, (5, 5), (2, 2))`.

    The form changes how gradients are computed ("winograd" and "auto": the result too, by rounding); all but
    "stock" allow reverse-mode differentiation only, of any order; "stock" takes the gradients' products
    in the dtype of the forward ones.

    Raises:
      ValueError: an odd height or width, a kernel that is not 5x5, or an unknown form.
    """
    _check(kernel, form)
    if x.shape[1] % 2 or x.shape[2] % 2:
        raise ValueError(f"x.shape={x.shape} must be even in height and width")
    if form == "stock":
        return _plain_strided(x, kernel, products.forward)
    if _pays((x.shape[0], x.shape[1] // 2, x.shape[2] // 2), kernel, products, form):
        return winograd.strided_convolution(x, kernel)
    return _strided(x, kernel, products)


def transposed_convolution(
    x: Float[Array, "batch height width channels"],
    kernel: Float[Array, "5 5 channels features"],
    form: Form = "phases",
    products: Products = Products(),  # noqa: B008  immutable
) -> Float[Array, "batch 2*height 2*width features"]:
    """Convolve, SAME-padded 5x5, stride 2, transposed: `flax.linen.ConvTranspose(features, (5, 5), (2, 2))`.

    Without bias; the same kernel layout (height, width, input channels, features; not transposed) gives the
    same result in all forms. All but "stock" allow reverse-mode differentiation only, of any order.

    Raises:
      ValueError: a kernel that is not 5x5, or an unknown form.
    """
    _check(kernel, form)
    if _pays((x.shape[0], x.shape[1], x.shape[2]), kernel, products, form):
        return winograd.transposed_convolution(x, kernel)
    if form != "stock":
        return _transposed(x, kernel, products)
    dtype = products.forward or x.dtype
    y = jax.lax.conv_transpose(
        x.astype(dtype), kernel.astype(dtype), (2, 2), padding="SAME", dimension_numbers=_DIMENSIONS
    )
    return y.astype(x.dtype)


def _check(kernel: Array, form: str) -> None:
    if kernel.shape[:2] != (5, 5):
        raise ValueError(f"kernel.shape={kernel.shape} must begin with (5, 5)")
    if form not in FORMS:
        raise ValueError(f"form={form!r} must be one of {', '.join(FORMS)}")


def _pays(small: tuple[int, int, int], kernel: Array, products: Products, form: Form) -> bool:
    """Say whether Winograd's form is taken, by batch, height and width of the small maps; in full precision.

    Its transforms add up numbers that fewer bits would round; GPUs have kernels of their own.
    """
    batch, height, width = small
    channels, features = kernel.shape[2:]
    operations = 50 * batch * height * width * channels * features
    return (
        form in _WINOGRAD_OPERATIONS
        and jax.default_backend() == "cpu"
        and products == Products()
        and height % 2 == width % 2 == 0
        and min(channels, features) >= _WINOGRAD_CHANNELS
        and operations >= _WINOGRAD_OPERATIONS[form]
    )


def _plain_strided(x: Array, kernel: Array, dtype: jnp.dtype | None) -> Array:
    dtype = dtype or x.dtype
    return _convolve(x.astype(dtype), kernel.astype(dtype)).astype(x.dtype)


def _plain_transposed(x: Array, kernel: Array, dtype: jnp.dtype | None) -> Array:
    dtype = dtype or x.dtype
    if kernel.shape[-1] <= _FEW_FEATURES:
        y = by_phases(x.astype(dtype), kernel.astype(dtype))
    else:
        y = jax.lax.platform_dependent(
            x.astype(dtype), kernel.astype(dtype), cpu=by_phases, default=by_input_gradient
        )
    return y.astype(x.dtype)


def by_phases(
    x: Float[Array, "batch height width channels"], kernel: Float[Array, "5 5 channels features"]
) -> Float[Array, "batch 2*height 2*width features"]:
    """Compute T by the phases of its output: in four convolutions; in one of 36 taps for few features."""
    y = (_all_phases if kernel.shape[-1] <= _FEW_FEATURES else _four_phases)(x, kernel)
    batch, height, _, width, _, features = y.shape
    return y.reshape(batch, 2 * height, 2 * width, features)


def by_input_gradient(
    x: Float[Array, "batch height width channels"], kernel: Float[Array, "5 5 channels features"]
) -> Float[Array, "batch 2*height 2*width features"]:
    """Compute T as the gradient of S with respect to its maps, T(x, w) = dS/dx of S(., w') at x."""
    batch, height, width, _ = x.shape
    zero = jnp.zeros((batch, 2 * height, 2 * width, kernel.shape[-1]), x.dtype)
    return jax.vjp(lambda y: _convolve(y, turned(kernel)), zero)[1](x)[0]


@functools.partial(jax.custom_vjp, nondiff_argnums=(2,))
def _strided(x: Array, kernel: Array, products: Products) -> Array:
    return _plain_strided(x, kernel, products.forward)


@functools.partial(jax.custom_vjp, nondiff_argnums=(2,))
def _transposed(x: Array, kernel: Array, products: Products) -> Array:
    return _plain_transposed(x, kernel, products.forward)


def _saved(x: Array, kernel: Array, products: Products) -> tuple[Array, Array]:
    return x.astype(products.gradients or x.dtype), kernel


def _strided_gradients(products: Products, saved: tuple[Array, Array], dy: Array) -> tuple[Array, Array]:
    x, kernel = saved
    dx = _transposed(dy, turned(kernel), products.of_gradients)
    return dx, _kernel_gradient(x, dy.astype(x.dtype), kernel.dtype)


def _transposed_gradients(products: Products, saved: tuple[Array, Array], dy: Array) -> tuple[Array, Array]:
    x, kernel = saved
    dx = _strided(dy, turned(kernel), products.of_gradients)
    return dx, turned(_kernel_gradient(dy.astype(x.dtype), x, kernel.dtype))


_strided.defvjp(lambda *args: (_strided(*args), _saved(*args)), _strided_gradients)
_transposed.defvjp(lambda *args: (_transposed(*args), _saved(*args)), _transposed_gradients)


@functools.partial(jax.custom_vjp, nondiff_argnums=(2,))
def _kernel_gradient(large: Array, small: Array, dtype: jnp.dtype) -> Array:
    return _plain_kernel_gradient(large, small, dtype)


def _kernel_gradient_gradients(dtype: jnp.dtype, saved: tuple[Array, Array], dw: Array) -> tuple[Array, Array]:
    large, small = saved
    # Rounded to what the maps were given in: that is the gradients' dtype already.
    products = Products(large.dtype, large.dtype)
    return _transposed(small, turned(dw), products), _strided(large, dw, products)


_kernel_gradient.defvjp(
    lambda large, small, dtype: (_kernel_gradient(large, small, dtype), (large, small)),
    _kernel_gradient_gradients,
)


def _convolve(x: Array, kernel: Array) -> Array:
    return jax.lax.conv_general_dilated(x, kernel, (2, 2), ((1, 2), (1, 2)), dimension_numbers=_DIMENSIONS)


def _four_phases(x: Array, kernel: Array) -> Float[Array, "batch height 2 width 2 features"]:
    def phase(p, q):
        taps = kernel[1 - p :: 2, 1 - q :: 2]
        return jax.lax.conv_general_dilated(x, taps, (1, 1), ((1, p), (1, q)), dimension_numbers=_DIMENSIONS)

    rows = [jnp.stack([phase(p, q) for q in (0, 1)], axis=3) for p in (0, 1)]
    return jnp.stack(rows, axis=2)


def _all_phases(x: Array, kernel: Array) -> Float[Array, "batch height 2 width 2 features"]:
    batch, height, width, channels = x.shape
    features = kernel.shape[-1]
    # Tap i of phase p is w[(1-p) + 2i]: pairs of taps, in falling order of p; the sixth tap is 0.
    pairs = jnp.pad(kernel, ((0, 1), (0, 1), (0, 0), (0, 0))).reshape(3, 2, 3, 2, channels, features)
    taps = pairs[:, ::-1, :, ::-1].transpose(0, 2, 4, 1, 3, 5).reshape(3, 3, channels, 4 * features)
    y = jax.lax.conv_general_dilated(x, taps, (1, 1), ((1, 1), (1, 1)), dimension_numbers=_DIMENSIONS)
    return y.reshape(batch, height, width, 2, 2, features).transpose(0, 1, 3, 2, 4, 5)


def _plain_kernel_gradient(
    large: Float[Array, "batch 2*height 2*width channels"],
    small: Float[Array, "batch height width features"],
    dtype: jnp.dtype,
) -> Float[Array, "5 5 channels features"]:
    """Compute K of the module's docstring."""
    batch, height, width, features = small.shape
    channels = large.shape[-1]

    def native(large, small):
        zero = jnp.zeros((5, 5, channels, features), large.dtype)
        return jax.vjp(lambda kernel: _convolve(large, kernel), zero)[1](small)[0].astype(dtype)

    def by_taps(large, small):
        padded = jnp.pad(large, ((0, 0), (1, 3), (1, 3), (0, 0)))
        padded = padded.reshape(batch, height + 2, 2, width + 2, 2, channels)
        right = small.reshape(-1, features)

        def tap(i, j):
            left = padded[:, i // 2 : i // 2 + height, i % 2, j // 2 : j // 2 + width, j % 2]
            return jnp.matmul(left.reshape(-1, channels).T, right, preferred_element_type=dtype)

        return jnp.stack([jnp.stack([tap(i, j) for j in range(5)]) for i in range(5)])

    if batch * height * width < _MANY_PIXELS or min(channels, features) < _MANY_CHANNELS:
        return native(large, small)
    return jax.lax.platform_dependent(large, small, cpu=by_taps, default=native)
