"""The explicit state of a lognormal GAN's training."""

import flax.struct
import optax
from jaxtyping import Array, Float, Int

from cosmogan_jax.emulators.lognormal_gan.base import Base
from cosmogan_jax.emulators.lognormal_gan.conditional_base import ConditionalBase
from cosmogan_jax.emulators.lognormal_gan.discriminator import Standard
from cosmogan_jax.emulators.lognormal_gan.joint_base import JointBase
from cosmogan_jax.emulators.matched_statistics import AnyScale
from cosmogan_jax.emulators.matching import Targets
from cosmogan_jax.layers.initialisation import Variables


@flax.struct.dataclass
class NetState:
    """One network's parameters and the state of its optimizer."""

    params: Variables
    opt_state: optax.OptState


@flax.struct.dataclass
class LognormalGanState:
    """All that a step reads and writes. Randomness of step n is fold_in(key, n): resuming needs no history.

    base, scale and targets are measured on the training maps before the first step; scale and targets then
    stay, and the base's fields follow the power that generated maps lack (`following.py`). running holds the
    generated maps' running means of what is matched, standard those of D's pooled features over real maps,
    replayed the last generated maps, replayed_theta their parameters (None where all maps are of one
    cosmology), ema the moving average of gen's parameters (None where none is kept).
    """

    step: Int[Array, ""]
    key: Array
    base: Base | JointBase | ConditionalBase
    scale: AnyScale
    targets: Targets
    gen: NetState
    disc: NetState
    standard: Standard
    running: Float[Array, "*terms numbers"]
    replayed: Float[Array, "maps size size *bins"]
    ema: Variables | None = None
    replayed_theta: Float[Array, "maps parameters"] | None = None
