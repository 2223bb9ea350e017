"""CSV files: their lines, numbered as an editor shows them, and the numbers in their cells."""

import csv
import math
from pathlib import Path
from typing import NamedTuple


class Line(NamedTuple):
    """A line that is not empty: its number in the file, from 1, and its cells without blanks around them."""

    number: int
    cells: list[str]


def read_lines(path: Path, flag: str) -> list[Line]:
    """Return the lines of a CSV file that hold anything.

    flag: the setting that names the file, for errors.

    Raises:
      ValueError: no such file, or no CSV in UTF-8.
    """
    if not path.is_file():
        raise ValueError(f"{flag}={path}: no such file")
    try:
        with open(path, encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file)
            lines = [Line(reader.line_num, [cell.strip() for cell in cells]) for cells in reader]
    except (csv.Error, UnicodeDecodeError, OSError) as error:
        raise ValueError(f"{flag}={path} is not a CSV file: {error}") from error
    return [line for line in lines if any(line.cells)]


def number_in(cell: str) -> float:
    """Return the number that a cell holds; NaN where it holds none that is finite."""
    try:
        value = float(cell.replace("_", "?"))  # Python's own 1_000 is no number of a table
    except ValueError:
        return math.nan
    return value if math.isfinite(value) else math.nan
