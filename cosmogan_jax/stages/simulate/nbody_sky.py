"""The N-body sky: boxes of particles, their lens planes tiled at random to the source, maps through them."""

from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from cosmogan_jax import keys
from cosmogan_jax.maps.boxes import Box
from cosmogan_jax.maps.crop_table import SPLITS
from cosmogan_jax.runs.directory import key_scheme
from cosmogan_jax.settings import Simulate
from cosmogan_jax.sky import light_cone, sharpening
from cosmogan_jax.sky.light_cone import Placement
from cosmogan_jax.sky.matter_power import MatterPower, matter_power
from cosmogan_jax.stages.simulate.box_maps import BoxMaps, batch_size
from cosmogan_jax.stages.simulate.box_planes import write_box_planes
from cosmogan_jax.stages.simulate.boxes import BoxPlan, get_boxes
from cosmogan_jax.stages.simulate.cone import LightCone, plan_light_cone, resolution_limits
from cosmogan_jax.stages.simulate.skies import Sky, sky_parameters
from cosmogan_jax.stages.simulate.sources import image_shape


def make_nbody_sky(settings: Simulate, workdir: Path, counts: dict[str, int]) -> Sky:
    """Make the boxes that are missing, for hours where they are large, and return the sky seen through all.

    Every map looks through the planes of one box; splits use different boxes.

    Raises:
      ValueError: settings that make no simulation, or a device that has not the memory for a box.
    """
    cone, names = plan_light_cone(settings), box_names(settings, counts)
    scheme = key_scheme(workdir)
    root = keys.key(settings.seed, "sky", scheme)
    power = matter_power(cone.cosmology)
    limits = resolution_limits(cone, power)
    plan = BoxPlan(cone.box, power, cone.schedule, cone.source_redshift, settings.seed, scheme)
    folder = Path(settings.boxes_dir) if settings.boxes_dir else workdir / "boxes"
    boxes = get_boxes(folder, _box_keys(root, names), plan)
    calibration = next(iter(boxes.values()))
    transfer = _transfer(settings, cone, power, calibration)
    if settings.write_lens_planes:
        for box in boxes.values():
            write_box_planes(box, cone)
    placed = _placements(root, cone, sum(counts.values()))
    box_maps = BoxMaps(cone, placed, jnp.asarray(transfer, jnp.float32), settings)

    def name_of(index: int, split: str) -> str:
        return box_of_map(index, split, names, counts)

    def maps(index: Int[np.ndarray, " maps"], split: str) -> Float[np.ndarray, "maps size size *bins"]:
        own = np.array([name_of(int(number), split) for number in index])
        kappa = np.empty((len(index), *image_shape(settings, cone.bins)), np.float32)
        for name in dict.fromkeys(own):
            chosen = np.flatnonzero(own == name)
            kappa[chosen] = box_maps.through(boxes[name], index[chosen])
        return kappa

    sharpened = settings.sharpen_to != "none"
    origin = {
        "sky": "nbody",
        "ray_tracing": settings.ray_tracing,
        "box": plan.identity(),
        "matter_power": power.source,
        "rays_per_pixel": settings.rays_per_pixel,
        "sharpen_to": settings.sharpen_to,
        "sharpening": "transfer.json" if sharpened else None,
        "placements": "placements.json",
        "resolution": limits,
        "independence": "maps of one box share its structures and are not independent samples; the "
        "splits use different boxes",
    }
    records = {"placements": _placement_record(placed)}
    if sharpened:
        records["transfer"] = _transfer_record(transfer, cone, calibration)
    parameters = sky_parameters(cone.cosmology, cone.bins)
    seen = cone.geometry, origin, lambda index, split: parameters, name_of, maps
    return Sky(*seen, records, _cost(boxes), batch_size(settings.map_pixels, len(cone.bins)))


def box_names(settings: Simulate, counts: dict[str, int]) -> dict[str, list[str]]:
    """Return the names of each split's boxes; none where it has no maps.

    Raises:
      ValueError: fewer than one box for a split's maps, or more than maps.
    """
    names: dict[str, list[str]] = {}
    for split in SPLITS:
        count, maps = getattr(settings, f"num_{split}_boxes"), counts[split]
        if maps == 0:
            names[split] = []
            continue
        if count < 1:
            raise ValueError(f"num_{split}_boxes={count} must be positive: num_{split}_maps={maps}")
        if count > maps:
            raise ValueError(f"num_{split}_boxes={count} is more than num_{split}_maps={maps}")
        names[split] = [f"{split}_{number:03d}" for number in range(count)]
    return names


def box_of_map(index: int, split: str, names: dict[str, list[str]], counts: dict[str, int]) -> str:
    """Return the box that a map looks through: a split's maps are shared out evenly among its boxes."""
    first = sum(counts[other] for other in SPLITS[: SPLITS.index(split)])
    return names[split][(index - first) * len(names[split]) // counts[split]]


def _box_keys(root: Array, names: dict[str, list[str]]) -> dict[str, Array]:
    return {
        name: jax.random.fold_in(jax.random.fold_in(root, split_number), number)
        for split_number, split in enumerate(SPLITS)
        for number, name in enumerate(names[split])
    }


def _placements(root: Array, cone: LightCone, num_maps: int) -> Placement:
    """Return how every map (first axis) sees every plane."""
    place = jax.jit(jax.vmap(light_cone.placements, (None, 0, None, None)), static_argnums=(2, 3))
    key = jax.random.fold_in(root, len(SPLITS))
    placed = place(key, jnp.arange(num_maps), len(cone.schedule.chi), cone.box.slabs_per_box)
    return jax.tree.map(np.asarray, placed)


def _transfer(
    settings: Simulate, cone: LightCone, power: MatterPower, calibration: Box
) -> Float[np.ndarray, "planes bins"]:
    """Return the planes' factors of amplitude, by the power of one box; all 1 where nothing is sharpened."""
    numbers = range(len(cone.schedule.chi))
    if settings.sharpen_to != "halofit":
        return np.ones((len(numbers), sharpening.TRANSFER_BINS))
    planes = (calibration.read(number) for number in numbers)
    return sharpening.sharpening_transfer(planes, cone.schedule, power, cone.box.box_size)


def _placement_record(placed: Placement) -> dict[str, Any]:
    return {
        "about": "per map and plane: cut = axis * slabs_per_box + slab, shift of the map's middle as a "
        "share of the box, turn = orientation 0 to 7 (bit 0 transposes, 1 and 2 flip rows and columns)",
        "cut": placed.cut.tolist(),
        "shift": np.round(placed.shift.astype(float), 7).tolist(),
        "turn": placed.turn.tolist(),
    }


def _transfer_record(transfer: np.ndarray, cone: LightCone, calibration: Box) -> dict[str, Any]:
    return {
        "about": "amplitude gain per plane, at even steps of k from 0 to the planes' Nyquist frequency",
        "k_nyquist": np.pi * cone.box.plane_pixels / cone.box.box_size,
        "calibrated_on": calibration.path.name,
        "gain": np.round(transfer, 5).tolist(),
    }


def _cost(boxes: dict[str, Box]) -> dict[str, float]:
    """Return medians over the boxes, in seconds."""
    seconds = [box.record["seconds"] for box in boxes.values()]
    return {
        name: round(float(np.median([of_box[key] for of_box in seconds])), 5)
        for name, key in (("box", "total"), ("step", "step"), ("plane", "plane"))
    }
