"""Parameters of every map that stage prepare is given: what tables, names, stores and headers say, as one.

A table beside the maps comes before the names of files, these before what the files themselves say; who says
the same parameter must say the same number. Maps differ only in what --vary names.
"""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from cosmogan_jax.files.fits_files import COSMOLOGY_CARDS
from cosmogan_jax.maps.formats import MapFile
from cosmogan_jax.maps.name_patterns import compile_pattern, numbers_in_name
from cosmogan_jax.maps.parameter_tables import ParameterTable, read_parameter_table
from cosmogan_jax.maps.parameters import check_name, is_value, shown
from cosmogan_jax.settings import Prepare

# A user's rounding of 0.25999 to 0.26 agrees with the file's.
GIVEN_AGREES = 1e-4
FILES_AGREE = 1e-6
_GROUPS = 3  # values of maps that disagree, in a message
Values = dict[str, tuple[float | None, ...]]


class Statement(NamedTuple):
    """Numbers of one map by parameter, and who says them, in words."""

    values: Mapping[str, float]
    by: str


def check(settings: Prepare) -> None:
    """Refuse names that no parameter has, and a pattern that is none."""
    for name in settings.vary:
        check_name(name, f"vary={','.join(settings.vary)}")
    if settings.parameters_from_name is not None:
        compile_pattern(settings.parameters_from_name)


def told_cosmology(file: MapFile) -> dict[str, float]:
    """Return the cosmology that a file says; of generated maps that of the maps they imitate."""
    trained_on = file.facts.get("trained_on")
    imitated = trained_on.get("cosmology") if isinstance(trained_on, dict) else None
    cosmology = file.facts.get("cosmology") or imitated
    if not isinstance(cosmology, dict):
        return {}
    return {name: value for name, value in cosmology.items() if value is not None}


def given_besides(files: Sequence[MapFile], settings: Prepare) -> list[list[Statement]]:
    """Return what the flags say of every map, the first to be believed first: the table, then files' names.

    Raises:
      ValueError: a table or pattern that does not fit the files (`_rows_of_maps`, `numbers_in_name`).
    """
    sources = []
    if settings.map_parameters is not None:
        table = read_parameter_table(Path(settings.map_parameters).expanduser())
        sources.append(_rows_of_maps(table, files))
    if (pattern := settings.parameters_from_name) is not None:
        by = f"parameters_from_name={pattern}"
        named = [Statement(numbers_in_name(pattern, file.path), by) for file in files]
        sources.append([statement for statement, file in zip(named, files) for _ in range(file.num_maps)])
    return sources


def _rows_of_maps(table: ParameterTable, files: Sequence[MapFile]) -> list[Statement]:
    """Return the row of every map, in their order.

    Raises:
      ValueError: names the table and the line: a row that means no map, several files, or what another means;
        or the first map that no row means.
    """
    where = f"map_parameters={table.path}"
    maps = list(each_map(files))
    first = [0]
    for file in files:
        first.append(first[-1] + file.num_maps)
    ending: dict[str, list[int]] = {}
    for number, file in enumerate(files):
        ending.setdefault(file.path.absolute().name, []).append(number)
    rows: dict[int, Any] = {}
    for row in table.rows:
        if table.key == "index":
            if not (row.key.isascii() and row.key.isdigit() and len(row.key) < 20 and int(row.key) < len(maps)):
                problem = f"index={shown(row.key)} is no number of a map, 0 to {len(maps) - 1}"
                raise ValueError(f"{where}, line {row.line}: {problem}")
            meant = range(int(row.key), int(row.key) + 1)
        else:
            parts = Path(row.key).parts
            fits = [n for n in ending.get(parts[-1] if parts else "", []) if _ends(files[n].path, parts)]
            if len(fits) != 1:
                what = (
                    f"fits {files[fits[0]].path} and {files[fits[1]].path}" if fits else "is none of the files"
                )
                raise ValueError(f"{where}, line {row.line}: file={shown(row.key)} {what}")
            meant = range(first[fits[0]], first[fits[0] + 1])
        for number in meant:
            if number in rows:
                file, index = maps[number]
                lines = f"lines {rows[number].line} and {row.line}"
                raise ValueError(f"{where}: {lines} both mean {file.name(index)}")
            rows[number] = row
    if missing := next((place for number, place in enumerate(maps) if number not in rows), None):
        raise ValueError(f"{where} has no row of {missing[0].name(missing[1])}")
    return [Statement(rows[n].values, f"{where} (line {rows[n].line})") for n in range(len(maps))]


def _ends(path: Path, parts: tuple[str, ...]) -> bool:
    return path.absolute().parts[-len(parts) :] == parts


def each_map(files: Iterable[MapFile]) -> Iterator[tuple[MapFile, int]]:
    """Yield every map in order: its file, and its number in it."""
    for file in files:
        for index in range(file.num_maps):
            yield file, index


def join(
    files: Sequence[MapFile], besides: list[list[Statement]], vary: Sequence[str], *, hint: bool
) -> Values:
    """Join all that is said to the parameters of every map, None where nobody says one; names sorted.

    Args:
      besides: what is said besides the files (`given_besides`).
      vary: names of those in which the maps may differ.
      hint: whether a refusal tells of --vary.

    Raises:
      ValueError: one line: sources that contradict each other about a map, maps that differ in what `vary` does
        not name, a name in `vary` that nobody says, or what is no name or number.
    """
    own = [_own(file) for file in files]
    names = {name for numbers in own for name in numbers} | {name for file in files for name in file.parameters}
    names |= {name for source in besides for numbers in source for name in numbers.values}
    for name in vary:
        if name not in names:
            raise ValueError(
                f"vary={name}: no map says its {name}; known are {', '.join(sorted(names)) or 'none'}"
            )
    joined: Values = {}
    for name in sorted(names):
        values, labels, number = [], [], 0
        for file, numbers in zip(files, own):
            recorded = file.parameters.get(name)
            for index in range(file.num_maps):
                value = numbers.get(name) if recorded is None or recorded[index] is None else recorded[index]
                values.append(_agreed(name, [source[number] for source in besides], value, file, index))
                labels.append(str(file.path) if recorded is None and not besides else file.name(index))
                number += 1
        if name == "source_redshift":
            _check_positive(values, labels)
        if name not in vary:
            words = name.replace("_", " ")
            what, unit = ("cosmology", name) if name in COSMOLOGY_CARDS else (words, words)
            check_one(what, unit, values, labels, f"; --vary={name} where that is meant" if hint else "")
        joined[name] = tuple(values)
    return joined


def _own(file: MapFile) -> dict[str, float]:
    """Return what a file says of all its maps."""
    more = file.facts.get("parameters")
    values = {**(more if isinstance(more, dict) else {}), **told_cosmology(file)}
    if file.source_redshift is not None:
        values["source_redshift"] = file.source_redshift
    for name, value in values.items():
        check_name(name, str(file.path))
        if not is_value(value):
            raise ValueError(f"{file.path} says {name}={shown(value)}, which is not a finite number")
    return values


def _agreed(
    name: str, statements: list[Statement], own: float | None, file: MapFile, index: int
) -> float | None:
    """Return what the first says who says something of the map; the others must agree with it."""
    values = [(statement.values[name], statement.by) for statement in statements if name in statement.values]
    if own is not None:
        values.append((own, "the file itself"))
    for value, by in values[1:]:
        if not math.isclose(values[0][0], value, rel_tol=GIVEN_AGREES):
            raise ValueError(
                f"{file.name(index)}: {name}={values[0][0]:g} by {values[0][1]}, but {value:g} by {by}"
            )
    return values[0][0] if values else None


def _check_positive(values: Sequence[float | None], labels: Sequence[str]) -> None:
    for value, label in zip(values, labels):
        if value is not None and value <= 0:
            raise ValueError(f"{label}: source_redshift={value:g} must be positive")


def check_one(
    what: str, unit: str, values: Sequence[float | None], labels: Sequence[str], advice: str = ""
) -> None:
    """Check that all values are one, but for those that are not known.

    Args:
      what, unit: what they are, in words, and what stands before the values.
      labels: of whom each is.

    Raises:
      ValueError: names what differs, the values and of whom they are; ends with the advice.
    """
    groups: list[tuple[float, dict[str, None]]] = []
    for value, label in zip(values, labels):
        if value is None:
            continue
        group = next((g for v, g in groups if math.isclose(v, value, rel_tol=FILES_AGREE)), None)
        if group is not None:
            group[label] = None
        elif len(groups) < _GROUPS:
            groups.append((value, {label: None}))
    if len(groups) < 2:
        return
    listed = (
        f"{value:g} in {next(iter(group))}" + (f" and {len(group) - 1} more" if len(group) > 1 else "")
        for value, group in groups
    )
    raise ValueError(f"maps disagree, a data set has one {what}: {unit} {', '.join(listed)}{advice}")


def shared_cosmology(
    files: Sequence[MapFile], values: Mapping[str, Sequence[float | None]], vary: Sequence[str]
):
    """Return the cosmology that all these maps share, of what files or flags say."""
    names = {name for file in files for name in told_cosmology(file)} | (COSMOLOGY_CARDS.keys() & values.keys())
    shared = {}
    for name in sorted(names):
        known = [value for value in values.get(name, ()) if value is not None]
        whole = name not in vary or len(known) == len(values[name])
        if known and whole and all(math.isclose(known[0], value, rel_tol=FILES_AGREE) for value in known):
            shared[name] = known[0]
    return shared


def as_line(parameters: Mapping[str, Sequence[float | None]]) -> str:
    """List every parameter with its range over the maps, and how many of them say it where not all do."""
    return ", ".join(
        f"{name} {_range(entry['min'], entry['max'])}"
        + (f" (of {entry['known']} of {entry['maps']} maps)" if entry["known"] < entry["maps"] else "")
        for name, entry in ranges(parameters).items()
    )


def _range(low: float, high: float) -> str:
    return f"{low:.6g}" if low == high else f"{low:.6g} to {high:.6g}"


def ranges(parameters: Mapping[str, Sequence[float | None]]) -> dict[str, dict[str, Any]]:
    """Return the smallest and largest value of every parameter that a map says, and how many of how many do."""
    entries = {}
    for name, values in parameters.items():
        known = [value for value in values if value is not None]
        if known:
            entries[name] = {"min": min(known), "max": max(known), "known": len(known), "maps": len(values)}
    return entries
