"""Stage select: generators ranked by the power spectrum of their maps against the development set, twice.

selection.json:

    selected      step of the generator with the smallest second score
    by            the score that ranks: spectrum_chi2 (compare/spectrum_distance.py, as the paper describes its
                  own) or band_chi2 (compare/band_chi2.py); both are there for every candidate
    weights, batch_norm
                  which weights, and whose statistics normalise their features
    first, second how each pass scored: maps generated, l_bins and modes of the histograms, bands of the
                  covariance form (0: the development maps are too few, band_chi2 is null), half of the
                  development parents with their number and that of their crops, the seed, the purpose
                  of its latents and the scheme of keys, and what equal
                  ensembles would give in the mean (independent crops taken for granted: more in truth)
    first.from_training
                  whether the scores are those that training kept in its dense phase; checkpoints outside of it
                  were then scored alike
    halves_apart  false where there is one development map only and both passes see all its crops
    comparable    whether both passes had as many maps, modes and bands, so that first and second scores are of
                  one size
    candidates    by step: first {spectrum_chi2, worst_power_factor, band_chi2}, and second, null unless among
                  the best --select_again that training left a generator of
    fallback      regression to the mean (compare/second_scores.py): [first, second] scores of the step that was
                  best at first, of the chosen one, and of all that were scored twice in the mean

A score that is not finite is null and the worst; ties go to the earlier step. Validation maps are not read.
"""

from pathlib import Path
from typing import Any

import numpy as np

from cosmogan_jax.compare.second_scores import fallback
from cosmogan_jax.compare.spectrum_distance import expected_distance
from cosmogan_jax.emulators.normalisation import Normalisation
from cosmogan_jax.emulators.scoring import (
    RANKINGS,
    HostScores,
    Pass,
    check_bands,
    check_maps,
    first_pass,
    make_scorers,
    second_pass,
)
from cosmogan_jax.emulators.trained import Generators
from cosmogan_jax.files.json_files import write_json
from cosmogan_jax.machine.progress import progress
from cosmogan_jax.maps.crop_table import CropTable, open_crop_table
from cosmogan_jax.runs.best_generators import best_steps
from cosmogan_jax.runs.directory import stage_directory
from cosmogan_jax.settings import Select

_BATCH_NORM = {
    "last": "running averages of the training",
    "ema": "means over batches that the averaged weights make",
}


def check(settings: Select) -> None:
    """ValueError, before an earlier stage works for hours, for numbers out of range."""
    check_maps("select_maps", settings.select_maps)
    for name, least in (("select_l_bins", 0), ("select_again", 1)):
        if getattr(settings, name) < least:
            raise ValueError(f"{name}={getattr(settings, name)} must be at least {least}")


def has_grown(settings: Select, summary: dict[str, Any], workdir: Path) -> bool:
    """Whether the generator that was selected is no longer there."""
    places = ("train/checkpoints", "train/best/generators")
    return not any((workdir / place / str(summary["step"])).is_dir() for place in places)


def run(settings: Select, workdir: Path, out: Path) -> dict[str, Any]:
    """Score candidates with maps from the same z, the best once more with others; write selection.json.

    Candidates are the checkpoints from select_from_step on and, where training had a dense phase, its steps
    with the scores that training gave them. The smallest of thousands of noisy scores is an accident: the best
    --select_again are scored again with fresh z, against the half of the development parents that the first
    pass did not see, and the smallest of these scores is chosen.
    """
    check(settings)
    by = RANKINGS[settings.select_by]
    table = open_crop_table(stage_directory(workdir, "prepare"))
    generators = Generators(workdir, settings.weights)
    kept, scored, scheme = generators.dense, {}, generators.trained.key_scheme
    if kept:  # older trainings kept the histograms' score only
        scored = {line["step"]: line for line in generators.dense_scores if by in line}
        if kept.get("select_by", "histograms") != settings.select_by:
            print(f"select: training kept its best by {kept.get('select_by', 'histograms')}; only those count")
    first = (
        first_pass(kept["score_maps"], kept["score_l_bins"], settings.seed, scheme)
        if kept
        else first_pass(settings.select_maps, settings.select_l_bins, settings.seed, scheme)
    )
    second = second_pass(settings.select_maps, settings.select_l_bins, settings.seed, scheme)
    for one in (first, second):
        check_bands(table, one, settings.select_by)
    checkpoints = [step for step in generators.checkpoints() if step >= settings.select_from_step]
    steps = sorted({*checkpoints, *generators.best()})
    if not steps:
        raise ValueError(
            f"select_from_step={settings.select_from_step} leaves no checkpoint of {generators.checkpoints()}"
        )
    normalisation = Normalisation.from_json(table.manifest.normalisation)
    emulator = generators.trained.emulator(str(workdir), None, normalisation, table.geometry)

    def scores(one: Pass, of: list[int], name: str) -> dict[int, HostScores]:
        if not of:
            return {}
        score = make_scorers(table, emulator, one, "spectrum").spectrum
        return {step: score(generators.restore(step)) for step in progress(of, desc=name, unit="generator")}

    missing = [step for step in steps if step not in scored]
    at_first = {
        step: {name: value for name, value in found.items() if name != "step"} for step, found in scored.items()
    } | scores(first, missing, "select")
    best = [step for step in best_steps(at_first, by) if step in steps and at_first[step][by] is not None]
    again = scores(second, best[: settings.select_again], "select, second pass")
    generators.close()
    finite = {step: value for step, found in again.items() if (value := found[by]) is not None}
    if not finite:
        raise ValueError(
            f"none of the {len(steps)} candidates, steps {steps[0]} to {steps[-1]}, has a finite {by}"
        )
    before = {step: score for step in finite if (score := at_first[step][by]) is not None}
    luck = fallback(before, finite)
    chosen = best_steps(again, by)[0]
    described = [_described(table, one) for one in (first, second)]
    alike = all(described[0][name] == described[1][name] for name in ("maps", "modes", "bands"))
    write_json(
        out / "selection.json",
        {
            "selected": chosen,
            "by": by,
            "weights": settings.weights,
            "batch_norm": _BATCH_NORM[settings.weights],
            "first": described[0] | {"from_training": bool(scored)},
            "second": described[1],
            "halves_apart": not np.isin(first.parents(table), second.parents(table)).any(),
            "comparable": alike,
            "candidates": [
                {"step": step, "first": at_first[step], "second": again.get(step)} for step in sorted(at_first)
            ],
            "fallback": luck._asdict(),
        },
    )
    print(
        f"select: step {chosen} of {len(at_first)} candidates; {by} {luck.chosen_scores[0]:.4g} at first, "
        f"{luck.chosen_scores[1]:.4g} with other z and development maps; first was step {luck.first_best}: "
        f"{luck.first_best_scores[0]:.4g}, then {luck.first_best_scores[1]:.4g}",
        flush=True,
    )
    return {"step": chosen, "by": by, "candidates": len(at_first), **again[chosen]}


def _described(table: CropTable, one: Pass) -> dict[str, Any]:
    found = one.described(table)
    equal = {
        "spectrum_chi2": expected_distance(found["maps"], found["development_crops"]),
        "band_chi2": float(found["bands"]) if found["bands"] else None,
    }
    return found | {"expected_if_equal": equal}
