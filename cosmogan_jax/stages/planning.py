"""What prepare says that later stages cannot do with its maps, and a dry run of the verdict that they allow.

The designs of a dry run are those of `compare/effects/designs.py`, for the sets of a run.
"""

from collections.abc import Collection, Hashable, Mapping, Sequence
from typing import NamedTuple

from cosmogan_jax.compare.effects.designs import forecast
from cosmogan_jax.compare.effects.resamples import MIN_PARENTS
from cosmogan_jax.settings.margins import SETS

_MARGINS = "default"
# What stage novelty does, by the names in its file.
SEARCHES = {
    "nearest": "the search for copies of training maps",
    "pairs": "the search for maps that are the same",
}


def left_out_of_novelty(train: Collection[Hashable], validation: Collection[Hashable]) -> dict[str, str]:
    """Return by name what stage novelty leaves out, and why: nearest (training maps) and pairs.

    train, validation: parents of the crops. Crops of one map share its structures, so that a crop's nearest is
    looked for among crops of other maps.
    """
    trained_on, kept_back = set(train), set(validation)
    left_out = {}
    if len(trained_on) < 2 and kept_back <= trained_on:
        left_out["nearest"] = (
            "training and validation crops come from one map, and how near a real map comes to training crops "
            "of other maps, the yardstick, cannot be told"
        )
    if len(trained_on) < 2:
        left_out["pairs"] = "all training crops come from one map, and real pairs, the yardstick, need two"
    return left_out


def tell_lacking(
    stage: str,
    maps: Mapping[str, Sequence[tuple[Hashable, int]]],
    train: Collection[Hashable],
    validation: Collection[Hashable],
) -> None:
    """Print what later stages will leave out or leave open, whatever the emulator; maps: as for `tell`."""
    for name, why in left_out_of_novelty(train, validation).items():
        print(f"{stage}: stage novelty will leave out {SEARCHES[name]}: {why}")
    if refusal := _no_verdict(maps):
        print(f"{stage}: {refusal}")


class Sky(NamedTuple):
    """What patches of one sky have in common."""

    name: str


def tell(stage: str, maps: Mapping[str, Sequence[tuple[Hashable, int]]]) -> None:
    """Print what the validation and auxiliary maps of a run can resolve at the default margins.

    maps: of validation and auxiliary, for each map its box or sky, None where neither is known, and the crops
    that it gives. Without auxiliary maps the yardstick is one half of the validation units against the other.
    """
    if not maps.get("validation"):
        return
    if refusal := _no_verdict(maps):
        print(f"{stage}: {refusal}")
        return
    fewest, unit, crops = _smallest(maps)
    for line in forecast(fewest, crops, unit, SETS[_MARGINS], _MARGINS):
        print(f"{stage}: {line}")


def _no_verdict(maps: Mapping[str, Sequence[tuple[Hashable, int]]]) -> str | None:
    """Return why stage evaluate will call nothing passed; None where it may."""
    if not maps.get("validation"):
        return None
    fewest, unit, _ = _smallest(maps)
    if fewest >= MIN_PARENTS:
        return None
    where, needed = "the smallest real set", MIN_PARENTS
    if not maps.get("auxiliary"):
        where, needed = "the validation set, without an auxiliary one", 2 * MIN_PARENTS
        fewest = _units(maps["validation"])[0]
    counted = f"{fewest} {unit}" if fewest != 1 else {"maps": "1 map", "boxes": "1 box", "skies": "1 sky"}[unit]
    return (
        f"no verdict from {counted} in {where}, of which there must be {needed}; the outcome will be "
        "incomplete at best"
    )


def _smallest(maps: Mapping[str, Sequence[tuple[Hashable, int]]]) -> tuple[int, str, float]:
    """Return how many units the smallest real set has, what they are called, and crops of each."""
    fewest, unit = _units(maps["validation"])
    crops = sum(count for _, count in maps["validation"]) / fewest
    if auxiliary := maps.get("auxiliary"):
        units, _ = _units(auxiliary)
        crops = min(crops, sum(count for _, count in auxiliary) / units)
        fewest = min(fewest, units)
    else:
        fewest //= 2
    return fewest, unit, crops


def _units(maps: Sequence[tuple[Hashable, int]]) -> tuple[int, str]:
    """Return how many count as independent, and what they are called: boxes or skies where known, else maps."""
    boxes = {box for box, _ in maps}
    if None in boxes:
        return len(maps), "maps"
    return len(boxes), "skies" if all(isinstance(box, Sky) for box in boxes) else "boxes"
