"""Source bins in files of their own: which files are of the same maps, by a pattern in --source_bins.

    --maps='LP*/run*/kappa*.dat' --source_bins='kappa{bin}.dat' --channel=12

{bin} stands for the number in a file's name, or in a folder's, that says which bin it is of; files whose names
are the same but for that number are maps of one sky. kappaTNG has forty such files a run.
"""

import dataclasses
import re
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from cosmogan_jax.maps.formats import MapFile
from cosmogan_jax.maps.formats.bins import ALL, bin_numbers, join_as_bins
from cosmogan_jax.maps.name_patterns import compile_pattern

FIELD = "{bin}"
_FLAG = "source_bins"
_SHOWN = 5


class Pattern(NamedTuple):
    """--source_bins where bins are files.

    Attributes:
      text: with {bin}.
      chosen: which bins are read, as they are numbered in the names; all of them where there is none.
    """

    text: str
    chosen: tuple[int, ...]


def pattern_of(source_bins: Sequence[str]) -> Pattern | None:
    """Find the pattern among what --source_bins names; None where bins lie together in each file.

    Raises:
      ValueError: two patterns, or one that is none; what is no number beside it, or twice the same.
    """
    texts = [text for text in source_bins if "{" in text or "}" in text]
    if not texts:
        return None
    flag = f"{_FLAG}={','.join(source_bins)}"
    if len(texts) > 1:
        raise ValueError(f"{flag} names two patterns; {{}} in one stands for any other number")
    compiled = compile_pattern(texts[0], _FLAG)
    if list(compiled.groupindex) != ["bin"]:
        raise ValueError(f"{flag} must hold {FIELD} once, and no other name: it is the number of the bin")
    rest = [text for text in source_bins if text != texts[0]]
    if rest in ([], [ALL]):
        return Pattern(texts[0], ())
    words = "a pattern, and whole numbers of bins as the names have them"
    return Pattern(texts[0], tuple(bin_numbers(rest, flag, words)))


def join_bins(files: Sequence[MapFile], pattern: Pattern) -> list[MapFile]:
    """Join files of one bin each to files of several, in the order in which the first of each came.

    Bins have the numbers that the names have, in rising order or as chosen; where one of these is no whole
    number (a redshift), the bins are numbered from 0 on.

    Raises:
      ValueError: a name that does not fit, a bin that one sky has and another lacks or that none has, files of
        one sky of other sizes, angles or cosmologies.
    """
    compiled = compile_pattern(pattern.text, _FLAG)
    skies: dict[str, dict[float, MapFile]] = {}
    for file in files:
        others, number = _split(file.path, compiled, pattern)
        if (twin := skies.setdefault(others, {}).setdefault(number, file)) is not file:
            raise ValueError(f"{_FLAG}={pattern.text}: {twin.path} and {file.path} are both bin {number:g}")
    first, every = next(iter(skies)), sorted(set().union(*skies.values()))
    for bins in skies.values():
        if missing := [number for number in every if number not in bins]:
            more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
            raise ValueError(
                f"{_FLAG}={pattern.text}: other maps have bin {missing[0]:g}{more}, and there is none beside "
                f"{next(iter(bins.values())).path}"
            )
    whole = all(number == int(number) and number >= 0 for number in every)
    numbers = [int(number) for number in every] if whole else list(range(len(every)))
    if unknown := [number for number in pattern.chosen if number not in numbers]:
        known = ", ".join(map(str, numbers[:_SHOWN])) + (" ..." if len(numbers) > _SHOWN else "")
        raise ValueError(f"{_FLAG}={pattern.text},{unknown[0]} is none of the bins of {first}: {known}")
    chosen = pattern.chosen or tuple(numbers)
    at = [every[numbers.index(number)] for number in chosen]
    return [_joined([bins[number] for number in at], chosen) for bins in skies.values()]


def _split(path: Path, compiled: re.Pattern[str], pattern: Pattern) -> tuple[str, float]:
    """Return the name without the number of the bin, and that number."""
    name = path.as_posix()
    matches = list(compiled.finditer(name))
    if len(matches) != 1:
        fits = f"fits it in {len(matches)} places; write more of the name" if matches else "does not fit it"
        raise ValueError(f"{path}: {_FLAG}={pattern.text} {fits}")
    start, stop = matches[0].span("bin")
    return name[:start] + FIELD + name[stop:], float(matches[0]["bin"])


def _joined(parts: Sequence[MapFile], numbers: Sequence[int]) -> MapFile:
    if any(file.bins for file in parts):
        raise ValueError(f"{parts[0].path} holds several bins, and {_FLAG} is a pattern for files of one each")
    whole = join_as_bins(parts[0].path, parts, [str(file.path) for file in parts], parts[0].format)
    return dataclasses.replace(whole, bin_numbers=tuple(numbers), parts=tuple(file.path for file in parts))
