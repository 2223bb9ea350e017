"""Invertible transforms between convergence and what the networks see."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from cosmogan_jax.maps.parameters import is_value

KINDS = ("none", "linear", "arcsinh")


class Normalisation(NamedTuple):
    """kind "none": x = kappa (the paper); "linear": x = kappa/scale; "arcsinh": x = arcsinh(kappa/scale)/3.

    scale: one for all source bins, or of each, the last axis of kappa and x.
    """

    kind: str
    scale: float | tuple[float, ...]

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> "Normalisation":
        """Read {"kind", "scale"} as a manifest or card says it.

        Raises:
          ValueError: another kind, a scale that is not positive and finite, or one of them, or other fields.
        """
        if content.keys() != {"kind", "scale"} or content["kind"] not in KINDS:
            raise ValueError(
                f"normalisation={dict(content)} is not a scale and one of the kinds {', '.join(KINDS)}"
            )
        scale, of_bins = content["scale"], isinstance(content["scale"], list)
        scales = scale if of_bins else [scale]
        if not scales or not all(is_value(number) and number > 0 for number in scales):
            raise ValueError(f"normalisation scale={scale} must be positive and finite")
        return cls(content["kind"], tuple(scale) if of_bins else scale)

    def check_bins(self, num_bins: int) -> None:
        """Raise ValueError for scales of another number of source bins than these."""
        if isinstance(self.scale, tuple) and len(self.scale) != num_bins:
            shown = ",".join(f"{scale:g}" for scale in self.scale)
            raise ValueError(f"scales {shown} of the normalisation are not those of {num_bins} source bins")

    def relative(self) -> "Normalisation":
        """Return what takes kappa to units in which the bins' scales are alike, those of the first bin."""
        if not isinstance(self.scale, tuple):
            return Normalisation("none", 1.0)
        return Normalisation("linear", tuple(scale / self.scale[0] for scale in self.scale))

    def forward(self, kappa: Float[Array, "..."]) -> Float[Array, "..."]:
        """Convert convergence to network units; bins are the last axis where each has its scale."""
        if self.kind == "linear":
            return kappa / self._scale_of(kappa)
        if self.kind == "arcsinh":
            return jnp.arcsinh(kappa / self._scale_of(kappa)) / 3
        return kappa

    def inverse(self, x: Float[Array, "..."]) -> Float[Array, "..."]:
        """Convert network units to convergence."""
        if self.kind == "linear":
            return x * self._scale_of(x)
        if self.kind == "arcsinh":
            return self._scale_of(x) * jnp.sinh(3 * x)
        return x

    def _scale_of(self, maps: Array) -> Any:
        return np.asarray(self.scale, maps.dtype) if isinstance(self.scale, tuple) else self.scale
