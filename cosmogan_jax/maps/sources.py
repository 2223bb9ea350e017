"""A set of maps from open files: of one size, one angle, one source redshift, the same bins."""

import math
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float

from cosmogan_jax.geometry import MapGeometry, check_side_deg
from cosmogan_jax.maps.formats import MapFile
from cosmogan_jax.maps.map_parameters import GIVEN_AGREES, Statement, Values, check_one, join
from cosmogan_jax.maps.survey_masks import SurveyMasks
from cosmogan_jax.settings import GivenMaps, Prepare

_BATCH_BYTES = 64 * 2**20


class MapSources(NamedTuple):
    """Open files, by what they are to be: "maps" to be split, or the name of a split.

    Attributes:
      geometry: of a square map; of one that is not, of a column of its pixels.
      columns: pixels of a row.
      source_redshift: of all maps; None where it is not known, or not one.
      parameters: of every map in order, by name; None where a map's is not known.
      vary: names of the parameters in which the maps are meant to differ.
      bins: source redshifts, where maps are of several bins; None where one's is not known.
      bin_names: what they are called; none where it is not known.
      trained_bin: which of them crops are of; None where they are of all.
      besides: a table of parameters that was given with them.
      masks: of the survey, where there are any.
      most_masked: the share of a crop's pixels that may be masked. Where none may be, the maps are NaN there;
        else they keep their values.
    """

    files: dict[str, tuple[MapFile, ...]]
    downsample: int
    geometry: MapGeometry
    columns: int
    source_redshift: float | None
    parameters: Values
    vary: tuple[str, ...] = ()
    besides: Path | None = None
    masks: SurveyMasks | None = None
    most_masked: float = 0.0
    bins: tuple[float | None, ...] = ()
    bin_names: tuple[str, ...] = ()
    trained_bin: int | None = 0

    @property
    def num_bins(self) -> int:
        """Return the number of bins of every map."""
        return len(self.bins) or 1

    def maps(self) -> Iterator[tuple[str, MapFile, int, Float[np.ndarray, "height width *bins"]]]:
        """Yield every map in order with role, file and number in that file; a few are in memory at a time."""
        number = 0
        for role, files in self.files.items():
            for file in files:
                step = max(1, _BATCH_BYTES // (8 * file.num_pixels * file.columns * self.num_bins))
                for start in range(0, file.num_maps, step):
                    batch = file.read(start, min(start + step, file.num_maps), self.downsample)
                    for index, kappa in enumerate(batch, start):
                        if self.masks is not None and not self.most_masked:
                            kappa = self.masks.applied(number, kappa)
                        yield role, file, index, kappa
                        number += 1

    def observed(self, number: int) -> Bool[np.ndarray, "height width"] | None:
        """Return where map `number` of all is not masked; None where there are no masks."""
        return None if self.masks is None else self.masks.of_map(number)

    @property
    def all_files(self) -> list[MapFile]:
        """Return the files of all roles, in order."""
        return [file for files in self.files.values() for file in files]

    @property
    def num_maps(self) -> int:
        """Return the number of all maps."""
        return sum(file.num_maps for file in self.all_files)


def agree(
    files: dict[str, tuple[MapFile, ...]],
    downsample: int,
    side_deg: float | None,
    source_redshift: float | None,
    besides: list[list[Statement]] | None = None,
    vary: Sequence[str] = (),
    *,
    hint: bool = False,
) -> MapSources:
    """Make sources of one size and angle, and of one redshift and cosmology but for what `vary` names.

    Of what the files say and what is given besides: source_redshift for all maps, `besides` for each
    (`map_parameters.given_besides`). hint: whether a refusal tells of --vary.

    Raises:
      ValueError: files that disagree with each other or with what is given, an angle that nobody says, values
        out of range, a downsample that does not divide the maps.
    """
    every = [file for group in files.values() for file in group]
    first = every[0]
    if source_redshift is not None and not 0 < source_redshift < math.inf:
        raise ValueError(f"source_redshift={source_redshift:g} must be positive and finite")
    _one_of_each(every, lambda file: file.num_pixels, "pixels a side", "size")
    _one_of_each(every, lambda file: file.columns, "pixels a row", "size")
    parameters = join(every, besides or [], vary, hint=hint)
    for pixels in (first.num_pixels, first.columns):
        if downsample < 1 or pixels % downsample:
            raise ValueError(
                f"downsample={downsample} must divide the {pixels} pixels of a map's side ({first.path})"
            )
    side = _common(every, "side_deg", "degrees wide", "angle", side_deg)
    silent = next((file for file in every if file.side_deg is None), None)
    if side is None or (side_deg is None and silent is not None):
        raise ValueError(
            f"{(silent or first).path} does not say how wide its maps are: give --side_deg, in degrees "
            "(3.4641 for the paper's maps, 0.86603 for its crops of 256 pixels, 3.5 for Columbia Lensing and "
            "MassiveNuS, 5 for kappaTNG)"
        )
    geometry = MapGeometry(first.num_pixels // downsample, check_side_deg(side))
    redshift = _one_redshift(every, parameters, source_redshift, vary)
    if redshift is not None:
        parameters["source_redshift"] = (redshift,) * sum(file.num_maps for file in every)
    columns = first.columns // downsample
    return MapSources(files, downsample, geometry, columns, redshift, parameters, tuple(vary))


def with_bins(sources: MapSources, settings: Prepare | GivenMaps) -> MapSources:
    """Add the bins that all files have, their redshifts, and the number of the bin that crops are of.

    Of all where stage prepare is told none: several are trained on jointly.

    Raises:
      ValueError: files that disagree in their bins, or with --bin_redshifts; a bin that is not among them, or
        several and none is chosen to be judged.
    """
    files = sources.all_files
    first, wanted = files[0], settings.bin_redshifts
    if not first.bins and not any(file.bins for file in files):
        if wanted:
            raise ValueError(
                f"bin_redshifts={_listed(wanted)} goes with --source_bins and maps of several bins"
            )
        return sources
    for file in files:
        if file.bin_numbers != first.bin_numbers or not _redshifts_agree(file.bins, first.bins):
            raise ValueError(
                f"maps disagree in their source bins: {_bins(first)} in {first.path}, {_bins(file)} in "
                f"{file.path}"
            )
    if wanted and (len(wanted) != len(first.bins) or not _redshifts_agree(wanted, first.bins)):
        raise ValueError(f"bin_redshifts={_listed(wanted)} disagrees with {first.path}: {_bins(first)}")
    if settings.source_redshift is not None:
        raise ValueError(
            f"source_redshift={settings.source_redshift:g} is of maps of one bin; --bin_redshifts is of each"
        )
    redshifts = tuple(wanted) or first.bins
    chosen = settings.channel
    if chosen is None and len(redshifts) > 1:
        if isinstance(settings, Prepare):
            return sources._replace(
                bins=redshifts, bin_names=first.bin_names, trained_bin=None, source_redshift=None
            )
        raise ValueError(
            f"{first.path} holds {len(redshifts)} source bins, {_bins(first)}, of which one is judged: choose "
            f"it with --channel, of {', '.join(map(str, first.bin_numbers))}"
        )
    if chosen is not None and chosen not in first.bin_numbers:
        numbers = settings.source_bins or map(str, first.bin_numbers)
        raise ValueError(f"channel={chosen} is none of source_bins={','.join(numbers)}")
    trained = 0 if chosen is None else first.bin_numbers.index(chosen)
    return sources._replace(
        bins=redshifts, bin_names=first.bin_names, trained_bin=trained, source_redshift=redshifts[trained]
    )


def _redshifts_agree(ours: Sequence[float | None], theirs: Sequence[float | None]) -> bool:
    """Tell whether they are as many, and the same wherever both are known."""
    return len(ours) == len(theirs) and all(
        a is None or b is None or math.isclose(a, b, rel_tol=GIVEN_AGREES) for a, b in zip(ours, theirs)
    )


def _bins(file: MapFile) -> str:
    known = [
        f"{n} at {'an unknown redshift' if z is None else f'{z:g}'}"
        for n, z in zip(file.bin_numbers, file.bins)
    ]
    return ", ".join(known) if len(known) <= 5 else f"{', '.join(known[:4])} and {len(known) - 4} more"


def _listed(redshifts: Sequence[float]) -> str:
    return ",".join(f"{z:g}" for z in redshifts)


def _one_redshift(
    files: list[MapFile], parameters: Values, flag: float | None, vary: Sequence[str]
) -> float | None:
    """Return the source redshift of all maps; None where it is not known, or varies."""
    if "source_redshift" in vary:
        if flag is not None:
            raise ValueError(f"source_redshift={flag:g} is of all maps, and vary={','.join(vary)} names it")
        return None
    values = parameters.get("source_redshift", ())
    known = next((number for number, value in enumerate(values) if value is not None), None)
    if known is None:
        return flag
    value = values[known]
    if flag is not None and value is not None and not math.isclose(flag, value, rel_tol=GIVEN_AGREES):
        file = [file for file in files for _ in range(file.num_maps)][known]
        raise ValueError(f"source_redshift={flag:g} disagrees with {file.path}, which says {value:g}")
    return value


def _common(files: list[MapFile], name: str, unit: str, what: str, flag: float | None) -> float | None:
    """Return the one value the files say, or else the flag's; where there are both, they must agree."""
    agreed = _one_of_each(files, lambda file: getattr(file, name), unit, what)
    if agreed is None:
        return flag
    value, file = agreed
    if flag is not None and not math.isclose(flag, value, rel_tol=GIVEN_AGREES):
        raise ValueError(f"{name}={flag:g} disagrees with {file.path}, which says {value:g}")
    return value


def _one_of_each(
    files: list[MapFile], told_by: Callable[[MapFile], float | None], unit: str, what: str
) -> tuple[float, MapFile] | None:
    """Return what all files say that say something, and the first of these; ValueError where they differ."""
    values = [told_by(file) for file in files]
    check_one(what, unit, values, [str(file.path) for file in files])
    return next(((value, file) for value, file in zip(values, files) if value is not None), None)
