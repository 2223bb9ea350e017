"""The searches of stage novelty: nearest training maps, and closest pairs; each part kept as a file."""

import functools
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from cosmogan_jax.compare.novelty.birthday import Neighbours, judge_birthday, nearest_others
from cosmogan_jax.compare.novelty.distances import Read, copy_distance
from cosmogan_jax.compare.novelty.nearest import judge_copies, nearest, nearest_turned
from cosmogan_jax.compare.novelty.nearest_window import nearest_window, window
from cosmogan_jax.files.json_files import as_json
from cosmogan_jax.files.numpy_files import read_npz
from cosmogan_jax.files.whole_files import write_arrays
from cosmogan_jax.machine.memory import free_memory
from cosmogan_jax.maps.crop_table import CropTable
from cosmogan_jax.maps.source_bins import only_bin
from cosmogan_jax.settings import Novelty
from cosmogan_jax.stages.novelty import sources
from cosmogan_jax.symmetries import turned_back

_SHOWN = 6
_TILE = 1024

Arrays = dict[str, np.ndarray]


class Search:
    """Searches of one run, which share real crops, queries, spaces and the parts that are kept."""

    def __init__(
        self,
        settings: Novelty,
        table: CropTable,
        queries: np.ndarray,
        spaces: dict[str, sources.Space],
        out: Path,
    ):
        self._settings, self._table, self._queries = settings, table, queries
        self._spaces, self._out = spaces, out
        self._hold_bytes = free_memory(jax.devices()[0]) / 4
        self.training = sources.crops_of(table, "train")
        self.validation = sources.crops_of(table, "validation", len(queries))

    def nearest(self) -> tuple[dict[str, Any], Arrays]:
        """Find the training maps nearest to generated maps and validation crops, by space, and show some."""
        generated, training = self._queries, self.training
        both = np.concatenate([generated, self.validation.read(0, len(self.validation.rows))])
        # A generated map has a parent of its own.
        labels = np.concatenate([np.full(len(generated), -1), self.validation.parents])
        labels[: len(generated)] = 1 + max(training.parents.max(), self.validation.parents.max())
        symmetries, spectrum = self._settings.novelty_symmetries, self._spaces["spectrum"]

        def in_pixels():
            blocks = training.blocks("novelty, pixels")
            return nearest_turned(both, blocks, training.fetch, symmetries=symmetries,
                                  query_parents=labels, parents=training.parents)  # fmt: skip

        def in_spectrum():
            blocks = map(spectrum, training.blocks("novelty, spectrum"))
            wanted = np.asarray(spectrum(both))
            return nearest(wanted, blocks, lambda rows: np.asarray(spectrum(training.fetch(rows))),
                           query_parents=labels, parents=training.parents)  # fmt: skip

        def in_windows():
            numbers, parents = _by_map(training)
            maps = (only_bin(self._table.store.read(i, i + 1))[0] for i in numbers.tolist())
            return nearest_window(both, maps, query_parents=labels, parents=parents, symmetries=symmetries)

        searches: dict[str, Callable[[], NamedTuple]] = {"pixels": in_pixels, "spectrum": in_spectrum}
        if self._settings.novelty_shifts:
            searches["windows"] = in_windows
        neighbours = {name: self._kept(f"nearest_{name}", search) for name, search in searches.items()}
        tables: dict[str, Any] = {}
        arrays: Arrays = {}
        for name, of_space in neighbours.items():
            to_generated, to_validation = np.split(of_space["distance"], [len(generated)])
            verdict = judge_copies(to_generated, to_validation, self._settings.novelty_fraction)
            tables[name] = {
                "generated": _quantiles(to_generated),
                "validation": _quantiles(to_validation),
                "verdict": as_json(verdict._asdict()),
            }
            arrays |= {f"nearest_{name}_generated": to_generated, f"nearest_{name}_validation": to_validation}
        return tables, arrays | self._shown(neighbours)

    def _shown(self, neighbours: dict[str, Arrays]) -> Arrays:
        """Choose the first generated maps and those nearest to training maps, with what they are nearest to."""
        pixels, count = neighbours["pixels"], len(self._queries)
        by_distance = np.argsort(pixels["distance"][:count], kind="stable")
        half = min(_SHOWN // 2, count)
        chosen = np.unique(np.concatenate([by_distance[:half], np.arange(half)]))
        near = self.training.fetch(pixels["index"][chosen])
        shown = {
            "shown": chosen,
            "shown_generated": self._queries[chosen],
            "shown_pixels": np.stack([turned_back(k, int(t)) for k, t in zip(near, pixels["turn"][chosen])]),
            "shown_spectrum": self.training.fetch(neighbours["spectrum"]["index"][chosen]),
        }
        if "windows" in neighbours:
            nearest_windows, (numbers, _) = neighbours["windows"], _by_map(self.training)
            size = self._queries.shape[-1]
            windows = []
            for i in chosen:
                map_ = int(numbers[nearest_windows["map"][i]])
                whole = only_bin(self._table.store.read(map_, map_ + 1))[0]
                cut = window(whole, int(nearest_windows["row"][i]), int(nearest_windows["column"][i]), size)
                windows.append(turned_back(cut, int(nearest_windows["turn"][i])))
            shown["shown_windows"] = np.stack(windows)
        return shown

    def birthday(self, read: Read) -> tuple[dict[str, Any], Arrays]:
        """Find the closest pairs of batches of generated maps and of as many training crops, by space."""
        settings, size = self._settings, self._queries.shape[-1]
        count, fraction = settings.novelty_maps, settings.novelty_fraction
        real = sources.crops_of(self._table, "train", count)
        of_real = {
            name: self._pairs(f"real_{name}", name, lambda: real.read, len(real.rows), parents=real.parents)
            for name in self._spaces
        }
        of_batches: dict[str, list[Neighbours]] = {name: [] for name in self._spaces}
        for batch in range(settings.novelty_batches):
            # Made when the first space asks for them, once for all spaces.
            make = functools.cache(partial(sources.held_batch, read, batch * count, count, size, _TILE))
            for name, pairs in of_batches.items():
                within = copy_distance(of_real[name].distance, fraction)
                pairs.append(self._pairs(f"batch{batch:03d}_{name}", name, make, count, within=within))
        tables: dict[str, Any] = {}
        arrays: Arrays = {}
        for name, batches in of_batches.items():
            tables[name] = _table_of_pairs(of_real[name], batches, count, fraction)
            arrays |= {
                f"birthday_{name}_generated": np.concatenate([batch.distance for batch in batches]),
                f"birthday_{name}_real": of_real[name].distance,
            }
        return tables, arrays

    def _pairs(self, file: str, space: str, make: Callable[[], Read], num_maps: int, **more: Any) -> Neighbours:
        """Find the nearest other map of each in a space; `make` is called where no file keeps them yet."""

        def search() -> Neighbours:
            features = sources.through(self._spaces[space], make())
            return nearest_others(features, num_maps, tile_size=_TILE, hold_bytes=self._hold_bytes, **more)

        return Neighbours(**self._kept(file, search))

    def _kept(self, name: str, compute: Callable[[], NamedTuple]) -> dict[str, Any]:
        return kept(self._out, name, lambda: compute()._asdict())


def _table_of_pairs(real: Neighbours, batches: list[Neighbours], count: int, fraction: float) -> dict[str, Any]:
    """Make the table of one space; generated maps are numbered through all batches of `count`."""
    best = min(range(len(batches)), key=lambda b: batches[b].closest_distance[0])
    verdict = judge_birthday(real, batches, fraction)
    return {
        "generated": _quantiles(np.concatenate([batch.distance for batch in batches])),
        "real": _quantiles(real.distance),
        "num_real": len(real.distance),
        "closest_generated": {
            "maps": (batches[best].closest[0] + best * count).tolist(),
            "distance": batches[best].closest_distance[0].item(),
        },
        "closest_real": real.closest_distance[0].item(),
        "verdict": as_json(verdict._asdict()),
    }


def kept(out: Path, name: str, compute: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """Return what `compute` gives, from a file where an interrupted run has left it whole."""
    path = out / f"part_{name}.npz"
    if not path.exists():
        write_arrays(path, compute())
    return {key: value.item() if value.ndim == 0 else value for key, value in read_npz(path).items()}


def _by_map(crops: sources.Crops) -> tuple[np.ndarray, np.ndarray]:
    """Return numbers of the maps that the crops lie in, and their parents."""
    numbers, first = np.unique(crops.rows[:, 0], return_index=True)
    return numbers, crops.parents[first]


def _quantiles(values: np.ndarray) -> dict[str, float | None]:
    values = values[np.isfinite(values)]
    names = {"smallest": 0, "1%": 0.01, "median": 0.5, "99%": 0.99}
    return {name: float(np.quantile(values, q)) if len(values) else None for name, q in names.items()}
