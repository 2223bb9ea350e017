"""The sets of maps that are judged: what each is, as a run or files give it; whether they can be compared."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from cosmogan_jax.even_choice import evenly_spread
from cosmogan_jax.geometry import MapGeometry
from cosmogan_jax.maps.judged_files import open_judged_files
from cosmogan_jax.maps.map_parameters import told_cosmology
from cosmogan_jax.maps.parameters import known_for_all
from cosmogan_jax.maps.sources import MapSources
from cosmogan_jax.maps.store import MapStore
from cosmogan_jax.settings import Evaluate, Novelty

_AT_ONCE = 256  # maps in memory
_UNKNOWN: Mapping[str, Float[np.ndarray, " maps"]] = MappingProxyType({})


class MapSet(NamedTuple):
    """Maps of one kind, read a few at a time.

    Attributes:
      parents: the map, or the sky, that each was cut from.
      patches: as parents, but of one sky each patch; None where these are the maps themselves.
      boxes: the box or region that each comes from; None where it is not known.
      source: where they are from, in words.
      cosmology: what is told of it, by parameter.
      masked: whether pixels that are no measurement are NaN.
      parameters: those that are known of every map, by name.
    """

    name: str
    geometry: MapGeometry
    num_maps: int
    read: Callable[[int, int], Float[np.ndarray, "maps size size"]]
    parents: Int[np.ndarray, " maps"]
    boxes: Int[np.ndarray, " maps"] | None
    source_redshift: float | None
    source: str
    cosmology: Mapping[str, float | None]
    masked: bool = False
    patches: Int[np.ndarray, " maps"] | None = None
    parameters: Mapping[str, Float[np.ndarray, " maps"]] = _UNKNOWN

    def read_finite(self, start: int, stop: int) -> Float[np.ndarray, "maps size size"]:
        """Read maps start to stop; ValueError names the first that is not finite.

        Of a masked set those whose valid pixels are; the others are NaN.
        """
        kappa = self.read(start, stop)
        finite = (~np.isinf(kappa) if self.masked else np.isfinite(kappa)).all(axis=(1, 2))
        if not finite.all():
            number = start + int(np.argmin(finite))
            raise ValueError(f"{self.name} map {number} ({self.source}) holds non-finite values")
        return kappa


class MapSets(NamedTuple):
    """What is compared; auxiliary is None where there is no independent set of real maps."""

    generated: MapSet
    validation: MapSet
    auxiliary: MapSet | None

    def present(self) -> list[MapSet]:
        """Return the sets that are there."""
        return [maps for maps in self if maps is not None]


def spread_over(
    read: Callable[[int, int], Float[np.ndarray, "maps size size"]], num_maps: int, most: int
) -> Iterator[tuple[Float[np.ndarray, "some size size"], Int[np.ndarray, " some"]]]:
    """Yield at most so many of a set's maps in float32, evenly spread over it, with their numbers."""
    wanted = evenly_spread(num_maps, most)
    for start in range(0, num_maps, _AT_ONCE):
        inside = wanted[(wanted >= start) & (wanted < start + _AT_ONCE)]
        if len(inside):
            kappa = read(start, min(start + _AT_ONCE, num_maps))[inside - start]
            yield np.asarray(kappa, np.float32), inside


def check_not_observed(store: MapStore, stage: str) -> None:
    """Check that maps are without shape noise and smoothing; ValueError where they are not."""
    if observed := store.manifest.observed:
        values = {name: of if isinstance(of, list) else [of] for name, of in observed.items()}
        by = ", ".join(f"{name}={','.join(f'{value:g}' for value in of)}" for name, of in values.items())
        raise ValueError(
            f"{store.path} holds maps as they are observed ({by}), and stage {stage} compares convergence: "
            "generate without --generate_noise and --generate_smoothing_arcmin in another --workdir"
        )


def from_files(
    patterns: Mapping[str, tuple[str, ...]],
    settings: Evaluate | Novelty,
    masks: Sequence[str] = (),
    *,
    say: Callable[[str], None],
    watch: Callable[..., Iterable],
) -> dict[str, MapSet]:
    """Return the sets that files make, by what they are called.

    Args:
      masks: of all of them.
      say, watch: as `judged_files.open_judged_files` takes them.

    Raises:
      ValueError: as `judged_files.open_judged_files`.
    """
    sets = {}
    for name, maps in open_judged_files(patterns, settings, masks, say=say, watch=watch).items():
        labels = {kind: _labels(maps.sources, name, kind) for kind in ("boxes", "parents")}
        boxes, parents = (None if every is None else every[maps.numbers] for every in labels.values())
        sets[name] = MapSet(
            name,
            maps.sources.geometry,
            len(maps.numbers),
            maps.read,
            # Maps that do not say what they were cut from count as maps of their own.
            np.arange(len(maps.numbers)) if parents is None else parents,
            boxes,
            maps.sources.source_redshift,
            ", ".join(patterns[name]),
            told_cosmology(maps.sources.files[name][0]),
            maps.masked,
            parameters={
                parameter: np.array(maps.sources.parameters[parameter], np.float64)[maps.numbers]
                for parameter in known_for_all(maps.sources.parameters)
            },
        )
    return sets


def _labels(sources: MapSources, role: str, kind: str) -> Int[np.ndarray, " maps"] | None:
    """Number what the files record of each map, file by file; None where one of them records nothing."""
    labels = []
    for file in sources.files[role]:
        recorded = getattr(file, kind)
        if recorded is None or None in recorded:
            return None
        labels += [f"{file.path} {label}" if kind == "parents" else str(label) for label in recorded]
    return np.unique(np.array(labels), return_inverse=True)[1]


def check_same_geometry(name: str, ours: MapGeometry, other_name: str, theirs: MapGeometry) -> None:
    """Check that maps are of one size and angle; ValueError where they are not."""
    if ours.num_pixels != theirs.num_pixels or not np.isclose(ours.side_deg, theirs.side_deg, rtol=1e-4):
        raise ValueError(
            f"{name} have {ours.num_pixels} pixels over {ours.side_deg:.6g} deg, {other_name} "
            f"{theirs.num_pixels} over {theirs.side_deg:.6g}; maps of one size and angle can be compared "
            "(stage prepare cuts crops)"
        )


def check_alike(sets: MapSets) -> None:
    """Check that sets are of two maps or more, of validation's size, angle and redshift; else ValueError."""
    flags = {"generated": "generated", "validation": "reference", "auxiliary": "auxiliary"}
    first = sets.validation
    for other in sets.present():
        if other.num_maps < 2:
            raise ValueError(f"{flags[other.name]}: {other.num_maps} map from {other.source}; two are needed")
        check_same_geometry(f"{other.name} maps", other.geometry, "validation maps", first.geometry)
        theirs, ours = other.source_redshift, first.source_redshift
        if theirs is not None and ours is not None and not np.isclose(theirs, ours, rtol=1e-3):
            raise ValueError(
                f"{other.name} maps are of source redshift {theirs:g}, validation maps of {ours:g}"
            )
