"""What a dry run says of the verdict that maps will allow: `compare/designs.py` for the sets of a run."""

from collections.abc import Hashable, Mapping, Sequence
from typing import NamedTuple

from cosmogan_jax.compare.designs import said
from cosmogan_jax.compare.resamples import MIN_PARENTS
from cosmogan_jax.settings.margins import SETS

_MARGINS = "default"


class Sky(NamedTuple):
    """What patches of one sky have in common."""

    name: str


def tell(stage: str, maps: Mapping[str, Sequence[tuple[Hashable, int]]]) -> None:
    """Print what the validation and auxiliary maps of a run can resolve at the default margins.

    maps: of validation and auxiliary, for each map its box or sky, None where neither is known, and the crops
    that it gives. Without auxiliary maps the yardstick is one half of the validation units against the other.
    """
    sets = {name: of for name, of in maps.items() if of}
    if "validation" not in sets:
        return
    fewest, unit = _units(sets["validation"])
    crops = sum(count for _, count in sets["validation"]) / fewest
    if "auxiliary" not in sets:
        fewest //= 2
    else:
        theirs, _ = _units(sets["auxiliary"])
        crops = min(crops, sum(count for _, count in sets["auxiliary"]) / theirs)
        fewest = min(fewest, theirs)
    if fewest < MIN_PARENTS:
        print(
            f"{stage}: no verdict from {fewest} {unit} in the smallest real set, of which there must be "
            f"{MIN_PARENTS}; the outcome will be incomplete at best"
        )
        return
    for line in said(fewest, crops, unit, SETS[_MARGINS], _MARGINS):
        print(f"{stage}: {line}")


def _units(maps: Sequence[tuple[Hashable, int]]) -> tuple[int, str]:
    """How many count as independent, and what they are called: boxes or skies where known, else maps."""
    boxes = {box for box, _ in maps}
    if None in boxes:
        return len(maps), "maps"
    return len(boxes), "skies" if all(isinstance(box, Sky) for box in boxes) else "boxes"
