"""How train and select score a generator: so many maps, these latents, this half of the development parents.

Only development maps are looked at. Scores made one way are comparable with each other; `Development.described`
is what is recorded beside them.
"""

import dataclasses
from collections.abc import Callable
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from cosmogan_jax import keys
from cosmogan_jax.compare.scores import sample_health
from cosmogan_jax.compare.scores.band_chi2 import most_bands
from cosmogan_jax.compare.scores.generator_score import Scores, make_scorer
from cosmogan_jax.compare.scores.pixel_distance import pixel_bins
from cosmogan_jax.compare.scores.score_measures import Measures, reference
from cosmogan_jax.emulators.emulator import Emulator
from cosmogan_jax.emulators.interface import Variables, num_bins
from cosmogan_jax.files.json_files import as_json
from cosmogan_jax.geometry import log_l_edges
from cosmogan_jax.keys import SCHEME
from cosmogan_jax.maps.crop_table import CropTable
from cosmogan_jax.maps.source_bins import only_bin
from cosmogan_jax.maps.table_crops import Crops
from cosmogan_jax.summaries import PAPER_L_EDGES

# What may rank generators, and the score that does.
RANKINGS = {"histograms": "spectrum_chi2", "covariance": "band_chi2"}
_BATCH = 64
HostScores = dict[str, float | None]


class Scorers(NamedTuple):
    """Functions of a model's variables, compiled when first called: all scores, or the ranking's alone."""

    all: Callable[[Variables], HostScores]
    spectrum: Callable[[Variables], HostScores]


class Pass(NamedTuple):
    """One way to score: maps of each generator, bands of ell (0: the paper's), development half, the latents.

    latents is their purpose among the keys of the seed, key_scheme how keys are made (`keys.py`).
    """

    maps: int
    l_bins: int
    half: Literal[0, 1]
    seed: int
    latents: str
    key_scheme: int


def first_pass(maps: int, l_bins: int, seed: int, scheme: int = SCHEME) -> Pass:
    """Return what training sees, in its dense phase too, and select first; not the maps of its pictures."""
    return Pass(maps, l_bins, 0, seed, "first scores", scheme)


def second_pass(maps: int, l_bins: int, seed: int, scheme: int = SCHEME) -> Pass:
    """Return a pass of fresh latents and of the parents that the first pass did not see."""
    return Pass(maps, l_bins, 1, seed, "second scores", scheme)


def check_maps(name: str, maps: int) -> None:
    """Raise ValueError for a number of maps that whole batches do not make."""
    if maps < 2:
        raise ValueError(f"{name}={maps} must be at least 2")
    if maps > _BATCH and maps % _BATCH:
        raise ValueError(f"{name}={maps} must be at most {_BATCH} or a multiple of it")


@dataclasses.dataclass(frozen=True)
class Development:
    """The development crops that a pass compares generators with, at most as many as it generates maps.

    num_bands: bands of the covariance form, alike in both halves; 0 where the development parents are too few.
    num_maps: all development maps, of both halves.
    """

    scoring: Pass
    crops: Crops
    num_bands: int
    num_maps: int

    @classmethod
    def choose(cls, table: CropTable, scoring: Pass) -> "Development":
        """Choose them of an opened table."""
        halves = [Crops(table, table.choose("development", scoring.maps, half=half)) for half in (0, 1)]
        num_bands = most_bands(min(len(np.unique(crops.parents)) for crops in halves))
        every = Crops(table, table.crops["development"])
        return cls(scoring, halves[scoring.half], num_bands, len(np.unique(every.parents)))

    @property
    def parents(self) -> np.ndarray:
        """Return the maps that the crops are of, each once."""
        return np.unique(self.crops.parents)

    @property
    def l_edges(self) -> np.ndarray:
        """Return the edges of the modes whose histograms are compared."""
        bins = self.scoring.l_bins
        return log_l_edges(self.crops.geometry, bins) if bins else PAPER_L_EDGES

    def described(self) -> dict[str, Any]:
        """Return what is recorded of the pass."""
        return {
            **self.scoring._asdict(),
            "modes": len(self.l_edges) - 1,
            "bands": self.num_bands,
            "development_crops": len(self.crops),
            "development_parents": len(self.parents),
        }

    def check_bands(self, select_by: str) -> None:
        """Raise ValueError where the covariance form is to rank and the development maps allow no band."""
        if select_by == "covariance" and not self.num_bands:
            raise ValueError(
                f"select_by=covariance needs 4 development maps or more in either half (43 a half for "
                f"{most_bands(43)} bands); there are {self.num_maps} in all"
            )


def make_scorers(
    development: Development, emulator: Emulator, what: Literal["spectrum", "all"] = "all"
) -> Scorers:
    """Make scorers of one way; maps are drawn batch by batch, from their numbers. Of several bins: their mean.

    what="spectrum" leaves out what the development maps are measured for by all other scores: only
    `Scorers.spectrum` may then be called.

    Raises:
      ValueError: fewer than two development crops, or constant ones.
    """
    scoring, crops = development.scoring, development.crops
    if len(crops) < 2:
        raise ValueError(
            f"half {scoring.half} of the development maps holds {len(crops)} crops, and scores need two"
        )
    batch = min(_BATCH, scoring.maps)
    # The first batch, from which come the range of the pixels and the nearest neighbours, is of all parents.
    spread = np.arange(0, len(crops), max(1, len(crops) // batch))[:batch]
    mixed = crops[np.concatenate([spread, np.delete(np.arange(len(crops)), spread)])]
    # Of several bins, edges are those of all, so that one program scores each.
    measures = _measures(development, emulator, mixed[:batch].cut())
    key = keys.key(scoring.seed, scoring.latents, scoring.key_scheme)
    # Conditioned on what the development maps are of, one after the other.
    theta = jnp.asarray(crops[np.arange(scoring.maps) % len(crops)].theta(emulator.parameters))

    if num_bins(emulator.model) > 1:
        return _joint_scorers(scoring.maps, emulator, measures, (mixed, key, theta), batch, what)
    real = reference(measures, map(only_bin, mixed.batches(batch)), mixed.parents, what)

    # Key and cosmologies are arguments of the program, so that it is compiled once for all seeds.
    def draw(drawn_from, index):
        variables, key, theta = drawn_from
        return only_bin(emulator.draw(key, index, theta[index], variables))

    def on_host(score: Callable[[Any, Any], Scores]) -> Callable[[Variables], HostScores]:
        compiled = jax.jit(score)
        return lambda variables: as_json(jax.device_get(compiled((variables, key, theta), real)))

    return Scorers(
        on_host(make_scorer(draw, scoring.maps, measures, batch)),
        on_host(make_scorer(draw, scoring.maps, measures, batch, "spectrum")),
    )


def _joint_scorers(
    num_maps: int,
    emulator: Emulator,
    measures: Measures,
    drawn_as: tuple[Crops, Any, Any],
    batch: int,
    what: Literal["spectrum", "all"],
) -> Scorers:
    """Make scorers of maps of several bins: every score is the mean of the bins', each by itself.

    Where bins have scales of their own, all are taken to the first one's, so that one program scores them, by
    one largest |kappa| and by edges that fit each; scores are ratios and shares, which do not change with it.
    All maps are drawn once and held, as many times larger than one bin's as there are bins.
    """
    (crops, key, theta), alike = drawn_as, emulator.normalisation.relative()

    def of_bin(number):
        return (np.asarray(alike.forward(jnp.asarray(kappa)))[..., number] for kappa in crops.batches(batch))

    reals = [
        reference(measures, of_bin(number), crops.parents, what) for number in range(num_bins(emulator.model))
    ]

    @jax.jit
    def draw(variables):
        index = jnp.arange(num_maps).reshape(-1, batch)
        kappa = jax.lax.map(lambda some: emulator.draw(key, some, theta[some], variables), index)
        return jnp.moveaxis(alike.forward(kappa.reshape(num_maps, *kappa.shape[2:])), -1, 0)

    def on_host(score: Callable[[Any, Any], Scores]) -> Callable[[Variables], HostScores]:
        compiled = jax.jit(score)

        def mean(variables: Variables) -> HostScores:
            of_bins = [jax.device_get(compiled(*each)) for each in zip(draw(variables), reals)]
            return as_json({name: np.mean([scores[name] for scores in of_bins]) for name in of_bins[0]})

        return mean

    def taken(kappa, index):
        return kappa[index]

    return Scorers(
        on_host(make_scorer(taken, num_maps, measures, batch)),
        on_host(make_scorer(taken, num_maps, measures, batch, "spectrum")),
    )


def _measures(development: Development, emulator: Emulator, first_batch: np.ndarray) -> Measures:
    geometry, bands = development.crops.geometry, development.num_bands
    return Measures(
        geometry,
        development.l_edges,
        pixel_bins(np.asarray(emulator.normalisation.relative().forward(jnp.asarray(first_batch)))),
        emulator.model.upsamplings,
        _saturated_from(emulator),
        len(first_batch),
        log_l_edges(geometry, bands) if bands else None,
    )


def _saturated_from(emulator: Emulator) -> float | None:
    """Return the kappa, of the first bin, from which on pixels count as saturated; None: there is no limit."""
    if emulator.model.limit is None:
        return None
    limit = jnp.float32(emulator.model.limit * sample_health.SATURATED_FROM)
    return float(np.ravel(emulator.normalisation.inverse(limit))[0])
