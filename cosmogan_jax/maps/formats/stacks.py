"""How an array of two to four axes is a stack of maps, square or not, of one bin of sources or several."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from cosmogan_jax.maps.formats.bins import chosen_bins
from cosmogan_jax.maps.formats.map_file import MapFile, ReadOptions

# Rows against columns of a map; what is longer is a table of numbers.
_LONGEST = 16
# A last axis this short, of three that all differ, may as well be of bins.
_FEWEST_COLUMNS = 64


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

    def map_file(
        self,
        path: Path,
        format_: str,
        dtype: str,
        load: Callable[[int, int], np.ndarray],
        redshifts: tuple[float, ...] = (),
        **fields: Any,
    ) -> MapFile:
        """Return the file of these maps, with what else is known of it.

        redshifts: of all channels of the array, where known.
        """
        return MapFile(
            Path(path),
            format_,
            self.num_maps,
            self.num_pixels,
            dtype,
            load,
            num_columns=self.num_columns,
            bins=tuple(redshifts[n] if n < len(redshifts) else None for n in self.bin_numbers),
            bin_numbers=self.bin_numbers,
            options_used=self.options_used,
            **fields,
        )


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
