"""The project's own map store as a source of maps."""

from pathlib import Path
from typing import Any

import numpy as np

from cosmogan_jax.maps.formats.bins import chosen_bins
from cosmogan_jax.maps.formats.map_file import MapFile, ReadOptions
from cosmogan_jax.maps.source_bins import only_bin
from cosmogan_jax.maps.store import open_map_store


def open_store(path: Path, options: ReadOptions) -> MapFile:
    """Open the maps of a map store; what its manifest records of each map comes with them.

    Raises:
      ValueError: it is not a whole store, or its maps are of several source bins and none is chosen.
    """
    store = open_map_store(path)
    every = store.bin_redshifts
    numbers: tuple[int, ...] = ()
    if store.num_bins > 1 and options.source_bins:
        numbers = tuple(chosen_bins(str(path), options.source_bins, store.num_bins))
    elif store.num_bins > 1:
        if options.channel is None or options.channel >= store.num_bins:
            raise ValueError(
                f"{path} holds maps of {store.num_bins} source bins: choose one with --channel=0 to "
                f"{store.num_bins - 1}, or --source_bins=all"
            )
        store = store.only(options.channel)

    def load(start: int, stop: int) -> np.ndarray:
        kappa = store.read(start, stop)
        return kappa[..., list(numbers)] if numbers else only_bin(kappa)

    recorded: dict[str, Any] = {
        name: tuple(labels)
        for name in ("splits", "parents", "boxes")
        if (labels := getattr(store.manifest, name))
    }
    return MapFile(
        Path(path),
        "map store",
        store.num_maps,
        store.image_shape[0],
        "<f4",
        load,
        store.manifest.side_deg,
        None if numbers else store.source_redshift,
        store.manifest.origin,
        num_columns=None if store.image_shape[0] == store.image_shape[1] else store.image_shape[1],
        bins=tuple(every[number] for number in numbers),
        bin_numbers=numbers,
        bin_names=tuple(store.bin_names[number] for number in numbers),
        options_used=frozenset({"channel", "source_bins"} if len(every) > 1 else ()),
        parameters={name: tuple(values) for name, values in store.parameters.items()},
        **recorded,
    )
