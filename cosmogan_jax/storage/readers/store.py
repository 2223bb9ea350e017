"""The project's own map store as a source of maps."""

from pathlib import Path
from typing import Any

from cosmogan_jax.storage.map_store import open_map_store
from cosmogan_jax.storage.readers.map_file import MapFile, ReadOptions


def open_store(path: Path, options: ReadOptions) -> MapFile:
    """Maps of a map store; what its manifest records of each map comes with them.

    Raises:
      ValueError: it is not a whole store.
    """
    store = open_map_store(path)
    recorded: dict[str, Any] = {
        key: tuple(store.manifest[key]) for key in ("splits", "parents", "boxes") if key in store.manifest
    }
    return MapFile(
        Path(path),
        "map store",
        store.num_maps,
        store.geometry.num_pixels,
        "<f4",
        store.read,
        store.geometry.side_deg,
        store.manifest.get("source_redshift"),
        store.manifest.get("origin", {}),
        **recorded,
    )
