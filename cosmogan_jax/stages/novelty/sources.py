"""Sources of the maps of stage novelty, and the spaces in which they are compared."""

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from cosmogan_jax.compare.novelty.band_space import band_space, coordinates
from cosmogan_jax.compare.novelty.distances import Read
from cosmogan_jax.compare.parents import numbered
from cosmogan_jax.emulators.interface import Features
from cosmogan_jax.emulators.normalisation import Normalisation
from cosmogan_jax.emulators.trained import open_trained
from cosmogan_jax.geometry import MapGeometry
from cosmogan_jax.machine.memory import free_memory
from cosmogan_jax.machine.progress import progress
from cosmogan_jax.maps.crop_table import CropTable
from cosmogan_jax.maps.parameters import parameter_rows
from cosmogan_jax.maps.sets import check_not_observed, check_same_geometry, from_files
from cosmogan_jax.maps.source_bins import only_bin
from cosmogan_jax.maps.store import MapStore, open_map_store
from cosmogan_jax.pretrained import Emulator
from cosmogan_jax.runs.directory import finished_record, stage_directory
from cosmogan_jax.settings import Novelty
from cosmogan_jax.stages.emulators import pretrained, trained
from cosmogan_jax.summaries import power_spectrum
from cosmogan_jax.summaries.batching import in_batches

# (maps of kappa) -> their features in a space, (maps, ...).
Space = Callable[[Array | np.ndarray], Array | np.ndarray]

_AT_ONCE = 64  # maps drawn by one program
_BLOCK_BYTES = 2**28
_STANDARDISED_OVER = 1024  # real maps


class Crops(NamedTuple):
    """Crops of one split in the order of their maps, with the number of the parent of each."""

    table: CropTable
    rows: Int[np.ndarray, "crops 3"]
    parents: Int[np.ndarray, " crops"]

    def read(self, start: int, stop: int) -> np.ndarray:
        """Read crops start to stop."""
        return only_bin(self.table.cut(self.rows[start:stop]))

    def fetch(self, numbers: Int[np.ndarray, " numbers"]) -> np.ndarray:
        """Read the crops of these numbers."""
        return only_bin(self.table.cut(self.rows[numbers]))

    def blocks(self, words: str) -> Iterator[np.ndarray]:
        """Read all crops, a block at a time."""
        size = max(1, _BLOCK_BYTES // (4 * self.table.manifest.crop_size**2))
        for start in progress(range(0, len(self.rows), size), desc=words, unit="block"):
            yield self.read(start, start + size)


def crops_of(table: CropTable, split: str, limit: int | None = None) -> Crops:
    """Choose at most `limit` crops of a split, as many of each map as of any other."""
    rows = table.choose(split, limit)
    parents = numbered(table.manifest.parents)[0]
    return Crops(table, rows, parents[rows[:, 0]])


def open_emulator(workdir: Path) -> Emulator:
    """Open the generator that stage generate used, whatever the flags say now."""
    record = finished_record(workdir, "generate")
    flags = record.flags
    if flags["pretrained"]:
        return pretrained(flags["pretrained"]).emulator
    return trained(workdir, str(record.summary["step"]), flags["weights"]).emulator


def read_generated(store: MapStore, emulator: Emulator, wanted: int, bin_: int | None = None) -> Read:
    """Read maps 0 to `wanted` of the store's seed, from the store where it holds them all; else make them anew.

    Map n of a seed is the same map either way. Of several cosmologies it is at these in turn: where the store
    has each seed at all of them, near copies by right, one map of every seed is taken.

    bin_: the one of several source bins that is read.
    """
    store = store if bin_ is None else store.only(bin_)
    which = slice(None) if bin_ is None else slice(bin_, bin_ + 1)
    theta = cosmologies_in_turn(store, emulator.parameters)
    every = len(theta) if len(set(store.manifest.parents)) < store.num_maps else 1
    if every == 1 and store.num_maps >= wanted:
        return lambda start, stop: only_bin(store.read(start, stop))
    if store.num_maps >= wanted * every:

        def read_one_of_each(start: int, stop: int) -> np.ndarray:
            places = [number * every + number % every for number in range(start, stop)]
            return only_bin(np.concatenate([store.read(place, place + 1) for place in places]))

        return read_one_of_each
    key, rows = emulator.key(store.manifest.seed), jnp.asarray(theta)
    draw = jax.jit(lambda index: only_bin(emulator.draw(key, index, rows[index % len(rows)])[..., which]))

    def read(start: int, stop: int) -> Array:
        parts = [draw(first + jnp.arange(_AT_ONCE)) for first in range(start, stop, _AT_ONCE)]
        return jnp.concatenate(parts)[: stop - start]

    return read


def cosmologies_in_turn(store: MapStore, names: tuple[str, ...]) -> Float[np.ndarray, "cosmologies parameters"]:
    """Return the cosmologies that a store of generated maps has in turn; one, of no parameters, of none."""
    rows = parameter_rows(store.parameters, np.arange(store.num_maps), names, str(store.path))
    again = np.flatnonzero((rows[1:] == rows[0]).all(1))
    return rows[: int(again[0]) + 1 if len(again) else len(rows)]


class Generated(NamedTuple):
    """The maps whose novelty is asked for.

    Attributes:
      num_maps: how many there are; None of a generator, which makes as many as are wanted.
      emulator, seed, step: the generator and what it made its maps from; None where only maps are given.
      in_training: whether they are of this run's own training, whose features go with them.
      theta: cosmologies at which the generator makes its maps in turn; one, of no parameters, of none.
    """

    read: Read
    num_maps: int | None
    emulator: Emulator | None
    seed: int | None
    step: int | None
    in_training: bool
    theta: Float[np.ndarray, "cosmologies parameters"]


def open_generated(
    settings: Novelty, workdir: Path, geometry: MapGeometry, wanted: int, bin_: int | None = None
) -> Generated:
    """Open maps of stage generate, of its seed as far as `wanted`, or the files that --generated names.

    bin_: the one of several source bins that is read.

    Raises:
      ValueError: maps of another size, angle or number of source bins than the training crops; maps given that
        are fewer than two, or not finite where they are read.
    """
    if settings.generated:
        given = {"generated": settings.generated}
        maps = from_files(given, settings, say=_say, watch=progress)["generated"]
        if maps.masked:
            raise ValueError(
                f"generated={','.join(settings.generated)} holds masked or invalid pixels, and stage novelty "
                "looks for copies of whole maps; leave it out (--novelty_maps=0)"
            )
        if maps.num_maps < 2:
            raise ValueError(f"generated: {maps.num_maps} map from {maps.source}; two are needed")
        check_same_geometry("generated maps", maps.geometry, "training crops", geometry)
        return Generated(maps.read_finite, maps.num_maps, None, None, None, False, np.zeros((1, 0), np.float32))
    store = open_map_store(stage_directory(workdir, "generate") / "maps")
    check_not_observed(store, "novelty")
    if (store.num_bins > 1) != (bin_ is not None):
        raise ValueError(
            f"generated maps have {store.num_bins} source bins, and training crops "
            f"{'one' if bin_ is None else 'more'}: stage novelty looks for copies of the crops; leave it out "
            "(--novelty_maps=0)"
        )
    if store.geometry.num_pixels != geometry.num_pixels:
        raise ValueError(
            f"generated maps have {store.geometry.num_pixels} pixels, training crops {geometry.num_pixels}: "
            "stage novelty looks for copies of the crops; leave it out (--novelty_maps=0)"
        )
    check_same_geometry("generated maps", store.geometry, "training crops", geometry)
    emulator, record = open_emulator(workdir), finished_record(workdir, "generate")
    return Generated(
        read_generated(store, emulator, wanted, bin_),
        None,
        emulator,
        store.manifest.seed,
        record.summary["step"],
        not record.flags["pretrained"],
        cosmologies_in_turn(store, emulator.parameters),
    )


def held_batch(read: Read, first: int, count: int, num_pixels: int, tile_size: int) -> Read:
    """Read maps first to first + count as 0 to count; on a CPU make them once, where memory holds them."""
    device = jax.devices()[0]
    if device.platform != "cpu" or 4 * count * num_pixels**2 > free_memory(device) / 2:
        return lambda start, stop: read(first + start, first + stop)
    maps = np.empty((count, num_pixels, num_pixels), np.float32)
    for start in progress(range(0, count, tile_size), desc="novelty maps", unit="tile"):
        stop = min(start + tile_size, count)
        maps[start:stop] = read(first + start, first + stop)
    return lambda start, stop: maps[start:stop]


def spectrum_space(
    table: CropTable, geometry: MapGeometry, l_edges: Float[np.ndarray, " edges"]
) -> tuple[Space, int]:
    """Return log band powers in units of their scatter over training crops, and how many bands vary."""
    spectrum = partial(power_spectrum, l_edges=l_edges, side_deg=geometry.side_deg, mode_weights="full_plane")
    real = crops_of(table, "train", _STANDARDISED_OVER)
    space = band_space(np.asarray(in_batches(jax.jit(spectrum), real.read(0, len(real.rows)))))
    in_space = jax.jit(lambda kappa: coordinates(space, spectrum(kappa)))
    return partial(in_batches, in_space), int(space.used.sum())


class FeatureSpace(NamedTuple):
    """The training's own space: its name and label, its features, and the step of the state they are of."""

    features: Features
    space: Space
    step: int

    def to_json(self) -> dict[str, Any]:
        """Return what novelty.json says of it."""
        return {"name": self.features.name, "label": self.features.label, "step": self.step}


def feature_space(workdir: Path, step: int, normalisation: Normalisation) -> FeatureSpace | str:
    """Open the space of features that the training's engine has, or say in words why there is none.

    That of the generator's own step, or of the checkpoint nearest to it: of the generators that training
    kept in its dense phase there is no whole state.
    """
    trained, like, checkpoints = open_trained(workdir)
    features = trained.engine.features
    if features is None:
        checkpoints.close()
        return trained.engine.no_features
    nearest_step = min(checkpoints.steps(), key=lambda other: (abs(other - step), other))
    state: Any = checkpoints.restore(nearest_step, like)
    checkpoints.close()

    @jax.jit
    def of_maps(state, kappa):
        return features.compute(
            state, normalisation.forward(kappa)[..., None]
        )  # one bin, as all that is judged

    return FeatureSpace(features, partial(in_batches, partial(of_maps, state)), nearest_step)


def through(space: Space, read: Read) -> Read:
    """Read features of maps in place of the maps."""
    return lambda start, stop: space(read(start, stop))


def _say(line: str) -> None:
    print(f"novelty: {line}", flush=True)
