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
    def from_json(cls, content: Mapping[str, Any]) -> "Normalisation":
        """Read {"kind", "scale"} as a manifest or card says it.

        Raises:
          ValueError: another kind, a scale that is not positive and finite, or other fields.
        """
        if content.keys() != {"kind", "scale"} or content["kind"] not in KINDS:
            raise ValueError(
                f"normalisation={dict(content)} is not a scale and one of the kinds {', '.join(KINDS)}"
            )
        if not 0 < content["scale"] < math.inf:
            raise ValueError(f"normalisation scale={content['scale']} must be positive and finite")
        return cls(content["kind"], content["scale"])

    def forward(self, kappa: Float[Array, "..."]) -> Float[Array, "..."]:
        """Convert convergence to network units."""
        if self.kind == "linear":
            return kappa / self.scale
        if self.kind == "arcsinh":
            return jnp.arcsinh(kappa / self.scale) / 3
        return kappa

    def inverse(self, x: Float[Array, "..."]) -> Float[Array, "..."]:
        """Convert network units to convergence."""
        if self.kind == "linear":
            return x * self.scale
        if self.kind == "arcsinh":
            return self.scale * jnp.sinh(3 * x)
        return x
