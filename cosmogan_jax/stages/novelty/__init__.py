"""Stage novelty: whether generated maps are new, and how many of them there are.

Writes novelty.json:

    source_bin           of several the one that is searched, the last; null of one
    num_maps, num_batches, num_queries, num_training_crops, num_validation_crops   how many were compared
    seed, step           the generator's, as of stage generate; null where maps were given (--generated)
    features             name of the space of features that the training has (a DCGAN's: discriminator, its
                         last convolution), its label on an axis and the step of the state it is of; null where
                         there is none
    left_out             by name why a search (nearest, pairs), a space or the interpolation is not there
    fraction, symmetries, l_edges, num_bands (of them those that vary), side_deg, num_pixels
    nearest.<space>      for pixels (rms of kappa per pixel), spectrum (rms per band, in sigma) and, on request,
                         windows (pixels, over all shifts): quantiles of the distances to the nearest training
                         map of generated maps and of validation crops, and the CopyVerdict of
                         compare/novelty/nearest.py
    birthday.<space>     for pixels, spectrum and the features: quantiles of the distances to the nearest other
                         map, generated and real; the closest pairs; the BirthdayVerdict of
                         compare/novelty/birthday.py
    interpolation        emulators/interpolation.py's Smoothness, mean and worst over the paths; null of given
                         maps
    verdict              copies, collisions (booleans; null where they were not looked for), support_above: the
                         least over the spaces that can tell

and novelty.npz, what figures/novelty.py draws:

    nearest_<space>_generated, _validation   distances to the nearest training map
    birthday_<space>_generated, _real        distances to the nearest other map, all batches in turn
    shown, shown_generated, shown_<space>    numbers of some queries, these maps, and what they are nearest to
    strips, steps                            maps along three paths; rms change of every step of all paths

Of several source bins the last is searched: a map that is a copy is one in every bin, and the light of the
farthest sources has passed all structures that the others show.

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
from cosmogan_jax.files.json_files import as_json, write_json
from cosmogan_jax.files.whole_files import write_arrays
from cosmogan_jax.geometry import log_l_edges
from cosmogan_jax.maps.crop_table import CropTable, open_crop_table
from cosmogan_jax.runs.directory import stage_directory
from cosmogan_jax.settings import Novelty
from cosmogan_jax.stages import planning
from cosmogan_jax.stages.novelty import sources
from cosmogan_jax.stages.novelty.search import Arrays, Search, kept

_SHOWN_STEPS = 8  # of an interpolation
_PATHS = 8


def run(settings: Novelty, workdir: Path, out: Path) -> dict[str, Any]:
    """Search; what an interrupted run has found (one file for each space and batch) is not searched again.

    Of maps that are given there may be fewer than asked for: those that are there are searched.
    """
    table, bin_ = open_crop_table(stage_directory(workdir, "prepare")), None
    if table.num_bins > 1:
        bin_ = table.num_bins - 1
        table = table.of_bin(bin_)
    geometry = table.geometry
    wanted = max(settings.novelty_batches * settings.novelty_maps, settings.novelty_queries)
    generated = sources.open_generated(settings, workdir, geometry, wanted, bin_)
    if generated.num_maps is not None:
        count = min(settings.novelty_maps, generated.num_maps)
        batches = min(settings.novelty_batches, generated.num_maps // count)
        settings = dataclasses.replace(settings, novelty_maps=count, novelty_batches=batches)
    l_edges = log_l_edges(geometry, settings.novelty_l_bins)
    spectrum, num_bands = sources.spectrum_space(table, geometry, l_edges)
    spaces: dict[str, sources.Space] = {"pixels": lambda kappa: kappa, "spectrum": spectrum}
    features, left_out = _features_and_what_is_left_out(table, workdir, generated, bin_)
    if features is not None:
        spaces[features.features.name] = features.space
    queries = np.asarray(generated.read(0, min(settings.novelty_queries, settings.novelty_maps)))
    search = Search(settings, table, queries, spaces, out)
    nearest, shown = ({}, {}) if "nearest" in left_out else search.nearest()
    birthday, distances = ({}, {}) if "pairs" in left_out else search.birthday(generated.read)
    interpolation, walk = _interpolate(settings, generated, out, bin_)
    verdict = _verdict(nearest, birthday)
    write_arrays(out / "novelty.npz", {**shown, **distances, **walk})
    content = {
        "source_bin": bin_,
        "num_maps": settings.novelty_maps,
        "num_batches": settings.novelty_batches,
        "num_queries": len(queries),
        "num_training_crops": len(search.training.rows),
        "num_validation_crops": len(search.validation.rows),
        "seed": generated.seed,
        "step": generated.step,
        "features": None if features is None else features.to_json(),
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
    }
    write_json(out / "novelty.json", content)
    for path in out.glob("part_*"):
        path.unlink()
    _print(content)
    return verdict


def _features_and_what_is_left_out(
    table: CropTable, workdir: Path, generated: sources.Generated, bin_: int | None
) -> tuple[sources.FeatureSpace | None, dict[str, str]]:
    """Open the training's space of features; by name why it, a search or the interpolation is not there."""
    train, validation = (
        set(sources.crops_of(table, split).parents.tolist()) for split in ("train", "validation")
    )
    left_out = planning.left_out_of_novelty(train, validation)
    features: sources.FeatureSpace | str | None = None
    if "pairs" not in left_out:  # which alone are looked for in features
        if bin_ is not None:
            features = "they are of all source bins, and one is searched"
        elif generated.in_training and generated.step is not None:
            normalisation = Normalisation.from_json(table.manifest.normalisation)
            features = sources.feature_space(workdir, generated.step, normalisation)
        else:
            features = "the maps come without the training that made their generator"
    if isinstance(features, str):
        left_out["features"], features = features, None
    if generated.emulator is None:
        left_out["interpolation"] = "the maps come without their generator"
    return features, left_out


def _verdict(nearest: dict[str, Any], birthday: dict[str, Any]) -> dict[str, Any]:
    copies = [tables["verdict"]["copies"] for tables in nearest.values()]
    pairs = [tables["verdict"] for tables in birthday.values()]
    telling = [of_space for of_space in pairs if of_space["status"] in ("none", "collisions")]
    return {
        "copies": max(copies) > 0 if copies else None,
        "collisions": any(of_space["status"] == "collisions" for of_space in pairs) if pairs else None,
        "support_above": min((of_space["support_above"] for of_space in telling), default=None),
    }


def _interpolate(
    settings: Novelty, generated: sources.Generated, out: Path, bin_: int | None
) -> tuple[dict[str, Any] | None, Arrays]:
    """Draw maps along paths from generated map 2 p to map 2 p + 1; nothing where there is no generator.

    All at one cosmology, the first of those that the maps are of.
    """
    emulator, seed = generated.emulator, generated.seed
    if emulator is None or seed is None:
        return None, {}

    def draw():
        ends = emulator.latents(emulator.key(seed), jnp.arange(2 * _PATHS))
        starts, stops = (jax.tree.map(lambda leaf, first=first: leaf[first::2], ends) for first in (0, 1))
        walks = paths(starts, stops, settings.novelty_steps)
        along = (jax.tree.map(lambda leaf, number=number: leaf[number], walks) for number in range(_PATHS))
        theta = jnp.tile(generated.theta[0], (settings.novelty_steps + 1, 1))
        walked = np.stack([np.asarray(emulator.kappa(latents, theta=theta)) for latents in along])
        return {"kappa": walked if bin_ is None else walked[..., bin_]}

    kappa = kept(out, "interpolation", draw)["kappa"]
    smooth = smoothness(kappa, kappa[:, [0, -1]].reshape(-1, *kappa.shape[2:]))
    spaced = np.linspace(0, settings.novelty_steps, _SHOWN_STEPS + 1).round().astype(int)
    table = {
        "num_paths": _PATHS,
        "num_steps": settings.novelty_steps,
        **{
            name: as_json({"mean": values.mean(), "worst": values.max()})
            for name, values in smooth._asdict().items()
            if name != "steps"
        },
    }
    return table, {"strips": kappa[:3, spaced], "steps": smooth.steps}


def _print(content: dict[str, Any]) -> None:
    """Say what was left out, and the verdict in a paragraph, of what was looked for."""
    for name, title in planning.SEARCHES.items():
        if name in content["left_out"]:
            print(f"novelty: leaves out {title}: {content['left_out'][name]}", flush=True)
    words = []
    if content["nearest"]:
        words.append(_of_nearest(content["num_queries"], content["nearest"]))
    if content["birthday"]:
        words.append(_of_pairs(content["birthday"], content["num_batches"], content["num_maps"]))
    if content["interpolation"] is not None:
        worst, steps = (content["interpolation"][key] for key in ("largest_over_independent", "num_steps"))
        step = (
            "not known"
            if worst["worst"] is None
            else f"{worst['worst']:.2g} of the distance of independent maps"
        )
        words.append(f"largest of {steps} steps between two maps: {step}")
    if words:
        print(f"novelty: {'; '.join(words)}", flush=True)


def _of_nearest(queries: int, nearest: dict[str, Any]) -> str:
    verdicts = {name: tables["verdict"] for name, tables in nearest.items()}
    ratios = ", ".join(f"{name} {v['ratio']:.2f}" for name, v in verdicts.items() if v["ratio"] is not None)
    copies = [
        f"{verdict['copies']} of {queries} maps copy training maps ({name})"
        for name, verdict in verdicts.items()
        if verdict["copies"]
    ]
    words = f"WARNING: {', '.join(copies)}" if copies else f"none of {queries} maps copies a training map"
    return words + f" (distance to the nearest over validation's: {ratios})"


def _of_pairs(birthday: dict[str, Any], batches: int, count: int) -> str:
    by_space = []
    for name, tables in birthday.items():
        verdict = tables["verdict"]
        words = {
            "none": "no two maps the same",
            "collisions": f"WARNING: {verdict['collisions']} pairs the same",
            "as real": f"{verdict['collisions']} pairs the same, no more than real crops show",
            "no yardstick": "no answer, since real crops are twice in the data",
        }[verdict["status"]]
        if verdict["status"] == "none":
            words += f", above {verdict['support_above']:.2g} distinct maps (95 %)"
        elif verdict["status"] == "collisions":
            words += f", as of about {verdict['pairs'] / verdict['collisions']:.2g} distinct maps"
        by_space.append(f" {name}: {words}")
    return (f"among {batches} x {count}" if batches > 1 else f"among {count}") + ";".join(by_space)
