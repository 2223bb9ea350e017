"""Stage evaluate's judgement of maps that are arrays, with its verdict as a table that prints.

from cosmogan_jax.compare import judge_maps

verdict = judge_maps(emulator.sample(seed=0, num_maps=2000), validation, auxiliary, side_deg=1.75)
print(verdict)                               # the outcome, and the report's table of effects
verdict.results["overall"]["outcome"]        # everything that results.json holds
"""

import dataclasses
import itertools
import tempfile
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Shaped

from cosmogan_jax import flags
from cosmogan_jax.compare.parents import numbered
from cosmogan_jax.figures import page, verdict
from cosmogan_jax.files.json_files import read_json
from cosmogan_jax.geometry import MapGeometry
from cosmogan_jax.maps.sets import MapSet, MapSets, check_alike
from cosmogan_jax.settings import Evaluate, GivenMaps
from cosmogan_jax.stages.evaluate import judge_sets

# Columns of the report's table that are printed: what, where, how far, how far real maps, margin, verdict.
_PRINTED = (0, 1, 2, 4, 5, 9, 10)
_NO_LABELS: Mapping[str, Shaped[np.ndarray, " maps"]] = MappingProxyType({})
_NO_PARAMETERS: Mapping[str, Mapping[str, Float[np.ndarray, " maps"]]] = MappingProxyType({})
_NOTHING: Mapping[str, float] = MappingProxyType({})
# Fields of the settings that say which maps, or what files leave open.
_OF_FILES = {field.name for field in dataclasses.fields(GivenMaps)} | {
    "reference",
    "auxiliary",
    "auxiliary_split",
    "mask",
}


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class MapsVerdict:
    """The verdict on maps; prints as the outcome and a table.

    Attributes:
      results: as results.json of stage evaluate (`stages/evaluate` and its `judgement.py` say what is what).
      tables: as its statistics.json: mean and scatter of every statistic, by set.
    """

    results: dict[str, Any]
    tables: dict[str, Any]

    @property
    def outcome(self) -> str:
        """pass, incomplete or fail."""
        return self.results["overall"]["outcome"]

    @property
    def table(self) -> page.Table:
        """Every effect with its limits, margin and verdict, as in the report: head, rows and marks."""
        return verdict.section(self.results).tables[0]

    def __str__(self) -> str:
        table = self.table
        lines = [[row[column] for column in _PRINTED] for row in (table.head, *table.rows)]
        widths = [max(map(len, column)) for column in zip(*lines)]
        printed = ["  ".join(cell.ljust(width) for cell, width in zip(line, widths)).rstrip() for line in lines]
        return "\n".join((self.results["overall"]["said"], "", *printed))

    __repr__ = __str__

    def _repr_html_(self) -> str:
        """As a notebook shows it."""
        return page.paragraph(self.results["overall"]["said"]) + page.table(self.table)


def judge_maps(
    generated: Float[Array | np.ndarray, "maps size size"],
    validation: Float[Array | np.ndarray, "maps size size"],
    auxiliary: Float[Array | np.ndarray, "maps size size"] | None,
    side_deg: float,
    *,
    parents: Mapping[str, Shaped[np.ndarray, " maps"]] = _NO_LABELS,
    boxes: Mapping[str, Shaped[np.ndarray, " maps"]] = _NO_LABELS,
    parameters: Mapping[str, Mapping[str, Float[np.ndarray, " maps"]]] = _NO_PARAMETERS,
    source_redshift: float | None = None,
    cosmology: Mapping[str, float] = _NOTHING,
    **settings: Any,
) -> MapsVerdict:
    """Judge generated maps by real ones: what stage evaluate does, by the same code, for arrays.

    Args:
      generated: convergence (dimensionless), square maps; so are the others.
      validation: real maps that the generator never saw.
      auxiliary: more real maps, independent of these (other boxes): the yardstick. None: one half of the
        validation units against the other.
      side_deg: side of a map, in degrees.
      parents: by name of a set ("generated", "validation", "auxiliary") a label for each of its maps: what it
        was cut from. Crops of one map are not independent, and count as one. Without: maps of their own.
      boxes: the same of simulated boxes, which count where five or more are known.
      parameters: by name of a set parameters of its maps, by their names a value a map. Where they differ from
        map to map, every cosmology is judged by itself too (results["cosmologies"]); boxes of one label at
        several cosmologies are of one seed.
      source_redshift, cosmology: of the validation maps, for what it all means for Omega_m and sigma8; without
        a redshift that is left out, parameters not named are the paper's.
      **settings: stage evaluate's flags by name, with the flags' defaults: margins="tight", classifier_steps=0
        (no classifier: seconds instead of minutes, and no pass), observer_smoothing_arcmin=[] (not as an
        observer sees them), num_permutations, num_resamples, evaluate_l_bins, independent_unit and others.

    Raises:
      ValueError: maps of another form than (maps, size, size), of different sizes, fewer than two, not finite,
        or in two sets; labels of a wrong number; a setting that there is not, or that the command line refuses.
    """
    own = {field.name for field in dataclasses.fields(Evaluate)} - _OF_FILES
    for name, value in settings.items():
        if name not in own:
            raise ValueError(f"{name}={value!r:.60} is no setting of a judgement: {', '.join(sorted(own))}")
    evaluate = flags.parse_call(None, settings)[0].by_stage["evaluate"]
    if not 0 < side_deg < 180:
        raise ValueError(f"side_deg={side_deg} must be positive degrees, below 180")
    maps = {"generated": generated, "validation": validation, "auxiliary": auxiliary}
    for name in itertools.chain(parents, boxes, parameters):
        if maps.get(name) is None:
            raise ValueError(f"labels of {name!r} are of no set of maps that is given")
    sets = {
        name: _as_set(name, kappa, side_deg, parents.get(name), boxes.get(name), parameters.get(name, {}))
        for name, kappa in maps.items()
        if kappa is not None
    }
    sets["validation"] = sets["validation"]._replace(source_redshift=source_redshift, cosmology=cosmology)
    judged = MapSets(sets["generated"], sets["validation"], sets.get("auxiliary"))
    check_alike(judged)
    with tempfile.TemporaryDirectory() as folder:
        results = judge_sets(judged, evaluate, Path(folder), matched=frozenset(), selected=False)
        return MapsVerdict(results, read_json(Path(folder) / "statistics.json"))


def _as_set(
    name: str, kappa: Any, side_deg: float, parents: Any, boxes: Any, parameters: Mapping[str, Any]
) -> MapSet:
    kappa = np.asarray(kappa)
    real = jnp.issubdtype(kappa.dtype, jnp.floating) or jnp.issubdtype(kappa.dtype, jnp.integer)
    if kappa.ndim != 3 or kappa.shape[1] != kappa.shape[2] or not real:
        raise ValueError(
            f"{name}: shape={kappa.shape} of {kappa.dtype} must be (maps, size, size) of real numbers"
        )
    numbers = {}
    for kind, labels in (("parents", parents), ("boxes", boxes)):
        if labels is None:
            continue
        if np.shape(labels) != kappa.shape[:1]:
            raise ValueError(
                f"{kind} of {name}: shape={np.shape(labels)} must be {kappa.shape[:1]}, a label a map"
            )
        numbers[kind] = numbered(labels)[0]
    values = {parameter: np.asarray(of_maps, np.float64) for parameter, of_maps in parameters.items()}
    for parameter, of_maps in values.items():
        if of_maps.shape != kappa.shape[:1] or not np.isfinite(of_maps).all():
            raise ValueError(
                f"{parameter} of {name}: shape={of_maps.shape} must be {kappa.shape[:1]}, a finite value a map"
            )
    return MapSet(
        name,
        MapGeometry(kappa.shape[1], side_deg),
        len(kappa),
        lambda start, stop: np.asarray(kappa[start:stop], np.float32),
        numbers.get("parents", np.arange(len(kappa))),
        numbers.get("boxes"),
        None,
        f"{name} maps of an array",
        {},
        parameters=values,
    )
