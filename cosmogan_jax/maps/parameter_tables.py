"""Tables of parameters that lie beside maps: CSV, one row a file or a map, one column a parameter."""

from pathlib import Path
from typing import NamedTuple

from cosmogan_jax.files.csv_files import number_in, read_lines
from cosmogan_jax.maps.parameters import check_name, is_value, shown

_KEYS = ("file", "index")


class ParameterRow(NamedTuple):
    """The line of the table it stands in, what it is of (name of a file, number of a map), and its numbers."""

    line: int
    key: str
    values: dict[str, float]


class ParameterTable(NamedTuple):
    """A table; key says what its first column holds, "file" or "index"."""

    path: Path
    key: str
    rows: list[ParameterRow]


def read_parameter_table(path: Path) -> ParameterTable:
    """Read a table whose first column is `file` or `index`, the others parameters by their names.

    Raises:
      ValueError: one line that names the file, and the line and column of what is wrong: no such file, no text,
        another first column, columns that are no parameters or come twice, a row of another length, a cell that
        is no finite number, or no rows.
    """
    path = Path(path)
    filled = read_lines(path, "map_parameters")
    header = filled[0].cells if filled else []
    if not header or header[0] not in _KEYS:
        first = f"'{shown(header[0])}'" if header else "nothing"
        raise ValueError(f"map_parameters={path}: its first column is {first}, not 'file' or 'index'")
    key, *names = header
    if not names:
        raise ValueError(f"map_parameters={path}: no column but {key!r}; name the parameters, as {key},omega_m")
    for name in names:
        check_name(name, f"map_parameters={path}")
        if name in _KEYS or names.count(name) > 1:
            raise ValueError(f"map_parameters={path}: column {name!r} comes twice, or names maps once more")
    if len(filled) == 1:
        raise ValueError(f"map_parameters={path} has no rows below its header")
    return ParameterTable(path, key, [_row(path, line, cells, names) for line, cells in filled[1:]])


def _row(path: Path, line: int, cells: list[str], names: list[str]) -> ParameterRow:
    if len(cells) != len(names) + 1:
        raise ValueError(f"map_parameters={path}, line {line}: {len(cells)} cells, expected {len(names) + 1}")
    values = {}
    for name, cell in zip(names, cells[1:]):
        value = number_in(cell)
        if not is_value(value):
            raise ValueError(
                f"map_parameters={path}, line {line}: {name}='{shown(cell)}' is not a finite number"
            )
        values[name] = value
    return ParameterRow(line, cells[0], values)
