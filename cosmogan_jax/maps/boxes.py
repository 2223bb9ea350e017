"""Simulated boxes on disk: the overdensity on every lens plane of a box, for maps to be made of.

<boxes>/<name>/planes/   zarr3 array (plane, cut, row, column); cut = axis * slabs + slab
<boxes>/<name>/box.json  settings, schedule, seconds; written last
<boxes>/<name>.lock      held (flock) by the process that makes the box, so that several may share the work
"""

import contextlib
import dataclasses
import fcntl
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import tensorstore as ts
from jaxtyping import Float

from cosmogan_jax.files.json_files import read_object, write_json
from cosmogan_jax.files.zarr_arrays import create_array, open_array, short

VERSION = 1


@dataclasses.dataclass(frozen=True)
class Box:
    """A whole box: its record in memory, its planes on disk."""

    path: Path
    record: dict[str, Any]
    array: ts.TensorStore

    def read(self, plane: int) -> Float[np.ndarray, "cuts size size"]:
        """Read all cuts of one plane; a chunk whose checksum fails raises ValueError."""
        try:
            return self.array[plane].read().result()
        except ValueError as error:
            raise ValueError(
                f"{self.path} is damaged: {short(error)}; remove it, and the same command makes it again"
            ) from error


def open_box(boxes: Path, name: str, settings: dict[str, Any]) -> Box | None:
    """Open the box of that name; None where it is not whole.

    Raises:
      ValueError: it was made with other settings, which are named.
    """
    path = Path(boxes) / name
    if not (path / "box.json").is_file():
        return None
    record = read_object(path / "box.json", {"settings": dict, "shape": list, "seconds": dict})
    wanted = {"version": VERSION, **settings}
    for key in sorted(wanted.keys() | record["settings"].keys()):
        old, new = record["settings"].get(key), wanted.get(key)
        if old != new:
            raise ValueError(f"{path} was made with {key}={old}, now {key}={new}; choose another --boxes_dir")
    return Box(path, record, open_array(path / "planes", tuple(record["shape"])))


@contextlib.contextmanager
def claim(boxes: Path, name: str) -> Iterator[bool]:
    """Tell whether this process may make the box now; the claim ends with the block or the process."""
    boxes.mkdir(parents=True, exist_ok=True)
    with open(boxes / f"{name}.lock", "a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            yield False
        else:
            yield True


class BoxWriter:
    """Writes a box plane by plane, under a name that no whole box carries; the caller holds the claim."""

    def __init__(self, boxes: Path, name: str, num_planes: int, cuts: int, pixels: int):
        self._whole, self._partial = boxes / name, boxes / f"{name}.partial"
        if self._partial.exists():
            shutil.rmtree(self._partial)
        self._shape = (num_planes, cuts, pixels, pixels)
        self._array = create_array(self._partial / "planes", self._shape, (1, *self._shape[1:]),
                                   ["plane", "cut", "row", "column"])  # fmt: skip

    def write(self, plane: int, contrast: Float[np.ndarray, "cuts size size"]) -> None:
        """Write one plane; ValueError where it holds non-finite values."""
        if not np.isfinite(contrast).all():
            raise ValueError(f"plane {plane} of {self._whole} holds non-finite values")
        try:
            self._array[plane].write(contrast).result()
        except ValueError as error:
            raise ValueError(f"{self._partial} cannot be written: {short(error)}") from error

    def finish(self, settings: dict[str, Any], record: dict[str, Any]) -> None:
        """Make the box whole."""
        content = {"settings": {"version": VERSION, **settings}, "shape": list(self._shape), **record}
        write_json(self._partial / "box.json", content)
        os.replace(self._partial, self._whole)
