"""How train and select score a generator: so many maps, these latents, this half of the development parents.

Only development maps are looked at. Scores made one way are comparable with each other; `Pass.described` is
what is recorded beside them.
"""

import math
from collections.abc import Callable
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from cosmogan_jax import keys
from cosmogan_jax.compare import sample_health
from cosmogan_jax.compare.band_chi2 import most_bands
from cosmogan_jax.compare.generator_score import Measures, Scores, make_scorer, reference
from cosmogan_jax.compare.pixel_distance import pixel_bins
from cosmogan_jax.emulators.emulator import Emulator
from cosmogan_jax.emulators.interface import Variables
from cosmogan_jax.geometry import log_l_edges
from cosmogan_jax.keys import SCHEME
from cosmogan_jax.maps.crop_table import CropTable
from cosmogan_jax.maps.source_bins import only_bin
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

    def l_edges(self, table: CropTable) -> np.ndarray:
        """Edges of the modes whose histograms are compared."""
        return log_l_edges(table.geometry, self.l_bins) if self.l_bins else PAPER_L_EDGES

    def crops(self, table: CropTable) -> np.ndarray:
        """The development crops, at most as many as maps are generated."""
        return table.choose("development", self.maps, half=self.half)

    def parents(self, table: CropTable) -> np.ndarray:
        """The maps that these crops are of, each once."""
        return np.unique(table.parents(self.crops(table)))

    def num_bands(self, table: CropTable) -> int:
        """Bands of the covariance form, alike in both halves; 0 where the development parents are too few."""
        return most_bands(min(len(self._replace(half=half).parents(table)) for half in (0, 1)))

    def described(self, table: CropTable) -> dict[str, Any]:
        """For the record."""
        return {
            **self._asdict(),
            "modes": len(self.l_edges(table)) - 1,
            "bands": self.num_bands(table),
            "development_crops": len(self.crops(table)),
            "development_parents": len(self.parents(table)),
        }


def first_pass(maps: int, l_bins: int, seed: int, scheme: int = SCHEME) -> Pass:
    """What training sees, in its dense phase too, and select first; not the maps of its pictures."""
    return Pass(maps, l_bins, 0, seed, "first scores", scheme)


def second_pass(maps: int, l_bins: int, seed: int, scheme: int = SCHEME) -> Pass:
    """Fresh latents, and the parents that the first pass did not see."""
    return Pass(maps, l_bins, 1, seed, "second scores", scheme)


def check_maps(name: str, maps: int) -> None:
    """ValueError for a number of maps that whole batches do not make."""
    if maps < 2:
        raise ValueError(f"{name}={maps} must be at least 2")
    if maps > _BATCH and maps % _BATCH:
        raise ValueError(f"{name}={maps} must be at most {_BATCH} or a multiple of it")


def check_bands(table: CropTable, scored: Pass, select_by: str) -> None:
    """ValueError where the covariance form is to rank and the development maps do not allow a band."""
    if select_by == "covariance" and not scored.num_bands(table):
        parents = len(np.unique(table.parents(table.crops["development"])))
        raise ValueError(
            f"select_by=covariance needs 4 development maps or more in either half (43 a half for "
            f"{most_bands(43)} bands); there are {parents} in all"
        )


def make_scorers(
    table: CropTable,
    emulator: Emulator,
    scored: Pass,
    what: Literal["spectrum", "all"] = "all",
) -> Scorers:
    """Scorers of one way; maps are drawn batch by batch, from their numbers.

    what="spectrum" leaves out what the development maps are measured for by all other scores: only
    `Scorers.spectrum` may then be called.

    Raises:
      ValueError: fewer than two development crops, or constant ones.
    """
    crops = scored.crops(table)
    if len(crops) < 2:
        raise ValueError(
            f"half {scored.half} of the development maps holds {len(crops)} crops, and scores need two"
        )
    batch = min(_BATCH, scored.maps)
    # The first batch, from which come the range of the pixels and the nearest neighbours, is of all parents.
    spread = np.arange(0, len(crops), max(1, len(crops) // batch))[:batch]
    crops = np.concatenate([crops[spread], np.delete(crops, spread, axis=0)])
    num_bands = scored.num_bands(table)
    measures = Measures(
        table.geometry,
        scored.l_edges(table),
        pixel_bins(only_bin(table.cut(crops[:batch]))),
        emulator.model.upsamplings,
        _saturated_from(emulator),
        min(batch, len(crops)),
        log_l_edges(table.geometry, num_bands) if num_bands else None,
    )
    batches = (only_bin(table.cut(crops[i : i + batch])) for i in range(0, len(crops), batch))
    real = reference(measures, batches, table.parents(crops), what)
    key = keys.key(scored.seed, scored.latents, scored.key_scheme)
    # Conditioned on what the development maps are of, one after the other.
    likes = scored.crops(table)
    theta = jnp.asarray(table.theta(likes[np.arange(scored.maps) % len(likes)], emulator.parameters))

    def draw(variables, index):
        return only_bin(emulator.draw(key, index, theta[index], variables))

    def on_host(score: Callable[[Any, Any], Scores]) -> Callable[[Variables], HostScores]:
        compiled = jax.jit(score)
        return lambda variables: {
            name: float(value) if math.isfinite(value) else None
            for name, value in jax.device_get(compiled(variables, real)).items()
        }

    return Scorers(
        on_host(make_scorer(draw, scored.maps, measures, batch)),
        on_host(make_scorer(draw, scored.maps, measures, batch, "spectrum")),
    )


def _saturated_from(emulator: Emulator) -> float | None:
    """The kappa from which on a pixel counts as saturated; None where the model has no limit."""
    if emulator.model.limit is None:
        return None
    return float(
        emulator.normalisation.inverse(jnp.float32(emulator.model.limit * sample_health.SATURATED_FROM))
    )
