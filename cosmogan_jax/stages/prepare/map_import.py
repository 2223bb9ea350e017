"""Maps of files become the run's own map store: which map belongs to which split, where each came from."""

import itertools
import shutil
from collections.abc import Hashable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from cosmogan_jax.machine.progress import progress
from cosmogan_jax.maps.boxes_from_names import check_splits, in_several, split_boxes, split_counts
from cosmogan_jax.maps.crop_table import SPLITS
from cosmogan_jax.maps.formats import MapFile
from cosmogan_jax.maps.inspection import Inspection, map_digest, plural
from cosmogan_jax.maps.map_parameters import each_map, shared_cosmology
from cosmogan_jax.maps.source_changes import file_mark
from cosmogan_jax.maps.sources import MapSources
from cosmogan_jax.maps.store import MapStore
from cosmogan_jax.maps.store_writing import write_map_store
from cosmogan_jax.settings import Prepare

_UNKNOWN = (
    "not known: the files do not say which maps share structures, so errors of means over them may be too small"
)


def assign_splits(inspection: Inspection, dropped: Iterable[int], settings: Prepare) -> list[str]:
    """Return the split of every map that is kept.

    Maps of --development_maps, --validation_maps and --auxiliary_maps are these. Maps of a map store that
    records splits keep them, unless it knows no split but "train", as after split_by=crops. Maps whose boxes
    --box_from_name tells are split box by box. Else the maps of --maps are split in their order, which keeps
    neighbours (often of one simulation) together: first train, then development, then validation, by the shares
    given, so far as no parent map or sky then lies in two splits; with split_by=crops all of them are "train",
    and the crop table gives each split crops of every map.

    Raises:
      ValueError: fewer maps or boxes than splits, or the same map or box in two splits.
    """
    gone, files = set(dropped), inspection.sources.files
    recorded = [split for file in files.get("maps", ()) for split in file.splits or [None] * file.num_maps]
    kept = [number for number in range(len(inspection.maps)) if number not in gone]
    to_split = [number for number in kept if inspection.maps[number].role == "maps"]
    known = [recorded[number] in SPLITS for number in to_split]
    if any(known) and not all(known):
        raise ValueError("--maps names map stores that record splits beside maps that do not; give one kind")
    stored = {number: split for number in to_split if (split := recorded[number]) in SPLITS}
    boxes = [
        file.boxes[index] if file.boxes else None for file, index in each_map(inspection.sources.all_files)
    ]
    if stored and set(stored.values()) != {"train"}:
        split_of = stored
    elif settings.box_from_name is not None and settings.split_by == "map":
        labels = split_boxes(
            [str(boxes[number]) for number in to_split], _shares(settings, files), settings.box_from_name
        )
        split_of = dict(zip(to_split, labels))
    else:
        parents = list(parents_of(inspection.sources.all_files))
        labels = _by_share([parents[number] for number in to_split], settings, files)
        split_of = dict(zip(to_split, labels))
    split_of |= {
        number: inspection.maps[number].role for number in kept if inspection.maps[number].role != "maps"
    }
    if settings.box_from_name is not None:
        check_splits((boxes[n] for n in split_of), split_of.values(), settings.box_from_name)
        _say_shared(inspection, [boxes[n] for n in kept], kept)
    _check_twins(inspection, split_of, {number for number in to_split if settings.split_by == "crops"})
    wanted = {"train"} if settings.split_by == "crops" else {"train", "development", "validation"}
    for split in sorted(wanted - set(split_of.values())):
        raise ValueError(f"no map is left for {split}: of {len(kept)} maps none belongs to it")
    return [split_of[number] for number in kept]


def _shares(settings: Prepare, files: dict[str, Any]) -> dict[str, float]:
    """Return the share of --maps that goes to either split that has no maps of its own."""
    return {
        split: 0.0 if split in files else getattr(settings, f"{split}_share")
        for split in ("development", "validation")
    }


def _say_shared(inspection: Inspection, boxes: list[str | None], kept: list[int]) -> None:
    """Tell how many boxes there are, and how many of them have maps of several parameters."""
    values = inspection.sources.parameters.values()
    several = in_several(boxes, [tuple(of_map[number] for of_map in values) for number in kept])
    also = f", {several} of them with maps of several parameters" if several else ""
    print(f"prepare: maps of {len(set(boxes))} boxes{also}; each box belongs to one split", flush=True)


def parents_of(files: Sequence[MapFile]) -> Iterator[Hashable]:
    """Yield what every map was cut from: itself where its file says nothing."""
    for file, index in each_map(files):
        yield str(file.path), file.parents[index] if file.parents else index


def _by_share(parents: Sequence[Hashable], settings: Prepare, files: dict[str, Any]) -> list[str]:
    count = len(parents)
    if settings.split_by == "crops":
        return ["train"] * count
    counts = split_counts(_shares(settings, files), count)
    train = count - sum(counts.values())
    if train < 1:
        raise ValueError(
            f"{count} {'map is' if count == 1 else 'maps are'} too few to be split into train, development and "
            "validation maps; "
            "--split_by=crops takes crops of every map for all three, or give --development_maps and "
            "--validation_maps"
        )
    after = [split for split in ("development", "validation") if counts[split]]
    begins = [train + sum(counts[earlier] for earlier in after[:n]) for n in range(len(after))]
    bounds = [0, *_at_borders(begins, parents), count]
    sizes = [stop - start for start, stop in itertools.pairwise(bounds)]
    return [split for split, size in zip(["train", *after], sizes) for _ in range(size)]


def _at_borders(begins: list[int], parents: Sequence[Hashable]) -> list[int]:
    """Move the beginnings of splits to where another parent begins, as near as leaves a parent for each."""
    borders = [n for n in range(1, len(parents)) if parents[n] != parents[n - 1]]
    if len(borders) < len(begins):
        if begins:
            print(
                f"prepare: warning: the maps are parts of {len(borders) + 1} larger ones, too few for splits "
                "without one in common: what is tested shares structures with what is trained on",
                flush=True,
            )
        return begins
    chosen: list[int] = []
    for later, begin in zip(reversed(range(len(begins))), begins):
        free = [border for border in borders[: len(borders) - later] if border > (chosen[-1] if chosen else 0)]
        chosen.append(min(free, key=lambda border: abs(border - begin)))
    return chosen


def _check_twins(inspection: Inspection, split_of: dict[int, str], for_all: set[int]) -> None:
    """Refuse the same map in two splits; tell of one twice in a split. The same is bit for bit, in float32."""
    first: dict[bytes, int] = {}
    twice: list[tuple[int, int]] = []
    for number, split in split_of.items():
        twin = first.setdefault(inspection.maps[number].digest, number)
        if split_of[twin] != split:
            raise ValueError(
                f"{inspection.maps[number].name} ({split}) is the same map as {inspection.maps[twin].name} "
                f"({split_of[twin]}): what is tested must not be trained on"
            )
        if twin != number:
            twice.append((number, twin))
    if twice:
        name, other = (inspection.maps[number].name for number in twice[0])
        also = "; their crops may come to lie in different splits" if twice[0][0] in for_all else ""
        count = plural(len(twice), "map")
        print(f"prepare: {count} given twice, as {name}, the same as {other}{also}", flush=True)


def check_room(workdir: Path, sources: MapSources, num_maps: int) -> None:
    """Check that the disk has room for the store, 2 per cent more than its pixels; else ValueError."""
    rows, columns = sources.geometry.num_pixels, sources.columns
    needed = int(4.08 * num_maps * rows * columns * sources.num_bins)
    free = shutil.disk_usage(next(p for p in (workdir, *workdir.absolute().parents) if p.exists())).free
    if needed > free:
        raise ValueError(
            f"workdir={workdir} has {free / 1e9:.2f} GB free, the map store of {num_maps} maps of "
            f"{rows}x{columns} needs {needed / 1e9:.2f} GB"
        )


def import_maps(
    path: Path, inspection: Inspection, dropped: Iterable[int], splits: list[str], seed: int
) -> MapStore:
    """Write the maps that are kept to a map store, in their order, with the checksums of their files.

    Raises:
      ValueError: a map that is not the one that was inspected, or a disk that takes no more.
    """
    sources, gone = inspection.sources, set(dropped)
    read = progress(sources.maps(), total=sources.num_maps, desc="import", unit="map")

    def batches():
        for number, (*_, kappa) in enumerate(read):
            if map_digest(kappa) != inspection.maps[number].digest:
                raise ValueError(
                    f"{inspection.maps[number].name} has changed since it was looked at a moment ago"
                )
            if number not in gone:
                yield kappa[None] if sources.bins else kappa[None, ..., None]

    return write_map_store(
        path,
        batches(),
        len(splits),
        sources.geometry,
        {
            "source_redshift": sources.source_redshift if sources.num_bins == 1 else None,
            **({"bin_redshifts": list(sources.bins)} if sources.bins else {}),
            **({"bin_names": list(sources.bin_names)} if sources.bin_names else {}),
            "seed": seed,
            "transform": {
                "downsample": sources.downsample,
                "by": "mean of pixels in float64, rounded to float32",
            },
            "splits": splits,
            **_of_each_map(sources, gone),
        },
        num_bins=sources.num_bins,
        num_columns=sources.columns,
        allow_invalid=True,
    )


def _of_each_map(sources: MapSources, gone: set[int]) -> dict[str, Any]:
    """Return what the manifest tells of the maps that are kept, and of where they come from."""
    files = sources.all_files
    kept = [number for number in range(sources.num_maps) if number not in gone]
    places, parents = list(each_map(files)), list(parents_of(files))
    numbers = {name: number for number, name in enumerate(dict.fromkeys(parents[n] for n in kept))}
    every = {name: [values[number] for number in kept] for name, values in sources.parameters.items()}
    parameters = {name: values for name, values in every.items() if any(value is not None for value in values)}
    return {
        "parents": [numbers[parents[number]] for number in kept],
        "boxes": [file.boxes[index] if file.boxes else None for file, index in (places[n] for n in kept)],
        "maps": [file.name(index) for file, index in (places[n] for n in kept)],
        "dropped": [file.name(index) for file, index in (places[n] for n in sorted(gone))],
        **({"parameters": parameters} if parameters else {}),
        "origin": _origin(sources, files, parameters),
    }


def _origin(sources: MapSources, files: list[MapFile], parameters: dict[str, list]) -> dict[str, Any]:
    origin: dict[str, Any] = {
        "sky": "files",
        "files": [record for file in files for record in _file_records(file)],
        "independence": _independence(files),
    }
    if cosmology := shared_cosmology(files, parameters, sources.vary):
        origin["cosmology"] = cosmology
    if sources.besides is not None:
        origin["map_parameters"] = file_mark(sources.besides)
    if sources.masks is not None:
        origin["masks"] = [file_mark(path) for path in sources.masks.paths]
    return origin


def _file_records(file: MapFile) -> list[dict[str, Any]]:
    content = {"format": file.format, "dtype": file.dtype, "maps": file.num_maps, "says": file.facts}
    return [{**file_mark(path), **content} for path in file.parts or (file.path,)]


def _independence(files: list[MapFile]) -> str:
    """Return what a map store says of independence."""
    return files[0].facts.get("independence", _UNKNOWN) if len(files) == 1 else _UNKNOWN
