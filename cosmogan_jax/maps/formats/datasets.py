"""Files that hold several arrays by name (HDF5, zarr groups, npz): which of them are maps, and these as one."""

import dataclasses
import fnmatch
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np

from cosmogan_jax.maps.formats.bins import join_as_bins
from cosmogan_jax.maps.formats.map_file import MapFile, ReadOptions, chosen_bins
from cosmogan_jax.maps.formats.sky import is_sky

_LISTED = 12


def choose_datasets(
    path: Path, arrays: Mapping[str, tuple[int, ...]], asked: str | None, exists: Callable[[str], bool]
) -> list[str]:
    """The arrays that are meant, in natural order: `asked` by name or glob, else the only one.

    Args:
      arrays: those that may be maps, floating point of 2 to 4 axes, with their shapes.
      exists: whether there is an array of this very name, whatever it holds.

    Raises:
      ValueError: lists what there is: nothing of that name, or several to choose from.
    """
    there = f"arrays of 2 to 4 axes: {_listed(arrays)}"
    if asked is not None:
        wanted = asked.strip("/")
        found = [wanted] if exists(wanted) else [n for n in arrays if fnmatch.fnmatchcase(n, wanted)]
        if not found:
            raise ValueError(f"{path} has no dataset hdf5_dataset={asked}; {there}")
        return sorted(found, key=natural_key)
    if len(arrays) != 1:
        pattern = _common_pattern(arrays)
        several = f" (--hdf5_dataset='{pattern}' takes all as maps)" if pattern else ""
        raise ValueError(f"{path}: choose its dataset with --hdf5_dataset; {there}{several}")
    return list(arrays)


def join_datasets(path: Path, parts: Sequence[MapFile], names: Sequence[str], options: ReadOptions) -> MapFile:
    """The maps of several arrays of one file, one after the other; what differs is kept of each map.

    With options.source_bins the arrays are bins of the same maps (`bins.join_as_bins`).

    Raises:
      ValueError: arrays whose maps are of other sizes or angles; names both.
    """
    if len(parts) == 1:
        return parts[0]
    first, asked = parts[0], options.hdf5_dataset
    kind = f"{first.kind}:{asked}"
    if options.source_bins:
        numbers = chosen_bins(str(path), options.source_bins, len(parts))
        found = join_as_bins(path, [parts[n] for n in numbers], [names[n] for n in numbers], kind)
        return dataclasses.replace(found, bin_numbers=tuple(numbers))
    for part, name in zip(parts, names):
        ours, theirs = _told(first), _told(part)
        if ours != theirs:
            raise ValueError(
                f"{path}: hdf5_dataset={asked} takes maps of {ours} ({names[0]}) and of {theirs} ({name}); "
                "choose those of one kind"
            )
    counts = [part.num_maps for part in parts]
    starts = np.cumsum([0, *counts])
    one_redshift = len({part.source_redshift for part in parts}) == 1
    told = [{**part.facts.get("cosmology", {}), **({} if one_redshift else _redshift(part))} for part in parts]
    shared = {name: value for name, value in told[0].items() if all(one.get(name) == value for one in told[1:])}
    varies = sorted({name for one in told for name in one} - shared.keys())
    parameters = {
        name: tuple(one.get(name) for one, count in zip(told, counts) for _ in range(count)) for name in varies
    }
    return MapFile(
        path,
        kind,
        int(starts[-1]),
        first.num_pixels,
        "/".join(dict.fromkeys(part.dtype for part in parts)),
        _reader(parts, starts),
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
        options_used=frozenset().union(*(part.options_used for part in parts)),
    )


def _told(part: MapFile) -> str:
    angle = "" if part.side_deg is None else f", {part.side_deg:g} degrees"
    return f"{part.num_pixels}x{part.columns} pixels{angle}"


def _redshift(part: MapFile) -> dict[str, float]:
    return {} if part.source_redshift is None else {"source_redshift": part.source_redshift}


def _reader(parts: Sequence[MapFile], starts: np.ndarray) -> Callable[[int, int], np.ndarray]:
    def load(start: int, stop: int) -> np.ndarray:
        found = []
        for part, first, end in zip(parts, starts.tolist(), starts[1:].tolist()):
            low, high = max(start, first), min(stop, end)
            if low < high:
                found.append(part.load(low - first, high - first))
        return np.concatenate(found) if found else parts[0].load(0, 0)

    return load


def _common_pattern(arrays: Mapping[str, tuple[int, ...]]) -> str | None:
    """A glob that means all arrays, where they have one shape and their names differ in numbers only."""
    patterns = {re.sub(r"\d+", "*", name) for name in arrays}
    return patterns.pop() if len(patterns) == 1 and len(set(arrays.values())) == 1 else None


def _listed(found: Mapping[str, tuple[int, ...]]) -> str:
    """A few of the arrays, first those that call themselves convergence: kappaTNG's files hold 200."""
    names = sorted(found, key=lambda name: not any(word in name.lower() for word in ("kappa", "conv")))
    more = f" and {len(names) - _LISTED} more" if len(names) > _LISTED else ""
    return (", ".join(f"{name} {found[name]}" for name in names[:_LISTED]) or "none") + more


def may_be_maps(shape: Sequence[int] | None, options: ReadOptions) -> bool:
    """Whether an array has as many axes as maps have, or is a sky that is to be cut."""
    shape = tuple(shape or ())
    return 2 <= len(shape) <= 4 or (bool(options.cut_patches) and is_sky(shape))


def natural_key(name: str) -> list[tuple[int, int, str]]:
    """What names are sorted by for map_2 to come before map_10."""
    parts = re.split(r"(\d+)", name)
    return [(1, int(part), part) if part.isdigit() else (0, 0, part) for part in parts]
