"""The crop table: positions of crops in the maps of a store, by split, with the normalisation to be used."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
from jaxtyping import Float, Int, Shaped

from cosmogan_jax.even_choice import equally_of_each
from cosmogan_jax.files.json_files import Fields, check_object, read_object, write_json
from cosmogan_jax.files.numpy_files import read_npy
from cosmogan_jax.files.whole_files import write_whole
from cosmogan_jax.geometry import MapGeometry
from cosmogan_jax.maps.parameters import known_for_all, parameter_rows
from cosmogan_jax.maps.store import MapStore, open_map_store

SPLITS = ("train", "development", "validation", "auxiliary")
_REQUIRED: Fields = {
    "maps": str, "crop_size": int, "side_deg": float, "source_redshift": (float, type(None)),
    "normalisation": dict, "parents": list, "boxes": list, "origin": dict,
}  # fmt: skip
_OPTIONAL: Fields = {"bin": int, "share_of_crops_outside_network_range": float}
# The run's own maps, imported or simulated; a table that names others is not this run's.
_STORES = ("maps", "../simulate/maps")


@dataclasses.dataclass(frozen=True)
class CropManifest:
    """What stage prepare tells of its crops, checked.

    Attributes:
      maps: where the map store lies, from the table's folder.
      side_deg: of a crop.
      source_redshift: None where it is not known, or not one.
      normalisation: "kind" and "scale", one or that of each source bin.
      parents, boxes: one entry a map.
      bin: which of several source bins the crops are of; None where there is one, or where they are of all.
      share_of_crops_outside_network_range: of the training crops; None where it is not recorded.
    """

    maps: str
    crop_size: int
    side_deg: float
    source_redshift: float | None
    normalisation: dict[str, Any]
    parents: list[int]
    boxes: list[Any]
    origin: dict[str, Any]
    bin: int | None = None
    share_of_crops_outside_network_range: float | None = None

    @classmethod
    def from_json(cls, content: dict[str, Any], path: Path) -> "CropManifest":
        """Check what a manifest at `path` holds; ValueError names what is missing or of another form."""
        known = {**_REQUIRED, **{name: kinds for name, kinds in _OPTIONAL.items() if name in content}}
        check_object(content, known, path)
        check_object(content["normalisation"], {"kind": str, "scale": (float, list)}, f"{path}, normalisation")
        if content["maps"] not in _STORES:
            raise ValueError(
                f"{path}: maps={content['maps']!r} is none of this run's map stores, {', '.join(_STORES)}"
            )
        if not all(type(parent) is int for parent in content["parents"]):
            raise ValueError(f"{path}: parents must be whole numbers, one for each map")
        return cls(**{name: content[name] for name in known})


class CropTable(NamedTuple):
    """Crops are rows (map, row, column).

    The parameters of the maps stand in the store alone. Of maps of several source bins, the store reads those
    that the crops are of: one, or all.
    """

    store: MapStore
    crops: dict[str, Int[np.ndarray, "crops 3"]]
    manifest: CropManifest

    @property
    def geometry(self) -> MapGeometry:
        """Return pixels and side of a crop."""
        return MapGeometry(self.manifest.crop_size, self.manifest.side_deg)

    def choose(
        self, split: str, limit: int | None = None, half: Literal[0, 1] | None = None
    ) -> Int[np.ndarray, "crops 3"]:
        """Choose at most `limit` crops of a split, as many of each map as of any other, in the maps' order.

        Where some maps have one more than others, these are spread evenly over all: maps stand box by box and
        cosmology by cosmology, and the first ones alone would be of a few of them.

        half=0 and half=1 are those of every other parent map: they have no parent in common. Where there is
        one parent only, both are all crops.
        """
        crops = self.crops[split][np.argsort(self.crops[split][:, 0], kind="stable")]
        names, parents = np.unique(self.parents(crops), return_inverse=True)
        if half is not None and len(names) > 1:
            crops = crops[parents % 2 == half]
        return crops[equally_of_each(crops[:, 0], limit)]

    def of_size(self, num_pixels: int) -> "CropTable":
        """Move to crops of another size that begin where these do, or as near as the map's borders allow.

        Each place is there once: of maps that are no larger than the crops there is one crop.

        Raises:
          ValueError: the maps are smaller.
        """
        geometry = self.store.crop_geometry(num_pixels)
        last = np.array([self.store.num_maps, *(side - num_pixels for side in self.store.image_shape)])
        crops = {
            split: np.unique(np.minimum(rows, last), axis=0).astype(rows.dtype)
            for split, rows in self.crops.items()
        }
        manifest = dataclasses.replace(self.manifest, crop_size=num_pixels, side_deg=geometry.side_deg)
        return self._replace(crops=crops, manifest=manifest)

    def parents(self, crops: Int[np.ndarray, "crops 3"]) -> Int[np.ndarray, " crops"]:
        """Return what each crop's map was cut from, as the manifest numbers it."""
        return np.array(self.manifest.parents)[crops[:, 0]]

    def boxes(self, crops: Int[np.ndarray, "crops 3"]) -> Shaped[np.ndarray, " crops"] | None:
        """Return the box or region of each crop by its name; None where one's is not known."""
        boxes = [self.manifest.boxes[number] for number in crops[:, 0]]
        return None if None in boxes else np.array([str(box) for box in boxes])

    @property
    def num_bins(self) -> int:
        """Return how many source bins the crops are of."""
        return self.store.num_bins

    def of_bin(self, number: int) -> "CropTable":
        """Return the same crops of one of the store's source bins.

        Raises:
          ValueError: it has no such bin.
        """
        store = self.store.only(number)
        manifest = dataclasses.replace(self.manifest, bin=number, source_redshift=store.source_redshift)
        return self._replace(store=store, manifest=manifest)

    @property
    def parameters(self) -> tuple[str, ...]:
        """Return the names of the parameters that are known of all maps."""
        return known_for_all(self.store.parameters)

    def theta(
        self, crops: Int[np.ndarray, "crops 3"], names: Sequence[str]
    ) -> Float[np.ndarray, "crops parameters"]:
        """Return the named parameters of each crop's map, float32, a column for each name.

        Raises:
          ValueError: names the parameter, and a map where it is not known.
        """
        return parameter_rows(self.store.parameters, crops[:, 0], names, str(self.store.path))

    def cut(self, crops: Int[np.ndarray, "crops 3"]) -> Float[np.ndarray, "crops size size bins"]:
        """Cut the given crops; each map they touch is read once, and one map is in memory at a time."""
        size = self.manifest.crop_size
        kappa = np.empty((len(crops), size, size, self.store.num_bins), np.float32)
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
    """Open the table and the map store that it points to, and check both against each other.

    Raises:
      ValueError: names what is missing or damaged: a field of the manifest, a store that is not this run's,
        crops that lie outside of their maps.
    """
    manifest = CropManifest.from_json(read_object(path / "manifest.json", {}), path / "manifest.json")
    store = open_map_store(path / manifest.maps)
    if manifest.bin is not None:
        store = store.only(manifest.bin)
    for name, labels in (("parents", manifest.parents), ("boxes", manifest.boxes)):
        if len(labels) != store.num_maps:
            raise ValueError(
                f"{path}/manifest.json: {len(labels)} {name} for the {store.num_maps} maps of {store.path}"
            )
    crops = {file.stem.removeprefix("crops_"): read_npy(file) for file in sorted(path.glob("crops_*.npy"))}
    if missing := {"train", "development", "validation"} - crops.keys():
        raise ValueError(f"{path}/crops_{min(missing)}.npy is missing")
    for split, rows in crops.items():
        _check_rows(path / f"crops_{split}.npy", rows, store, manifest.crop_size)
    return CropTable(store, crops, manifest)


def _check_rows(path: Path, rows: np.ndarray, store: MapStore, crop_size: int) -> None:
    if rows.ndim != 2 or rows.shape[1] != 3 or rows.dtype.kind not in "iu":
        raise ValueError(f"{path} holds {rows.dtype.name} of shape {rows.shape}, not rows (map, row, column)")
    room = [side - crop_size for side in store.image_shape]
    if not 1 <= crop_size <= min(store.image_shape):
        raise ValueError(f"{path.parent}/manifest.json: crop_size={crop_size} does not fit {store.path}")
    if rows.size and (rows.min() < 0 or (rows.max(0) > (store.num_maps - 1, *room)).any()):
        raise ValueError(f"{path} holds crops of {crop_size} pixels outside of the maps of {store.path}")
