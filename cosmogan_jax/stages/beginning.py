"""The state before the first step, with what a kind of emulator measures on the training maps."""

import dataclasses
from collections.abc import Iterator

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from cosmogan_jax.emulators.interface import Engine, State
from cosmogan_jax.emulators.normalisation import Normalisation
from cosmogan_jax.storage.crop_table import CropTable

# Enough that what is measured is uncertain by the number of simulated boxes, not by that of their crops.
_MOST_CROPS = 16384
_TOGETHER = 512


@dataclasses.dataclass(frozen=True)
class _TrainingCrops:
    """Training crops in network units, as many of each map as of any other."""

    table: CropTable
    normalisation: Normalisation

    def __call__(self) -> Iterator[Float[np.ndarray, "maps size size bins"]]:
        crops = self.table.choose("train", _MOST_CROPS)
        for start in range(0, len(crops), _TOGETHER):
            kappa = jnp.asarray(self.table.cut(crops[start : start + _TOGETHER]))
            yield np.asarray(self.normalisation.forward(kappa))


def first_state(engine: Engine, key: Array, table: CropTable, normalisation: Normalisation) -> State:
    """The state of step 0; every process measures all the maps, and comes to the same.

    Raises:
      ValueError: maps that the kind cannot begin with.
    """
    state = engine.init(key)
    return state if engine.begin is None else engine.begin(state, _TrainingCrops(table, normalisation))
