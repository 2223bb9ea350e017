"""The searches of stage novelty: nearest training maps, and closest pairs; each part kept as a file."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from cosmogan_jax.compare.birthday import Neighbours, judge_birthday, nearest_others
from cosmogan_jax.compare.distances import Read, copy_distance
from cosmogan_jax.compare.nearest import judge_copies, nearest, nearest_turned, turned_back
from cosmogan_jax.compare.nearest_window import nearest_window, window
from cosmogan_jax.files.numpy_files import read_npz
from cosmogan_jax.files.whole_files import write_arrays
from cosmogan_jax.machine.memory import free_memory
from cosmogan_jax.maps.crop_table import CropTable
from cosmogan_jax.maps.source_bins import only_bin
from cosmogan_jax.settings import Novelty
from cosmogan_jax.stages.novelty import sources

_SHOWN = 6
_TILE = 1024

Arrays = dict[str, np.ndarray]


def _as_dict(found: Callable[[], NamedTuple]) -> dict[str, Any]:
    return found()._asdict()


class Search:
    """What both searches share: the real crops, the queries, the spaces and the parts that are kept."""

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
        self.training = sources.crops_of(table, "train")
        self.validation = sources.crops_of(table, "validation", len(queries))

    def nearest(self) -> tuple[dict[str, Any], Arrays]:
        """Nearest training maps of generated maps and of validation crops, by space; and those to be shown."""
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

        asked = {"pixels": in_pixels, "spectrum": in_spectrum}
        if self._settings.novelty_shifts:
            asked["windows"] = in_windows
        found = {name: self._kept(f"nearest_{name}", partial(_as_dict, f)) for name, f in asked.items()}
        tables: dict[str, Any] = {}
        arrays: Arrays = {}
        for name, part in found.items():
            to_generated, to_validation = np.split(part["distance"], [len(generated)])
            verdict = judge_copies(to_generated, to_validation, self._settings.novelty_fraction)
            tables[name] = {
                "generated": _quantiles(to_generated),
                "validation": _quantiles(to_validation),
                "verdict": {key: number(value) for key, value in verdict._asdict().items()},
            }
            arrays |= {f"nearest_{name}_generated": to_generated, f"nearest_{name}_validation": to_validation}
        return tables, arrays | self._shown(found)

    def _shown(self, found: dict[str, Arrays]) -> Arrays:
        """The first generated maps and those nearest to training maps, with what they are nearest to."""
        pixels, count = found["pixels"], len(self._queries)
        by_distance = np.argsort(pixels["distance"][:count], kind="stable")
        half = min(_SHOWN // 2, count)
        chosen = np.unique(np.concatenate([by_distance[:half], np.arange(half)]))
        near = self.training.fetch(pixels["index"][chosen])
        shown = {
            "shown": chosen,
            "shown_generated": self._queries[chosen],
            "shown_pixels": np.stack([turned_back(k, int(t)) for k, t in zip(near, pixels["turn"][chosen])]),
            "shown_spectrum": self.training.fetch(found["spectrum"]["index"][chosen]),
        }
        if "windows" in found:
            part, (numbers, _) = found["windows"], _by_map(self.training)
            size = self._queries.shape[-1]
            windows = []
            for i in chosen:
                map_ = int(numbers[part["map"][i]])
                whole = only_bin(self._table.store.read(map_, map_ + 1))[0]
                cut = window(whole, int(part["row"][i]), int(part["column"][i]), size)
                windows.append(turned_back(cut, int(part["turn"][i])))
            shown["shown_windows"] = np.stack(windows)
        return shown

    def birthday(self, read: Read) -> tuple[dict[str, Any], Arrays]:
        """The closest pairs of batches of generated maps and of as many training crops, by space."""
        settings, size = self._settings, self._queries.shape[-1]
        count, fraction = settings.novelty_maps, settings.novelty_fraction
        real = sources.crops_of(self._table, "train", count)
        hold = free_memory(jax.devices()[0]) / 4

        def search(name: str, maps: Read, num_maps: int, **more) -> Neighbours:
            through = sources.through(self._spaces[name], maps)
            return nearest_others(through, num_maps, tile_size=_TILE, hold_bytes=hold, **more)

        def real_pairs(name: str) -> dict[str, Any]:
            return search(name, real.read, len(real.rows), parents=real.parents)._asdict()

        of_real = {
            name: Neighbours(**self._kept(
                f"real_{name}",
                partial(real_pairs, name),
            ))
            for name in self._spaces
        }  # fmt: skip
        of_batches: dict[str, list[Neighbours]] = {name: [] for name in self._spaces}
        for batch in range(settings.novelty_batches):
            maps = None
            for name in self._spaces:
                threshold = copy_distance(of_real[name].distance, fraction)

                def found(name=name, threshold=threshold, batch=batch):
                    nonlocal maps
                    maps = maps or sources.held_batch(read, batch * count, count, size, _TILE)
                    return search(name, maps, count, within=threshold)._asdict()

                of_batches[name].append(Neighbours(**self._kept(f"batch{batch:03d}_{name}", found)))
        tables: dict[str, Any] = {}
        arrays: Arrays = {}
        for name, batches in of_batches.items():
            verdict = judge_birthday(of_real[name], batches, fraction)
            best = min(range(len(batches)), key=lambda b: batches[b].closest_distance[0])
            pair = batches[best].closest[0] + best * count
            distance = np.concatenate([batch.distance for batch in batches])
            tables[name] = {
                "generated": _quantiles(distance),
                "real": _quantiles(of_real[name].distance),
                "num_real": len(of_real[name].distance),
                "closest_generated": {
                    "maps": pair.tolist(),
                    "distance": batches[best].closest_distance[0].item(),
                },
                "closest_real": of_real[name].closest_distance[0].item(),
                "verdict": {k: v if k == "status" else number(v) for k, v in verdict._asdict().items()},
            }
            arrays |= {
                f"birthday_{name}_generated": distance,
                f"birthday_{name}_real": of_real[name].distance,
            }
        return tables, arrays

    def _kept(self, name: str, compute: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        return kept(self._out, name, compute)


def kept(out: Path, name: str, compute: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """What `compute` finds, from a file where an interrupted run has left it whole."""
    path = out / f"part_{name}.npz"
    if not path.exists():
        write_arrays(path, compute())
    return {key: value.item() if value.ndim == 0 else value for key, value in read_npz(path).items()}


def _by_map(crops: sources.Crops) -> tuple[np.ndarray, np.ndarray]:
    """Numbers of the maps the crops lie in, and their parents."""
    numbers, first = np.unique(crops.rows[:, 0], return_index=True)
    return numbers, crops.parents[first]


def _quantiles(values: np.ndarray) -> dict[str, float | None]:
    values = values[np.isfinite(values)]
    names = {"smallest": 0, "1%": 0.01, "median": 0.5, "99%": 0.99}
    return {name: number(np.quantile(values, q)) if len(values) else None for name, q in names.items()}


def number(value: Any) -> Any:
    """A number as JSON takes it: None where it is not finite."""
    if value is None or isinstance(value, int):
        return value
    return float(value) if np.isfinite(value) else None
