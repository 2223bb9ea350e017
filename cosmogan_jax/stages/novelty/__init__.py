"""Stage novelty: whether generated maps are new, and how many of them there are.

Writes novelty.json:

    num_maps, num_batches, num_queries, num_training_crops, num_validation_crops   how many were compared
    seed, step           the generator's, as of stage generate; null where maps were given (--generated)
    features             name of the space of features that the training has (a DCGAN's: discriminator, its
                         last convolution), its label on an axis and the step of the state it is of; null where
                         there is none
    left_out             by name why a search (nearest, pairs), a space or the interpolation is not there
    fraction, symmetries, l_edges, num_bands (of them those that vary), side_deg, num_pixels
    nearest.<space>      for pixels (rms of kappa per pixel), spectrum (rms per band, in sigma) and, on request,
                         windows (pixels, over all shifts): quantiles of the distances to the nearest training
                         map of generated maps and of validation crops, and compare/nearest.py's CopyVerdict
    birthday.<space>     for pixels, spectrum and the features: quantiles of the distances to the nearest other
                         map, generated and real; the closest pairs; compare/birthday.py's BirthdayVerdict
    interpolation        emulators/interpolation.py's Smoothness, mean and worst over the paths; null of given
                         maps
    verdict              copies, collisions (booleans; null where they were not looked for), support_above: the
                         least over the spaces that can tell

and novelty.npz, what figures/novelty.py draws:

    nearest_<space>_generated, _validation   distances to the nearest training map
    birthday_<space>_generated, _real        distances to the nearest other map, all batches in turn
    shown, shown_generated, shown_<space>    numbers of some queries, these maps, and what they are nearest to
    strips, steps                            maps along three paths; rms change of every step of all paths

Queries are the first generated maps; batch b holds maps b n to (b + 1) n of stage generate's seed.
"""

import dataclasses
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from cosmogan_jax.emulators.interpolation import paths, smoothness
from cosmogan_jax.emulators.normalisation import Normalisation
from cosmogan_jax.files.json_files import write_json
from cosmogan_jax.files.whole_files import write_arrays
from cosmogan_jax.geometry import log_l_edges
from cosmogan_jax.maps.crop_table import open_crop_table
from cosmogan_jax.runs.directory import stage_directory
from cosmogan_jax.settings import Novelty
from cosmogan_jax.stages import planning
from cosmogan_jax.stages.novelty import sources
from cosmogan_jax.stages.novelty.search import Arrays, Search, kept, number

_SHOWN_STEPS = 8  # of an interpolation
_PATHS = 8


def run(settings: Novelty, workdir: Path, out: Path) -> dict[str, Any]:
    """Search; what an interrupted run has found (one file for each space and batch) is not searched again.

    Of maps that are given there may be fewer than asked for: those that are there are searched.
    """
    table = open_crop_table(stage_directory(workdir, "prepare"))
    geometry = table.geometry
    count, batches = settings.novelty_maps, settings.novelty_batches
    generated = sources.open_generated(
        settings, workdir, geometry, max(batches * count, settings.novelty_queries)
    )
    if generated.num_maps is not None:
        count = min(count, generated.num_maps)
        batches = min(batches, generated.num_maps // count)
        settings = dataclasses.replace(settings, novelty_maps=count, novelty_batches=batches)
    l_edges = log_l_edges(geometry, settings.novelty_l_bins)
    spectrum, num_bands = sources.spectrum_space(table, geometry, l_edges)
    spaces: dict[str, sources.Space] = {"pixels": lambda kappa: kappa, "spectrum": spectrum}
    train, validation = (set(sources.crops_of(table, of).parents.tolist()) for of in ("train", "validation"))
    features, left_out = None, planning.left_out_of_novelty(train, validation)
    if "pairs" in left_out:
        pass  # which alone are looked for in features of the training
    elif generated.in_training and generated.step is not None:
        normalisation = Normalisation.of(table.manifest["normalisation"])
        found = sources.feature_space(workdir, generated.step, normalisation)
        if isinstance(found, str):
            left_out["features"] = found
        else:
            spaces[found.features.name] = found.space
            features = {"name": found.features.name, "label": found.features.label, "step": found.step}
    else:
        left_out["features"] = "the maps come without the training that made their generator"
    if generated.emulator is None:
        left_out["interpolation"] = "the maps come without their generator"
    queries, read = min(settings.novelty_queries, count), generated.read
    search = Search(settings, table, np.asarray(read(0, queries)), spaces, out)
    nearest, shown = ({}, {}) if "nearest" in left_out else search.nearest()
    birthday, distances = ({}, {}) if "pairs" in left_out else search.birthday(read)
    interpolation, walk = _interpolate(settings, generated, out)
    pairs = [found["verdict"] for found in birthday.values()]
    verdict = {
        "copies": any(found["verdict"]["copies"] > 0 for found in nearest.values()) if nearest else None,
        "collisions": any(found["status"] == "collisions" for found in pairs) if pairs else None,
        "support_above": min(
            (found["support_above"] for found in pairs if found["status"] in ("none", "collisions")),
            default=None,
        ),
    }
    write_arrays(out / "novelty.npz", {**shown, **distances, **walk})
    write_json(
        out / "novelty.json",
        {
            "num_maps": count,
            "num_batches": batches,
            "num_queries": queries,
            "num_training_crops": len(search.training.rows),
            "num_validation_crops": len(search.validation.rows),
            "seed": generated.seed,
            "step": generated.step,
            "features": features,
            "left_out": left_out,
            "fraction": settings.novelty_fraction,
            "symmetries": settings.novelty_symmetries,
            "side_deg": geometry.side_deg,
            "num_pixels": geometry.num_pixels,
            "l_edges": l_edges.tolist(),
            "num_bands": num_bands,
            "nearest": nearest,
            "birthday": birthday,
            "interpolation": interpolation,
            "verdict": verdict,
        },
    )
    for part in out.glob("part_*"):
        part.unlink()
    for name, what in planning.SEARCHES.items():
        if name in left_out:
            print(f"novelty: leaves out {what}: {left_out[name]}", flush=True)
    if said := _words(queries, nearest, birthday, batches, count, interpolation):
        print(f"novelty: {said}", flush=True)
    return verdict


def _interpolate(
    settings: Novelty, generated: sources.Generated, out: Path
) -> tuple[dict[str, Any] | None, Arrays]:
    """Maps along paths from generated map 2 p to map 2 p + 1; nothing where there is no generator."""
    emulator, seed = generated.emulator, generated.seed
    if emulator is None or seed is None:
        return None, {}

    def draw():
        ends = emulator.latents(emulator.key(seed), jnp.arange(2 * _PATHS))
        starts, stops = (jax.tree.map(lambda leaf, first=first: leaf[first::2], ends) for first in (0, 1))
        walks = paths(starts, stops, settings.novelty_steps)
        along = (jax.tree.map(lambda leaf, number=number: leaf[number], walks) for number in range(_PATHS))
        return {"kappa": np.stack([np.asarray(emulator.kappa(latents)) for latents in along])}

    kappa = kept(out, "interpolation", draw)["kappa"]
    smooth = smoothness(kappa, kappa[:, [0, -1]].reshape(-1, *kappa.shape[2:]))
    spaced = np.linspace(0, settings.novelty_steps, _SHOWN_STEPS + 1).round().astype(int)
    said = {
        "num_paths": _PATHS,
        "num_steps": settings.novelty_steps,
        **{
            name: {"mean": number(values.mean()), "worst": number(values.max())}
            for name, values in smooth._asdict().items()
            if name != "steps"
        },
    }
    return said, {"strips": kappa[:3, spaced], "steps": smooth.steps}


def _words(queries, nearest, birthday, batches, count, interpolation) -> str:
    """The verdict in a paragraph, of what was looked for."""
    parts = []
    if nearest:
        parts.append(_of_nearest(queries, nearest))
    if birthday:
        parts.append(_of_pairs(birthday, batches, count))
    if interpolation is not None:
        worst = interpolation["largest_over_independent"]["worst"]
        step = "not known" if worst is None else f"{worst:.2g} of the distance of independent maps"
        parts.append(f"largest of {interpolation['num_steps']} steps between two maps: {step}")
    return "; ".join(parts)


def _of_nearest(queries, nearest) -> str:
    ratios = ", ".join(f"{name} {found['verdict']['ratio']:.2f}" for name, found in nearest.items()
                       if found["verdict"]["ratio"] is not None)  # fmt: skip
    copies = [
        f"{found['verdict']['copies']} of {queries} maps copy training maps ({name})"
        for name, found in nearest.items()
        if found["verdict"]["copies"]
    ]
    said = f"WARNING: {', '.join(copies)}" if copies else f"none of {queries} maps copies a training map"
    return said + f" (distance to the nearest over validation's: {ratios})"


def _of_pairs(birthday, batches, count) -> str:
    said, parts = f"among {batches} x {count}" if batches > 1 else f"among {count}", []
    for name, found in birthday.items():
        verdict = found["verdict"]
        told = {
            "none": "no two maps the same",
            "collisions": f"WARNING: {verdict['collisions']} pairs the same",
            "as real": f"{verdict['collisions']} pairs the same, no more than real crops show",
            "no yardstick": "no answer, since real crops are twice in the data",
        }[verdict["status"]]
        part = f" {name}: {told}"
        if verdict["status"] == "none":
            part += f", above {verdict['support_above']:.2g} distinct maps (95 %)"
        elif verdict["status"] == "collisions":
            part += f", as of about {verdict['pairs'] / verdict['collisions']:.2g} distinct maps"
        parts.append(part)
    return said + ";".join(parts)
