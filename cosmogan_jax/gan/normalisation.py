"""Invertible transforms between convergence and what the networks see."""

from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float


class Normalisation(NamedTuple):
    """kind "none": x = kappa (the paper); "linear": x = kappa/scale; "arcsinh": x = arcsinh(kappa/scale)/3."""

    kind: str
    scale: float

    def forward(self, kappa: Float[Array, "..."]) -> Float[Array, "..."]:
        """Convergence to network units."""
        if self.kind == "linear":
            return kappa / self.scale
        if self.kind == "arcsinh":
            return jnp.arcsinh(kappa / self.scale) / 3
        return kappa

    def inverse(self, x: Float[Array, "..."]) -> Float[Array, "..."]:
        """Network units to convergence."""
        if self.kind == "linear":
            return x * self.scale
        if self.kind == "arcsinh":
            return self.scale * jnp.sinh(3 * x)
        return x
