"""Generators as emulators of convergence: from a checkpoint of the run, or trained already."""

from pathlib import Path
from typing import Any, NamedTuple

from cosmogan_jax.gan.normalisation import Normalisation
from cosmogan_jax.pretrained import Emulator, load
from cosmogan_jax.stages.model import Generators
from cosmogan_jax.storage.checksums import tree_sha256
from cosmogan_jax.storage.crop_table import open_crop_table
from cosmogan_jax.storage.json_files import read_json
from cosmogan_jax.storage.run_directory import stage_directory


class Source(NamedTuple):
    """A generator ready to draw, the source redshift of its maps, and where it comes from, for manifests."""

    emulator: Emulator
    source_redshift: float | None
    origin: dict[str, Any]


def trained(workdir: Path, checkpoint: str, weights: str) -> Source:
    """A generator of a finished training; checkpoint is "selected", "last", or a step.

    Raises:
      ValueError: there is no such generator, or no selection.
    """
    table = open_crop_table(stage_directory(workdir, "prepare"))
    generators = Generators(workdir, weights)
    networks, step = generators.networks, _step(checkpoint, generators, workdir)
    gen = generators.restore(step)
    generators.close()
    variables = {"params": gen.params, "batch_stats": gen.batch_stats}
    normalisation = Normalisation(**table.manifest["normalisation"])
    origin = {
        "generator_step": step,
        "generator_weights": weights,
        "generator_sha256": tree_sha256(variables),
        "trained_on": table.manifest["origin"],
    }
    emulator = Emulator(f"{workdir}, step {step}", networks, variables, normalisation, table.geometry, {})
    return Source(emulator, table.manifest["source_redshift"], origin)


def pretrained(name: str) -> Source:
    """A generator that comes with the package, or from a folder that stage pack wrote.

    Raises:
      ValueError: there is none, or it cannot be read.
    """
    emulator = load(name)
    card = emulator.card
    origin = {
        "pretrained": card["name"],
        "weights_sha256": card["weights"]["sha256"],
        "generator_step": card["training"]["step"],
        "generator_sha256": tree_sha256(emulator.variables),
        "trained_on": {"cosmology": card["cosmology"], **card["data"]},
        "validated": card["fidelity"]["validated"],
    }
    return Source(emulator, card["source_redshift"], origin)


def _step(checkpoint: str, generators: Generators, workdir: Path) -> int:
    if checkpoint == "selected":
        return read_json(stage_directory(workdir, "select") / "selection.json")["selected"]
    if checkpoint == "last":
        return generators.checkpoints()[-1]
    return int(checkpoint)
