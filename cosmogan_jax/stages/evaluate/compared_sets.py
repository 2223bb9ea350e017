"""The sets that evaluate compares: generated, validation and auxiliary maps; of a run, or given as files.

What counts as independent is told here once. Crops of one map share its structures, maps of one box its
particles: every test permutes, and every error resamples, whole units.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np
from jaxtyping import Int

from cosmogan_jax.compare.effects.resamples import MIN_PARENTS
from cosmogan_jax.compare.parents import numbered
from cosmogan_jax.machine.progress import progress
from cosmogan_jax.maps.crop_table import CropTable
from cosmogan_jax.maps.crops import valid_positions
from cosmogan_jax.maps.parameters import known_for_all
from cosmogan_jax.maps.sets import MapSet, MapSets, check_alike, check_not_observed, from_files
from cosmogan_jax.maps.source_bins import only_bin
from cosmogan_jax.maps.store import MapStore, open_map_store
from cosmogan_jax.maps.survey_masks import open_masks
from cosmogan_jax.runs.directory import stage_directory
from cosmogan_jax.settings import Evaluate


def open_map_sets(
    settings: Evaluate, workdir: Path, table: CropTable | None, bin_: int | None = None
) -> MapSets:
    """Open the sets that the flags name, and the run's own in place of those they do not.

    Validation and auxiliary crops of the run are as many as there are generated maps at most, as many of each
    map as of any other. Where generated maps have as wide pixels but another number of them, the crops are cut
    anew in that size, if the maps are large enough.

    Args:
      table: the run's crops; None where --reference is given in their place.
      bin_: of several source bins of the run's generated maps, the one that is read.

    Raises:
      ValueError: files that cannot be read or lack an angle; sets of other sizes, angles or redshifts; too few
        maps.
    """
    named = {"generated": settings.generated, "reference": settings.reference, "auxiliary": settings.auxiliary}
    # Beside stage prepare's crops, which hold no masked pixels, maps are judged whole.
    masks = settings.mask if settings.reference else ()
    named = {name: patterns for name, patterns in named.items() if patterns}
    from_flags = from_files(named, settings, masks, say=_say, watch=progress)
    generated = from_flags["generated"] if settings.generated else _masked(_from_run(workdir, bin_), masks)
    if table is None:
        validation = from_flags["reference"]
    else:
        table = _like(generated, table)
        validation = _from_table("validation", table, generated.num_maps)
    auxiliary = None
    if settings.auxiliary:
        auxiliary = from_flags["auxiliary"]
    elif table is not None and len(table.crops.get(settings.auxiliary_split, ())):
        auxiliary = _from_table(settings.auxiliary_split, table, generated.num_maps)._replace(name="auxiliary")
    sets = MapSets(generated, validation._replace(name="validation"), auxiliary)
    check_alike(sets)
    return sets


def units_of(
    maps: MapSet, unit: Literal["auto", "map", "box", "patch"]
) -> tuple[Int[np.ndarray, " maps"], str]:
    """Return what each map counts with as one, and what that is called.

    auto: boxes where there are MIN_PARENTS or more, of fewer no error can be told; else the maps that crops
    were cut from, whose errors are too small where fewer boxes made many maps, which the report says.

    Raises:
      ValueError: boxes asked for, and not known.
    """
    if unit == "patch":
        return (np.arange(maps.num_maps) if maps.patches is None else maps.patches), "patch"
    known = 0 if maps.boxes is None else len(np.unique(maps.boxes))
    if unit == "box" and maps.boxes is None:
        raise ValueError(f"independent_unit={unit}: the {maps.name} maps do not say which box they are from")
    if maps.boxes is not None and (unit == "box" or (unit == "auto" and known >= MIN_PARENTS)):
        return maps.boxes, "box"
    return maps.parents, "map"


def few_boxes(sets: MapSets, units: dict[str, tuple[np.ndarray, str]]) -> str | None:
    """Return why no verdict can be given, though there are maps enough; None where it can.

    Maps of a few boxes share structures. Counted as independent they would show differences that are of these
    boxes (experiments/009-two-sample-tests: two halves of one light cone, told apart in 31 % of the modes).
    """
    for real in (sets.validation, sets.auxiliary):
        if real is None or real.boxes is None:
            continue
        boxes, (labels, unit) = len(np.unique(real.boxes)), units[real.name]
        if unit == "map" and boxes < min(MIN_PARENTS, len(np.unique(labels))):
            words = "one box or region" if boxes == 1 else f"{boxes} boxes or regions"
            return (
                f"the {real.name} maps come from {words} and are not independent of each other; a verdict "
                f"needs {MIN_PARENTS} at least. Limits are those of these very maps, too narrow for the sky"
            )
    return None


def _like(generated: MapSet, table: CropTable) -> CropTable:
    """Return the crops of a table, in the size of the generated maps where that can be."""
    ours, theirs, whole = generated.geometry, table.geometry, min(table.store.image_shape)
    same_pixels = np.isclose(ours.pixel_arcmin, theirs.pixel_arcmin, rtol=1e-4)
    if ours.num_pixels == theirs.num_pixels or not same_pixels:
        return table
    if ours.num_pixels > whole:
        raise ValueError(
            f"generated maps have {ours.num_pixels} pixels, stage prepare's maps {whole}: too few "
            "to compare; name larger real maps (--reference, --auxiliary), or generate smaller ones "
            "(--generate_pixels, in another --workdir)"
        )
    _say(
        f"real maps are cut in {ours.num_pixels} pixels, as the generated ones; --crop_size is "
        f"{theirs.num_pixels}"
    )
    return _without_invalid(table.of_size(ours.num_pixels))


def _without_invalid(table: CropTable) -> CropTable:
    """Leave out the crops that reach invalid pixels: places that another size made."""
    if not table.store.manifest.invalid_pixels:
        return table
    crops, size = {}, table.geometry.num_pixels
    for split, rows in table.crops.items():
        kept = np.zeros(len(rows), bool)
        for index in np.unique(rows[:, 0]):
            kappa = only_bin(table.store.read(int(index), int(index) + 1))[0]
            of_map, room = rows[:, 0] == index, len(kappa) - size + 1
            kept |= of_map & np.isin(rows[:, 1] * room + rows[:, 2], valid_positions(kappa, size))
        crops[split] = rows[kept]
    if not len(crops["validation"]):
        raise ValueError(f"{table.store.path}: no validation crop of {size} pixels is free of invalid ones")
    return table._replace(crops=crops)


def generated_store(workdir: Path) -> MapStore:
    """Open the maps that stage generate made."""
    return open_map_store(stage_directory(workdir, "generate") / "maps")


def _from_run(workdir: Path, bin_: int | None) -> MapSet:
    store = generated_store(workdir)
    if store.num_bins > 1 and bin_ is not None:
        store = store.only(bin_)
    check_not_observed(store, "evaluate")
    return MapSet(
        "generated",
        store.geometry,
        store.num_maps,
        lambda start, stop: only_bin(store.read(start, stop)),
        # Maps of one seed at several cosmologies hang together.
        numbered(store.manifest.parents or range(store.num_maps))[0],
        None,
        store.source_redshift,
        "generated by this run",
        {},
        parameters={
            name: np.array(store.parameters[name], np.float64) for name in known_for_all(store.parameters)
        },
    )


def _masked(maps: MapSet, patterns: Sequence[str]) -> MapSet:
    """Put the maps of a run under the one mask of those that they are compared with."""
    masks = open_masks(patterns, maps.num_maps, (maps.geometry.num_pixels, maps.geometry.num_pixels))
    if masks is None:
        return maps

    def read(start: int, stop: int) -> np.ndarray:
        kappa = maps.read(start, stop)
        return np.stack([masks.applied(number, image) for number, image in enumerate(kappa, start)])

    return maps._replace(read=read, masked=True)


def _from_table(split: str, table: CropTable, limit: int) -> MapSet:
    crops = table.choose(split, limit)
    of_map, names = crops[:, 0], table.parameters
    boxes = table.boxes(crops)
    return MapSet(
        split,
        table.geometry,
        len(crops),
        lambda start, stop: only_bin(table.cut(crops[start:stop])),
        numbered(table.parents(crops))[0],
        None if boxes is None else numbered(boxes)[0],
        table.manifest.source_redshift,
        f"{split} crops of stage prepare",
        table.manifest.origin.get("cosmology") or {},
        patches=numbered(of_map)[0],
        parameters=dict(zip(names, table.theta(crops, names).T.astype(np.float64))),
    )


def _say(line: str) -> None:
    print(f"evaluate: {line}", flush=True)
