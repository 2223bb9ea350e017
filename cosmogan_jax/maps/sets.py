"""The sets of maps that evaluate compares: generated, validation, auxiliary; of a run, or given as files.

What counts as independent is said here once. Crops of one map share its structures, maps of one box its
particles: every test permutes, and every error resamples, whole units.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
from jaxtyping import Float, Int

from cosmogan_jax.compare.resamples import MIN_PARENTS
from cosmogan_jax.geometry import MapGeometry
from cosmogan_jax.maps.crop_table import CropTable, open_crop_table
from cosmogan_jax.maps.crops import valid_positions
from cosmogan_jax.maps.judged_files import open_judged_files
from cosmogan_jax.maps.map_parameters import told_cosmology
from cosmogan_jax.maps.source_bins import only_bin
from cosmogan_jax.maps.sources import MapSources
from cosmogan_jax.maps.store import MapStore, open_map_store
from cosmogan_jax.maps.survey_masks import open_masks
from cosmogan_jax.runs.directory import stage_directory
from cosmogan_jax.settings import Evaluate, Novelty

# Of fewer boxes no error can be told (`compare/resamples.py`).
FEWEST_BOXES = MIN_PARENTS
_AT_ONCE = 256  # maps in memory


class MapSet(NamedTuple):
    """Maps of one kind, read a few at a time.

    Attributes:
      parents: the map, or the sky, that each was cut from.
      patches: as parents, but of one sky each patch; None where these are the maps themselves.
      boxes: the box or region that each comes from; None where it is not known.
      source: where they are from, in words.
      cosmology: what is told of it, by parameter.
      masked: whether pixels that are no measurement are NaN.
    """

    name: str
    geometry: MapGeometry
    num_maps: int
    read: Callable[[int, int], Float[np.ndarray, "maps size size"]]
    parents: Int[np.ndarray, " maps"]
    boxes: Int[np.ndarray, " maps"] | None
    source_redshift: float | None
    source: str
    cosmology: Mapping[str, float | None]
    masked: bool = False
    patches: Int[np.ndarray, " maps"] | None = None

    def read_finite(self, start: int, stop: int) -> Float[np.ndarray, "maps size size"]:
        """Maps start to stop; ValueError names the first that is not finite.

        Of a masked set those whose valid pixels are; the others are NaN.
        """
        kappa = self.read(start, stop)
        finite = (~np.isinf(kappa) if self.masked else np.isfinite(kappa)).all(axis=(1, 2))
        if not finite.all():
            number = start + int(np.argmin(finite))
            raise ValueError(f"{self.name} map {number} ({self.source}) holds non-finite values")
        return kappa

    def units(self, unit: Literal["auto", "map", "box", "patch"]) -> tuple[Int[np.ndarray, " maps"], str]:
        """What each map counts with as one, and what that is called.

        auto: boxes where there are FEWEST_BOXES or more, else the maps that crops were cut from; whose errors
        are too small where fewer boxes made many maps, which the report says.

        Raises:
          ValueError: boxes asked for, and not known.
        """
        if unit == "patch":
            return (np.arange(self.num_maps) if self.patches is None else self.patches), "patch"
        known = 0 if self.boxes is None else len(np.unique(self.boxes))
        if unit == "box" and self.boxes is None:
            raise ValueError(
                f"independent_unit={unit}: the {self.name} maps do not say which box they are from"
            )
        if self.boxes is not None and (unit == "box" or (unit == "auto" and known >= FEWEST_BOXES)):
            return self.boxes, "box"
        return self.parents, "map"


class MapSets(NamedTuple):
    """What is compared; auxiliary is None where there is no independent set of real maps."""

    generated: MapSet
    validation: MapSet
    auxiliary: MapSet | None

    def present(self) -> list[MapSet]:
        """The sets that are there."""
        return [one for one in self if one is not None]


def open_map_sets(settings: Evaluate, workdir: Path) -> MapSets:
    """The sets that the flags name, the run's own in place of those they do not.

    Validation and auxiliary crops of the run are as many as there are generated maps at most, as many of each
    map as of any other. Where generated maps have as wide pixels but another number of them, the crops are cut
    anew in that size, if the maps are large enough.

    Raises:
      ValueError: files that cannot be read or lack an angle; sets of other sizes, angles or redshifts; too few
        maps.
    """
    named = {"generated": settings.generated, "reference": settings.reference, "auxiliary": settings.auxiliary}
    # Beside stage prepare's crops, which hold no masked pixels, maps are judged whole.
    masks = settings.mask if settings.reference else ()
    given = from_files({name: of for name, of in named.items() if of}, settings, "evaluate", masks)
    generated = given["generated"] if settings.generated else _masked(_from_run(workdir), masks)
    table = None
    if not settings.reference:
        table = _like(generated, open_crop_table(stage_directory(workdir, "prepare")))
    validation = given["reference"] if table is None else _from_table("validation", table, generated.num_maps)
    auxiliary = None
    if settings.auxiliary:
        auxiliary = given["auxiliary"]
    elif table is not None and len(table.crops.get(settings.auxiliary_split, ())):
        auxiliary = _from_table(settings.auxiliary_split, table, generated.num_maps)._replace(name="auxiliary")
    sets = MapSets(generated, validation._replace(name="validation"), auxiliary)
    check_alike(sets)
    return sets


def spread_over(
    read: Callable[[int, int], Float[np.ndarray, "maps size size"]], num_maps: int, most: int
) -> Iterator[tuple[Float[np.ndarray, "some size size"], Int[np.ndarray, " some"]]]:
    """At most so many of a set's maps in float32, evenly spread over it, chunk by chunk, with their numbers."""
    wanted = np.arange(min(num_maps, most)) * num_maps // min(num_maps, most)
    for start in range(0, num_maps, _AT_ONCE):
        inside = wanted[(wanted >= start) & (wanted < start + _AT_ONCE)]
        if len(inside):
            kappa = read(start, min(start + _AT_ONCE, num_maps))[inside - start]
            yield np.asarray(kappa, np.float32), inside


def few_boxes(sets: MapSets, units: dict[str, tuple[np.ndarray, str]]) -> str | None:
    """Why no verdict can be given, though there are maps enough; None where it can.

    Maps of a few boxes share structures. Counted as independent they would show differences that are of these
    boxes (experiments/009-two-sample-tests: two halves of one light cone, told apart in 31 % of the modes).
    """
    for one in (sets.validation, sets.auxiliary):
        if one is None or one.boxes is None:
            continue
        boxes, (labels, unit) = len(np.unique(one.boxes)), units[one.name]
        if unit == "map" and boxes < min(FEWEST_BOXES, len(np.unique(labels))):
            words = "one box or region" if boxes == 1 else f"{boxes} boxes or regions"
            return (
                f"the {one.name} maps come from {words} and are not independent of each other; a verdict needs "
                f"{FEWEST_BOXES} at least. Limits are those of these very maps, too narrow for the sky"
            )
    return None


def _like(generated: MapSet, table: CropTable) -> CropTable:
    """The crops of a table, in the size of the generated maps where that can be."""
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
    print(
        f"evaluate: real maps are cut in {ours.num_pixels} pixels, as the generated ones; --crop_size is "
        f"{theirs.num_pixels}",
        flush=True,
    )
    return _without_invalid(table.of_size(ours.num_pixels))


def _without_invalid(table: CropTable) -> CropTable:
    """The crops without those that reach invalid pixels: places that another size made."""
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


def check_not_observed(store: MapStore, stage: str) -> None:
    """ValueError for maps with shape noise or smoothing."""
    if observed := store.manifest.observed:
        said = ", ".join(f"{name}={value:g}" for name, value in observed.items())
        raise ValueError(
            f"{store.path} holds maps as they are observed ({said}), and stage {stage} compares convergence: "
            "generate without --generate_noise and --generate_smoothing_arcmin in another --workdir"
        )


def _from_run(workdir: Path) -> MapSet:
    store = open_map_store(stage_directory(workdir, "generate") / "maps")
    check_not_observed(store, "evaluate")
    return MapSet(
        "generated",
        store.geometry,
        store.num_maps,
        lambda start, stop: only_bin(store.read(start, stop)),
        np.arange(store.num_maps),
        None,
        store.manifest.source_redshift,
        "generated by this run",
        {},
    )


def _masked(maps: MapSet, patterns: Sequence[str]) -> MapSet:
    """Maps of a run under the one mask of those that they are compared with."""
    masks = open_masks(patterns, maps.num_maps, (maps.geometry.num_pixels, maps.geometry.num_pixels))
    if masks is None:
        return maps

    def read(start: int, stop: int) -> np.ndarray:
        kappa = maps.read(start, stop)
        return np.stack([masks.applied(start + n, one) for n, one in enumerate(kappa)])

    return maps._replace(read=read, masked=True)


def _from_table(split: str, table: CropTable, limit: int) -> MapSet:
    crops = table.choose(split, limit)
    of_map = crops[:, 0]
    boxes = table.boxes(crops)
    return MapSet(
        split,
        table.geometry,
        len(crops),
        lambda start, stop: only_bin(table.cut(crops[start:stop])),
        np.unique(table.parents(crops), return_inverse=True)[1],
        None if boxes is None else np.unique(boxes, return_inverse=True)[1],
        table.manifest.source_redshift,
        f"{split} crops of stage prepare",
        table.manifest.origin.get("cosmology") or {},
        patches=np.unique(of_map, return_inverse=True)[1],
    )


def from_files(
    given: Mapping[str, tuple[str, ...]],
    settings: Evaluate | Novelty,
    stage: str,
    masks: Sequence[str] = (),
) -> dict[str, MapSet]:
    """The sets that files make, by what they are called; masks: of all of them.

    Raises:
      ValueError: as `judged_files.open_judged_files`.
    """
    sets = {}
    for name, maps in open_judged_files(given, settings, stage, masks).items():
        labels = {what: _labels(maps.sources, name, what) for what in ("boxes", "parents")}
        boxes, parents = (None if of is None else of[maps.numbers] for of in labels.values())
        sets[name] = MapSet(
            name,
            maps.sources.geometry,
            len(maps.numbers),
            maps.read,
            # Maps that do not say what they were cut from count as maps of their own.
            np.arange(len(maps.numbers)) if parents is None else parents,
            boxes,
            maps.sources.source_redshift,
            ", ".join(given[name]),
            told_cosmology(maps.sources.files[name][0]),
            maps.masked,
        )
    return sets


def _labels(sources: MapSources, role: str, what: str) -> Int[np.ndarray, " maps"] | None:
    """Numbers of what the files record of each map, file by file; None where one of them records nothing."""
    labels = []
    for file in sources.files[role]:
        recorded = getattr(file, what)
        if recorded is None or None in recorded:
            return None
        labels += [f"{file.path} {label}" if what == "parents" else str(label) for label in recorded]
    return np.unique(np.array(labels), return_inverse=True)[1]


def check_same_geometry(name: str, one: MapGeometry, other_name: str, other: MapGeometry) -> None:
    """ValueError for maps of different sizes or angles."""
    if one.num_pixels != other.num_pixels or not np.isclose(one.side_deg, other.side_deg, rtol=1e-4):
        raise ValueError(
            f"{name} have {one.num_pixels} pixels over {one.side_deg:.6g} deg, {other_name} {other.num_pixels} "
            f"over {other.side_deg:.6g}; maps of one size and angle can be compared (stage prepare cuts crops)"
        )


def check_alike(sets: MapSets) -> None:
    """ValueError for fewer than two maps, or maps of another size, angle or redshift than validation's."""
    flags = {"generated": "generated", "validation": "reference", "auxiliary": "auxiliary"}
    first = sets.validation
    for other in sets.present():
        if other.num_maps < 2:
            raise ValueError(f"{flags[other.name]}: {other.num_maps} map from {other.source}; two are needed")
        check_same_geometry(f"{other.name} maps", other.geometry, "validation maps", first.geometry)
        theirs, ours = other.source_redshift, first.source_redshift
        if theirs is not None and ours is not None and not np.isclose(theirs, ours, rtol=1e-3):
            raise ValueError(
                f"{other.name} maps are of source redshift {theirs:g}, validation maps of {ours:g}"
            )
