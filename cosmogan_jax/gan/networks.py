"""Generator and discriminator of Tables 1 and 2; the only module that knows Flax modules.

Channels last. A network here is an immutable pair of pure functions over explicit variables: `init`
gives (params, batch_stats), `apply` takes them and gives the output with the new batch_stats.
"""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from cosmogan_jax.gan.borders import BORDERS, Borders, feature_ranges
from cosmogan_jax.gan.convolutions import FORMS, Form, strided_convolution, transposed_convolution

# The authors' code (not the paper): initial weights of standard deviation 0.02, truncated at two of them
# in convolutions, biases 0; batch norm with epsilon 1e-5 and running averages of decay 0.9.
INITIAL_SIGMA = 0.02
BATCH_NORM_EPSILON = 1e-5
BATCH_NORM_DECAY = 0.9
LEAKY_RELU_SLOPE = 0.2  # Table 2
MIN_LAYERS = 4

Variables = Any

_dense_init = nn.initializers.normal(INITIAL_SIGMA)
# jax's truncated_normal, like TensorFlow's, cuts a normal of this sigma at two sigma and does not widen it
# again: the weights' own standard deviation is 0.88 of it.
_conv_init = nn.initializers.truncated_normal(INITIAL_SIGMA)


@dataclasses.dataclass(frozen=True)
class Architecture:
    """Size of both networks: Tables 1 and 2 are `Architecture(256, 4, 64, 64)`.

    Attributes:
      map_size: pixels on a side of the maps; divisible by 2**num_layers.
      num_layers: convolutions in each network, at least 4.
      num_filters: features of the widest-resolution layer; doubled at every halving of the resolution.
      latent_size: length of z.
      convolution_form: "phases" or "stock", see `gan/convolutions.py`.
      borders: "zeros" (the paper) or "canvas" for the generator's, see `gan/borders.py`.
    """

    map_size: int
    num_layers: int
    num_filters: int
    latent_size: int
    convolution_form: Form = "phases"
    borders: Borders = "zeros"

    def __post_init__(self):
        if self.num_layers < MIN_LAYERS:
            raise ValueError(f"num_layers={self.num_layers} must be at least {MIN_LAYERS}")
        for name in ("map_size", "num_filters", "latent_size"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name}={getattr(self, name)} must be positive")
        if self.map_size % 2**self.num_layers:
            raise ValueError(
                f"map_size={self.map_size} must be divisible by 2**num_layers={2**self.num_layers}"
            )
        if self.convolution_form not in FORMS:
            raise ValueError(f"convolution_form={self.convolution_form!r} must be 'phases' or 'stock'")
        if self.borders not in BORDERS:
            raise ValueError(f"borders={self.borders!r} must be 'zeros' or 'canvas'")

    @property
    def base_size(self) -> int:
        """Pixels on a side of the smallest feature maps (16 in the paper); a canvas has three more."""
        first, stop = feature_ranges(self.map_size, self.num_layers, self.borders)[0]
        return stop - first

    def features(self, layer: int) -> int:
        """Features after `layer` halvings of the resolution (1 to num_layers)."""
        return self.num_filters * 2 ** (layer - 1)


class _Conv(nn.Module):
    """A 5x5 stride-2 convolution, plain or transposed, with a bias."""

    convolution: Callable[[Array, Array, Form], Array]
    features: int
    form: Form

    @nn.compact
    def __call__(self, x):
        kernel = self.param("kernel", _conv_init, (5, 5, x.shape[-1], self.features))
        bias = self.param("bias", nn.initializers.zeros, (self.features,))
        return self.convolution(x, kernel, self.form) + bias


_StridedConv = functools.partial(_Conv, strided_convolution)
_TransposedConv = functools.partial(_Conv, transposed_convolution)


def _batch_norm(train: bool, name: str) -> nn.BatchNorm:
    return nn.BatchNorm(
        use_running_average=not train, momentum=BATCH_NORM_DECAY, epsilon=BATCH_NORM_EPSILON, name=name
    )


class _Generator(nn.Module):
    arch: Architecture

    @nn.compact
    def __call__(self, z, train: bool):
        a = self.arch
        ranges = feature_ranges(a.map_size, a.num_layers, a.borders)

        def within(x, layer):
            """The range wanted after a layer, out of all that the layer makes from the range before it."""
            (before, _), (first, stop) = ranges[layer - 1 : layer + 1]
            kept = slice(first - 2 * before, stop - 2 * before)
            return x[:, kept, kept]

        features = a.features(a.num_layers)
        x = nn.Dense(a.base_size**2 * features, kernel_init=_dense_init, name="dense")(z)
        x = x.reshape(-1, a.base_size, a.base_size, features)
        x = nn.relu(_batch_norm(train, "bn0")(x))
        for i, layer in enumerate(range(a.num_layers - 1, 0, -1), start=1):
            x = within(_TransposedConv(a.features(layer), a.convolution_form, name=f"deconv{i}")(x), i)
            x = nn.relu(_batch_norm(train, f"bn{i}")(x))
        x = _TransposedConv(1, a.convolution_form, name=f"deconv{a.num_layers}")(x)
        return nn.tanh(within(x, a.num_layers))[..., 0]


class _Discriminator(nn.Module):
    arch: Architecture

    @nn.compact
    def __call__(self, x, train: bool):
        a = self.arch
        x = x[..., None]
        for layer in range(1, a.num_layers + 1):
            x = _StridedConv(a.features(layer), a.convolution_form, name=f"conv{layer}")(x)
            if layer > 1:
                x = _batch_norm(train, f"bn{layer}")(x)
            x = nn.leaky_relu(x, LEAKY_RELU_SLOPE)
        x = x.reshape(x.shape[0], -1)
        return nn.Dense(1, kernel_init=_dense_init, name="dense")(x)[:, 0]


@dataclasses.dataclass(frozen=True)
class Network:
    """A pair of pure functions around one Flax Linen module."""

    module: nn.Module
    input_shape: tuple[int, ...]

    def init(self, key: Array) -> tuple[Variables, Variables]:
        """Fresh (params, batch_stats) in float32."""
        variables = self.module.init(key, jnp.zeros((2, *self.input_shape)), train=True)
        return variables["params"], variables["batch_stats"]

    def apply(
        self, params: Variables, batch_stats: Variables, x: Float[Array, "batch ..."], *, train: bool
    ) -> tuple[Array, Variables]:
        """Output and batch_stats after the pass.

        With train=True the batch is normalised by its own mean and variance, and batch_stats move
        towards them; with train=False the running averages normalise and come back unchanged.
        """
        variables = {"params": params, "batch_stats": batch_stats}
        if not train:
            return self.module.apply(variables, x, train=False), batch_stats
        y, updates = self.module.apply(variables, x, train=True, mutable=["batch_stats"])
        return y, updates["batch_stats"]


@dataclasses.dataclass(frozen=True)
class Networks:
    """Both networks: gen maps z (batch, latent) to maps in (-1, 1); disc maps maps to logits (batch,)."""

    arch: Architecture
    gen: Network
    disc: Network


def build_networks(arch: Architecture) -> Networks:
    """Generator (Table 1) and discriminator (Table 2) of the given size.

    A bias stands in every dense and convolutional layer, also before a batch norm, as in the authors'
    code: 12,824,449 and 4,436,225 trainable parameters at the paper's size. A canvas adds 3,494,400 to the dense
    layer (19^2 instead of 16^2 features) and 24 % to the generator's operations.
    """
    return Networks(
        arch,
        gen=Network(_Generator(arch), (arch.latent_size,)),
        disc=Network(_Discriminator(arch), (arch.map_size, arch.map_size)),
    )


def count_parameters(params: Variables) -> int:
    """Number of trainable parameters."""
    return sum(leaf.size for leaf in jax.tree.leaves(params))
