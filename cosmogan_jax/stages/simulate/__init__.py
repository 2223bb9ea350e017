"""Stage simulate: convergence maps from a sky, each with its split and what it was made of."""

import time
from pathlib import Path
from typing import Any

import numpy as np

from cosmogan_jax.files.checksums import json_sha256
from cosmogan_jax.files.json_files import read_json, write_json
from cosmogan_jax.machine.progress import progress
from cosmogan_jax.maps.crop_table import SPLITS
from cosmogan_jax.maps.store import open_map_store
from cosmogan_jax.maps.store_writing import maps_written, write_map_store
from cosmogan_jax.settings import Simulate
from cosmogan_jax.sky.parameter_design import Design
from cosmogan_jax.sky.source_distributions import SourceBin
from cosmogan_jax.stages import planning
from cosmogan_jax.stages.simulate.design_sky import make_design_sky, point_in_words, read_design, split_points
from cosmogan_jax.stages.simulate.nbody_sky import make_nbody_sky
from cosmogan_jax.stages.simulate.skies import MakeSky, make_lognormal_sky, make_planes_sky
from cosmogan_jax.stages.simulate.sources import in_words, source_bins, told_of_bins

_SKIES: dict[str, MakeSky] = {
    "lognormal": make_lognormal_sky,
    "planes": make_planes_sky,
    "nbody": make_nbody_sky,
}


def run(settings: Simulate, workdir: Path, out: Path) -> dict[str, Any]:
    """Write the map store `maps`; its manifest tells split, parent, parameters and box or region of every map.

    A run that was cut off goes on with the box and the maps it had not finished.
    """
    counts, design, bins = _counts(settings), read_design(settings), source_bins(settings)
    began = time.monotonic()
    make = _SKIES[settings.sky]
    if design is None:
        sky = make(settings, workdir, counts)
    else:
        sky = make_design_sky(design, make, settings, workdir, counts)
        counts = {split: count * len(split_points(design, split)) for split, count in counts.items()}
    split_of = [split for split, count in counts.items() for _ in range(count)]
    manifest = {
        "source_redshift": _one_redshift(design, bins),
        **told_of_bins(bins),
        "seed": settings.seed,
        "origin": sky.origin | ({"source_bins": [bin.record() for bin in bins]} if len(bins) > 1 else {}),
        "splits": split_of,
        "parents": list(range(len(split_of))),
        "boxes": [sky.box(i, split) for i, split in enumerate(split_of)],
        "parameters": _columns([sky.parameters(i, split) for i, split in enumerate(split_of)]),
    }
    for name, content in sky.records.items():
        write_json(out / f"{name}.json", content)
    start = maps_written(out / "maps")
    _check_begun_alike(out / "source_bins.json", bins, started=start > 0)
    seconds = []

    def batches():
        with progress(total=len(split_of), initial=start, desc="simulate", unit="map") as bar:
            first = 0
            for split, count in counts.items():
                for begin in range(max(first, start), first + count, sky.batch_size):
                    index = np.arange(begin, min(begin + sky.batch_size, first + count))
                    mark = time.monotonic()
                    yield sky.maps(index, split)
                    seconds.append((len(index), (time.monotonic() - mark) / len(index)))
                    bar.update(len(index))
                first += count

    write_map_store(out / "maps", batches(), len(split_of), sky.geometry, manifest, start, num_bins=len(bins))
    cost = {
        "total": round(time.monotonic() - began, 3),
        # Of the largest batch: small ones are mostly compilation.
        "map": round(max(seconds)[1], 5) if seconds else None,
        **sky.cost,
    }
    write_json(out / "cost.json", {"unit": "seconds of wall time; of a box, step, plane: medians", **cost})
    of_bins = {"source_bins": len(bins)} if len(bins) > 1 else {}
    return {
        "num_maps": len(split_of), "side_deg": sky.geometry.side_deg, **of_bins, **counts, "seconds": cost
    }  # fmt: skip


def _check_begun_alike(path: Path, bins: tuple[SourceBin, ...], *, started: bool) -> None:
    """Record several bins; ValueError where maps were begun with others, as of a table that has changed."""
    if len(bins) == 1:
        return
    record = {"source_bins": [bin.record() for bin in bins]}
    if started and path.is_file() and read_json(path) != record:
        raise ValueError(
            f"{path.parent} holds maps of other source bins, begun before source_distributions changed; remove "
            "it to begin anew"
        )
    write_json(path, record)


def _one_redshift(design: Design | None, bins: tuple[SourceBin, ...]) -> float | None:
    """Return the source redshift of all maps; None where it differs from map to map, or bin to bin."""
    differs = len(bins) > 1 or (design is not None and "source_redshift" in design.names)
    return None if differs else bins[0].farthest


def _columns(rows: list[dict[str, float]]) -> dict[str, list[float]]:
    return {name: [row[name] for row in rows] for name in rows[0]}


def check(settings: Simulate) -> None:
    """Raise ValueError for flags that make no design, no source bins, or that are of another sky."""
    source_bins(settings)
    read_design(settings)
    planes, nbody = "--sky=planes", "--sky=nbody"
    for name, default, sky in (
        ("lens_planes", None, planes),
        ("boxes_dir", None, nbody),
        ("plane_pixels", None, nbody),
        ("write_lens_planes", False, nbody),
        ("sharpen_to", "none", nbody),
    ):
        value = getattr(settings, name)
        if value != default and sky != f"--sky={settings.sky}":
            raise ValueError(f"{name}={value} goes with {sky}; sky={settings.sky} makes nothing of it")


def check_channel(settings: Simulate, channel: int | None) -> None:
    """Raise ValueError where the bin that is trained on is none of the simulated ones."""
    bins = source_bins(settings)
    if channel is not None and len(bins) == 1:
        raise ValueError(
            f"channel={channel} goes with --maps, or several source bins; maps are of one redshift"
        )
    if channel is not None and channel >= len(bins):
        raise ValueError(f"maps have {in_words(bins)}: channel={channel} must lie in 0 to {len(bins) - 1}")


def dry_run(settings: Simulate, workdir: Path) -> None:
    """Print what a verdict on maps of this design could resolve, before any box is made."""
    counts, design = _counts(settings), read_design(settings)
    if design is not None:
        _tell_design(design, settings, counts)
    if len(bins := source_bins(settings)) > 1:
        print(f"simulate: every map has {in_words(bins)}")
    sets: dict[str, list[tuple[int | None, int]]] = {}
    for split in ("validation", "auxiliary"):
        # Lognormal maps are independent; all windows of given planes are of one light cone.
        boxes = getattr(settings, f"num_{split}_boxes") if settings.sky == "nbody" else 1
        independent = settings.sky == "lognormal"
        sets[split] = [(None if independent else i % boxes, 1) for i in range(counts[split])]
    planning.tell("simulate", sets)


def _tell_design(design: Design, settings: Simulate, counts: dict[str, int]) -> None:
    """Print the design's points, and what each of them takes."""
    for split in SPLITS:
        points = split_points(design, split)
        boxes = f" from {getattr(settings, f'num_{split}_boxes')} boxes" if settings.sky == "nbody" else ""
        print(f"simulate: {len(points)} cosmologies with {counts[split]} {split} maps each{boxes}")
    for number, held_out in enumerate(design.held_out):
        print(f"simulate: {point_in_words(design, number)}{', held out' if held_out else ''}")


def result_mark(out: Path) -> str:
    """Return the mark of the maps, by their content."""
    return json_sha256(open_map_store(out / "maps").manifest.identity())


def _counts(settings: Simulate) -> dict[str, int]:
    counts = {split: getattr(settings, f"num_{split}_maps") for split in SPLITS}
    if counts["auxiliary"] is None:
        counts["auxiliary"] = 0 if settings.sky == "planes" else counts["validation"]
    for split, count in counts.items():
        least = 0 if split == "auxiliary" else 1
        if count < least:
            raise ValueError(f"num_{split}_maps={count} must be at least {least}")
    if settings.map_pixels < 1:
        raise ValueError(f"map_pixels={settings.map_pixels} must be positive")
    return counts
