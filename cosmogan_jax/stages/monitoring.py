"""What train watches while it works: development scores, warnings, when to stop, the best generators.

Everything here follows from the state, the lines of metrics.jsonl and best/scores.jsonl: a training that was
cut off reads them again and goes on as if it had not been. Only development maps are looked at.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from cosmogan_jax.compare import sample_health
from cosmogan_jax.compare.generator_score import SCORES, Measures, Scores, make_scorer, reference
from cosmogan_jax.compare.pixel_distance import pixel_bins
from cosmogan_jax.gan.networks import Networks
from cosmogan_jax.gan.normalisation import Normalisation
from cosmogan_jax.gan.sampling import latents, sample
from cosmogan_jax.gan.state import GanState, NetState
from cosmogan_jax.geometry import log_l_edges
from cosmogan_jax.stages.early_warnings import Episodes, observe
from cosmogan_jax.stages.model import generator
from cosmogan_jax.stages.settings import Train
from cosmogan_jax.stages.stopping import STOP_AFTER, in_bounds, parse_bounds
from cosmogan_jax.storage.best_generators import BestGenerators
from cosmogan_jax.storage.checkpoints import Checkpoints
from cosmogan_jax.storage.crop_table import CropTable
from cosmogan_jax.storage.json_files import read_json, write_json
from cosmogan_jax.summaries import PAPER_L_EDGES

RANKED_BY = "spectrum_chi2"
_BATCH = 64
_SCORE_SEED = 3  # added to the run's seed: other latents than those of sheets and of stage select


class Scorers(NamedTuple):
    """Functions of a generator's state, compiled when first called: all scores, or the ranking's alone."""

    all: Callable[[NetState], dict[str, float | None]]
    spectrum: Callable[[NetState], dict[str, float | None]]


def check_scores(settings: Train) -> None:
    """What the flags say is checked before any work.

    Raises:
      ValueError: a stopping rule without scores or one that cannot be read; numbers out of range.
    """
    for name in ("score_every_steps", "select_from_epoch"):
        if getattr(settings, name) < 0:
            raise ValueError(f"{name}={getattr(settings, name)} must not be negative")
    for name, least in (("keep_best", 1), ("score_maps", 2), ("score_l_bins", 0)):
        if getattr(settings, name) < least:
            raise ValueError(f"{name}={getattr(settings, name)} must be at least {least}")
    if settings.score_maps > _BATCH and settings.score_maps % _BATCH:
        raise ValueError(f"score_maps={settings.score_maps} must be at most {_BATCH} or a multiple of it")
    if settings.weights == "ema" and not settings.ema_decay:
        raise ValueError("weights=ema needs an average: ema_decay=0 keeps none")
    if parse_bounds(settings.stop_when, SCORES) and not settings.score_every_steps:
        raise ValueError(f"stop_when={settings.stop_when!r} needs scores: score_every_steps=0")


def scores_every(settings: Train, table: CropTable) -> int:
    """Steps between scores; 0 where the development maps are too few and nothing asks for scores.

    Raises:
      ValueError: the development maps are too few for what the flags ask.
    """
    count = len(table.choose("development", settings.score_maps, half=0))
    if count >= 2:
        return settings.score_every_steps
    for name in ("stop_when", "select_from_epoch"):
        if getattr(settings, name):
            raise ValueError(f"{name}={getattr(settings, name)} needs two development crops; there are {count}")
    if settings.score_every_steps:
        print(
            f"train: no development scores, they need two development crops and there are {count}", flush=True
        )
    return 0


def make_scorers(
    settings: Train, table: CropTable, networks: Networks, normalisation: Normalisation
) -> Scorers:
    """Scorers against the first half of the development parents; stage select has the second for itself."""
    crops = table.choose("development", settings.score_maps, half=0)
    batch = min(_BATCH, settings.score_maps)
    # The first batch, from which come the range of the pixels and the nearest neighbours, is of all parents.
    spread = np.arange(0, len(crops), max(1, len(crops) // batch))[:batch]
    crops = np.concatenate([crops[spread], np.delete(crops, spread, axis=0)])
    geometry = table.geometry
    l_edges = log_l_edges(geometry, settings.score_l_bins) if settings.score_l_bins else PAPER_L_EDGES
    saturated_from = float(normalisation.inverse(jnp.float32(sample_health.SATURATED_FROM)))
    measures = Measures(
        geometry,
        l_edges,
        pixel_bins(table.cut(crops[:batch])),
        networks.arch.num_layers,
        saturated_from,
        min(batch, len(crops)),
    )
    real = reference(measures, (table.cut(crops[i : i + batch]) for i in range(0, len(crops), batch)))
    z = latents(
        jax.random.key(settings.seed + _SCORE_SEED), jnp.arange(settings.score_maps), settings.latent_size
    )

    def draw(gen, z):
        return normalisation.inverse(sample(networks, gen, z))

    def on_host(score: Callable[[Any, Any], Scores]) -> Callable[[NetState], dict[str, float | None]]:
        compiled = jax.jit(score)
        return lambda gen: {
            name: float(value) if math.isfinite(value) else None
            for name, value in jax.device_get(compiled(gen, real)).items()
        }

    return Scorers(
        on_host(make_scorer(draw, z, measures, batch)),
        on_host(make_scorer(draw, z, measures, batch, "spectrum")),
    )


class Monitor:
    """Observers of a training, and what its lines of metrics tell."""

    def __init__(
        self,
        settings: Train,
        networks: Networks,
        scorers: Scorers,
        out: Path,
        first: int,
        num_steps: int,
        history: Sequence[Mapping[str, Any]],
        *,
        writes: bool = True,
    ):
        """Go on after step `first`, of which `history` holds the lines of metrics so far.

        One of several processes writes; all must be given the same scores.
        """
        self._settings, self._networks, self._scorers = settings, networks, scorers
        self._bounds = parse_bounds(settings.stop_when, SCORES)
        self.asked = {"stopped_by": settings.stop_when, "stopped_before": num_steps}
        self._episodes: Episodes = {}
        self._row = 0
        self._best: BestGenerators | None = None
        self._best_path, self._first, self._writes = out / "best", first, writes
        if settings.select_from_epoch:
            self._check_best()
        for line in history:
            self.warnings(line)
            self._row = in_bounds(self._bounds, self._row, line)
        last = history[-1] if history else {}
        # Cut off between the line that ended the training and the record of it.
        self.is_over = bool(self._bounds) and last.get("step") == first and self.asked.items() <= last.items()

    def score(self, step: int, state: GanState) -> Mapping[str, Any]:
        """Development scores, with `stopped_by` where they end the training."""
        scores = self._scorers.all(generator(self._networks, state, self._settings.weights))
        self._row = in_bounds(self._bounds, self._row, scores)
        return scores | (self.asked if self._bounds and self._row >= STOP_AFTER else {})

    def rank(self, step: int, state: GanState) -> Mapping[str, Any]:
        """Score a step's generator in the dense phase, and keep it if it is among the best."""
        if self._best is None:
            self._best = self._open_best()
        gen = generator(self._networks, state, self._settings.weights)
        kept = {"params": gen.params, "batch_stats": gen.batch_stats}
        self._best.offer(step, self._scorers.spectrum(gen), kept)
        return {}

    def before_checkpoint(self, step: int, checkpoints: Checkpoints) -> None:
        """Bring the best generators to the disk before the checkpoint of a step is written."""
        if self._best is not None:
            whole = checkpoints.steps()
            self._best.write(step, whole[-1] if whole else 0)

    def warnings(self, line: Mapping[str, Any]) -> list[str]:
        """Warnings that a new line of metrics gives."""
        self._episodes, found = observe(self._episodes, line)
        return found

    def close(self) -> None:
        """Free what is held."""
        if self._best is not None:
            self._best.close()

    def _check_best(self) -> None:
        """Scores of one ranking are made alike; said at the start, not when the dense phase begins."""
        path, asked = self._best_path / "settings.json", _ranking(self._settings)
        if path.is_file() and read_json(path) != asked:
            raise ValueError(
                f"{asked} differs from {read_json(path)}, with which the generators in {self._best_path} were "
                f"ranked; ask for the same, or remove that directory"
            )

    def _open_best(self) -> BestGenerators:
        self._best_path.mkdir(exist_ok=True)
        if self._writes:
            write_json(self._best_path / "settings.json", _ranking(self._settings))
        keep = self._settings.keep_best
        return BestGenerators(self._best_path, self._first, keep=keep, by=RANKED_BY, writes=self._writes)


def _ranking(settings: Train) -> dict[str, Any]:
    names = ("score_maps", "score_l_bins", "keep_best", "weights")
    return {name: getattr(settings, name) for name in names}
