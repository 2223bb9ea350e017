"""What a kind of emulator is given to measure before its first step: the training maps, in parts."""

import dataclasses
from collections.abc import Iterator

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from cosmogan_jax.emulators.normalisation import Normalisation
from cosmogan_jax.maps.crop_table import CropTable

# Enough that what is measured is uncertain by the number of simulated boxes, not by that of their crops.
_MOST_CROPS = 16384
_PIXELS_AT_ONCE = 512 * 64**2


@dataclasses.dataclass(frozen=True)
class TrainingCrops:
    """Training crops in network units, as many of each map as of any other; the same in every process."""

    table: CropTable
    normalisation: Normalisation
    parameters: tuple[str, ...] = ()
    most: int = _MOST_CROPS

    def __call__(self) -> Iterator[Float[np.ndarray, "maps size size bins"]]:
        """Return all of them again, from the first on."""
        crops = self.table.choose("train", self.most)
        at_once = max(_PIXELS_AT_ONCE // self.table.geometry.num_pixels**2, 1)
        for start in range(0, len(crops), at_once):
            kappa = jnp.asarray(self.table.cut(crops[start : start + at_once]))
            yield np.asarray(self.normalisation.forward(kappa))

    @property
    def theta(self) -> Float[np.ndarray, "maps parameters"]:
        """What each crop is conditioned on."""
        return self.table.theta(self.table.choose("train", self.most), self.parameters)

    def wider(self) -> "TrainingCrops":
        """Return squares around the crops, twice as wide or as wide as the maps are: longer waves fit in.

        The crops themselves where some pixels are invalid or masked, as crops keep clear of them.
        """
        store, size = self.table.store, self.table.geometry.num_pixels
        within = min(2 * size, *store.image_shape)
        if within == size or store.manifest.invalid_pixels or store.manifest.origin.get("masks"):
            return self
        return dataclasses.replace(self, table=self.table.of_size(within), most=self.most // 4)
