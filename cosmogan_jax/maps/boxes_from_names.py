"""Which simulated box a given map is of, where names of folders and files say it."""

import dataclasses
from collections import defaultdict
from collections.abc import Iterable, Sequence

from cosmogan_jax.maps.formats import MapFile
from cosmogan_jax.maps.name_patterns import compile_pattern, numbers_in_name

FLAG = "box_from_name"


def check(pattern: str) -> None:
    """Raise ValueError unless the pattern has {box}, and no other name."""
    names = set(compile_pattern(pattern, FLAG).groupindex)
    if names != {"box"}:
        raise ValueError(f"{FLAG}={pattern} must hold {{box}}, as LP{{box}}, and no other name")


def with_boxes(file: MapFile, pattern: str) -> MapFile:
    """Return the file with the box that its name says, of all its maps.

    Raises:
      ValueError: the pattern does not fit the name, or the file records boxes of its own.
    """
    if file.boxes is not None and any(box is not None for box in file.boxes):
        raise ValueError(f"{FLAG}={pattern}: {file.path} records boxes of its own")
    box = f"box {numbers_in_name(pattern, file.path, FLAG)['box']:g}"
    return dataclasses.replace(file, boxes=(box,) * file.num_maps)


def split_counts(shares: dict[str, float], count: int) -> dict[str, int]:
    """Return how many of so many maps, or boxes, go to each split: at least one where it has a share."""
    return {split: max(1, round(share * count)) if share else 0 for split, share in shares.items()}


def split_boxes(boxes: Sequence[str], shares: dict[str, float], pattern: str) -> list[str]:
    """Return the split of every map: whole boxes, in the order in which they come.

    shares: of the boxes, by split; the others are "train".

    Raises:
      ValueError: fewer boxes than splits.
    """
    names = list(dict.fromkeys(boxes))
    counts = split_counts(shares, len(names))
    num_train = len(names) - sum(counts.values())
    if num_train < 1:
        raise ValueError(
            f"{FLAG}={pattern}: {len(names)} boxes are too few to be split into train, development and "
            "validation maps; give --development_maps and --validation_maps"
        )
    labels = ["train"] * num_train + [split for split, count in counts.items() for _ in range(count)]
    split_of = dict(zip(names, labels, strict=True))
    return [split_of[box] for box in boxes]


def check_splits(boxes: Iterable[str | None], splits: Iterable[str], pattern: str) -> None:
    """Raise ValueError for a box with maps in two splits: what is tested must not be trained on."""
    of_box: dict[str, set[str]] = defaultdict(set)
    for box, split in zip(boxes, splits, strict=True):
        if box is not None:
            of_box[box].add(split)
    for box, found in of_box.items():
        if len(found) > 1:
            raise ValueError(
                f"{FLAG}={pattern}: {box} has {' and '.join(sorted(found))} maps; a box belongs to one split"
            )


def in_several(boxes: Iterable[str | None], parameters: Iterable[tuple[float | None, ...]]) -> int:
    """Count the boxes that have maps of several parameters."""
    of_box: dict[str | None, set[tuple[float | None, ...]]] = defaultdict(set)
    for box, values in zip(boxes, parameters, strict=True):
        of_box[box].add(values)
    return sum(len(values) > 1 for box, values in of_box.items() if box is not None)
