"""Generator and discriminator of Tables 1 and 2, and a classifier; the only module that knows Flax modules.

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

from cosmogan_jax.gan.architecture import Architecture
from cosmogan_jax.gan.borders import feature_ranges
from cosmogan_jax.gan.convolutions import Form, Products, strided_convolution, transposed_convolution

# The authors' code (not the paper): initial weights of standard deviation 0.02, truncated at two of them
# in convolutions, biases 0; batch norm with epsilon 1e-5 and running averages of decay 0.9.
INITIAL_SIGMA = 0.02
BATCH_NORM_EPSILON = 1e-5
BATCH_NORM_DECAY = 0.9
LEAKY_RELU_SLOPE = 0.2  # Table 2

Variables = Any
_HIDDEN = "intermediates"

_dense_init = nn.initializers.normal(INITIAL_SIGMA)
# jax's truncated_normal, like TensorFlow's, cuts a normal of this sigma at two sigma and does not widen it
# again: the weights' own standard deviation is 0.88 of it.
_conv_init = nn.initializers.truncated_normal(INITIAL_SIGMA)


class _Conv(nn.Module):
    """A 5x5 stride-2 convolution, plain or transposed, with a bias."""

    convolution: Callable[[Array, Array, Form, Products], Array]
    arch: Architecture
    features: int

    @nn.compact
    def __call__(self, x):
        kernel = self.param("kernel", _conv_init, (5, 5, x.shape[-1], self.features))
        bias = self.param("bias", nn.initializers.zeros, (self.features,))
        return self.convolution(x, kernel, self.arch.convolution_form, self.arch.products) + bias


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
            x = within(_TransposedConv(a, a.features(layer), name=f"deconv{i}")(x), i)
            x = nn.relu(_batch_norm(train, f"bn{i}")(x))
        x = _TransposedConv(a, 1, name=f"deconv{a.num_layers}")(x)
        return nn.tanh(within(x, a.num_layers))[..., 0]


class _Discriminator(nn.Module):
    arch: Architecture

    @nn.compact
    def __call__(self, x, train: bool):
        a = self.arch
        x = x[..., None]
        for layer in range(1, a.num_layers + 1):
            x = _StridedConv(a, a.features(layer), name=f"conv{layer}")(x)
            if layer > 1:
                x = _batch_norm(train, f"bn{layer}")(x)
            x = nn.leaky_relu(x, LEAKY_RELU_SLOPE)
        x = x.reshape(x.shape[0], -1)
        self.sow(_HIDDEN, "last_convolution", x)  # kept only where it is asked for
        return nn.Dense(1, kernel_init=_dense_init, name="dense")(x)[:, 0]


class _Classifier(nn.Module):
    """A pixel branch, and a linear spectral branch, whose logits add up.

    No layer normalises: a normalisation would divide out of each map the amplitudes that the classifier is to
    measure. Every layer's features are averaged over the map, so that small scales reach the logit at once.
    """

    num_layers: int
    num_filters: int

    @nn.compact
    def __call__(self, x, log_power):
        x, pooled = x[..., None], []
        for layer in range(1, self.num_layers + 1):
            kernel_shape = (5, 5, x.shape[-1], self.num_filters * 2 ** (layer - 1))
            kernel = self.param(f"kernel{layer}", nn.initializers.he_normal(), kernel_shape)
            bias = self.param(f"bias{layer}", nn.initializers.zeros, kernel_shape[-1:])
            x = nn.leaky_relu(strided_convolution(x, kernel) + bias, LEAKY_RELU_SLOPE)
            pooled.append(x.mean((1, 2)))
        features = nn.relu(nn.Dense(2 * self.num_filters, name="dense")(jnp.concatenate(pooled, -1)))
        # Weights of 0: the untrained classifier has no opinion.
        pixels = nn.Dense(1, kernel_init=nn.initializers.zeros, name="pixels")(features)
        spectrum = nn.Dense(1, kernel_init=nn.initializers.zeros, name="spectrum")(log_power)
        return jnp.concatenate([pixels, spectrum], -1)


def _init(module: nn.Module, shapes: tuple[tuple[int, ...], ...], how: tuple, key: Array) -> Variables:
    return module.init(key, *map(jnp.zeros, shapes), **dict(how))


def _fresh(module: nn.Module, shapes: tuple[tuple[int, ...], ...], how: tuple, key: Array) -> Variables:
    """A module's fresh variables, as one program, of which the forward pass is no part.

    LLVM takes half a minute to optimise a dozen random generators that run once: it is told not to. Only a
    program of its own can be compiled by options of its own.
    """
    if isinstance(key, jax.core.Tracer):
        return _init(module, shapes, how, key)
    return _compiled_init(module, shapes, how, key)


_compiled_init = functools.partial(
    jax.jit, static_argnums=(0, 1, 2), compiler_options={"xla_backend_optimization_level": 0}
)(_init)


@dataclasses.dataclass(frozen=True)
class Network:
    """A pair of pure functions around one Flax Linen module."""

    module: nn.Module
    input_shape: tuple[int, ...]
    matmul_precision: str = "float32"
    remat: bool = False

    def init(self, key: Array) -> tuple[Variables, Variables]:
        """Fresh (params, batch_stats) in float32."""
        variables = _fresh(self.module, ((2, *self.input_shape),), (("train", True),), key)
        return variables["params"], variables["batch_stats"]

    def apply(
        self, params: Variables, batch_stats: Variables, x: Float[Array, "batch ..."], *, train: bool
    ) -> tuple[Array, Variables]:
        """Output and batch_stats after the pass.

        With train=True the batch is normalised by its own mean and variance, and batch_stats move
        towards them; with train=False the running averages normalise and come back unchanged.
        """

        def sampled(params, batch_stats, x):
            return self.module.apply(
                {"params": params, "batch_stats": batch_stats}, x, train=False
            ), batch_stats

        def trained(params, batch_stats, x):
            variables = {"params": params, "batch_stats": batch_stats}
            y, updates = self.module.apply(variables, x, train=True, mutable=["batch_stats"])
            return y, updates["batch_stats"]

        evaluate = trained if train else sampled
        if train and self.remat:
            evaluate = jax.checkpoint(evaluate)
        with jax.default_matmul_precision(self.matmul_precision):
            return evaluate(params, batch_stats, x)

    def last_convolution(
        self, params: Variables, batch_stats: Variables, x: Float[Array, "batch size size"]
    ) -> Float[Array, "batch features"]:
        """A discriminator's last convolution as its dense layer sees it: after batch norm (by the running
        averages) and leaky ReLU, flattened; 16^2 x 512 numbers a map at the paper's size.
        """
        with jax.default_matmul_precision(self.matmul_precision):
            variables = {"params": params, "batch_stats": batch_stats}
            _, kept = self.module.apply(variables, x, train=False, mutable=[_HIDDEN])
            return kept[_HIDDEN]["last_convolution"][0]


@dataclasses.dataclass(frozen=True)
class Networks:
    """Both networks: gen maps z (batch, latent) to maps in (-1, 1); disc maps maps to logits (batch,)."""

    arch: Architecture
    gen: Network
    disc: Network


def build_networks(arch: Architecture) -> Networks:
    """Generator (Table 1) and discriminator (Table 2) of the given size.

    A bias stands in every dense and convolutional layer, also before a batch norm, as in the authors'
    code: 12,824,449 and 4,436,225 trainable parameters at the paper's size. A canvas adds 3,494,400 to the
    dense layer (19^2 instead of 16^2 features) and 24 % to the generator's operations.
    """
    return Networks(
        arch,
        gen=Network(
            _Generator(arch), (arch.latent_size,), arch.matmul_precision, arch.remat in ("generator", "both")
        ),
        disc=Network(
            _Discriminator(arch), (arch.map_size, arch.map_size), arch.matmul_precision, arch.remat == "both"
        ),
    )


@dataclasses.dataclass(frozen=True)
class Classifier:
    """Pure functions of a small network that tells two sets of maps apart; it has no batch statistics.

    Attributes:
      map_size: pixels on a side of the maps; divisible by 2**num_layers.
      num_bands: length of the logarithmic power spectrum that goes in beside each map.
      num_layers, num_filters: 5x5 stride-2 convolutions, and features of the first; doubled at every layer.
    """

    map_size: int
    num_bands: int
    num_layers: int
    num_filters: int

    def __post_init__(self):
        if self.map_size % 2**self.num_layers:
            raise ValueError(
                f"map_size={self.map_size} must be divisible by 2**num_layers={2**self.num_layers}"
            )

    @property
    def _module(self) -> nn.Module:
        return _Classifier(self.num_layers, self.num_filters)

    def init(self, key: Array) -> Variables:
        """Fresh parameters in float32."""
        size = self.map_size
        return _fresh(self._module, ((1, size, size), (1, self.num_bands)), (), key)["params"]

    def apply(
        self, params: Variables, x: Float[Array, "batch size size"], log_power: Float[Array, "batch bands"]
    ) -> Float[Array, "batch 2"]:
        """Logits of the pixel branch and of the spectral branch, for standardised maps and bands.

        Their sum is positive where a map looks like one of the first set.
        """
        with jax.default_matmul_precision("float32"):
            logits = self._module.apply({"params": params}, x, log_power)
        assert isinstance(logits, Array)
        return logits


def count_parameters(params: Variables) -> int:
    """Number of trainable parameters."""
    return sum(leaf.size for leaf in jax.tree.leaves(params))
