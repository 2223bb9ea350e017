"""Generators as emulators of convergence: from a checkpoint of the run, or trained already."""

import dataclasses
from pathlib import Path
from typing import Any, NamedTuple

from cosmogan_jax.emulators.interface import num_bins
from cosmogan_jax.emulators.trained import Generators
from cosmogan_jax.emulators.weights import Card
from cosmogan_jax.files.checksums import tree_sha256
from cosmogan_jax.files.json_files import read_object
from cosmogan_jax.maps.crop_table import open_crop_table
from cosmogan_jax.pretrained import Emulator, load
from cosmogan_jax.runs.directory import stage_directory


class Source(NamedTuple):
    """A generator ready to draw, the source redshift of its maps, and where it comes from, for manifests.

    bin_redshifts, bin_names: of every bin, where its maps are of several.
    """

    emulator: Emulator
    source_redshift: float | None
    origin: dict[str, Any]
    bin_redshifts: tuple[float | None, ...] = ()
    bin_names: tuple[str, ...] = ()

    @property
    def bins(self) -> dict[str, Any]:
        """Return what manifests and cards say of several bins; nothing of one."""
        of_bins = {"bin_redshifts": list(self.bin_redshifts), "bin_names": list(self.bin_names)}
        return {name: values for name, values in of_bins.items() if values}


def trained(workdir: Path, checkpoint: str, weights: str) -> Source:
    """Return a generator of a finished training; checkpoint is "selected", "last", or a step.

    Raises:
      ValueError: there is no such generator, or no selection.
    """
    table = open_crop_table(stage_directory(workdir, "prepare"))
    chosen = _step(checkpoint, workdir)
    generators = Generators(workdir, weights)
    step = _last(generators, workdir) if chosen is None else chosen
    variables = generators.restore(step)
    generators.close()
    origin = {
        "generator_step": step,
        "generator_weights": weights,
        "generator_sha256": tree_sha256(variables),
        "trained_on": table.manifest.origin,
    }
    emulator = generators.trained.emulator(f"{workdir}, step {step}", variables, table)
    emulator = dataclasses.replace(emulator, training_pixels=min(table.store.image_shape))
    several = num_bins(emulator.model) > 1
    bins = (table.store.bin_redshifts, table.store.bin_names) if several else ()
    return Source(emulator, table.manifest.source_redshift, origin, *bins)


def pretrained(name: str) -> Source:
    """Return a generator that comes with the package, or from a folder that stage pack wrote.

    Raises:
      ValueError: there is none, or it cannot be read.
    """
    emulator = load(name)
    card = Card.from_json(emulator.card, name)
    origin = {
        "pretrained": card.name,
        "weights_sha256": card.sha256,
        "generator_step": card.step,
        "generator_sha256": tree_sha256(emulator.variables),
        "trained_on": {"cosmology": card.cosmology, **card.data},
        "validated": card.validated,
    }
    return Source(emulator, card.source_redshift, origin, card.bin_redshifts, card.bin_names)


def _step(checkpoint: str, workdir: Path) -> int | None:
    """Return the step that is asked for; None for the last one."""
    if checkpoint == "selected":
        path = stage_directory(workdir, "select") / "selection.json"
        return read_object(path, {"selected": int})["selected"]
    return None if checkpoint == "last" else int(checkpoint)


def _last(generators: Generators, workdir: Path) -> int:
    if not generators.checkpoints():
        raise ValueError(f"{workdir / 'train/checkpoints'} holds no checkpoint")
    return generators.checkpoints()[-1]
