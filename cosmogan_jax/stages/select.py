"""Stage select: generators ranked by the power spectrum of their maps against the development set."""

from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from tqdm import tqdm

from cosmogan_jax.compare.spectrum_distance import spectrum_chi2
from cosmogan_jax.gan.normalisation import Normalisation
from cosmogan_jax.gan.sampling import latents, sample
from cosmogan_jax.geometry import log_l_edges
from cosmogan_jax.stages.model import Generators
from cosmogan_jax.stages.settings import Select
from cosmogan_jax.storage.crop_table import open_crop_table
from cosmogan_jax.storage.json_files import write_json
from cosmogan_jax.storage.run_directory import stage_directory
from cosmogan_jax.summaries import power_spectrum

_BATCH = 64


def run(settings: Select, workdir: Path, out: Path) -> dict[str, Any]:
    """Score candidates with maps from the same z; write selection.json.

    Candidates are the checkpoints from select_from_step on and, where training had a dense phase, the best
    generators that it kept. The smallest of thousands of noisy scores is an accident: all candidates are then
    scored again with other z than in training, against the half of the development parents that training did
    not see. Without a dense phase all development maps serve.
    """
    if settings.select_maps < 2:
        raise ValueError(f"select_maps={settings.select_maps} must be at least 2")
    table = open_crop_table(stage_directory(workdir, "prepare"))
    generators = Generators(workdir, settings.weights)
    networks, best_steps = generators.networks, generators.best()
    steps = [step for step in generators.checkpoints() if step >= settings.select_from_step]
    steps = sorted({*steps, *best_steps})
    if not steps:
        raise ValueError(
            f"select_from_step={settings.select_from_step} leaves no checkpoint of {generators.checkpoints()}"
        )
    geometry = table.geometry
    l_edges = log_l_edges(geometry, settings.select_l_bins)
    normalisation = Normalisation(**table.manifest["normalisation"])
    spectrum = jax.jit(
        lambda kappa: power_spectrum(kappa, l_edges, geometry.side_deg, mode_weights="full_plane")
    )
    draw = jax.jit(lambda gen, z: normalisation.inverse(sample(networks, gen, z)))
    z = latents(jax.random.key(settings.seed + 2), jnp.arange(settings.select_maps), networks.arch.latent_size)

    def spectra(batches):
        return np.concatenate([np.asarray(spectrum(kappa)) for kappa in batches])

    half = 1 if best_steps else None
    real = table.cut(table.choose("development", settings.select_maps, half=half))
    reference = spectra(real[i : i + _BATCH] for i in range(0, len(real), _BATCH))
    scores = []
    for step in tqdm(steps, desc="select", unit="generator", disable=None):
        gen = generators.restore(step)
        found = spectra(draw(gen, z[i : i + _BATCH]) for i in range(0, len(z), _BATCH))
        ratio = found.mean(0) / reference.mean(0)
        scores.append(
            {
                "step": step,
                "chi2": spectrum_chi2(found, reference),
                "worst_power_factor": float(np.exp(np.abs(np.log(np.maximum(ratio, 1e-30))).max())),
            }
        )
    generators.close()
    best = min(scores, key=lambda score: (score["chi2"], score["step"]))
    write_json(
        out / "selection.json",
        {
            "selected": best["step"],
            "scores": scores,
            "maps": settings.select_maps,
            "dense_phase": generators.dense_scores,
        },
    )
    return best
