"""Data vectors and covariances as files that other codes read: columns of text, a plain matrix, and npz.

    <name>.txt         whitespace columns of one statistic, their names in the last comment line
    covariance.txt     a plain square matrix, its order that of the tables as they are named in the comments
    data_vector.npz    everything: mean, covariance, labels, and the columns as <name>_<column>

`numpy.loadtxt` reads the text, whose comments begin with #. Whole numbers are written as such.
"""

import io
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float

from cosmogan_jax.files.whole_files import write_arrays, write_text, writing


def write_data_vector(
    folder: Path,
    tables: Mapping[str, Mapping[str, np.ndarray]],
    covariance: Float[np.ndarray, "numbers numbers"],
    labels: Sequence[str],
    comments: Sequence[str] = (),
) -> None:
    """Write the tables of a data vector and its covariance to a folder, which is made.

    Args:
      tables: by name columns of one length, "value" among them; the numbers of all in the covariance's order.
      labels: what each number is.
      comments: lines for the head of every text file, as the redshift of each bin.

    Raises:
      ValueError: columns of several lengths, a covariance or labels of another number; no room, no permission.
    """
    lengths = {name: {len(column) for column in table.values()} for name, table in tables.items()}
    if any(len(of_table) != 1 for of_table in lengths.values()):
        raise ValueError(f"columns of the lengths {lengths} must be as long as each other")
    total = sum(min(of_table) for of_table in lengths.values())
    if np.shape(covariance) != (total, total) or len(labels) != total:
        raise ValueError(
            f"covariance.shape={np.shape(covariance)} and {len(labels)} labels must be of {total} numbers"
        )
    folder = Path(folder)
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
    arrays = {"mean": np.concatenate([table["value"] for table in tables.values()]), "covariance": covariance}
    for name, table in tables.items():
        _write_columns(folder / f"{name}.txt", list(table.values()), [*comments, " ".join(table)])
        arrays |= {f"{name}_{column}": values for column, values in table.items()}
    order = (
        f"rows and columns in the order of the numbers in {', then '.join(f'{name}.txt' for name in tables)}"
    )
    _write_columns(folder / "covariance.txt", list(np.asarray(covariance).T), [*comments, order])
    write_arrays(folder / "data_vector.npz", {**arrays, "labels": np.array(labels)})


def _write_columns(path: Path, columns: Sequence[np.ndarray], comments: Sequence[str]) -> None:
    text = io.StringIO()
    whole = [np.issubdtype(np.asarray(column).dtype, np.integer) for column in columns]
    # Columns of numbers: whole ones are exact in float64 too.
    rows = np.stack([np.asarray(column, np.float64) for column in columns], 1)
    np.savetxt(text, rows, fmt=["%d" if of else "%.8e" for of in whole], header="\n".join(comments))
    write_text(path, text.getvalue())
