"""Stage evaluate's judgement of maps that are arrays, with its verdict as a table that prints.

from cosmogan_jax.compare import judge_maps

verdict = judge_maps(emulator.sample(seed=0, num_maps=2000), validation, auxiliary, side_deg=1.75)
print(verdict)                               # the outcome, and the report's table of effects
verdict.results["overall"]["outcome"]        # everything that results.json holds
"""

import dataclasses
import itertools
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Shaped

from cosmogan_jax import flags
from cosmogan_jax.compare.parents import numbered
from cosmogan_jax.figures import page, source_bins, verdict
from cosmogan_jax.files.json_files import read_json
from cosmogan_jax.geometry import MapGeometry
from cosmogan_jax.maps.sets import MapSet, MapSets, check_alike
from cosmogan_jax.settings import Evaluate, GivenMaps
from cosmogan_jax.stages.evaluate import all_bins, judge_sets, judge_sets_of_bins
from cosmogan_jax.stages.evaluate.judged_bins import LOOKED_AT, SourceBin, check_galaxies, check_varies

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
    """The verdict on maps; prints as the outcome and a table, of several source bins as tables of all.

    Attributes:
      results: as results.json of stage evaluate (`stages/evaluate` and its `judgement.py` say what is what). Of
        several source bins it is of the first, but for "overall", the outcome of all bins and pairs together.
      tables: as its statistics.json: mean and scatter of every statistic, by set; of the first bin.
      source_bins: as source_bins.json (`stages/evaluate/all_bins.py`): "cross" is of every pair of bins; None
        of one bin.
      of_bins: the verdict on each of several bins by itself; none of one.
    """

    results: dict[str, Any]
    tables: dict[str, Any]
    source_bins: dict[str, Any] | None = None
    of_bins: "tuple[MapsVerdict, ...]" = ()

    @property
    def outcome(self) -> str:
        """pass, incomplete or fail."""
        return self.results["overall"]["outcome"]

    @property
    def table(self) -> page.Table:
        """Every effect of `results` with limits, margin and verdict, as in the report: head, rows and marks."""
        return verdict.section(self.results).tables[0]

    @property
    def sections(self) -> list[page.Section]:
        """What is told under the outcome, as in the report; of several bins all bins, their pairs, and each."""
        if self.source_bins is None:
            return [page.Section("Verdict", tables=(self.table,))]
        titles = [_title(entry["number"], entry["redshift"]) for entry in self.source_bins["bins"]]
        return [
            source_bins.outcomes(self.source_bins)._replace(text=()),
            source_bins.pairs(self.source_bins),
            *source_bins.told_apart(self.source_bins),
            *(
                page.Section(title, (of.results["overall"]["said"],), tables=(of.table,))
                for title, of in zip(titles, self.of_bins, strict=True)
            ),
        ]

    def __str__(self) -> str:
        lines = [self.results["overall"]["said"]]
        for section in self.sections:
            if self.source_bins is not None:
                lines += ["", section.title, *section.text]
            for table in section.tables:
                lines += ["", *_lines(table)]
        return "\n".join(lines)

    __repr__ = __str__

    def _repr_html_(self) -> str:
        """As a notebook shows it."""
        parts = [page.paragraph(self.results["overall"]["said"])]
        for section in self.sections:
            if self.source_bins is not None:
                parts += map(page.paragraph, (section.title, *section.text))
            parts += map(page.table, section.tables)
        return "".join(parts)


def _title(number: int, redshift: float | None) -> str:
    return f"Source bin {number}" + ("" if redshift is None else f" (redshift {redshift:g})")


def _lines(table: page.Table) -> list[str]:
    """Return a table as lines of columns; of one of effects those that matter most."""
    columns = _PRINTED if len(table.head) > max(_PRINTED) else range(len(table.head))
    rows = [[row[column] for column in columns] for row in (table.head, *table.rows)]
    widths = [max(map(len, column)) for column in zip(*rows)]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip() for row in rows]


def judge_maps(
    generated: Float[Array | np.ndarray, "maps size size *bins"],
    validation: Float[Array | np.ndarray, "maps size size *bins"],
    auxiliary: Float[Array | np.ndarray, "maps size size *bins"] | None,
    side_deg: float,
    *,
    parents: Mapping[str, Shaped[np.ndarray, " maps"]] = _NO_LABELS,
    boxes: Mapping[str, Shaped[np.ndarray, " maps"]] = _NO_LABELS,
    parameters: Mapping[str, Mapping[str, Float[np.ndarray, " maps"]]] = _NO_PARAMETERS,
    source_redshift: float | Sequence[float] | None = None,
    cosmology: Mapping[str, float] = _NOTHING,
    **settings: Any,
) -> MapsVerdict:
    """Judge generated maps by real ones: what stage evaluate does, by the same code, for arrays.

    Maps of several source bins, their last axis, are judged as one: every bin by itself, every pair of bins by
    what their maps have in common, all at once by a classifier that sees all bins.

    Args:
      generated: convergence (dimensionless), square maps; so are the others, of the same bins in one order.
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
        a redshift that is left out, parameters not named are the paper's. Of several source bins a redshift of
        each, in their order.
      **settings: stage evaluate's flags by name, with the flags' defaults: margins="tight", classifier_steps=0
        (no classifier: seconds instead of minutes, and no pass), observer_smoothing_arcmin=[] (not as an
        observer sees them), galaxies_per_arcmin2=[4, 6, 9] (in each bin), num_permutations, num_resamples,
        evaluate_l_bins, independent_unit and others.

    Raises:
      ValueError: maps of another form than (maps, size, size) or (maps, size, size, bins), of different sizes
        or bins, fewer than two, not finite, or in two sets; a bin that is constant; labels or redshifts of a
        wrong number; a setting that there is not, or that the command line refuses.
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
        name: _as_sets(name, kappa, side_deg, parents.get(name), boxes.get(name), parameters.get(name, {}))
        for name, kappa in maps.items()
        if kappa is not None
    }
    for name, of_set in sets.items():
        if len(of_set) != len(sets["validation"]):
            raise ValueError(
                f"{name} maps are of {len(of_set)} source bins, validation maps of {len(sets['validation'])}: "
                "sets that are compared must have the same bins in one order"
            )
    bins = _source_bins(len(sets["validation"]), source_redshift)
    sets["validation"] = [
        of_bin._replace(source_redshift=one.redshift, cosmology=cosmology)
        for of_bin, one in zip(sets["validation"], bins)
    ]
    others = sets.get("auxiliary", [None] * len(bins))
    judged = [MapSets(*of_bin) for of_bin in zip(sets["generated"], sets["validation"], others)]
    check_alike(judged[0])
    check_galaxies(evaluate, bins)
    with tempfile.TemporaryDirectory() as folder:
        if len(bins) == 1:
            results = judge_sets(judged[0], evaluate, Path(folder), matched=frozenset(), selected=False)
            return MapsVerdict(results, read_json(Path(folder) / "statistics.json"))
        first = {f"{name} maps": np.asarray(of[:LOOKED_AT]) for name, of in maps.items() if of is not None}
        check_varies(first, bins)
        judge_sets_of_bins(judged, bins, evaluate, Path(folder))
        return _of_bins(Path(folder), bins)


def _source_bins(count: int, redshift: float | Sequence[float] | None) -> list[SourceBin]:
    """Return the bins; ValueError where redshifts are of others."""
    redshifts = np.atleast_1d([np.nan] * count if redshift is None else np.asarray(redshift, np.float64))
    if redshifts.shape != (count,) or (redshift is not None and not (redshifts > 0).all()):
        raise ValueError(
            f"source_redshift={redshift} must be positive, one redshift for each of the {count} source bins"
        )
    known = [None if redshift is None else float(value) for value in redshifts]
    return [SourceBin(number, value, number) for number, value in enumerate(known)]


def _of_bins(folder: Path, bins: Sequence[SourceBin]) -> MapsVerdict:
    """Read what was written of several bins, and of all together."""
    each = []
    for name in all_bins.folders(bins):
        results = read_json(folder / name / "results.json")
        own = results.get("overall_of_bin", results["overall"])
        each.append(MapsVerdict({**results, "overall": own}, read_json(folder / name / "statistics.json")))
    results, of_all = (read_json(folder / f"{name}.json") for name in ("results", "source_bins"))
    return MapsVerdict(results, each[0].tables, of_all, tuple(each))


def _as_sets(
    name: str, kappa: Any, side_deg: float, parents: Any, boxes: Any, parameters: Mapping[str, Any]
) -> list[MapSet]:
    """Return a set of every source bin of maps, with what is known of them."""
    kappa = np.asarray(kappa)
    real = jnp.issubdtype(kappa.dtype, jnp.floating) or jnp.issubdtype(kappa.dtype, jnp.integer)
    if kappa.ndim not in (3, 4) or kappa.shape[1] != kappa.shape[2] or not real:
        raise ValueError(
            f"{name}: shape={kappa.shape} of {kappa.dtype} must be (maps, size, size) of real numbers, or "
            "(maps, size, size, bins)"
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
    of_one = MapSet(
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
    if kappa.ndim == 3:
        return [of_one]
    return [of_one._replace(read=_reader(kappa, number)) for number in range(kappa.shape[3])]


def _reader(
    kappa: Float[np.ndarray, "maps size size bins"], number: int
) -> Callable[[int, int], Float[np.ndarray, "maps size size"]]:
    """Return what reads maps of one source bin."""
    return lambda start, stop: np.asarray(kappa[start:stop, ..., number], np.float32)
