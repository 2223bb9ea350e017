"""What a kind of emulator is given to measure before its first step: the training maps, in parts."""

import dataclasses
from collections.abc import Iterator

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from cosmogan_jax.emulators.normalisation import Normalisation
from cosmogan_jax.storage.crop_table import CropTable

# Enough that what is measured is uncertain by the number of simulated boxes, not by that of their crops.
_MOST_CROPS = 16384
_TOGETHER = 512


@dataclasses.dataclass(frozen=True)
class TrainingCrops:
    """Training crops in network units, as many of each map as of any other; the same in every process."""

    table: CropTable
    normalisation: Normalisation

    def __call__(self) -> Iterator[Float[np.ndarray, "maps size size bins"]]:
        """All of them again, from the first on."""
        crops = self.table.choose("train", _MOST_CROPS)
        for start in range(0, len(crops), _TOGETHER):
            kappa = jnp.asarray(self.table.cut(crops[start : start + _TOGETHER]))
            yield np.asarray(self.normalisation.forward(kappa))
