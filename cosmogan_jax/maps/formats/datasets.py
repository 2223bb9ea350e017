"""Files that hold several arrays by name (HDF5, zarr groups, npz): which of them are maps, and these as one."""

import dataclasses
import fnmatch
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from cosmogan_jax.maps.formats.bins import chosen_bins, join_as_bins
from cosmogan_jax.maps.formats.map_file import MapFile, ReadOptions
from cosmogan_jax.maps.formats.sky import is_sky

_LISTED = 12


def choose_datasets(
    path: Path, arrays: Mapping[str, tuple[int, ...]], wanted: str | None, exists: Callable[[str], bool]
) -> list[str]:
    """Choose the arrays that are meant, in natural order: `wanted` by name or glob, else the only one.

    Args:
      arrays: those that may be maps, floating point of 2 to 4 axes, with their shapes.
      exists: whether there is an array of this very name, whatever it holds.

    Raises:
      ValueError: lists what there is: nothing of that name, or several to choose from.
    """
    listed = f"arrays of 2 to 4 axes: {_listed(arrays)}"
    if wanted is not None:
        name = wanted.strip("/")
        chosen = [name] if exists(name) else [n for n in arrays if fnmatch.fnmatchcase(n, name)]
        if not chosen:
            raise ValueError(f"{path} has no dataset hdf5_dataset={wanted}; {listed}")
        return sorted(chosen, key=natural_key)
    if len(arrays) != 1:
        pattern = _common_pattern(arrays)
        several = f" (--hdf5_dataset='{pattern}' takes all as maps)" if pattern else ""
        raise ValueError(f"{path}: choose its dataset with --hdf5_dataset; {listed}{several}")
    return list(arrays)


def join_datasets(path: Path, arrays: Sequence[MapFile], names: Sequence[str], options: ReadOptions) -> MapFile:
    """Join the maps of several arrays of one file, one after the other; what differs is kept of each map.

    With options.source_bins the arrays are bins of the same maps (`bins.join_as_bins`).

    Raises:
      ValueError: arrays whose maps are of other sizes or angles; names both.
    """
    if len(arrays) == 1:
        return arrays[0]
    first, wanted = arrays[0], options.hdf5_dataset
    kind = f"{first.kind}:{wanted}"
    if options.source_bins:
        numbers = chosen_bins(str(path), options.source_bins, len(arrays))
        joined = join_as_bins(path, [arrays[n] for n in numbers], [names[n] for n in numbers], kind)
        return dataclasses.replace(joined, bin_numbers=tuple(numbers))
    for array, name in zip(arrays, names):
        ours, theirs = _size_in_words(first), _size_in_words(array)
        if ours != theirs:
            raise ValueError(
                f"{path}: hdf5_dataset={wanted} takes maps of {ours} ({names[0]}) and of {theirs} ({name}); "
                "choose those of one kind"
            )
    counts = [array.num_maps for array in arrays]
    starts = np.cumsum([0, *counts])
    one_redshift = len({array.source_redshift for array in arrays}) == 1
    shared, parameters = _parameters(arrays, one_redshift)
    return MapFile(
        path,
        kind,
        int(starts[-1]),
        first.num_pixels,
        "/".join(dict.fromkeys(array.dtype for array in arrays)),
        _reader(arrays, starts),
        first.side_deg,
        first.source_redshift if one_redshift else None,
        {"cosmology": shared} if shared else {},
        parameters=parameters,
        labels=tuple(
            f"{path}:{name}" + ("" if count == 1 else f"[{index}]")
            for name, count in zip(names, counts)
            for index in range(count)
        ),
        num_columns=first.num_columns,
        # One sky in several arrays (of redshifts, bins) is one parent.
        parents=None if first.parents is None else (0,) * int(starts[-1]),
        options_used=frozenset().union(*(array.options_used for array in arrays)),
    )


def _parameters(
    arrays: Sequence[MapFile], one_redshift: bool
) -> tuple[dict[str, Any], dict[str, tuple[float | None, ...]]]:
    """Return the cosmology that all arrays share, and of each map what differs, None where it is not known."""
    values = [
        {**array.facts.get("cosmology", {}), **({} if one_redshift else _redshift(array))} for array in arrays
    ]
    shared = {
        name: value
        for name, value in values[0].items()
        if all(numbers.get(name) == value for numbers in values[1:])
    }
    differing = sorted({name for numbers in values for name in numbers} - shared.keys())
    return shared, {
        name: tuple(numbers.get(name) for numbers, array in zip(values, arrays) for _ in range(array.num_maps))
        for name in differing
    }


def _size_in_words(array: MapFile) -> str:
    angle = "" if array.side_deg is None else f", {array.side_deg:g} degrees"
    return f"{array.num_pixels}x{array.columns} pixels{angle}"


def _redshift(array: MapFile) -> dict[str, float]:
    return {} if array.source_redshift is None else {"source_redshift": array.source_redshift}


def _reader(arrays: Sequence[MapFile], starts: np.ndarray) -> Callable[[int, int], np.ndarray]:
    def load(start: int, stop: int) -> np.ndarray:
        pieces = []
        for array, first, end in zip(arrays, starts.tolist(), starts[1:].tolist()):
            low, high = max(start, first), min(stop, end)
            if low < high:
                pieces.append(array.load(low - first, high - first))
        return np.concatenate(pieces) if pieces else arrays[0].load(0, 0)

    return load


def _common_pattern(arrays: Mapping[str, tuple[int, ...]]) -> str | None:
    """Return a glob of all arrays, where they have one shape and their names differ in numbers only."""
    patterns = {re.sub(r"\d+", "*", name) for name in arrays}
    return patterns.pop() if len(patterns) == 1 and len(set(arrays.values())) == 1 else None


def _listed(arrays: Mapping[str, tuple[int, ...]]) -> str:
    """List a few of the arrays, first those that call themselves convergence: kappaTNG's files hold 200."""
    names = sorted(arrays, key=lambda name: not any(word in name.lower() for word in ("kappa", "conv")))
    more = f" and {len(names) - _LISTED} more" if len(names) > _LISTED else ""
    return (", ".join(f"{name} {arrays[name]}" for name in names[:_LISTED]) or "none") + more


def may_be_maps(shape: Sequence[int] | None, options: ReadOptions) -> bool:
    """Tell whether an array has as many axes as maps have, or is a sky that is to be cut."""
    shape = tuple(shape or ())
    return 2 <= len(shape) <= 4 or (bool(options.cut_patches) and is_sky(shape))


def natural_key(name: str) -> list[tuple[int, int, str]]:
    """Return what names are sorted by for map_2 to come before map_10."""
    pieces = re.split(r"(\d+)", name)
    return [(1, int(piece), piece) if piece.isdigit() else (0, 0, piece) for piece in pieces]
