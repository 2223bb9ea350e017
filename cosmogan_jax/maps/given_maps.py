"""The maps that flags name, or an earlier stage made: found, opened, and made one set."""

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from cosmogan_jax.maps import bins_in_files, boxes_from_names
from cosmogan_jax.maps.formats import MapFile, ReadOptions, check_options, find_map_files, open_map_file
from cosmogan_jax.maps.formats.bins import ALL
from cosmogan_jax.maps.map_parameters import given_besides
from cosmogan_jax.maps.sources import MapSources, agree, with_bins
from cosmogan_jax.maps.store import open_map_store
from cosmogan_jax.maps.survey_masks import open_masks
from cosmogan_jax.settings import GivenMaps, Prepare

# The flags that tell readers what files leave open, but for --side_deg.
READ_FLAGS = tuple(option.name for option in dataclasses.fields(ReadOptions) if option.name != "patch_side_deg")


def flag(role: str) -> str:
    """Return the flag that names the maps of a role."""
    return role if role == "maps" else f"{role}_maps"


def given_maps(settings: Prepare) -> dict[str, tuple[str, ...]]:
    """Return what the flags name, by what it is to be; only what is given."""
    patterns_of = {
        "maps": settings.maps,
        "development": settings.development_maps,
        "validation": settings.validation_maps,
        "auxiliary": settings.auxiliary_maps,
    }
    return {role: named for role, named in patterns_of.items() if named}


def open_sources(settings: Prepare, say: Callable[[str], None]) -> MapSources:
    """Open all files that the flags name.

    say: takes a line for each map store of which only the maps of one split are taken.

    Raises:
      ValueError: no files, files that cannot be read, or sizes, angles, redshifts or other parameters that
        disagree or lack.
    """
    options = read_options(settings, settings.side_deg)
    files = {
        role: tuple(_only(file, role, say) for file in open_given(patterns, flag(role), options))
        for role, patterns in given_maps(settings).items()
    }
    if (pattern := settings.box_from_name) is not None:
        boxes_from_names.check(pattern)
        files = {
            role: tuple(boxes_from_names.with_boxes(file, pattern) for file in group)
            for role, group in files.items()
        }
    every = [file for group in files.values() for file in group]
    check_options(every, options)
    sources = agree(
        files,
        settings.downsample,
        settings.side_deg,
        settings.source_redshift,
        given_besides(every, settings),
        settings.vary,
        hint=True,
    )
    sources = with_bins(sources, settings)
    table = settings.map_parameters
    image = sources.geometry.num_pixels, sources.columns
    return sources._replace(
        besides=None if table is None else Path(table).expanduser(),
        masks=open_masks(settings.mask, sources.num_maps, image, settings.downsample),
        most_masked=settings.mask_max_fraction,
    )


def read_options(settings: Prepare | GivenMaps, side_deg: float | None) -> ReadOptions:
    """Return what the flags tell readers of files; side_deg is that of patches, where HEALPix maps are cut."""
    options = {name: getattr(settings, name) for name in READ_FLAGS}
    return ReadOptions(**options, patch_side_deg=side_deg if settings.cut_patches else None)


def open_given(patterns: Sequence[str], name: str, options: ReadOptions) -> list[MapFile]:
    """Open all files that patterns of a flag mean.

    Raises:
      ValueError: a pattern that means nothing, a file that cannot be read, or bins in files of their own that
        are not there for all maps.
    """
    paths = find_map_files(patterns, name, any_ending=bool(options.raw_shape))
    pattern = bins_in_files.pattern_of(options.source_bins)
    if pattern is None:
        return [open_map_file(path, options) for path in paths]
    options = dataclasses.replace(options, source_bins=(), channel=None)  # of bins, which are files
    return bins_in_files.join_bins([open_map_file(path, options) for path in paths], pattern)


def _only(file: MapFile, split: str, say: Callable[[str], None]) -> MapFile:
    """Return of a map store that records splits the maps of this one, where it has any; of other files all."""
    numbers = [number for number, recorded in enumerate(file.splits or ()) if recorded == split]
    if not numbers or len(numbers) == file.num_maps:
        return file
    say(f"{split}_maps={file.path}: takes its {len(numbers)} {split} maps of {file.num_maps}")

    def load(start: int, stop: int) -> np.ndarray:
        return np.concatenate([file.load(number, number + 1) for number in numbers[start:stop]])

    chosen: dict[str, Any] = {
        name: tuple(labels[number] for number in numbers)
        for name in ("splits", "parents", "boxes")
        if (labels := getattr(file, name)) is not None
    }
    parameters = {name: tuple(values[n] for n in numbers) for name, values in file.parameters.items()}
    return dataclasses.replace(
        file, num_maps=len(numbers), load=load, numbers=tuple(numbers), parameters=parameters, **chosen
    )


def as_sources(store: Path, settings: Prepare | None = None) -> MapSources:
    """Open the map store of an earlier stage, which knows what it varied, with all of its source bins.

    settings: which of several bins crops are of.

    Raises:
      ValueError: there is no such bin, or several and none is chosen.
    """
    several = open_map_store(store).num_bins > 1
    file = open_map_file(store, ReadOptions(source_bins=(ALL,) if several else ()))
    one_redshift = file.source_redshift is not None
    vary = [name for name in file.parameters if not (one_redshift and name == "source_redshift")]
    sources = agree({"maps": (file,)}, 1, None, None, vary=vary)
    if settings is None:
        return sources
    if settings.channel is not None and not several:
        raise ValueError(f"channel={settings.channel} is of maps of several source bins; {store} has one")
    return with_bins(sources, settings)
