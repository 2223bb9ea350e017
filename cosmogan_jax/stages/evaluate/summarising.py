"""Statistics of every map of a set, by any view of it; in parts that an interruption keeps."""

import functools
import hashlib
import itertools
from collections.abc import Callable
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from cosmogan_jax.compare.position_moments import PositionMoments, add_maps, merge, no_maps
from cosmogan_jax.compare.position_pattern import fewer
from cosmogan_jax.compare.scales import Edges, Scales
from cosmogan_jax.compare.stationarity import axis_power, ring_moments, ring_widths
from cosmogan_jax.compare.statistics import STATISTICS, Statistic, measure, num_modes
from cosmogan_jax.files.numpy_files import read_npz
from cosmogan_jax.files.whole_files import write_arrays
from cosmogan_jax.geometry import MapGeometry
from cosmogan_jax.machine.progress import progress
from cosmogan_jax.maps.sets import MapSet
from cosmogan_jax.side_by_side import SideBySide, jit_on_one_thread

CHUNK = 256  # maps in memory at a time, and in one part of an interrupted run: 67 MB at 256^2
_TOGETHER = 16  # maps in one program of a CPU's
_PIXELS_IN_A_DIGEST = 4096
# Maps whose moments at every pixel are kept together, and groups of a set that are kept at most.
GROUP, MOST_GROUPS = 64, 16

Summaries = dict[str, np.ndarray]
View = Callable[[Float[np.ndarray, "maps size size"], np.ndarray], jax.Array]


def summariser(
    scale: Scales, geometry: MapGeometry, *, masked: bool = False
) -> Callable[[Float[np.ndarray, "maps size size"]], Summaries]:
    """Return a compiled function of maps: every statistic of each (`compare/statistics.py`).

    rings, axes and the sums at every position are what `compare/stationarity.py` and `position_moments` need;
    masked maps, whose NaN are no measurement, have none, and statistics that take masks alone.
    """
    edges, modes, statistics = scale.edges(), num_modes(scale), tuple(STATISTICS.values())

    def summarise(kappa):
        # Filled up, so that the last maps of a set take no program of their own.
        count = len(kappa)
        index = np.minimum(np.arange(-(-count // _TOGETHER) * _TOGETHER), count - 1)
        measured = _of_each(jnp.asarray(kappa)[index], edges, geometry, masked, statistics)
        summaries = {key: np.asarray(value)[:count, : modes.get(key)] for key, value in measured.items()}
        return summaries if masked else {**summaries, **_position_sums(kappa)}

    return summarise


@functools.partial(jit_on_one_thread, static_argnames=("geometry", "masked", "statistics"))
def _of_each(
    kappa, edges: Edges, geometry: MapGeometry, masked: bool, statistics: tuple[Statistic, ...]
) -> dict[str, jax.Array]:
    """Measure every map: one program for all scales of one geometry and one table of statistics.

    On a CPU it runs on one thread.
    """
    if masked:
        return measure(kappa, edges, geometry, masked=True)
    return {
        **measure(kappa, edges, geometry),
        "rings": ring_moments(kappa, ring_widths(geometry.num_pixels)),
        "axes": axis_power(kappa, np.array(edges.l_edges), geometry.side_deg),
    }


@jit_on_one_thread
def _position_sums(kappa):
    """Return moments at every pixel, of groups of at most GROUP maps, along a leading axis."""
    groups = [
        add_maps(no_maps(kappa.shape[1:]), kappa[start : start + GROUP])
        for start in range(0, len(kappa), GROUP)
    ]
    return {
        f"position_{name}": jnp.stack(moments) for name, moments in zip(PositionMoments._fields, zip(*groups))
    }


def position_groups(summaries: Summaries) -> PositionMoments:
    """Return the moments at every pixel of groups of maps, along a leading axis."""
    return PositionMoments(*(jnp.asarray(summaries[f"position_{name}"]) for name in PositionMoments._fields))


def position_moments(summaries: Summaries) -> PositionMoments:
    """Return mean and scatter over all maps at every pixel."""
    total = no_maps(summaries["position_mean"].shape[1:])
    for group in zip(*position_groups(summaries)):
        total = merge(total, PositionMoments(*group))
    return total


def of_each_map(summaries: Summaries) -> Summaries:
    """Return those statistics that have one row a map."""
    return {key: value for key, value in summaries.items() if not key.startswith("position_")}


def in_parts(summarise: Callable, view: View, maps: MapSet, out: Path, label: str) -> Summaries:
    """Return the statistics of all maps of a set.

    They are made by chunks; finished ones stay as files until `remove_parts`.

    Raises:
      ValueError: a map with a value that is not finite.
    """
    # So few at a time that every core gets some of a chunk; as many whatever the number of cores.
    size = _TOGETHER if jax.default_backend() == "cpu" else CHUNK

    def seen(part: tuple[np.ndarray, np.ndarray]) -> Summaries:
        return jax.tree.map(np.asarray, summarise(view(*part)))

    side_by_side = SideBySide(seen)
    parts, groups = [], None
    starts = range(0, maps.num_maps, CHUNK)
    for start in progress(starts, desc=f"evaluate {maps.name} {label}".strip(), unit="chunk"):
        path = out / ("_".join(["part", maps.name, *label.split(), f"{start:08d}"]) + ".npz")
        if not path.exists():
            kappa = maps.read_finite(start, min(start + CHUNK, maps.num_maps))
            index = np.arange(start, start + len(kappa))
            pieces = [(kappa[i : i + size], index[i : i + size]) for i in range(0, len(kappa), size)]
            chunk = _joined(side_by_side(pieces))
            write_arrays(path, {**chunk, "digest": np.array([_digest(each) for each in kappa])})
        part = read_npz(path)
        parts.append(of_each_map(part))
        if "position_mean" not in part:
            continue
        # In turn: moments at every pixel take as much memory whatever the number of chunks.
        added = position_groups(part)
        if groups is not None:
            added = PositionMoments(*map(jnp.concatenate, zip(groups, added)))
        groups = fewer(added, MOST_GROUPS)
    joined = {key: np.concatenate([part[key] for part in parts]) for key in parts[0]}
    return joined if groups is None else joined | _named(groups)


def _joined(pieces: list[Summaries]) -> Summaries:
    """Join a chunk's pieces: rows one after the other, moments at every pixel by groups of GROUP maps."""
    joined = {key: np.concatenate([piece[key] for piece in pieces]) for key in pieces[0]}
    if "position_mean" not in joined:
        return joined
    groups, count = [], np.inf
    for moments in itertools.starmap(PositionMoments, zip(*position_groups(joined))):
        maps = float(moments.count)
        if count + maps > GROUP:
            groups.append(no_maps(joined["position_mean"].shape[1:]))
            count = 0
        groups[-1] = merge(groups[-1], moments)
        count += maps
    return joined | _named(PositionMoments(*map(jnp.stack, zip(*groups))))


def _named(groups: PositionMoments) -> Summaries:
    return {f"position_{name}": np.asarray(value, np.float32) for name, value in groups._asdict().items()}


def _digest(kappa: Float[np.ndarray, "size size"]) -> np.uint64:
    """Return a map's mark, from some thousand of its pixels: no two simulated maps have all of them equal."""
    some = kappa.reshape(-1)[:: max(1, kappa.size // _PIXELS_IN_A_DIGEST)]
    return np.uint64(int.from_bytes(hashlib.blake2b(some.tobytes(), digest_size=8).digest(), "little"))


def check_apart(digests: dict[str, np.ndarray]) -> None:
    """Check that no two sets hold the same map, by which they would agree; ValueError where they do."""
    for (name, ours), (other, theirs) in itertools.combinations(digests.items(), 2):
        shared = np.flatnonzero(np.isin(ours, theirs))
        if len(shared):
            raise ValueError(
                f"{len(shared)} of the {len(ours)} {name} maps are among the {other} maps, the first is number "
                f"{shared[0]}; sets that share maps agree by them"
            )


def remove_parts(out: Path) -> None:
    """Remove the chunks that `in_parts` kept."""
    for part in out.glob("part_*"):
        part.unlink()
