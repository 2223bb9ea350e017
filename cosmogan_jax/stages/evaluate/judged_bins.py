"""Which source bins are judged together, a run's own or given, and how each of them is opened."""

import dataclasses
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float

from cosmogan_jax.maps.bins_in_files import pattern_of
from cosmogan_jax.maps.crop_table import CropTable, open_crop_table
from cosmogan_jax.maps.formats import MapFile
from cosmogan_jax.maps.given_maps import open_given, read_options
from cosmogan_jax.maps.sets import MapSets
from cosmogan_jax.maps.sources import agree, with_bins
from cosmogan_jax.runs.directory import stage_directory
from cosmogan_jax.settings import Evaluate
from cosmogan_jax.stages.evaluate.compared_sets import generated_store, open_map_sets
from cosmogan_jax.stages.evaluate.observing import noise_of

LOOKED_AT = 8  # maps of a set that show whether a bin is empty


class SourceBin(NamedTuple):
    """One bin: its channel in given files, its source redshift where it is known, its place in a run's maps."""

    number: int
    redshift: float | None
    position: int

    def in_words(self) -> str:
        """Return its number, and its redshift where it is known."""
        return f"{self.number}" + ("" if self.redshift is None else f" (redshift {self.redshift:g})")


def judged_bins(settings: Evaluate, workdir: Path) -> tuple[SourceBin, ...]:
    """Return the bins that are to be judged together; the one that --channel chooses of a run's own; else none.

    Raises:
      ValueError: files that cannot be read, sets that do not agree in their bins, or lack the one chosen.
    """
    own = _own_bins(settings, workdir)
    several = any(len(bins) > 1 for bins in own.values())
    if settings.channel is not None:
        return (_chosen(own, settings.channel),) if several else ()
    if not several and not (settings.source_bins and settings.generated):
        return ()
    given = {"generated": settings.generated, "reference": settings.reference, "auxiliary": settings.auxiliary}
    sets = {name: _given_bins(name, patterns, settings) for name, patterns in given.items() if patterns}
    _check_same({**sets, **own}, numbers=sets)
    return next(iter({**sets, **own}.values()))


def _own_bins(settings: Evaluate, workdir: Path) -> dict[str, tuple[SourceBin, ...]]:
    """Return the bins of those sets that are the run's own."""
    stores = {}
    if not settings.reference:
        stores["validation"] = open_crop_table(stage_directory(workdir, "prepare")).store
    if not settings.generated:
        stores["generated"] = generated_store(workdir)
    return {
        name: tuple(SourceBin(n, z, n) for n, z in enumerate(store.bin_redshifts))
        if store.num_bins > 1
        else (SourceBin(0, store.source_redshift, 0),)
        for name, store in stores.items()
    }


def _chosen(own: dict[str, tuple[SourceBin, ...]], channel: int) -> SourceBin:
    _check_same(own, numbers={})
    bins = next(iter(own.values()))
    if not 0 <= channel < len(bins):
        raise ValueError(f"channel={channel} must be one of the run's own source bins, 0 to {len(bins) - 1}")
    return bins[channel]


def _open(name: str, patterns: tuple[str, ...], settings: Evaluate) -> tuple[MapFile, ...]:
    return tuple(open_given(patterns, name, read_options(settings, _side_deg(settings))))


def _side_deg(settings: Evaluate) -> float | None:
    return settings.side_deg if settings.judged_side_deg is None else settings.judged_side_deg


def _given_bins(name: str, patterns: tuple[str, ...], settings: Evaluate) -> tuple[SourceBin, ...]:
    files = _open(name, patterns, settings)
    # Any will do for the one that is trained on.
    any_bin = dataclasses.replace(settings, channel=next(iter(files[0].bin_numbers), None))
    bins = with_bins(agree({name: files}, 1, _side_deg(settings), None), any_bin).bins
    return tuple(map(SourceBin, files[0].bin_numbers, bins, range(len(bins))))


def _check_same(sets: dict[str, tuple[SourceBin, ...]], *, numbers: Any) -> None:
    """Check that all sets have as many bins, of the same redshifts where they are known; ValueError if not.

    numbers: the sets, given as files, in which the bins must have the same numbers too.
    """
    (first, ours), *others = sets.items()
    for name, theirs in others:
        numbered = first in numbers and name in numbers
        same = len(ours) == len(theirs) and all(
            (own.number == other.number or not numbered)
            and (
                own.redshift is None
                or other.redshift is None
                or math.isclose(own.redshift, other.redshift, rel_tol=1e-3)
            )
            for own, other in zip(ours, theirs)
        )
        if not same:
            told = [", ".join(one.in_words() for one in some) or "none" for some in (ours, theirs)]
            redshifts = [sorted(one.redshift or 0.0 for one in some) for some in (ours, theirs)]
            known = all(one.redshift is not None for one in (*ours, *theirs))
            order = ", the same in another order" if known and redshifts[0] == redshifts[1] else ""
            raise ValueError(
                f"source bins of {first} maps are {told[0]}, of {name} maps {told[1]}{order}: sets that are "
                "compared must have the same bins in one order"
            )


def table_of(settings: Evaluate, workdir: Path, source_bin: SourceBin | None) -> CropTable | None:
    """Open the run's crops, those of one bin where they are of several; None where --reference is given."""
    if settings.reference:
        return None
    table = open_crop_table(stage_directory(workdir, "prepare"))
    return table if source_bin is None or table.num_bins == 1 else table.of_bin(source_bin.position)


def settings_of(settings: Evaluate, source_bin: SourceBin) -> Evaluate:
    """Return the settings by which one bin is opened and judged by itself, with its own galaxies."""
    galaxies = settings.galaxies_per_arcmin2
    if len(galaxies) > 1:
        settings = dataclasses.replace(settings, galaxies_per_arcmin2=(galaxies[source_bin.position],))
    if not settings.source_bins:
        return settings
    pattern = pattern_of(settings.source_bins)
    redshifts = () if source_bin.redshift is None else (source_bin.redshift,)
    number = str(source_bin.number)
    chosen = (number,) if pattern is None else (pattern.text, number)
    return dataclasses.replace(settings, source_bins=chosen, bin_redshifts=redshifts)


def open_bins(settings: Evaluate, workdir: Path, bins: Sequence[SourceBin]) -> list[MapSets]:
    """Open the sets of every bin."""
    return [
        open_map_sets(settings_of(settings, one), workdir, table_of(settings, workdir, one), one.position)
        for one in bins
    ]


def check_galaxies(settings: Evaluate, bins: Sequence[SourceBin]) -> None:
    """Check that the galaxies of observers are of as many bins as are judged; ValueError where they are not."""
    noise_of(settings).of_bins(max(1, len(bins)))


def check_not_empty(settings: Evaluate, workdir: Path, bins: Sequence[SourceBin]) -> None:
    """Check, on a few maps of each set, that no bin is constant in all of them; errors as of `check_varies`."""
    given = {"generated": settings.generated, "reference": settings.reference, "auxiliary": settings.auxiliary}
    looked_at = {}
    for role, patterns in given.items():
        if patterns:
            file = _open(role, patterns, settings)[0]
            looked_at[role + " maps"] = file.read(0, min(LOOKED_AT, file.num_maps))
    if not settings.generated:
        store = generated_store(workdir)
        looked_at["generated maps"] = store.read(0, min(LOOKED_AT, store.num_maps))
    if not settings.reference:
        table = open_crop_table(stage_directory(workdir, "prepare"))
        looked_at["validation crops"] = table.cut(table.choose("validation", LOOKED_AT))
    check_varies(looked_at, bins)


def check_varies(
    looked_at: Mapping[str, Float[np.ndarray, "maps size size bins"]], bins: Sequence[SourceBin]
) -> None:
    """Check that no bin of the first maps of a set, by its name, is constant in all of them.

    Raises:
      ValueError: names the set and the bin.
    """
    for name, kappa in looked_at.items():
        for source_bin in bins:
            values = kappa[..., source_bin.position]
            finite = np.isfinite(values)
            low, high = (np.where(finite, values, at) for at in (np.inf, -np.inf))
            if not (high.max((1, 2)) > low.min((1, 2))).any():
                raise ValueError(
                    f"source bin {source_bin.in_words()} of the {name} is {values.flat[0]:g} in every pixel "
                    f"of the first {len(values)}: an empty channel"
                )
