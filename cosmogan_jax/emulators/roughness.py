"""The scale of training maps' roughness (`summaries/roughness.py`), for the loss that matches how it varies."""

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from cosmogan_jax.emulators.trends import without_trend
from cosmogan_jax.summaries.roughness import NUM_ROUGHNESSES, log_squared_gradients


class RoughnessScale(NamedTuple):
    """Centre and deviation of each number over training maps; slopes in what their cosmology is regressed on.

    offset: by how much more is expected of certain maps.
    """

    centre: Float[Array, " roughnesses"]
    deviation: Float[Array, " roughnesses"]
    slopes: Float[Array, "terms roughnesses"] | None = None
    offset: Float[Array, "batch roughnesses"] | None = None

    def at(self, phi: Float[Array, "batch terms"]) -> "RoughnessScale":
        """Return the scale of maps of these cosmologies, whose regressors phi begin with a constant."""
        return self if self.slopes is None else self._replace(offset=phi[:, 1:] @ self.slopes)

    def about(self, x: Float[Array, "batch size size"]) -> "RoughnessScale":
        """Return the scale about these maps' own means; of products no bias is left (as `MapScale.about`)."""
        centre = self._less(log_squared_gradients(x)).mean(0)
        lost = np.sqrt(1 - 1 / max(len(x), 2))
        return self._replace(centre=centre, deviation=lost * self.deviation)

    def standardised(self, roughness: Float[Array, "batch roughnesses"]) -> Float[Array, "batch roughnesses"]:
        """Return each number at mean 0 and variance 1 over maps of its cosmology."""
        return (self._less(roughness) - self.centre) / self.deviation

    def _less(self, roughness: Array) -> Array:
        return roughness if self.offset is None else roughness - self.offset


def unmeasured(num_slopes: int = 0) -> RoughnessScale:
    """Return a scale of the shapes that `scale_of` gives."""
    slopes = jnp.zeros((num_slopes, NUM_ROUGHNESSES)) if num_slopes else None
    return RoughnessScale(jnp.zeros(NUM_ROUGHNESSES), jnp.ones(NUM_ROUGHNESSES), slopes)


def scale_of(
    roughness: Float[np.ndarray, "maps roughnesses"], phi: Float[np.ndarray, "maps terms"] | None = None
) -> RoughnessScale:
    """Return the scale of training maps of this roughness; phi: as `bands.scale_of`."""
    values, slopes = without_trend(roughness, phi)
    # What does not vary is not divided by nothing.
    deviation = np.maximum(values.std(0), 1e-6)
    of_cosmology = jnp.asarray(slopes, jnp.float32) if len(slopes) else None
    centre, deviation = (jnp.asarray(v, jnp.float32) for v in (values.mean(0), deviation))
    return RoughnessScale(centre, deviation, of_cosmology)
