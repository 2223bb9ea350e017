"""What every reader gives: the maps of one file, and what the file says of them."""

import dataclasses
import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

# healpy's UNSEEN is -1.6375e30, netCDF's fill value 9.97e36; no convergence comes near.
_FILL_VALUE = 1e30


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
      bin_names: what they are called, where a map store records it.
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
    bin_names: tuple[str, ...] = ()
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
