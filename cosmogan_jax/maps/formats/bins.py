"""Maps of several source redshifts or bins of one sky: which are read, and several arrays as bins of one."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from cosmogan_jax.maps.formats.map_file import MapFile


def join_as_bins(path: Path, parts: Sequence[MapFile], names: Sequence[str], kind: str) -> MapFile:
    """Join the maps of several arrays, one for each bin, to maps with bins; a redshift belongs to its bin.

    Raises:
      ValueError: arrays of other numbers of maps, sizes, angles or cosmologies; names both.
    """
    first = parts[0]
    for array, name in zip(parts, names):
        if _alike(first) != _alike(array):
            raise ValueError(
                f"{path}: source bins must be alike, and are {_alike(first)} in {names[0]}, {_alike(array)} in "
                f"{name}"
            )

    def load(start: int, stop: int) -> np.ndarray:
        return np.stack([array.load(start, stop) for array in parts], axis=-1)

    return MapFile(
        path,
        kind,
        first.num_maps,
        first.num_pixels,
        "/".join(dict.fromkeys(array.dtype for array in parts)),
        load,
        first.side_deg,
        None,
        first.facts,
        parents=first.parents,
        num_columns=first.num_columns,
        bins=tuple(array.source_redshift for array in parts),
        bin_numbers=tuple(range(len(parts))),
        options_used=frozenset({"source_bins", "channel"}).union(*(array.options_used for array in parts)),
    )


def _alike(array: MapFile) -> str:
    angle = "" if array.side_deg is None else f", {array.side_deg:g} degrees"
    cosmology = "".join(f", {k}={v}" for k, v in sorted(array.facts.get("cosmology", {}).items()))
    return f"{array.num_maps} maps of {array.num_pixels}x{array.columns} pixels{angle}{cosmology}"
