"""The sources that a sky's maps are of: one redshift, or several bins whose maps are channels of one."""

from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from cosmogan_jax.files.csv_files import read_lines
from cosmogan_jax.settings import Simulate
from cosmogan_jax.sky.source_distributions import (
    SourceBin,
    parsed_smail,
    single_redshift,
    single_redshifts,
    tabulated_bins,
)

PAPER_REDSHIFT = 1.0
_SEVERAL = ("source_redshifts", "source_distributions", "smail")


def source_bins(settings: Simulate) -> tuple[SourceBin, ...]:
    """Return the bins of sources that the settings ask for; one where all are at one redshift.

    Raises:
      ValueError: settings that exclude each other, redshifts out of order, a table that holds no bins.
    """
    given = [name for name in _SEVERAL if getattr(settings, name)]
    if settings.source_redshift is not None and given:
        raise ValueError(
            f"source_redshift={settings.source_redshift:g} is that of one bin, and --{given[0]} gives several"
        )
    if len(given) > 1:
        raise ValueError(f"--{given[0]} and --{given[1]} both say what the source bins are: give one")
    if settings.source_redshifts:
        return single_redshifts(settings.source_redshifts)
    if settings.source_distributions:
        path = Path(settings.source_distributions).expanduser()
        lines = read_lines(path, "source_distributions")
        return tabulated_bins(lines, f"source_distributions={settings.source_distributions}")
    if settings.smail:
        return parsed_smail(settings.smail)
    redshift = PAPER_REDSHIFT if settings.source_redshift is None else settings.source_redshift
    return (single_redshift(redshift),)


def image_shape(settings: Simulate, bins: tuple[SourceBin, ...]) -> tuple[int, ...]:
    """Return the shape of a map: rows and columns, and the bins where there are several."""
    return (settings.map_pixels,) * 2 + ((len(bins),) if len(bins) > 1 else ())


def bins_last(
    kappa: Float[np.ndarray, "maps *bins height width"],
) -> Float[np.ndarray, "maps height width *bins"]:
    """Move the axis of bins, where there is one, to where stores have it."""
    return np.moveaxis(kappa, 1, -1) if kappa.ndim == 4 else kappa


def told_of_bins(bins: tuple[SourceBin, ...]) -> dict[str, Any]:
    """Return what a store's manifest says of several bins; of one nothing."""
    if len(bins) == 1:
        return {}
    return {
        "bin_redshifts": [bin.mean_redshift for bin in bins],
        "bin_names": [bin.name for bin in bins],
    }


def in_words(bins: tuple[SourceBin, ...]) -> str:
    """Return names and redshifts of bins."""
    told = []
    for bin in bins:
        mean = f"{bin.name} at {bin.mean_redshift:.4g}"
        ends = f" ({bin.redshifts[0]:.4g} to {bin.farthest:.4g})" if len(bin.redshifts) > 1 else ""
        told.append(mean + ends)
    return f"{len(bins)} source bins, {', '.join(told)}"
