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
_STEADY = 1e-3  # added to the scatter of averages of order 1: what does not vary is not blown up

Variables = Any


class _Classifier(nn.Module):
    """Convolutions; every layer's features are averaged over the map, so that small scales reach the logit.

    No layer normalises: a normalisation would divide out of each map the amplitudes that the classifier is to
    measure. What the averages have in common from map to map, which is most of them, is taken off by constants
    (`Classifier.standardised`): 5 % of an average are learnt slowly, one of its standard deviations is not.
    """

    num_layers: int
    num_filters: int

    @nn.compact
    def __call__(self, x, averages_only=False):
        x, pooled = x[..., None] if x.ndim == 3 else x, []
        for layer in range(1, self.num_layers + 1):
            kernel_shape = (5, 5, x.shape[-1], self.num_filters * 2 ** (layer - 1))
            kernel = self.param(f"kernel{layer}", nn.initializers.he_normal(dtype=jnp.float32), kernel_shape)
            bias = self.param(f"bias{layer}", nn.initializers.zeros, kernel_shape[-1:], jnp.float32)
            x = nn.leaky_relu(strided_convolution(x, kernel) + bias, LEAKY_RELU_SLOPE)
            pooled.append(x.mean((1, 2)))
        averages = jnp.concatenate(pooled, -1)
        centre = self.param("centre", nn.initializers.zeros, averages.shape[-1:], jnp.float32)
        scale = self.param("scale", nn.initializers.ones, averages.shape[-1:], jnp.float32)
        centre, scale = jax.lax.stop_gradient((centre, scale))
        if averages_only:
            return averages
        features = nn.Dense(2 * self.num_filters, name="dense")((averages - centre) * scale)
        # Leaky too: where there is nothing to learn, plain ones may all end at 0, and the logit is a constant.
        features = nn.leaky_relu(features, LEAKY_RELU_SLOPE)
        # Weights of 0: the untrained classifier has no opinion.
        return nn.Dense(1, kernel_init=nn.initializers.zeros, name="logit")(features)[..., 0]


@dataclasses.dataclass(frozen=True)
class Classifier:
    """Pure functions of a small network that tells two sets of maps apart; it has no batch statistics.

    Attributes:
      map_size: pixels on a side of the maps; divisible by 2**num_layers.
      num_layers, num_filters: 5x5 stride-2 convolutions, and features of the first; doubled at every layer.
      num_bins: source bins, the last axis of the maps, which are its channels; None of maps without that axis.
    """

    map_size: int
    num_layers: int
    num_filters: int
    num_bins: int | None = None

    def __post_init__(self):
        if self.map_size % 2**self.num_layers:
            raise ValueError(
                f"map_size={self.map_size} must be divisible by 2**num_layers={2**self.num_layers}"
            )

    @property
    def _module(self) -> nn.Module:
        return _Classifier(self.num_layers, self.num_filters)

    def init(self, key: Array) -> Variables:
        """Return fresh parameters in float32."""
        bins = () if self.num_bins is None else (self.num_bins,)
        return fresh_variables(self._module, ((1, self.map_size, self.map_size, *bins),), (), key)["params"]

    def standardised(self, params: Variables, x: Float[Array, "batch size size *bins"]) -> Variables:
        """Return parameters with which the averages over these maps have mean 0 and variance 1."""
        with jax.default_matmul_precision("float32"):
            averages = self._module.apply({"params": params}, x, averages_only=True)
        assert isinstance(averages, Array)
        scale = 1 / (averages.std(0) + _STEADY)
        return {**params, "centre": averages.mean(0), "scale": scale}

    def apply(self, params: Variables, x: Float[Array, "batch size size *bins"]) -> Float[Array, " batch"]:
        """Return a logit for each standardised map, positive where it looks like one of the first set."""
        with jax.default_matmul_precision("float32"):
            logits = self._module.apply({"params": params}, x)
        assert isinstance(logits, Array)
        return logits
