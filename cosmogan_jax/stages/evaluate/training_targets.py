"""What the generated maps' generator was trained to match, chosen by and trained on, as far as judging asks."""

from pathlib import Path
from typing import Any

import numpy as np

from cosmogan_jax.compare.joint_statistics import JOINT_STATISTICS
from cosmogan_jax.compare.statistics import trained_on_by
from cosmogan_jax.emulators.packed import find
from cosmogan_jax.emulators.weights import read_card
from cosmogan_jax.maps.crop_table import CropTable
from cosmogan_jax.runs.directory import finished_record
from cosmogan_jax.settings import Evaluate


def was_selected(settings: Evaluate, workdir: Path) -> bool:
    """Tell whether the generator was chosen among others by its scores; not known, and so no, of files.

    Raises:
      ValueError: as `trained_on`.
    """
    if settings.generated:
        return False
    made = finished_record(workdir, "generate").flags
    if name := made.get("pretrained"):
        # Cards that do not say it are of generators that were selected.
        return read_card(find(name)).selected
    return made.get("checkpoint") == "selected"


def trained_on(settings: Evaluate, workdir: Path) -> set[str]:
    """Return names in `compare/statistics.py`; none of maps that are given as files, of which nothing is known.

    Raises:
      ValueError: the run has no generated maps, or they are of a package that is gone.
    """
    return trained_on_by(_losses(settings, workdir) or ())


def trained_on_of_pairs(settings: Evaluate, workdir: Path) -> set[str]:
    """Return names in `compare/joint_statistics.py`, of generated maps of several source bins.

    Trainings that match statistics of such maps match all of these beside what --match names.

    Raises:
      ValueError: as `trained_on`.
    """
    if not _losses(settings, workdir):
        return set()
    return {row.name for row in JOINT_STATISTICS.values() if row.matched_by}


def _losses(settings: Evaluate, workdir: Path) -> tuple[str, ...] | None:
    """Return the losses that --match names; None where nothing was matched, or it is not known."""
    if settings.generated:
        return None
    name = finished_record(workdir, "generate").flags.get("pretrained")
    flags: dict[str, Any] = (
        read_card(find(name)).training_flags if name else finished_record(workdir, "train").flags
    )
    return tuple(flags.get("match", ())) if flags.get("match_weight", 0) else None


def trained_at(settings: Evaluate, workdir: Path, table: CropTable | None) -> dict[str, np.ndarray]:
    """Return parameters of the training maps by name, a value a crop or a cosmology; none where not known.

    Raises:
      ValueError: as `trained_on`.
    """
    if settings.generated:
        return {}
    name = finished_record(workdir, "generate").flags.get("pretrained")
    if name:
        card = read_card(find(name))
        return dict(zip(card.parameters, np.array(card.design, np.float64).T)) if card.design else {}
    if table is None:
        return {}
    return dict(zip(table.parameters, table.theta(table.crops["train"], table.parameters).T.astype(np.float64)))
