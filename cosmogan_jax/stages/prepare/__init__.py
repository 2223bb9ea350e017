"""Stage prepare: maps, given or simulated, looked at, stored once; and a table of crop positions over them."""

import dataclasses
import math
from collections.abc import Hashable, Iterator
from pathlib import Path
from typing import Any

from cosmogan_jax.files.checksums import json_sha256
from cosmogan_jax.files.json_files import write_json
from cosmogan_jax.machine.progress import progress
from cosmogan_jax.maps import crops as crop_positions
from cosmogan_jax.maps import map_parameters, plausibility, source_changes
from cosmogan_jax.maps.crop_table import SPLITS, open_crop_table, write_crop_table
from cosmogan_jax.maps.formats import find_map_files
from cosmogan_jax.maps.given_maps import READ_FLAGS, as_sources, given_maps, open_sources
from cosmogan_jax.maps.inspection import (
    Inspection,
    MapFacts,
    as_left_out,
    as_table,
    inspect,
    plural,
    summaries,
    unusable,
)
from cosmogan_jax.maps.sources import MapSources
from cosmogan_jax.maps.store import open_map_store
from cosmogan_jax.runs.directory import stage_directory
from cosmogan_jax.settings import Prepare
from cosmogan_jax.stages import planning
from cosmogan_jax.stages.prepare import scales
from cosmogan_jax.stages.prepare.map_import import assign_splits, check_room, import_maps, parents_of

# Settings that say something of maps in files only.
_OF_FILES = (
    *(f"{split}_maps" for split in SPLITS[1:]),
    "downsample",
    "invalid_pixels",
    *(name for name in READ_FLAGS if name != "channel"),  # simulated maps may have several too
    "bin_redshifts",
    "mask",
    "map_parameters",
    "parameters_from_name",
    "vary",
)


def run(settings: Prepare, workdir: Path, out: Path) -> dict[str, Any]:
    """Look at the maps, store those that come as files, draw the crops."""
    inspection, dropped, splits = _examine(settings, workdir)
    sources = inspection.sources
    if _draw(inspection, out / "found.png"):
        _say(f"a picture of {plural(len(inspection.shown), 'map')} is {workdir / 'prepare' / 'found.png'}")
    write_json(
        out / "found.json",
        {
            "num_pixels": inspection.geometry.num_pixels,
            **({} if inspection.image[0] == inspection.image[1] else {"num_columns": inspection.image[1]}),
            "side_deg": inspection.geometry.side_deg,
            "source_redshift": sources.source_redshift,
            "parameters": map_parameters.ranges(sources.parameters),
            "files": summaries(inspection, per_file=True),
        },
    )
    if settings.maps:
        check_room(workdir, sources, len(splits))
        store, maps = import_maps(out / "maps", inspection, dropped, splits, settings.seed), "maps"
    else:
        store, maps = open_map_store(stage_directory(workdir, "simulate") / "maps"), "../simulate/maps"
    trained = sources.trained_bin
    kept = [number for number in range(len(inspection.maps)) if number not in set(dropped)]
    table, shares = crop_positions.draw_crops(
        store, settings, scales.network_limit(settings), trained, lambda index: sources.observed(kept[index])
    )
    _say(
        f"{', '.join(f'{len(rows)} {split}' for split, rows in table.items())} crops; "
        f"{100 * shares['outside_unit_range']:.3g} % of the training crops hold a pixel outside [-1, 1] "
        f"(paper: below 0.9 %), {100 * shares['outside_network_range']:.3g} % one that dcgan's tanh "
        "cannot reach"
    )
    _tell(inspection, dropped, splits, settings)
    manifest = {
        "maps": maps,
        "crop_size": settings.crop_size,
        "side_deg": store.crop_geometry(settings.crop_size).side_deg,
        "source_redshift": sources.source_redshift,
        **({} if store.num_bins == 1 or trained is None else {"bin": trained}),
        "normalisation": scales.normalisation(settings),
        **{f"share_of_crops_{name}": share for name, share in shares.items()},
        "split_by": settings.split_by,
        "seed": settings.seed,
        "parents": store.manifest.parents,
        "boxes": store.manifest.boxes,
        "origin": store.manifest.origin,
    }
    if settings.split_by == "crops":
        manifest["overlap"] = "crops of different splits come from the same maps and may share pixels"
    write_crop_table(out, table, manifest)
    return {split: len(rows) for split, rows in table.items()} | {"maps": len(splits)}


def result_mark(out: Path) -> str:
    """Identify the data set by its content: maps, crops and normalisation, not where maps were read from."""
    table = open_crop_table(out)
    crops = {split: rows.tolist() for split, rows in table.crops.items()}
    keys = ("crop_size", "side_deg", "normalisation", *(() if table.manifest.bin is None else ("bin",)))
    form = {key: getattr(table.manifest, key) for key in keys}
    return json_sha256({"maps": table.store.manifest.identity(), "crops": crops, **form})


def check_unchanged(settings: Prepare, workdir: Path) -> None:
    """Check that --maps means the files, and their content, that this stage took; else ValueError."""
    if not settings.maps:
        return
    now = []
    for patterns in given_maps(settings).values():
        # Where nothing is there any more: reported with what is gone.
        now += find_map_files(patterns, any_ending=bool(settings.raw_shape), missing_ok=True)
    store = open_map_store(workdir / "prepare/maps")
    origin = store.manifest.origin
    recorded = [*origin["files"], *([origin["map_parameters"]] if "map_parameters" in origin else [])]
    recorded += origin.get("masks", [])
    now += find_map_files(settings.mask, "mask", missing_ok=True)
    if settings.map_parameters and (table := Path(settings.map_parameters).expanduser()).is_file():
        now.append(table)
    gone = source_changes.check_unchanged(recorded, now, workdir / "prepare")
    if gone:
        _say(f"{plural(len(gone), 'file')} of its maps are gone, as {gone[0]}; the stored ones serve")


def check(settings: Prepare) -> None:
    """Refuse flags that cannot be meant, by a ValueError, before an earlier stage works for hours."""
    if not settings.crops_per_map > 0:
        raise ValueError(f"crops_per_map={settings.crops_per_map} must be positive")
    scales.check(settings)
    shares = settings.development_share + settings.validation_share
    if min(settings.development_share, settings.validation_share) <= 0 or shares >= 1:
        raise ValueError(
            f"development_share={settings.development_share} and validation_share={settings.validation_share} "
            "must be positive and leave some maps to train on"
        )
    if settings.mask_max_fraction and not settings.mask:
        raise ValueError(f"mask_max_fraction={settings.mask_max_fraction:g} goes with --mask")
    map_parameters.check(settings)
    if settings.maps:
        return
    unset = {field.name: field.default for field in dataclasses.fields(settings)}
    for name in _OF_FILES:
        value = getattr(settings, name)
        if value != unset[name]:
            shown = ",".join(map(str, value)) if isinstance(value, tuple) else value
            raise ValueError(f"{name}={shown} goes with --maps; without it, maps come from stage simulate")


def dry_run(settings: Prepare, workdir: Path) -> None:
    """Look at the maps and tell what would be made of them; the only thing written is a picture."""
    inspection, left_out, splits = _examine(settings, workdir, looks=True)
    if settings.maps:
        check_room(workdir, inspection.sources, len(splits))
    counts = {split: splits.count(split) for split in dict.fromkeys(splits)}
    crops: dict[str, int] = {}
    for split, shared in crop_positions.counts_by_split(splits, settings).items():
        for target, count in shared.items():
            crops[target] = crops.get(target, 0) + count * counts[split]
    stored = (
        f"{4e-9 * len(splits) * math.prod(inspection.image) * inspection.sources.num_bins:.3g} GB stored"
        if settings.maps
        else "in place"
    )
    _say(
        f"would take {', '.join(f'{n} {split}' for split, n in counts.items())} maps ({stored}) and "
        f"{', '.join(f'{n} {split}' for split, n in crops.items())} crops of {settings.crop_size} pixels"
    )
    _tell(inspection, left_out, splits, settings, designs=True)
    picture = workdir / "prepare.dry_run.png"
    if _draw(inspection, picture):
        _say(f"a picture of {plural(len(inspection.shown), 'map')} is {picture}")


def _tell(
    inspection: Inspection, left_out: list[int], splits: list[str], settings: Prepare, *, designs: bool = False
) -> None:
    """Tell what later stages cannot do with these maps; and what the verdict will resolve."""
    gone, by_split = set(left_out), crop_positions.counts_by_split(splits, settings)
    kept = [unit for number, unit in enumerate(_units(inspection.sources)) if number not in gone]
    judged: dict[str, list[tuple[Hashable, int]]] = {"validation": [], "auxiliary": []}
    parents: dict[str, set[Hashable]] = {"train": set(), "validation": set()}
    for (parent, box), split in zip(kept, splits, strict=True):
        for name, count in by_split[split].items():
            if name in judged:
                judged[name].append((box, count))
            if name in parents:
                parents[name].add(parent)
    planning.tell_lacking("prepare", {} if designs else judged, parents["train"], parents["validation"])
    if designs:
        planning.tell("prepare", judged)


def _units(sources: MapSources) -> Iterator[tuple[Hashable, Hashable]]:
    """Yield what every map was cut from, itself where that is not known; and its box or sky, None where not."""
    for file in sources.all_files:
        sky = planning.Sky(str(file.path)) if "cut_patches" in file.options_used else None
        yield from zip(parents_of([file]), file.boxes or (sky,) * file.num_maps, strict=True)


def _examine(
    settings: Prepare, workdir: Path, *, looks: bool = False
) -> tuple[Inspection, list[int], list[str]]:
    """Print what the maps are like; return it, the maps that are left out and the splits of the others."""
    if settings.maps:
        sources = open_sources(settings, _say)
    else:
        sources = as_sources(stage_directory(workdir, "simulate") / "maps", settings)
    image = sources.geometry.num_pixels, sources.columns
    try:
        _check_crops(settings, image)
    except ValueError:
        if looks:  # what the maps are like tells which crops there can be
            print(as_table(inspect(sources, min(image), progress)), flush=True)
        raise
    inspection = inspect(sources, settings.crop_size, progress)
    print(as_table(inspection), flush=True)
    _check_bins(inspection)
    scales.check_bins(settings, sources.num_bins if sources.trained_bin is None else 1)
    dropped = unusable(inspection, settings.invalid_pixels)
    for line in as_left_out(inspection, dropped):
        _say(line)
    kept = [facts for number, facts in enumerate(inspection.maps) if number not in dropped]
    if settings.maps:
        _check_values(inspection, kept, settings, looks=looks)
    splits = assign_splits(inspection, dropped, settings)
    names, positions = [facts.name for facts in kept], [facts.positions for facts in kept]
    crop_positions.check_positions(names, positions, image, splits, settings)
    return inspection, list(dropped), splits


def _check_bins(inspection: Inspection) -> None:
    """Raise ValueError for a source bin that is trained on and does not vary in any map."""
    sources = inspection.sources
    for number, sigma in enumerate(inspection.bin_sigmas if sources.bins else ()):
        if sources.trained_bin in (None, number) and not sigma > 0:
            raise ValueError(
                f"source bin {number} of {len(sources.bins)} is constant in every map: sigma={sigma:g}; "
                "leave it out, by --source_bins or --channel"
            )


def _check_values(inspection: Inspection, kept: list[MapFacts], settings: Prepare, *, looks: bool) -> None:
    """Tell what does not look like convergence, or refuse it."""
    files = inspection.sources.all_files
    findings = plausibility.unlike_convergence(kept, files, inspection.geometry, one_set=not settings.vary)
    if not looks:
        plausibility.refuse(findings, settings.accept_values)
    for line in plausibility.warnings(findings, settings.accept_values):
        _say(line)


def _check_crops(settings: Prepare, image: tuple[int, int]) -> None:
    pixels = image[0] if image[0] == image[1] else f"{image[0]}x{image[1]}"
    if settings.crop_size > min(image):
        raise ValueError(f"crop_size={settings.crop_size} is larger than the maps of {pixels} pixels")
    room = crop_positions.num_positions(image, settings.crop_size)
    if settings.crops_per_map > room:
        raise ValueError(
            f"crops_per_map={settings.crops_per_map} is more than the {room} positions of a crop of "
            f"{settings.crop_size} pixels in a map of {pixels}"
            + (": maps that are crops already go with --crops_per_map=1" if room == 1 else "")
        )


def _say(line: str) -> None:
    print(f"prepare: {line}", flush=True)


def _draw(inspection: Inspection, path: Path) -> bool:
    """Draw some of the maps; return whether that was possible."""
    try:
        from cosmogan_jax.figures.sheets import write_maps
    except ModuleNotFoundError as error:
        _say(f"no picture of the maps ({error})")
        return False
    path.parent.mkdir(parents=True, exist_ok=True)
    write_maps(path, inspection.shown, inspection.geometry.side_deg, "maps as found")
    return True
