"""Generator and discriminator of Tables 1 and 2 as Flax modules.

Channels last. A network here is an immutable pair of pure functions over explicit variables: `init`
gives (params, batch_stats), `apply` takes them and gives the output with the new batch_stats.

Where maps are of several cosmologies, G takes the standardised parameters t behind z, and D is a projection
discriminator (Miyato & Koyama 2018, arXiv:1802.05637), with t in place of their one-hot labels:

    G(z, t) = G([z, t]),    D(x, t) = psi(phi(x)) + t . V phi(x)

phi(x) is the last convolution, flattened, psi the dense layer of Table 2, V a matrix without a bias. It is the
form of the optimal logit, ln p(t|x)/q(t|x) + ln p(x)/q(x), where t given x is normal, of one covariance in real
and generated maps: the first term is then linear in t.
"""

import dataclasses
import functools
from collections.abc import Callable

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from cosmogan_jax.emulators.dcgan.architecture import Architecture
from cosmogan_jax.emulators.dcgan.borders import feature_ranges
from cosmogan_jax.layers.convolutions import Form, Products, strided_convolution, transposed_convolution
from cosmogan_jax.layers.initialisation import Variables, fresh_variables

# The authors' code (not the paper): initial weights normal with sigma 0.02, truncated at two of them in strided
# convolutions but not in transposed ones and dense layers; biases 0; batch norm with epsilon 1e-5 and running
# averages of decay 0.9.
INITIAL_SIGMA = 0.02
BATCH_NORM_EPSILON = 1e-5
BATCH_NORM_DECAY = 0.9
LEAKY_RELU_SLOPE = 0.2  # Table 2

_HIDDEN = "intermediates"

_normal_init = nn.initializers.normal(INITIAL_SIGMA, jnp.float32)
# jax's truncated_normal, like TensorFlow's, cuts a normal of this sigma at two sigma and does not widen it
# again: the weights' own standard deviation is 0.88 of it, 0.0176.
_truncated_init = nn.initializers.truncated_normal(INITIAL_SIGMA, jnp.float32)


class _Conv(nn.Module):
    """A 5x5 stride-2 convolution, plain or transposed, with a bias."""

    convolution: Callable[[Array, Array, Form, Products], Array]
    kernel_init: nn.initializers.Initializer
    arch: Architecture
    features: int

    @nn.compact
    def __call__(self, x):
        kernel = self.param("kernel", self.kernel_init, (5, 5, x.shape[-1], self.features))
        bias = self.param("bias", nn.initializers.zeros, (self.features,), jnp.float32)
        return self.convolution(x, kernel, self.arch.convolution_form, self.arch.products) + bias


_StridedConv = functools.partial(_Conv, strided_convolution, _truncated_init)
_TransposedConv = functools.partial(_Conv, transposed_convolution, _normal_init)


def _batch_norm(train: bool, name: str) -> nn.BatchNorm:
    return nn.BatchNorm(
        use_running_average=not train, momentum=BATCH_NORM_DECAY, epsilon=BATCH_NORM_EPSILON, name=name
    )


class _Generator(nn.Module):
    arch: Architecture

    @nn.compact
    def __call__(self, z, t=None, *, train: bool):
        a = self.arch
        z = z if t is None else jnp.concatenate([z, t], -1)
        ranges = feature_ranges(a.map_size, a.num_layers, a.borders)

        def within(x, layer):
            """Cut what is wanted after a layer out of all that the layer makes of the range before it."""
            (before, _), (first, stop) = ranges[layer - 1 : layer + 1]
            kept = slice(first - 2 * before, stop - 2 * before)
            return x[:, kept, kept]

        features = a.features(a.num_layers)
        x = nn.Dense(a.base_size**2 * features, kernel_init=_normal_init, name="dense")(z)
        x = x.reshape(-1, a.base_size, a.base_size, features)
        x = nn.relu(_batch_norm(train, "bn0")(x))
        for i, layer in enumerate(range(a.num_layers - 1, 0, -1), start=1):
            x = within(_TransposedConv(a, a.features(layer), name=f"deconv{i}")(x), i)
            x = nn.relu(_batch_norm(train, f"bn{i}")(x))
        x = _TransposedConv(a, a.num_bins, name=f"deconv{a.num_layers}")(x)
        x = nn.tanh(within(x, a.num_layers))
        return x[..., 0] if a.num_bins == 1 else x


class _Discriminator(nn.Module):
    arch: Architecture

    @nn.compact
    def __call__(self, x, t=None, *, train: bool):
        a = self.arch
        x = x[..., None] if a.num_bins == 1 else x
        for layer in range(1, a.num_layers + 1):
            x = _StridedConv(a, a.features(layer), name=f"conv{layer}")(x)
            if layer > 1 and a.disc_norm == "batch":
                x = _batch_norm(train, f"bn{layer}")(x)
            x = nn.leaky_relu(x, LEAKY_RELU_SLOPE)
        x = x.reshape(x.shape[0], -1)
        self.sow(_HIDDEN, "last_convolution", x)  # kept only where it is asked for
        logits = nn.Dense(1, kernel_init=_normal_init, name="dense")(x)[:, 0]
        if t is None:
            return logits
        of_map = nn.Dense(t.shape[-1], use_bias=False, kernel_init=_normal_init, name="projection")(x)
        return logits + (t * of_map).sum(-1)


@dataclasses.dataclass(frozen=True)
class Network:
    """A pair of pure functions around one Flax Linen module; num_parameters: of those it is conditioned on."""

    module: nn.Module
    input_shape: tuple[int, ...]
    matmul_precision: str = "float32"
    remat: bool = False
    num_parameters: int = 0

    def init(self, key: Array) -> tuple[Variables, Variables]:
        """Make fresh (params, batch_stats) in float32; an empty batch_stats without batch norm."""
        shapes: tuple[tuple[int, ...], ...] = ((2, *self.input_shape),)
        if self.num_parameters:
            shapes = (*shapes, (2, self.num_parameters))
        variables = fresh_variables(self.module, shapes, (("train", True),), key)
        return variables["params"], variables.get("batch_stats", {})

    def apply(
        self,
        params: Variables,
        batch_stats: Variables,
        x: Float[Array, "batch ..."],
        t: Float[Array, "batch parameters"] | None = None,
        *,
        train: bool,
    ) -> tuple[Array, Variables]:
        """Compute the output, and batch_stats after the pass.

        With train=True the batch is normalised by its own mean and variance, and batch_stats move
        towards them; with train=False the running averages normalise and come back unchanged.

        Args:
          t: standardised parameters; None where the network is conditioned on nothing.

        Raises:
          ValueError: t of another number of parameters than the network's.
        """
        num_parameters = 0 if t is None else t.shape[-1]
        if num_parameters != self.num_parameters:
            raise ValueError(
                f"t of {num_parameters} parameters must be of {self.num_parameters}, the network's own"
            )

        def sampled(params, batch_stats, x, *t):
            return self.module.apply(
                {"params": params, "batch_stats": batch_stats}, x, *t, train=False
            ), batch_stats

        def trained(params, batch_stats, x, *t):
            variables = {"params": params, "batch_stats": batch_stats}
            y, updates = self.module.apply(variables, x, *t, train=True, mutable=["batch_stats"])
            return y, updates.get("batch_stats", {})

        evaluate = trained if train else sampled
        if train and self.remat:
            evaluate = jax.checkpoint(evaluate)
        with jax.default_matmul_precision(self.matmul_precision):
            return evaluate(params, batch_stats, x, *(() if t is None else (t,)))

    def last_convolution(
        self, params: Variables, batch_stats: Variables, x: Float[Array, "batch size size *bins"]
    ) -> Float[Array, "batch features"]:
        """Compute phi, a discriminator's last convolution as its dense layer sees it, whatever the parameters.

        After batch norm (by the running averages) and leaky ReLU, flattened; 16^2 x 512 numbers a map at the
        paper's size.
        """
        with jax.default_matmul_precision(self.matmul_precision):
            variables = {"params": params, "batch_stats": batch_stats}
            _, kept = self.module.apply(variables, x, train=False, mutable=[_HIDDEN])
            return kept[_HIDDEN]["last_convolution"][0]


@dataclasses.dataclass(frozen=True)
class Networks:
    """Both networks: gen maps z (batch, latent) to maps in (-1, 1); disc maps maps to logits (batch,).

    Maps have a last axis of source bins where the architecture has several. Either network takes as many
    standardised parameters beside as both are conditioned on.
    """

    arch: Architecture
    gen: Network
    disc: Network

    @property
    def num_parameters(self) -> int:
        """Count the parameters that both are conditioned on."""
        return self.gen.num_parameters


def build_networks(arch: Architecture, num_parameters: int = 0) -> Networks:
    """Build generator (Table 1) and discriminator (Table 2) of the given size.

    A bias stands in every dense and convolutional layer, also before a batch norm, as in the authors'
    code: 12,824,449 and 4,436,225 trainable parameters at the paper's size. A canvas adds 3,494,400 to the
    dense layer (19^2 instead of 16^2 features) and 24 % to the generator's operations; a parameter that they
    are conditioned on 131,072 to either network; a source bin beside the first 1601 to G's last layer and 1600
    to D's first.
    """
    return Networks(
        arch,
        gen=Network(
            _Generator(arch),
            (arch.latent_size,),
            arch.matmul_precision,
            arch.remat in ("generator", "both"),
            num_parameters,
        ),
        disc=Network(
            _Discriminator(arch),
            arch.map_shape,
            arch.matmul_precision,
            arch.remat == "both",
            num_parameters,
        ),
    )
