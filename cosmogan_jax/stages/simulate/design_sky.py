"""The sky of a design: cosmologies of which each has maps of its own, made by the sky of one.

Training and development maps are of the design's training points, each of boxes of its own; validation and
auxiliary maps of the points that are held out (of all, where none is), from boxes of the same seeds at each:
what a parameter changes is then seen with hardly any sample variance, and what counts as independent in all of
them together is the seed, which is the name of a box.
"""

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from cosmogan_jax.files.csv_files import read_lines
from cosmogan_jax.maps.crop_table import SPLITS
from cosmogan_jax.settings import Simulate
from cosmogan_jax.sky.parameter_design import Design, design_of, parsed_ranges, points_of, sobol_points
from cosmogan_jax.stages.simulate.skies import MakeSky, Sky
from cosmogan_jax.stages.simulate.sources import image_shape, source_bins

_OWN_SEEDS = ("train", "development")
_SEED_STEP = 1_000_003  # between the seeds of training points: no one would count up seeds by it


def read_design(settings: Simulate) -> Design | None:
    """Return the design that the settings ask for; None where all maps are of one cosmology.

    Raises:
      ValueError: settings that make no design, or that belong to one where there is none.
    """
    if settings.design is None:
        for name in ("design_ranges", "held_out", "num_held_out"):
            if value := getattr(settings, name):
                raise ValueError(f"{name}={value} goes with --design, which is not given")
        return None
    if settings.sky == "planes":
        raise ValueError(f"design={settings.design}: the cosmology of sky=planes is the planes'")
    kind, _, count = settings.design.partition(":")
    if kind == "sobol":
        if not count.isdigit():
            raise ValueError(f"design={settings.design} must be sobol:<number of points>, or a CSV file")
        if not settings.design_ranges:
            raise ValueError(
                f"design={settings.design} needs --design_ranges, as omega_m=0.2:0.4,sigma8=0.6:1.0"
            )
        names, points = sobol_points(int(count), parsed_ranges(settings.design_ranges), settings.seed)
    elif settings.design_ranges:
        raise ValueError(f"design_ranges goes with --design=sobol:<number>, and design={settings.design}")
    else:
        lines = read_lines(Path(settings.design), "design")
        names, points = points_of(lines, f"design={settings.design}")
    if "source_redshift" in names and len(bins := source_bins(settings)) > 1:
        raise ValueError(
            f"source_redshift is one of the design's parameters, and {len(bins)} source bins have their own"
        )
    for name in names:
        if (value := getattr(settings, name)) is not None:
            raise ValueError(f"{name}={value:g} is given, and is one of the design's parameters too")
    if settings.held_out and settings.num_held_out:
        raise ValueError("held_out names points, num_held_out has some drawn: only one can be given")
    return design_of(names, points, settings.held_out or settings.num_held_out, settings.seed)


def split_points(design: Design, split: str) -> Int[np.ndarray, " points"]:
    """Return the numbers of the points that a split has maps of."""
    if split in _OWN_SEEDS:
        return np.flatnonzero(~design.held_out)
    return np.flatnonzero(design.held_out) if design.held_out.any() else np.arange(len(design.points))


def make_design_sky(
    design: Design, make: MakeSky, settings: Simulate, workdir: Path, counts: dict[str, int]
) -> Sky:
    """Make the skies of all points, and return the one that has the maps of all.

    counts: maps of a split at each of its points. Maps of a split are numbered point by point.
    """
    chosen = {split: split_points(design, split) for split in SPLITS}
    boxes = Path(settings.boxes_dir) if settings.boxes_dir else workdir / "boxes"
    image = image_shape(settings, source_bins(settings))
    skies: dict[tuple[int, bool], Sky] = {}
    for number in range(len(design.points)):
        for own_seed in (True, False):
            of_point = {
                split: counts[split] if (split in _OWN_SEEDS) == own_seed and number in chosen[split] else 0
                for split in SPLITS
            }
            if any(of_point.values()):
                print(f"simulate: {point_in_words(design, number)}, of {len(design.points)}")
                own = _settings_of_point(design, number, own_seed, settings, boxes)
                skies[number, own_seed] = make(own, workdir, of_point)

    def place(index: int, split: str) -> tuple[Sky, int, int]:
        """Return the sky of a map, its number there, and that of its point."""
        first = sum(len(chosen[other]) * counts[other] for other in SPLITS[: SPLITS.index(split)])
        point, local = divmod(index - first, counts[split])
        number = int(chosen[split][point])
        own_seed = split in _OWN_SEEDS
        before = [
            s for s in SPLITS[: SPLITS.index(split)] if (s in _OWN_SEEDS) == own_seed and number in chosen[s]
        ]
        return skies[number, own_seed], local + sum(counts[s] for s in before), number

    def box(index: int, split: str) -> str:
        sky, local, number = place(index, split)
        name = sky.box(local, split)
        return f"cosmology_{number:03d}/{name}" if split in _OWN_SEEDS else name

    def maps(index: Int[np.ndarray, " maps"], split: str) -> Float[np.ndarray, "maps size size *bins"]:
        places = [place(int(n), split) for n in index]
        kappa = np.empty((len(index), *image), np.float32)
        for number in dict.fromkeys(n for _, _, n in places):
            rows = [row for row, (_, _, n) in enumerate(places) if n == number]
            sky = places[rows[0]][0]
            kappa[rows] = sky.maps(np.array([places[row][1] for row in rows]), split)
        return kappa

    def parameters(index: int, split: str) -> dict[str, float]:
        sky, local, _ = place(index, split)
        return sky.parameters(local, split)

    first = next(iter(skies.values()))
    origin, records = _origin(design, skies), _records(skies)
    return Sky(first.geometry, origin, parameters, box, maps, records, first.cost, first.batch_size)


def _settings_of_point(
    design: Design, number: int, own_seed: bool, settings: Simulate, boxes: Path
) -> Simulate:
    seed = (settings.seed + _SEED_STEP * (number + 1)) % 2**32 if own_seed else settings.seed
    changes: dict[str, Any] = dict(design.values(number))
    return dataclasses.replace(
        settings, seed=seed, boxes_dir=str(boxes / f"cosmology_{number:03d}"), design=None, **changes
    )


def point_in_words(design: Design, number: int) -> str:
    """Return a point's number and parameters."""
    values = ", ".join(f"{name}={value:.4g}" for name, value in design.values(number).items())
    return f"cosmology {number} ({values})"


def _origin(design: Design, skies: dict[tuple[int, bool], Sky]) -> dict[str, Any]:
    return {
        "design": {
            "names": list(design.names),
            "points": design.points.tolist(),
            "held_out": np.flatnonzero(design.held_out).tolist(),
        },
        "of_each": {_label(*key): sky.origin for key, sky in skies.items()},
        "independence": "validation and auxiliary maps of all cosmologies are of the same seeds, which are "
        "what is independent in all of them together; " + next(iter(skies.values())).origin["independence"],
    }


def _records(skies: dict[tuple[int, bool], Sky]) -> dict[str, Any]:
    records = {}
    for key, sky in skies.items():
        records.update({f"{name}_{_label(*key)}": content for name, content in sky.records.items()})
    return records


def _label(number: int, own_seed: bool) -> str:
    return f"{number:03d}" if own_seed else f"{number:03d}_matched"
