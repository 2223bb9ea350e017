"""Stage select: generators ranked by the power spectrum of their maps against the development set, twice.

selection.json:

    selected      step of the generator with the smallest second score
    by            the score that ranks: spectrum_chi2 (compare/scores/spectrum_distance.py, as the paper
                  describes its own) or band_chi2 (compare/scores/band_chi2.py); both are there for every
                  candidate
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
    fallback      regression to the mean (compare/scores/second_scores.py): [first, second] scores of the step
                  that was best at first, of the chosen one, and of all that were scored twice in the mean

A score that is not finite is null and the worst; ties go to the earlier step. Validation maps are not read.
"""

import functools
from pathlib import Path
from typing import Any

import numpy as np

from cosmogan_jax.compare.scores.second_scores import Fallback, fallback
from cosmogan_jax.compare.scores.spectrum_distance import expected_distance
from cosmogan_jax.emulators.emulator import Emulator
from cosmogan_jax.emulators.scoring import (
    RANKINGS,
    Development,
    HostScores,
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
    """Raise ValueError, before an earlier stage works for hours, for numbers out of range."""
    check_maps("select_maps", settings.select_maps)
    for name, least in (("select_l_bins", 0), ("select_again", 1)):
        if getattr(settings, name) < least:
            raise ValueError(f"{name}={getattr(settings, name)} must be at least {least}")


def has_grown(settings: Select, summary: dict[str, Any], workdir: Path) -> bool:
    """Return whether the generator that was selected is no longer there."""
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
    first, second = _passes(settings, table, generators)
    steps = _candidates(settings, generators)
    emulator = generators.trained.emulator(str(workdir), None, table)
    score = functools.partial(_score, generators, emulator)
    # Older trainings kept the histograms' score only.
    kept = {step: scores for step, scores in generators.dense_scores.items() if by in scores}
    first_scores = kept | score(first, [step for step in steps if step not in kept], "select")
    finite = {step for step in steps if first_scores[step][by] is not None}
    best = [step for step in best_steps(first_scores, by) if step in finite]
    second_scores = score(second, best[: settings.select_again], "select, second pass")
    generators.close()
    luck = _fallback(first_scores, second_scores, by)
    if luck is None:
        raise ValueError(
            f"none of the {len(steps)} candidates, steps {steps[0]} to {steps[-1]}, has a finite {by}"
        )
    chosen = best_steps(second_scores, by)[0]
    described = [_described(development) for development in (first, second)]
    write_json(
        out / "selection.json",
        {
            "selected": chosen,
            "by": by,
            "weights": settings.weights,
            "batch_norm": _BATCH_NORM[settings.weights],
            "first": described[0] | {"from_training": bool(kept)},
            "second": described[1],
            "halves_apart": not np.isin(first.parents, second.parents).any(),
            "comparable": all(described[0][name] == described[1][name] for name in ("maps", "modes", "bands")),
            "candidates": [
                {"step": step, "first": first_scores[step], "second": second_scores.get(step)}
                for step in sorted(first_scores)
            ],
            "fallback": luck._asdict(),
        },
    )
    print(
        f"select: step {chosen} of {len(first_scores)} candidates; {by} {luck.chosen_scores[0]:.4g} at first, "
        f"{luck.chosen_scores[1]:.4g} with other z and development maps; first was step {luck.first_best}: "
        f"{luck.first_best_scores[0]:.4g}, then {luck.first_best_scores[1]:.4g}",
        flush=True,
    )
    return {"step": chosen, "by": by, "candidates": len(first_scores), **second_scores[chosen]}


def _passes(settings: Select, table: CropTable, generators: Generators) -> tuple[Development, Development]:
    """Return what both passes compare with; the first is made as that of the training's dense phase."""
    maps, l_bins, scheme = settings.select_maps, settings.select_l_bins, generators.trained.key_scheme
    second = second_pass(maps, l_bins, settings.seed, scheme)
    if (ranking := generators.ranking) is not None:
        maps, l_bins = ranking.score_maps, ranking.score_l_bins
        if ranking.select_by != settings.select_by:
            print(f"select: training kept its best by {ranking.select_by}; only those count")
    first = first_pass(maps, l_bins, settings.seed, scheme)
    passes = Development.choose(table, first), Development.choose(table, second)
    for development in passes:
        development.check_bands(settings.select_by)
    return passes


def _candidates(settings: Select, generators: Generators) -> list[int]:
    """Return the steps of the checkpoints from select_from_step on, and of the dense phase's best."""
    checkpoints = [step for step in generators.checkpoints() if step >= settings.select_from_step]
    steps = sorted({*checkpoints, *generators.best()})
    if not steps:
        raise ValueError(
            f"select_from_step={settings.select_from_step} leaves no checkpoint of {generators.checkpoints()}"
        )
    return steps


def _score(
    generators: Generators, emulator: Emulator, development: Development, steps: list[int], name: str
) -> dict[int, HostScores]:
    if not steps:
        return {}
    score = make_scorers(development, emulator, "spectrum").spectrum
    return {step: score(generators.restore(step)) for step in progress(steps, desc=name, unit="generator")}


def _fallback(
    first_scores: dict[int, HostScores], second_scores: dict[int, HostScores], by: str
) -> Fallback | None:
    """Return how scores fell back to the mean; None where no second one is finite."""
    second = {step: value for step, scores in second_scores.items() if (value := scores[by]) is not None}
    first = {step: value for step in second if (value := first_scores[step][by]) is not None}
    return fallback(first, second) if second else None


def _described(development: Development) -> dict[str, Any]:
    described = development.described()
    equal = {
        "spectrum_chi2": expected_distance(described["maps"], described["development_crops"]),
        "band_chi2": float(described["bands"]) if described["bands"] else None,
    }
    return described | {"expected_if_equal": equal}
