"""What every reader gives: the maps of one file, and what the file says of them."""

import dataclasses
import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float

# healpy's UNSEEN is -1.6375e30, netCDF's fill value 9.97e36; no convergence comes near.
_FILL_VALUE = 1e30


@dataclasses.dataclass(frozen=True)
class ReadOptions:
    """What a file itself may leave open."""

    hdf5_dataset: str | None = None
    raw_shape: tuple[int, ...] = ()
    channel: int | None = None
    fits_extension: str | None = None


@dataclasses.dataclass(frozen=True)
class MapFile:
    """Square maps of one size in one file (or map store).

    Attributes:
      dtype: of the pixels as stored, with their byte order (NumPy's ">f8").
      side_deg: width of a map in degrees; None where the file does not say.
      source_redshift: None where neither the file nor its name says.
      load: maps [start, stop) in the file's precision and this machine's byte order; whatever marks an
        invalid pixel is still in them (see as_kappa).
      facts: what else the file says, of all its maps: cosmology, other parameters, origin.
      splits, parents, boxes: one entry a map, where a map store records them.
      parameters: one value a map, where a map store records them; None where a map's is not known.
      numbers: of the maps in the file, where these are only some of its.
      options_used: names of the ReadOptions that have a meaning for this file.
    """

    path: Path
    format: str
    num_maps: int
    num_pixels: int
    dtype: str
    load: Callable[[int, int], np.ndarray]
    side_deg: float | None = None
    source_redshift: float | None = None
    facts: dict[str, Any] = dataclasses.field(default_factory=dict)
    splits: tuple[str, ...] | None = None
    parents: tuple[Any, ...] | None = None
    boxes: tuple[Any, ...] | None = None
    parameters: dict[str, tuple[float | None, ...]] = dataclasses.field(default_factory=dict)
    numbers: tuple[int, ...] | None = None
    options_used: frozenset[str] = frozenset()

    def name(self, index: int) -> str:
        """The file, and which of its maps, for messages and manifests."""
        if self.numbers:
            return f"{self.path}[{self.numbers[index]}]"
        return str(self.path) if self.num_maps == 1 else f"{self.path}[{index}]"

    def read(self, start: int, stop: int, downsample: int = 1) -> Float[np.ndarray, "maps size size"]:
        """Convergence maps as `as_kappa` makes them."""
        return as_kappa(self.load(start, stop), downsample)


def as_kappa(values: np.ndarray, downsample: int = 1) -> Float[np.ndarray, "maps size size"]:
    """Float32 maps, each pixel the mean of downsample² of the file's; NaN where any of these is invalid.

    Invalid is what is not finite or beyond ±1e30 (fill values). Means are taken in float64 and rounded once.
    """
    with np.errstate(invalid="ignore", over="ignore"):
        invalid = ~(np.abs(values) < _FILL_VALUE)
    if invalid.any():
        values = np.where(invalid, np.nan, values)
    if downsample > 1:
        # Slice by slice: seven times as fast as a mean over the axes of blocks.
        step = range(downsample)
        total = np.zeros((len(values), *(n // downsample for n in values.shape[1:])), np.float64)
        for row, column in itertools.product(step, step):
            total += values[:, row::downsample, column::downsample]
        values = total / downsample**2
    return np.ascontiguousarray(values, np.float32)


def check_dtype(path: Path, dtype: np.dtype) -> str:
    """The pixels' type as NumPy writes it; ValueError unless it is real floating."""
    if dtype.kind != "f":
        raise ValueError(f"{path} holds {dtype.name}; convergence maps are real floating-point numbers")
    return np.dtype(dtype).str


class StackLayout(NamedTuple):
    """How an array is a stack of square maps.

    Attributes:
      take: a function (array, slice of maps) -> (maps, row, column).
      options_used: {"channel"} where the array has a channel axis.
    """

    num_maps: int
    num_pixels: int
    take: Callable[[Any, slice], Any]
    options_used: frozenset[str]


def stack_layout(path: Path, shape: tuple[int, ...], channel: int | None) -> StackLayout:
    """How an array of 2 to 4 axes is a stack of square maps.

    (row, column), (map, row, column), and with a channel axis (map, row, column, channel),
    (map, channel, row, column) or (row, column, channel).

    Raises:
      ValueError: other shapes; more than one channel and none chosen; axes that could be either.
    """
    shape = tuple(int(n) for n in shape)
    said = f"{path} has shape {shape}"
    axis = _channel_axis(said, shape)
    stack = shape if axis is None else shape[:axis] + shape[axis + 1 :]
    if len(stack) not in (2, 3):
        raise ValueError(f"{said}; expected (row, column), (map, row, column), or these with a channel axis")
    num_maps, rows, columns = stack if len(stack) == 3 else (1, *stack)
    if rows != columns or rows < 2:
        raise ValueError(f"{said}; maps must be square, of at least 2 pixels a side")
    if num_maps < 1:
        raise ValueError(f"{said}: it holds no map")
    chosen = None if axis is None else _choose_channel(said, shape[axis], channel)

    def take(array: Any, maps: slice) -> Any:
        index: tuple[Any, ...] = (maps,) if len(stack) == 3 else ()
        index += (slice(None),) * ((axis or 0) - len(index)) + (() if axis is None else (chosen,))
        part = array[index] if index else array[()]
        return part if len(stack) == 3 else part[None][maps]

    return StackLayout(num_maps, rows, take, frozenset({"channel"} if axis is not None else ()))


def _channel_axis(said: str, shape: tuple[int, ...]) -> int | None:
    """Which axis is neither map, row nor column."""
    if len(shape) == 3 and shape[0] == shape[1] > 1 and shape[1] != shape[2]:
        return 2
    if len(shape) != 4:
        return None
    last, second = shape[1] == shape[2], shape[2] == shape[3]
    if last and second:
        raise ValueError(f"{said}: which axis is the channel cannot be told; store (map, row, column)")
    if not (last or second):
        raise ValueError(f"{said}; maps must be square")
    return 3 if last else 1


def _choose_channel(said: str, channels: int, channel: int | None) -> int:
    if channel is None:
        if channels != 1:
            raise ValueError(f"{said}: {channels} channels; choose one with --channel=0 to {channels - 1}")
        return 0
    if not 0 <= channel < channels:
        raise ValueError(f"{said}: channel={channel} must lie in 0 to {channels - 1}")
    return channel
