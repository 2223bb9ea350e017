"""A batch of maps as a training step takes it."""

from typing import NamedTuple

from jaxtyping import Array, Float


class Batch(NamedTuple):
    """Maps, and the parameters that each of them is conditioned on.

    Attributes:
      kappa: maps with a last axis of source bins (one where maps are of one source redshift).
      theta: parameters of every map, in the order that the run names them; no column where it names none.
    """

    kappa: Float[Array, "batch size size bins"]
    theta: Float[Array, "batch parameters"]
