"""Stage generate: any number of maps from a checkpoint and a seed, to the map store, FITS and npy."""

from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from tqdm import tqdm

from cosmogan_jax.gan.normalisation import Normalisation
from cosmogan_jax.gan.sampling import latents, sample
from cosmogan_jax.stages.model import open_trained
from cosmogan_jax.stages.settings import Generate
from cosmogan_jax.storage.crop_table import open_crop_table
from cosmogan_jax.storage.json_files import read_json
from cosmogan_jax.storage.map_files import write_fits_map, write_npy_maps
from cosmogan_jax.storage.map_store import write_map_store
from cosmogan_jax.storage.run_directory import stage_directory


def run(settings: Generate, workdir: Path, out: Path) -> dict[str, Any]:
    """Map n depends on the seed and n alone, whatever the batch or the number of maps."""
    for name in ("num_generated", "generate_batch"):
        if getattr(settings, name) < 1:
            raise ValueError(f"{name}={getattr(settings, name)} must be positive")
    table = open_crop_table(stage_directory(workdir, "prepare"))
    networks, like, checkpoints = open_trained(workdir)
    step = _step(settings.checkpoint, checkpoints, workdir)
    gen = checkpoints.restore(step, like).gen
    checkpoints.close()
    geometry, normalisation = table.geometry, Normalisation(**table.manifest["normalisation"])
    key = jax.random.key(settings.generate_seed)

    @jax.jit
    def draw(index):
        return normalisation.inverse(sample(networks, gen, latents(key, index, networks.arch.latent_size)))

    redshift = table.manifest["source_redshift"]
    cards = {
        "ZSOURCE": (redshift, "Source redshift"),
        "GENSTEP": (step, "Training step of the generator"),
        "GENSEED": (settings.generate_seed, "Seed of the maps"),
    }

    def batches():
        for start in tqdm(
            range(0, settings.num_generated, settings.generate_batch),
            desc="generate",
            unit="batch",
            disable=None,
        ):
            index = jnp.arange(start, start + settings.generate_batch)  # always whole: one compilation
            kappa = np.asarray(draw(index))[: settings.num_generated - start]
            if "fits" in settings.export:
                (out / "fits").mkdir(exist_ok=True)
                for n, map_ in enumerate(kappa, start):
                    card = {**cards, "MAPINDEX": (n, "Index of the map under its seed")}
                    write_fits_map(out / "fits" / f"kappa_{n:06d}.fits", map_, geometry, card)
            yield kappa

    manifest = {
        "source_redshift": redshift,
        "seed": settings.generate_seed,
        "origin": {"generator_step": step, "trained_on": table.manifest["origin"]},
        "splits": ["generated"] * settings.num_generated,
        "parents": list(range(settings.num_generated)),
    }
    store = write_map_store(out / "maps", batches(), settings.num_generated, geometry, manifest)
    if "npy" in settings.export:
        size = geometry.num_pixels
        parts = (store.read(n, min(n + 1024, store.num_maps)) for n in range(0, store.num_maps, 1024))
        write_npy_maps(out / "kappa.npy", parts, (store.num_maps, size, size))
    return {
        "step": step,
        "num_maps": settings.num_generated,
        "side_deg": geometry.side_deg,
        "unit": "dimensionless",
    }


def _step(checkpoint: str, checkpoints, workdir: Path) -> int:
    if checkpoint == "selected":
        return read_json(stage_directory(workdir, "select") / "selection.json")["selected"]
    if checkpoint == "last":
        return checkpoints.steps()[-1]
    return int(checkpoint)
