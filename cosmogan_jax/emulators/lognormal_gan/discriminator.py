"""The discriminator: pooled features of strided convolutions, standardised, and a spectral branch.

Pooling makes it blind to where in a map something lies, as the sky is; what a pooled feature has in common from
map to map, which is most of it, is taken off by running means over real maps. Without that D stands at chance.
"""

import dataclasses
from typing import NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from cosmogan_jax.emulators.conditioning import ONE, Cosmologies
from cosmogan_jax.layers.convolutions import strided_convolution
from cosmogan_jax.layers.initialisation import Variables, fresh_variables

LEAKY_RELU_SLOPE = 0.2
_HIDDEN, _HIDDEN_OF_BANDS = 64, 32
_STEADY = 1e-5
_LARGEST_BAND = 5.0
_SQUARES = 0.7  # of a squared band of variance 1, so that it weighs as the band itself does
_START_OF_LOGIT = 0.09  # of He's variance


class Standard(NamedTuple):
    """Running mean and variance of every pooled feature over real maps; slopes of the mean in phi[1:]."""

    mean: Float[Array, " features"]
    variance: Float[Array, " features"]
    slopes: Float[Array, "slopes features"] | None = None

    def expected(self, phi: Float[Array, "batch terms"] | None) -> Array:
        """Return the mean over real maps; of these cosmologies where it has slopes."""
        if self.slopes is None or phi is None:
            return self.mean
        return self.mean + phi[:, 1:] @ self.slopes

    def standardised(
        self, features: Float[Array, "batch features"], phi: Float[Array, "batch terms"] | None = None
    ) -> Float[Array, "batch features"]:
        """Return features at mean 0 and variance 1 over real maps, of the same cosmology where phi is given."""
        return (features - self.expected(phi)) / jnp.sqrt(self.variance + _STEADY)


def _he(gain: float) -> nn.initializers.Initializer:
    return nn.initializers.variance_scaling(2.0 * gain, "fan_in", "normal", dtype=jnp.float32)


def _leaky(x: Array) -> Array:
    return nn.leaky_relu(x, LEAKY_RELU_SLOPE)


class _Pooled(nn.Module):
    num_layers: int
    num_filters: int

    @nn.compact
    def __call__(self, x):
        x, pooled = x[..., None] if x.ndim == 3 else x, []
        for layer in range(1, self.num_layers + 1):
            shape = (5, 5, x.shape[-1], self.num_filters * 2 ** (layer - 1))
            kernel = self.param(f"kernel{layer}", _he(1.0), shape)
            bias = self.param(f"bias{layer}", nn.initializers.zeros, shape[-1:], jnp.float32)
            x = _leaky(strided_convolution(x, kernel) + bias)
            pooled.append(x.mean((1, 2)))
            pooled.append(jnp.sqrt((x**2).mean((1, 2)) + 1e-4))
            if layer < self.num_layers:  # of the last, a few pixels are left, whose largest is no tail
                pooled.append(x.max((1, 2)))
        return jnp.concatenate(pooled, -1)


class _Head(nn.Module):
    hidden: int

    @nn.compact
    def __call__(self, x):
        x = _leaky(nn.Dense(self.hidden, kernel_init=_he(1.0), name="dense")(x))
        return nn.Dense(1, kernel_init=_he(_START_OF_LOGIT), name="logit")(x)[..., 0]


@dataclasses.dataclass(frozen=True)
class Discriminator:
    """Pure functions; parameters are {"pooled", "pixels", "bands"}.

    Maps of one channel have no axis of channels; of several bins a map has more than these (`units.judged`).
    """

    size: int
    num_layers: int
    num_filters: int
    num_bands: int
    num_parameters: int = 0
    num_channels: int = 1

    def __post_init__(self):
        if self.size % 2**self.num_layers:
            raise ValueError(
                f"size={self.size} of the discriminator's maps must be divisible by {2**self.num_layers}"
            )

    @property
    def num_features(self) -> int:
        """Count the pooled features of a map."""
        filters = [self.num_filters * 2**layer for layer in range(self.num_layers)]
        return 3 * sum(filters) - filters[-1]

    def init(self, key: Array) -> Variables:
        """Make fresh parameters in float32."""
        keys = jax.random.split(key, 3)
        channels = () if self.num_channels == 1 else (self.num_channels,)
        heads = {
            "pooled": (self._pooled, (1, self.size, self.size, *channels)),
            "pixels": (_Head(_HIDDEN), (1, self.num_features + self.num_parameters)),
            "bands": (_Head(_HIDDEN_OF_BANDS), (1, 2 * self.num_bands + self.num_parameters)),
        }
        return {
            name: fresh_variables(module, (shape,), (), k)["params"]
            for k, (name, (module, shape)) in zip(keys, heads.items())
        }

    @property
    def _pooled(self) -> nn.Module:
        return _Pooled(self.num_layers, self.num_filters)

    def pooled(
        self, params: Variables, x: Float[Array, "batch size size *channels"]
    ) -> Float[Array, "batch features"]:
        """Compute mean, root mean square and maximum of every layer's features over the map."""
        return _applied(self._pooled, params["pooled"], x)

    def of_pixels(
        self,
        params: Variables,
        x: Float[Array, "batch size size *channels"],
        standard: Standard,
        cosmologies: Cosmologies = ONE,
    ) -> Float[Array, " batch"]:
        """Compute the logit that a map's pixels give."""
        return self.of_features(params, self.pooled(params, x), standard, cosmologies)

    def of_features(
        self,
        params: Variables,
        features: Float[Array, "batch features"],
        standard: Standard,
        cosmologies: Cosmologies = ONE,
    ) -> Float[Array, " batch"]:
        """Compute the logit that pooled features give."""
        return _applied(
            _Head(_HIDDEN),
            params["pixels"],
            cosmologies.beside(standard.standardised(features, cosmologies.phi)),
        )

    def of_bands(
        self, params: Variables, whitened: Float[Array, "batch bands"], cosmologies: Cosmologies = ONE
    ) -> Float[Array, " batch"]:
        """Compute the logit of the whitened log power of a map's bands, of them and of their squares."""
        squares = _SQUARES * (jnp.clip(whitened, -_LARGEST_BAND, _LARGEST_BAND) ** 2 - 1)
        both = jnp.concatenate([whitened, squares], -1)
        return _applied(_Head(_HIDDEN_OF_BANDS), params["bands"], cosmologies.beside(both))


def _applied(module: nn.Module, params: Variables, x: Array) -> Array:
    output = module.apply({"params": params}, x)
    assert isinstance(output, Array)
    return output
