"""Maps of several source redshifts or bins of one sky: which are read, and several arrays as bins of one."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from cosmogan_jax.maps.formats.map_file import MapFile

ALL = "all"


def bin_numbers(names: Sequence[str], flag: str, words: str) -> list[int]:
    """Return numbers of bins as a flag names them; words: what the flag must be.

    Raises:
      ValueError: no number, or one twice.
    """
    if not all(name.isascii() and name.isdigit() and len(name) < 9 for name in names):
        raise ValueError(f"{flag} must be {words}")
    numbers = [int(name) for name in names]
    if len(set(numbers)) < len(numbers):
        raise ValueError(f"{flag} names a bin twice")
    return numbers


def chosen_bins(where: str, source_bins: Sequence[str], num_bins: int) -> list[int]:
    """Return the numbers of the bins that `--source_bins` names: "all", or each by its number.

    Raises:
      ValueError: no number, one that there is not, or one twice.
    """
    flag = f"source_bins={','.join(source_bins)}"
    if tuple(source_bins) == (ALL,):
        return list(range(num_bins))
    numbers = bin_numbers(source_bins, flag, "all, or numbers of channels, as 0,2,4")
    if max(numbers) >= num_bins:
        raise ValueError(f"{where}: {flag} must lie in 0 to {num_bins - 1}")
    return numbers


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
