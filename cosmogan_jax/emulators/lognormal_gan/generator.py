"""The generator: valid 3x3 convolutions that turn base and noise into a map, the same at every pixel.

    kappa = y (1 + a) + b + sum_k c_k m_k

with y the lognormal base, m_k the modulated noise, and a, b, c_k what the network makes of a pixel's
surroundings. At the start a = b = 0. No padding and no normalisation: a map's law is stationary by
construction.

Of several source bins the network is given the inputs of all and makes a, b and c_k of each: what is seen in
one bin may change another.

Where maps are of several cosmologies, h (1 + t W) + t V takes the place of a layer's features h before they are
rectified (FiLM, Perez et al. 2018), t being the standardised parameters, and t U is added to a, b and c_k; W, V
and U are 0 at the start.
"""

import dataclasses

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from cosmogan_jax.emulators.lognormal_gan.fields import Inputs, Scales
from cosmogan_jax.layers.initialisation import Variables, fresh_variables
from cosmogan_jax.layers.narrow_convolutions import dilated, narrow_convolution

START_OF_NOISE = 0.35  # c_k
_RESIDUAL_GAIN = 0.25  # of He's variance: every layer adds to what is there


def _start_of_outputs(num_bins):
    def start(_key, shape, dtype):
        if num_bins == 1:
            return jnp.zeros(shape, dtype).at[2:].set(START_OF_NOISE)
        return jnp.zeros((num_bins, shape[0] // num_bins), dtype).at[:, 2:].set(START_OF_NOISE).reshape(shape)

    return start


class _Convolution(nn.Module):
    """3x3 taps so many pixels apart, valid, with a bias; weights of `gain` times He's variance."""

    num_features: int
    gain: float
    apart: int = 1

    @nn.compact
    def __call__(self, x):
        he = nn.initializers.variance_scaling(2.0 * self.gain, "fan_in", "normal", dtype=jnp.float32)
        kernel = self.param("kernel", he, (3, 3, x.shape[-1], self.num_features))
        y = narrow_convolution(x, kernel) if self.apart == 1 else dilated(x, kernel, self.apart)
        return y + self.param("bias", nn.initializers.zeros, (self.num_features,), jnp.float32)


class _Generator(nn.Module):
    num_layers: int
    num_channels: int
    octaves: int
    num_bins: int

    @nn.compact
    def __call__(self, features, t):
        def of_t(num_features, name):
            """A number a map and feature, linear in t; 0 at the start."""
            dense = nn.Dense(num_features, use_bias=False, kernel_init=nn.initializers.zeros, name=name)
            return dense(t)[:, None, None]

        def modulated(h, layer):
            if not t.shape[-1]:
                return h
            return h * (1 + of_t(self.num_channels, f"scale{layer}")) + of_t(self.num_channels, f"shift{layer}")

        h = _Convolution(self.num_channels, 1.0, name="conv1")(features)
        for layer in range(2, self.num_layers + 1):
            apart = reach(layer, self.octaves)
            convolution = _Convolution(self.num_channels, _RESIDUAL_GAIN, apart, name=f"conv{layer}")
            more = convolution(nn.silu(modulated(h, layer)))
            h = h[:, apart:-apart, apart:-apart] + more
        num_outputs = self.num_bins * (2 + len(Scales(self.octaves).noises))
        outputs = nn.Dense(
            num_outputs,
            kernel_init=nn.initializers.zeros,
            bias_init=_start_of_outputs(self.num_bins),
            name="outputs",
        )(nn.silu(modulated(h, self.num_layers + 1)))
        return outputs + of_t(num_outputs, "outputs_of_t") if t.shape[-1] else outputs


def reach(layer: int, octaves: int) -> int:
    """Return pixels between the taps of a layer's kernel: 1 in two layers, then doubled `octaves` times."""
    return 2 ** min(max(layer - 2, 0), octaves)


@dataclasses.dataclass(frozen=True)
class Generator:
    """Pure functions of the network; it sees `edge` pixels further than its maps on every side."""

    num_layers: int
    num_channels: int
    octaves: int = 0
    num_parameters: int = 0
    num_bins: int = 1

    @property
    def edge(self) -> int:
        """Add up the reach of all layers."""
        return sum(reach(layer, self.octaves) for layer in range(1, self.num_layers + 1))

    @property
    def _module(self) -> nn.Module:
        return _Generator(self.num_layers, self.num_channels, self.octaves, self.num_bins)

    def init(self, key: Array) -> Variables:
        """Make fresh parameters in float32."""
        shape = (1, 2 * self.edge + 1, 2 * self.edge + 1, Scales(self.octaves).inputs_of(self.num_bins))
        return fresh_variables(self._module, (shape, (1, self.num_parameters)), (), key)["params"]

    def apply(
        self, params: Variables, fields: Inputs, t: Float[Array, "batch parameters"] | None = None
    ) -> Float[Array, "batch height width *bins"]:
        """Make maps in units of the maps' sigma, about a mean of 0; t: standardised parameters, if any.

        One bin has no axis.
        """
        t = jnp.zeros((len(fields.features), 0)) if t is None else t
        with jax.default_matmul_precision("float32"):
            out = self._module.apply({"params": params}, fields.features, t)
        assert isinstance(out, Array)
        if self.num_bins > 1:
            out = out.reshape(*out.shape[:-1], self.num_bins, -1)
        edge = slice(self.edge, -self.edge)
        y, noise = fields.base[:, edge, edge], fields.noise[:, edge, edge]
        return y * (1 + out[..., 0]) + out[..., 1] + (noise * out[..., 2:]).sum(-1)
