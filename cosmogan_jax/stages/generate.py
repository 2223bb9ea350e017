"""Stage generate: any number of maps from a checkpoint and a seed, to the map store."""

from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from tqdm import tqdm

from cosmogan_jax.gan.normalisation import Normalisation
from cosmogan_jax.gan.sampling import latents, sample
from cosmogan_jax.stages.model import Generators
from cosmogan_jax.stages.settings import Generate
from cosmogan_jax.storage.checksums import tree_sha256
from cosmogan_jax.storage.crop_table import open_crop_table
from cosmogan_jax.storage.json_files import read_json
from cosmogan_jax.storage.map_store import write_map_store
from cosmogan_jax.storage.run_directory import stage_directory


def run(settings: Generate, workdir: Path, out: Path) -> dict[str, Any]:
    """Map n depends on the seed and n alone, whatever the batch or the number of maps."""
    for name in ("num_generated", "generate_batch"):
        if getattr(settings, name) < 1:
            raise ValueError(f"{name}={getattr(settings, name)} must be positive")
    table = open_crop_table(stage_directory(workdir, "prepare"))
    generators = Generators(workdir, settings.weights)
    networks = generators.networks
    step = _step(settings.checkpoint, generators, workdir)
    gen = generators.restore(step)
    generators.close()
    geometry, normalisation = table.geometry, Normalisation(**table.manifest["normalisation"])
    key = jax.random.key(settings.generate_seed)

    @jax.jit
    def draw(index):
        return normalisation.inverse(sample(networks, gen, latents(key, index, networks.arch.latent_size)))

    def batches():
        for start in tqdm(
            range(0, settings.num_generated, settings.generate_batch),
            desc="generate",
            unit="batch",
            disable=None,
        ):
            index = jnp.arange(start, start + settings.generate_batch)  # always whole: one compilation
            kappa = np.asarray(draw(index))[: settings.num_generated - start]
            yield kappa

    manifest = {
        "source_redshift": table.manifest["source_redshift"],
        "seed": settings.generate_seed,
        "origin": {
            "generator_step": step,
            "generator_weights": settings.weights,
            "generator_sha256": tree_sha256({"params": gen.params, "batch_stats": gen.batch_stats}),
            "trained_on": table.manifest["origin"],
        },
        "splits": ["generated"] * settings.num_generated,
        "parents": list(range(settings.num_generated)),
    }
    write_map_store(out / "maps", batches(), settings.num_generated, geometry, manifest)
    return {
        "step": step,
        "num_maps": settings.num_generated,
        "side_deg": geometry.side_deg,
        "unit": "dimensionless",
    }


def _step(checkpoint: str, generators: Generators, workdir: Path) -> int:
    if checkpoint == "selected":
        return read_json(stage_directory(workdir, "select") / "selection.json")["selected"]
    if checkpoint == "last":
        return generators.checkpoints()[-1]
    return int(checkpoint)
