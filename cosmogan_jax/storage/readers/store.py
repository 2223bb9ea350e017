"""The project's own map store as a source of maps."""

from pathlib import Path
from typing import Any

from cosmogan_jax.storage.map_store import open_map_store
from cosmogan_jax.storage.readers.map_file import MapFile, ReadOptions
from cosmogan_jax.storage.source_bins import only_bin


def open_store(path: Path, options: ReadOptions) -> MapFile:
    """Maps of a map store; what its manifest records of each map comes with them.

    Raises:
      ValueError: it is not a whole store, or its maps are of several source bins.
    """
    store = open_map_store(path)
    if store.num_bins > 1:
        raise ValueError(f"{path} holds maps of {store.num_bins} source bins; only those of one are read here")
    recorded: dict[str, Any] = {
        key: tuple(store.manifest[key]) for key in ("splits", "parents", "boxes") if key in store.manifest
    }
    return MapFile(
        Path(path),
        "map store",
        store.num_maps,
        store.image_shape[0],
        "<f4",
        lambda start, stop: only_bin(store.read(start, stop)),
        store.manifest["side_deg"],
        store.manifest.get("source_redshift"),
        store.manifest.get("origin", {}),
        num_columns=None if store.image_shape[0] == store.image_shape[1] else store.image_shape[1],
        parameters={name: tuple(values) for name, values in store.parameters.items()},
        **recorded,
    )
