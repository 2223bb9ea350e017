"""Maps of several cosmologies: which there are in every set that is judged, and of which each map is."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from cosmogan_jax.compare.parents import numbered

# Parameters count as the same to float32's rounding and a little more, as files and tables write them.
_RELATIVE, _ABSOLUTE = 1e-5, 1e-9
Rows = Float[np.ndarray, "points parameters"]
ByName = Mapping[str, Float[np.ndarray, " maps"]]


class Cosmologies(NamedTuple):
    """Cosmologies of the maps that are judged.

    Attributes:
      names: of the parameters in which they differ.
      points: a row of these a cosmology, in rising order.
      of_map: by set the number of each map's cosmology.
    """

    names: tuple[str, ...]
    points: Rows
    of_map: dict[str, Int[np.ndarray, " maps"]]

    def values(self, number: int) -> dict[str, float]:
        """Return the parameters of one by name."""
        return {name: float(value) for name, value in zip(self.names, self.points[number])}


def in_words(values: Mapping[str, float]) -> str:
    """Return parameters by name as a reader is told them."""
    return ", ".join(f"{name}={value:.4g}" for name, value in values.items())


def cosmologies_of(parameters: Mapping[str, ByName]) -> Cosmologies | None:
    """Return the cosmologies of sets whose maps differ in their parameters; None where there is one, or none.

    Args:
      parameters: by set, "generated" and "validation" among them, those that are known of each of its maps.

    Compared are the parameters that generated and validation maps both say: an emulator that is not conditioned
    on a parameter has none, and its maps are judged as one set.

    Raises:
      ValueError: a set whose maps do not say these, or that has no maps of one of the cosmologies.
    """
    names = tuple(name for name in parameters["validation"] if name in parameters["generated"])
    if not names:
        return None
    silent = {of: [name for name in names if name not in known] for of, known in parameters.items()}
    points, of_map = _numbered(
        {
            set_name: np.stack([np.asarray(known[name], np.float64) for name in names], 1)
            for set_name, known in parameters.items()
            if not silent[set_name]
        }
    )
    if max(len(np.unique(numbers)) for numbers in of_map.values()) < 2:
        return None
    for set_name, missing in silent.items():
        if missing:
            raise ValueError(
                f"{set_name} maps do not say their {', '.join(missing)}, in which maps that are judged differ"
            )
    differing = np.atleast_1d(~_same(points, points[0]).all(0))
    found = Cosmologies(
        tuple(name for name, differs in zip(names, differing) if differs), points[:, differing], of_map
    )
    _check_all_there(found)
    return found


def _same(some: np.ndarray, others: np.ndarray) -> np.ndarray:
    return np.isclose(some, others, rtol=_RELATIVE, atol=_ABSOLUTE)


def _numbered(rows: dict[str, Rows]) -> tuple[Rows, dict[str, Int[np.ndarray, " maps"]]]:
    """Return the different rows, and by set the number of each map's."""
    points: list[np.ndarray] = []
    for row in np.unique(np.concatenate(list(rows.values())), axis=0):
        if not any(_same(row, point).all() for point in points):
            points.append(row)
    whole = np.array(points)
    of_map = {}
    for name, theirs in rows.items():
        different, inverse = np.unique(theirs, axis=0, return_inverse=True)
        near = np.array([_same(whole, row).all(1).argmax() for row in different])
        of_map[name] = near[inverse.reshape(-1)]
    return whole, of_map


def _check_all_there(found: Cosmologies) -> None:
    for name, numbers in found.of_map.items():
        missing = np.setdiff1d(np.arange(len(found.points)), numbers)
        if len(missing):
            others = [other for other, of in found.of_map.items() if missing[0] in of]
            more = f", and none of {len(missing) - 1} more" if len(missing) > 1 else ""
            raise ValueError(
                f"{name} maps: none is of the cosmology {in_words(found.values(int(missing[0])))}, of which "
                f"there are {' and '.join(others)} maps{more}; sets are judged cosmology by cosmology, and "
                "must have the same ones"
            )


def matched_parents(
    parents: Int[np.ndarray, " maps"],
    boxes: Int[np.ndarray, " maps"] | None,
    cosmology: Int[np.ndarray, " maps"],
) -> Int[np.ndarray, " maps"]:
    """Return parents that are the same for maps of one seed at all cosmologies: the n-th of one box in each.

    Where boxes are not known, or none is seen at two cosmologies, the parents as they are.
    """
    if boxes is None or not shares_units(boxes, cosmology):
        return parents
    place = np.empty(len(parents), int)
    for of in np.unique(np.stack([boxes, cosmology], 1), axis=0):
        here = (boxes == of[0]) & (cosmology == of[1])
        place[here] = numbered(parents[here])[0]
    return numbered(boxes.astype(np.int64) * (place.max() + 1) + place)[0]


def shares_units(units: Int[np.ndarray, " maps"], cosmology: Int[np.ndarray, " maps"]) -> bool:
    """Tell whether some unit (a seed) has maps at more than one cosmology."""
    return len(np.unique(np.stack([units, cosmology], 1), axis=0)) > len(np.unique(units))


def nearest_to_middle(points: Rows, design: Rows) -> int:
    """Return the number of the point nearest to the middle of the design's ranges, in units of these."""
    every = np.concatenate([points, design.reshape(-1, points.shape[1])])
    low, high = every.min(0), every.max(0)
    apart = (points - (low + high) / 2) / np.where(high > low, high - low, 1.0)
    return int(np.argmin((apart**2).sum(1)))
