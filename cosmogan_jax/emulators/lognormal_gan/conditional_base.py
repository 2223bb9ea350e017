"""All that the base at any cosmology is made of, of one source bin or of several."""

from typing import NamedTuple

from cosmogan_jax.emulators.conditioning import Conditioning
from cosmogan_jax.emulators.lognormal_gan.base_of_theta import BaseOfTheta, ErrorsLeftOut
from cosmogan_jax.emulators.lognormal_gan.joint_base_of_theta import JointBaseOfTheta


class ConditionalBase(NamedTuple):
    """All that the base at any cosmology is made of, and goes with the emulator."""

    conditioning: Conditioning
    coefficients: BaseOfTheta | JointBaseOfTheta
    left_out: ErrorsLeftOut
