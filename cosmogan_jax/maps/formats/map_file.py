"""What every reader gives: the maps of one file, and what the file says of them."""

import dataclasses
import itertools
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float

ALL = "all"
# healpy's UNSEEN is -1.6375e30, netCDF's fill value 9.97e36; no convergence comes near.
_FILL_VALUE = 1e30
# Rows against columns of a map; what is longer is a table of numbers.
_LONGEST = 16
# A last axis this short, of three that all differ, may as well be of bins.
_FEWEST_COLUMNS = 64


@dataclasses.dataclass(frozen=True)
class ReadOptions:
    """What a file itself may leave open.

    Attributes:
      cut_patches: pixels on a side of the flat patches that HEALPix maps are cut to, and how many at most.
      patch_side_deg: how wide these are.
      source_bins: channels that are bins of sources and are read together, "all" or numbers; none: the maps are
        of one, which `channel` chooses.
    """

    hdf5_dataset: str | None = None
    raw_shape: tuple[int, ...] = ()
    channel: int | None = None
    fits_extension: str | None = None
    cut_patches: tuple[int, ...] = ()
    patch_side_deg: float | None = None
    source_bins: tuple[str, ...] = ()

    def of_each(self, arrays: int) -> "ReadOptions":
        """Return the options for one of several arrays: these are the bins then, and each has one."""
        return self if arrays == 1 else dataclasses.replace(self, source_bins=())


@dataclasses.dataclass(frozen=True)
class MapFile:
    """Maps of one size in one file (or map store).

    Attributes:
      num_pixels: rows of a map, and columns where num_columns is None.
      num_columns: of maps that are not square.
      dtype: of the pixels as stored, with their byte order (NumPy's ">f8").
      side_deg: side of a map in degrees, of a column of pixels where it is not square; None where the file does
        not say.
      source_redshift: None where neither the file nor its name says.
      load: maps [start, stop) in the file's precision and this machine's byte order; whatever marks an
        invalid pixel is still in them (see as_kappa).
      facts: what else the file says, of all its maps: cosmology, other parameters, origin.
      splits, parents, boxes: one entry a map, where a map store records them.
      parameters: one value a map, where a map store records them; None where a map's is not known.
      numbers: of the maps in the file, where these are only some of its.
      bins: of maps of several source bins (`ReadOptions.source_bins`), the redshift of each, None where it is
        not known; empty for maps of one. What `load` gives has a last axis of bins then.
      bin_numbers: which channels of the file they are.
      parts: all files that they come from, where each bin has its own.
      labels: what each map is called, where the file and a number do not tell.
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
    num_columns: int | None = None
    labels: tuple[str, ...] | None = None
    bins: tuple[float | None, ...] = ()
    bin_numbers: tuple[int, ...] = ()
    parts: tuple[Path, ...] = ()

    @property
    def columns(self) -> int:
        """Return the pixels of a row."""
        return self.num_pixels if self.num_columns is None else self.num_columns

    @property
    def kind(self) -> str:
        """Return the format without what is particular to the file."""
        return self.format.split(":")[0]

    def name(self, index: int) -> str:
        """Return the file, and which of its maps, for messages and manifests."""
        if self.labels:
            return self.labels[index]
        if self.numbers:
            return f"{self.path}[{self.numbers[index]}]"
        return str(self.path) if self.num_maps == 1 else f"{self.path}[{index}]"

    def read(self, start: int, stop: int, downsample: int = 1) -> Float[np.ndarray, "maps height width *bins"]:
        """Read convergence maps as `as_kappa` makes them."""
        return as_kappa(self.load(start, stop), downsample)


def as_kappa(values: np.ndarray, downsample: int = 1) -> Float[np.ndarray, "maps height width *bins"]:
    """Make float32 maps, each pixel the mean of downsample² of the file's; NaN where any of these is invalid.

    Invalid is what is not finite or beyond ±1e30 (fill values). Means are taken in float64 and rounded once.
    """
    with np.errstate(invalid="ignore", over="ignore"):
        invalid = ~(np.abs(values) < _FILL_VALUE)
    if invalid.any():
        values = np.where(invalid, np.nan, values)
    if downsample > 1:
        # Slice by slice: seven times as fast as a mean over the axes of blocks.
        step = range(downsample)
        maps, rows, columns, *bins = values.shape
        total = np.zeros((maps, rows // downsample, columns // downsample, *bins), np.float64)
        for row, column in itertools.product(step, step):
            total += values[:, row::downsample, column::downsample]
        values = total / downsample**2
    return np.ascontiguousarray(values, np.float32)


def check_dtype(path: Path, dtype: np.dtype) -> str:
    """Return the pixels' type as NumPy writes it; ValueError unless it is real floating."""
    if dtype.kind != "f":
        raise ValueError(f"{path} holds {dtype.name}; convergence maps are real floating-point numbers")
    return np.dtype(dtype).str


class StackLayout(NamedTuple):
    """How an array is a stack of maps.

    Attributes:
      num_columns: of maps that are not square, else None.
      take: a function (array, slice of maps) -> (maps, row, column), with a bin axis where it is in the array.
      bin_axis: of what `take` gives; None for maps of one bin.
      bin_numbers: the channels that are bins.
      options_used: {"channel"} where the array has a channel axis.
    """

    num_maps: int
    num_pixels: int
    num_columns: int | None
    take: Callable[[Any, slice], Any]
    bin_axis: int | None
    bin_numbers: tuple[int, ...]
    options_used: frozenset[str]

    def bins_last(self, values: np.ndarray) -> np.ndarray:
        """Turn what `take` gave to (map, row, column) or (map, row, column, bin)."""
        if self.bin_axis is None:
            return values
        return np.moveaxis(values, self.bin_axis, -1)[..., list(self.bin_numbers)]

    def fields(self, redshifts: tuple[float, ...] = ()) -> dict[str, Any]:
        """Return fields of a `MapFile` that follow; redshifts: of all channels of the array, where known."""
        known = tuple(redshifts[n] if n < len(redshifts) else None for n in self.bin_numbers)
        return {"num_columns": self.num_columns, "bins": known, "bin_numbers": self.bin_numbers}


def stack_layout(path: Path, shape: tuple[int, ...], options: ReadOptions) -> StackLayout:
    """Find how an array of 2 to 4 axes is a stack of maps.

    (row, column), (map, row, column), and with a channel axis (map, row, column, channel),
    (map, channel, row, column) or (row, column, channel). Two axes that are alike are rows and columns. Where
    there are none, maps are not square: the last axis of three is of channels if one is chosen, an axis of
    four if it has length 1. Where options.source_bins says that there are bins, three axes are of one map:
    (bin, row, column) if the last two are alike, else (row, column, bin).

    Raises:
      ValueError: other shapes; more than one channel and none chosen; axes that could be either.
    """
    shape = tuple(int(n) for n in shape)
    label = f"{path} has shape {shape}"
    axis = _channel_axis(label, shape, options)
    stack = shape if axis is None else shape[:axis] + shape[axis + 1 :]
    if len(stack) not in (2, 3):
        raise ValueError(f"{label}; expected (row, column), (map, row, column), or these with a channel axis")
    num_maps, rows, columns = stack if len(stack) == 3 else (1, *stack)
    if min(rows, columns) < 2:
        raise ValueError(f"{label}; maps must have at least 2 pixels a side")
    if num_maps < 1:
        raise ValueError(f"{label}: it holds no map")
    if max(rows, columns) > _LONGEST * min(rows, columns):
        raise ValueError(
            f"{label}; no map is {max(rows, columns) // min(rows, columns)} times as long as it is wide: it "
            "is a table, or its axes are others than (map, row, column)"
        )
    several = axis is not None and bool(options.source_bins)
    numbers = (
        tuple(chosen_bins(label, options.source_bins, shape[axis])) if several and axis is not None else ()
    )
    chosen = None if axis is None or several else _choose_channel(label, shape[axis], options.channel)

    def take(array: Any, maps: slice) -> Any:
        index: tuple[Any, ...] = (maps,) if len(stack) == 3 else ()
        index += (slice(None),) * ((axis or 0) - len(index))
        # Bins are chosen after reading: some readers take no list as an index.
        index += () if axis is None or several else (chosen,)
        chosen_maps = array[index] if index else array[()]
        return chosen_maps if len(stack) == 3 else chosen_maps[None][maps]

    return StackLayout(
        num_maps,
        rows,
        None if rows == columns else columns,
        take,
        (axis + (len(stack) == 2) if several and axis is not None else None),
        numbers,
        frozenset(() if axis is None else {"channel", "source_bins"} if several else {"channel"}),
    )


def bin_numbers(names: Sequence[str], flag: str, words: str) -> list[int]:
    """Return numbers of bins as a flag names them; words: what the flag must be.

    Raises:
      ValueError: no number, or one twice.
    """
    if not all(name.isascii() and name.isdigit() and len(name) < 9 for name in names):
        raise ValueError(f"{flag} must be {words}")
    numbers = [int(name) for name in names]
    if len(set(numbers)) < len(numbers):
        raise ValueError(f"{flag} names a bin twice")
    return numbers


def chosen_bins(where: str, source_bins: Sequence[str], num_bins: int) -> list[int]:
    """Return the numbers of the bins that `--source_bins` names: "all", or each by its number.

    Raises:
      ValueError: no number, one that there is not, or one twice.
    """
    flag = f"source_bins={','.join(source_bins)}"
    if tuple(source_bins) == (ALL,):
        return list(range(num_bins))
    numbers = bin_numbers(source_bins, flag, "all, or numbers of channels, as 0,2,4")
    if max(numbers) >= num_bins:
        raise ValueError(f"{where}: {flag} must lie in 0 to {num_bins - 1}")
    return numbers


def _channel_axis(label: str, shape: tuple[int, ...], options: ReadOptions) -> int | None:
    """Find the axis that is neither map, row nor column."""
    if len(shape) == 3:
        if shape[1] == shape[2]:
            return 0 if options.source_bins else None
        if shape[0] == shape[1] > 1 or options.channel is not None or options.source_bins:
            return 2
        if shape[2] < min(_FEWEST_COLUMNS, *shape[:2]):
            raise ValueError(
                f"{label}: whether its last axis is of {shape[2]} columns or channels cannot be told; choose a "
                f"channel with --channel=0 to {shape[2] - 1}, or store (map, row, column)"
            )
    if len(shape) != 4:
        return None
    last, second = shape[1] == shape[2], shape[2] == shape[3]
    if last == second:
        last, second = shape[3] == 1, shape[1] == 1
    if last == second:
        raise ValueError(f"{label}: which axis is the channel cannot be told; store (map, row, column)")
    return 3 if last else 1


def _choose_channel(label: str, channels: int, channel: int | None) -> int:
    if channel is None:
        if channels != 1:
            raise ValueError(
                f"{label}: {channels} channels; choose one with --channel=0 to {channels - 1}, or say with "
                "--source_bins=all that they are source bins to be kept together"
            )
        return 0
    if not 0 <= channel < channels:
        raise ValueError(f"{label}: channel={channel} must lie in 0 to {channels - 1}")
    return channel
