"""The survey masks of a set of maps: one for all of them, or one for each.

A masked pixel is one that the survey has not observed. Whatever the map holds there, it is no measurement: it
counts in no statistic and lies in no crop, unless crops may hold a share of masked pixels, which then keep
their values.
"""

import functools
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float

from cosmogan_jax.maps.formats import find_map_files, open_mask_file
from cosmogan_jax.maps.formats.masks import MaskFile


class SurveyMasks(NamedTuple):
    """Masks of maps, each pixel of downsample² of the mask's.

    first: the number of the mask of map 0, where each map has its own.
    """

    files: tuple[MaskFile, ...]
    downsample: int = 1
    first: int = 0

    @property
    def num_masks(self) -> int:
        """Return one, or as many as there are maps."""
        return sum(file.num_masks for file in self.files)

    @property
    def paths(self) -> list[Path]:
        """Return the files."""
        return [file.path for file in self.files]

    def of_map(self, number: int) -> Bool[np.ndarray, "height width"]:
        """Return where map `number` is observed: pixels all of whose pixels in the mask are."""
        number = 0 if self.num_masks == 1 else self.first + number
        for file in self.files:
            if number < file.num_masks:
                return _load(file, number, self.downsample)
            number -= file.num_masks
        raise IndexError(f"mask {number} of {self.num_masks}")

    def applied(
        self, number: int, kappa: Float[np.ndarray, "height width *bins"]
    ) -> Float[np.ndarray, "height width *bins"]:
        """Return the map with NaN where it is masked, in all bins of sources."""
        observed = self.of_map(number)
        return np.where(observed if kappa.ndim == 2 else observed[..., None], kappa, np.float32(np.nan))


@functools.lru_cache(maxsize=4)
def _load(file: MaskFile, index: int, downsample: int) -> Bool[np.ndarray, "height width"]:
    height, width = (side // downsample for side in file.shape)
    return np.all(file.load(index).reshape(height, downsample, width, downsample), axis=(1, 3))


def open_masks(
    patterns: Sequence[str], num_maps: int, image: tuple[int, int], downsample: int = 1
) -> SurveyMasks | None:
    """Open the masks that --mask names; None where it names none.

    Args:
      num_maps, image: of the maps as they are used, downsampled; rows and columns of each.

    Raises:
      ValueError: files that hold no masks, masks of another size than the maps in their files, or neither one
        mask nor one for each map.
    """
    if not patterns:
        return None
    files = tuple(open_mask_file(path) for path in find_map_files(patterns, "mask"))
    of_maps = image[0] * downsample, image[1] * downsample
    for file in files:
        if file.shape != of_maps:
            own, maps = ("x".join(map(str, shape)) for shape in (file.shape, of_maps))
            raise ValueError(f"mask={file.path} has {own} pixels, the maps in their files {maps}")
    masks = SurveyMasks(files, downsample)
    if masks.num_masks not in (1, num_maps):
        raise ValueError(
            f"mask={','.join(patterns)} names {masks.num_masks} masks for {num_maps} maps; give one for all, "
            "or one for each, in the maps' order"
        )
    return masks
