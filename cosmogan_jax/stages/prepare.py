"""Stage prepare: a table of crop positions over the maps, which are stored once."""

from pathlib import Path
from typing import Any

import numpy as np

from cosmogan_jax.stages.settings import Prepare
from cosmogan_jax.storage.crop_table import SPLITS, write_crop_table
from cosmogan_jax.storage.map_store import open_map_store
from cosmogan_jax.storage.run_directory import stage_directory


def run(settings: Prepare, workdir: Path, out: Path) -> dict[str, Any]:
    """Draw crops_per_map positions in every map; a map's crops all belong to the map's split."""
    store = open_map_store(stage_directory(workdir, "simulate") / "maps")
    if settings.crop_size > store.geometry.num_pixels:
        raise ValueError(
            f"crop_size={settings.crop_size} is larger than the maps of {store.geometry.num_pixels} pixels"
        )
    geometry = store.geometry.crop(settings.crop_size)
    if settings.crops_per_map < 1:
        raise ValueError(f"crops_per_map={settings.crops_per_map} must be positive")
    if not settings.normalisation_scale > 0:
        raise ValueError(f"normalisation_scale={settings.normalisation_scale} must be positive")
    room = store.geometry.num_pixels - settings.crop_size + 1
    if settings.crops_per_map > room**2:
        raise ValueError(
            f"crops_per_map={settings.crops_per_map} is more than the {room**2} positions of a crop of "
            f"{settings.crop_size} pixels in a map of {store.geometry.num_pixels}"
        )
    tables: dict[str, list] = {split: [] for split in SPLITS}
    outside = total = 0
    for index, split in enumerate(store.manifest["splits"]):
        rng = np.random.Generator(np.random.Philox(key=[settings.seed, index]))
        place = rng.choice(room**2, settings.crops_per_map, replace=False)
        crops = np.stack([np.full_like(place, index), place // room, place % room], axis=1)
        tables[split].append(crops.astype(np.int32))
        if split == "train":
            kappa = store.read(index, index + 1)[0]
            outside += _crops_outside(kappa, crops, settings.crop_size)
            total += len(crops)
    manifest = {
        "maps": "../simulate/maps",
        "crop_size": settings.crop_size,
        "side_deg": geometry.side_deg,
        "source_redshift": store.manifest["source_redshift"],
        "normalisation": {"kind": settings.normalisation, "scale": settings.normalisation_scale},
        "share_of_crops_outside_unit_range": outside / total,
        "seed": settings.seed,
        "parents": store.manifest["parents"],
        "boxes": store.manifest["boxes"],
        "origin": store.manifest["origin"],
    }
    write_crop_table(out, {split: np.concatenate(table) for split, table in tables.items() if table}, manifest)
    return {split: sum(map(len, table)) for split, table in tables.items()}


def _crops_outside(kappa: np.ndarray, crops: np.ndarray, size: int) -> int:
    """Crops with a pixel outside [-1, 1], by two-dimensional cumulative sums (paper: below 0.9 %)."""
    sums = np.pad((np.abs(kappa) > 1).astype(np.int64).cumsum(0).cumsum(1), ((1, 0), (1, 0)))
    row, column = crops[:, 1], crops[:, 2]
    inside = (
        sums[row + size, column + size]
        - sums[row, column + size]
        - sums[row + size, column]
        + sums[row, column]
    )
    return int((inside > 0).sum())
