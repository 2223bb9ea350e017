"""The network of the classifier that tells two sets of maps apart."""

import dataclasses
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from cosmogan_jax.layers.convolutions import strided_convolution
from cosmogan_jax.layers.initialisation import fresh_variables

LEAKY_RELU_SLOPE = 0.2

Variables = Any


class _Classifier(nn.Module):
    """Convolutions; every layer's features are averaged over the map, so that small scales reach the logit.

    No layer normalises: a normalisation would divide out of each map the amplitudes that the classifier is to
    measure.
    """

    num_layers: int
    num_filters: int

    @nn.compact
    def __call__(self, x):
        x, pooled = x[..., None], []
        for layer in range(1, self.num_layers + 1):
            kernel_shape = (5, 5, x.shape[-1], self.num_filters * 2 ** (layer - 1))
            kernel = self.param(f"kernel{layer}", nn.initializers.he_normal(dtype=jnp.float32), kernel_shape)
            bias = self.param(f"bias{layer}", nn.initializers.zeros, kernel_shape[-1:], jnp.float32)
            x = nn.leaky_relu(strided_convolution(x, kernel) + bias, LEAKY_RELU_SLOPE)
            pooled.append(x.mean((1, 2)))
        features = nn.relu(nn.Dense(2 * self.num_filters, name="dense")(jnp.concatenate(pooled, -1)))
        # Weights of 0: the untrained classifier has no opinion.
        return nn.Dense(1, kernel_init=nn.initializers.zeros, name="logit")(features)[..., 0]


@dataclasses.dataclass(frozen=True)
class Classifier:
    """Pure functions of a small network that tells two sets of maps apart; it has no batch statistics.

    Attributes:
      map_size: pixels on a side of the maps; divisible by 2**num_layers.
      num_layers, num_filters: 5x5 stride-2 convolutions, and features of the first; doubled at every layer.
    """

    map_size: int
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
        return fresh_variables(self._module, ((1, self.map_size, self.map_size),), (), key)["params"]

    def apply(self, params: Variables, x: Float[Array, "batch size size"]) -> Float[Array, " batch"]:
        """A logit for each standardised map, positive where it looks like one of the first set."""
        with jax.default_matmul_precision("float32"):
            logits = self._module.apply({"params": params}, x)
        assert isinstance(logits, Array)
        return logits
