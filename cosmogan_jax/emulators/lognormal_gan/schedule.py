"""Rates of a lognormal GAN's training, which rise, stay, and fall along a cosine to a small share."""

import jax.numpy as jnp
import optax
from jaxtyping import Array, Float

from cosmogan_jax.settings import Train

_RATE_AT_THE_END = 0.005
_MATCHING_AT_THE_END = 0.2


def learning_rate(peak: float, settings: Train) -> optax.Schedule:
    """Return a rate that rises over the warm-up and falls from decay_from_step to decay_to_step, to 0.5 %."""
    warm_up = max(settings.of_kind.warm_up_steps, 1)

    def rate(step):
        return peak * jnp.minimum(1.0, (step + 1.0) / warm_up) * _fall(step, settings, _RATE_AT_THE_END)

    return rate


def matching_rate(step: Array, settings: Train) -> Float[Array, ""]:
    """Return the rate of running means: down to a fifth where G hardly changes, and means may know more."""
    return settings.of_kind.match_rate * _fall(step, settings, _MATCHING_AT_THE_END)


def _fall(step, settings, end):
    own = settings.of_kind
    x = jnp.clip((step - own.decay_from_step) / (own.decay_to_step - own.decay_from_step), 0.0, 1.0)
    return end + (1 - end) * 0.5 * (1 + jnp.cos(jnp.pi * x))
