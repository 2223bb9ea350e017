"""The crop table: positions of crops in the maps of a store, by split, with the normalisation to be used."""

from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
from jaxtyping import Float, Int

from cosmogan_jax.geometry import MapGeometry
from cosmogan_jax.storage.json_files import read_json, write_json
from cosmogan_jax.storage.map_store import MapStore, open_map_store
from cosmogan_jax.storage.whole_files import write_whole

SPLITS = ("train", "development", "validation", "auxiliary")


class CropTable(NamedTuple):
    """Crops are rows (map, row, column); manifest["parents"] and ["boxes"] are indexed by map."""

    store: MapStore
    crops: dict[str, Int[np.ndarray, "crops 3"]]
    manifest: dict[str, Any]

    @property
    def geometry(self) -> MapGeometry:
        """Pixels and side of a crop."""
        return MapGeometry(self.manifest["crop_size"], self.manifest["side_deg"])

    def choose(
        self, split: str, limit: int | None = None, half: Literal[0, 1] | None = None
    ) -> Int[np.ndarray, "crops 3"]:
        """At most `limit` crops of a split, as many of each map as of any other, in the order of the maps.

        half=0 and half=1 are those of every other parent map: they have no parent in common. Where there is
        one parent only, both are all crops.
        """
        crops = self.crops[split][np.argsort(self.crops[split][:, 0], kind="stable")]
        names, rank = np.unique(np.array(self.manifest["parents"])[crops[:, 0]], return_inverse=True)
        if half is not None and len(names) > 1:
            crops = crops[rank % 2 == half]
        _, counts = np.unique(crops[:, 0], return_counts=True)
        turn = np.concatenate([np.arange(count) for count in counts])
        return crops[np.sort(np.argsort(turn, kind="stable")[:limit])]

    def cut(self, crops: Int[np.ndarray, "crops 3"]) -> Float[np.ndarray, "crops size size"]:
        """The given crops; each map they touch is read once, and one map is in memory at a time."""
        size = self.manifest["crop_size"]
        kappa = np.empty((len(crops), size, size), np.float32)
        for index in np.unique(crops[:, 0]):
            whole = self.store.read(int(index), int(index) + 1)[0]
            for i in np.flatnonzero(crops[:, 0] == index):
                _, row, column = crops[i]
                kappa[i] = whole[row : row + size, column : column + size]
        return kappa


def write_crop_table(path: Path, crops: dict[str, np.ndarray], manifest: dict[str, Any]) -> None:
    """Write one npy file a split, then the manifest."""
    for split, table in crops.items():
        with write_whole(path / f"crops_{split}.npy") as file:
            np.save(file, table, allow_pickle=False)
    write_json(path / "manifest.json", manifest)


def open_crop_table(path: Path) -> CropTable:
    """Open the table and the map store it points to."""
    manifest = read_json(path / "manifest.json")
    crops = {
        file.stem.removeprefix("crops_"): np.load(file, allow_pickle=False)
        for file in sorted(path.glob("crops_*.npy"))
    }
    return CropTable(open_map_store(path / manifest["maps"]), crops, manifest)
