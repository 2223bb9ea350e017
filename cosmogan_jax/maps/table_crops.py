"""Some crops of an opened table, with all that is known of each: what feeds, scores and pictures are given."""

import dataclasses
from collections.abc import Iterator, Sequence

import numpy as np
from jaxtyping import Float, Int

from cosmogan_jax.geometry import MapGeometry
from cosmogan_jax.maps.crop_table import CropTable
from cosmogan_jax.maps.store import MapStore


@dataclasses.dataclass(frozen=True)
class Crops:
    """Rows (map, row, column) of a table, in an order of their own; pixels are read when asked for."""

    table: CropTable
    rows: Int[np.ndarray, "crops 3"]

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, which: slice | Int[np.ndarray, " some"]) -> "Crops":
        """Return the crops of these numbers."""
        return Crops(self.table, self.rows[which])

    @property
    def store(self) -> MapStore:
        """Return the maps that the crops lie in."""
        return self.table.store

    def with_cache(self, cache_bytes: int) -> "Crops":
        """Open the maps anew, with so much memory for parts of them that were read."""
        return Crops(self.table._replace(store=self.store.with_cache(cache_bytes)), self.rows)

    @property
    def geometry(self) -> MapGeometry:
        """Return pixels and side of a crop."""
        return self.table.geometry

    @property
    def parents(self) -> Int[np.ndarray, " crops"]:
        """Return the parent of each crop's map, as the table numbers them."""
        return self.table.parents(self.rows)

    def cut(self) -> Float[np.ndarray, "crops size size bins"]:
        """Read the crops."""
        return self.table.cut(self.rows)

    def batches(self, size: int) -> Iterator[Float[np.ndarray, "crops size size bins"]]:
        """Read the crops, so many at a time."""
        return (self[start : start + size].cut() for start in range(0, len(self), size))

    def theta(self, names: Sequence[str]) -> Float[np.ndarray, "crops parameters"]:
        """Return the named parameters of each crop's map; ValueError names one that is not known of a map."""
        return self.table.theta(self.rows, names)
