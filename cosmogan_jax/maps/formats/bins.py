"""Maps of several source redshifts or bins of one sky: which are read, and several arrays as bins of one."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from cosmogan_jax.maps.formats.map_file import MapFile


def join_as_bins(path: Path, parts: Sequence[MapFile], names: Sequence[str], kind: str) -> MapFile:
    """The maps of several arrays, one for each bin, as maps with bins; a redshift belongs to its bin.

    Raises:
      ValueError: arrays of other numbers of maps, sizes, angles or cosmologies; names both.
    """
    first = parts[0]
    for part, name in zip(parts, names):
        if _alike(first) != _alike(part):
            raise ValueError(
                f"{path}: source bins must be alike, and are {_alike(first)} in {names[0]}, {_alike(part)} in "
                f"{name}"
            )

    def load(start: int, stop: int) -> np.ndarray:
        return np.stack([part.load(start, stop) for part in parts], axis=-1)

    return MapFile(
        path,
        kind,
        first.num_maps,
        first.num_pixels,
        "/".join(dict.fromkeys(part.dtype for part in parts)),
        load,
        first.side_deg,
        None,
        first.facts,
        parents=first.parents,
        num_columns=first.num_columns,
        bins=tuple(part.source_redshift for part in parts),
        bin_numbers=tuple(range(len(parts))),
        options_used=frozenset({"source_bins", "channel"}).union(*(part.options_used for part in parts)),
    )


def _alike(part: MapFile) -> str:
    angle = "" if part.side_deg is None else f", {part.side_deg:g} degrees"
    cosmology = "".join(f", {k}={v}" for k, v in sorted(part.facts.get("cosmology", {}).items()))
    return f"{part.num_maps} maps of {part.num_pixels}x{part.columns} pixels{angle}{cosmology}"
