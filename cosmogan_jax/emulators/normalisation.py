"""Invertible transforms between convergence and what the networks see."""

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float

KINDS = ("none", "linear", "arcsinh")


class Normalisation(NamedTuple):
    """kind "none": x = kappa (the paper); "linear": x = kappa/scale; "arcsinh": x = arcsinh(kappa/scale)/3."""

    kind: str
    scale: float

    @classmethod
    def of(cls, said: Mapping[str, Any]) -> "Normalisation":
        """From {"kind", "scale"} as a manifest or card says it.

        Raises:
          ValueError: another kind, a scale that is not positive and finite, or other fields.
        """
        if said.keys() != {"kind", "scale"} or said["kind"] not in KINDS:
            raise ValueError(
                f"normalisation={dict(said)} is not a scale and one of the kinds {', '.join(KINDS)}"
            )
        if not 0 < said["scale"] < math.inf:
            raise ValueError(f"normalisation scale={said['scale']} must be positive and finite")
        return cls(said["kind"], said["scale"])

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
