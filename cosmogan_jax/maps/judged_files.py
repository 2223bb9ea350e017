"""Maps that are judged and come as files: inspected as those that are trained on are, before any statistic."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from cosmogan_jax.maps import plausibility
from cosmogan_jax.maps.formats import check_options
from cosmogan_jax.maps.given_maps import open_given, read_options
from cosmogan_jax.maps.inspection import as_left_out, inspect, unusable
from cosmogan_jax.maps.sources import MapSources, agree, with_bins
from cosmogan_jax.maps.survey_masks import open_masks
from cosmogan_jax.settings import Evaluate, Novelty


class JudgedMaps(NamedTuple):
    """The maps of a set that can be judged.

    Attributes:
      role: what the set is called.
      numbers: of the maps, among all of the sources.
      masked: whether some of their pixels are no measurement: masked, or invalid and avoided; these are NaN.
    """

    role: str
    sources: MapSources
    numbers: Int[np.ndarray, " maps"]
    masked: bool

    def read(self, start: int, stop: int) -> Float[np.ndarray, "maps size size"]:
        """Read maps start to stop of those that are judged."""
        wanted, parts, first = self.numbers[start:stop], [], 0
        for file in self.sources.files[self.role]:
            of_file = wanted[(wanted >= first) & (wanted < first + file.num_maps)] - first
            if len(of_file):
                kappa = file.read(int(of_file[0]), int(of_file[-1]) + 1)[of_file - of_file[0]]
                if self.sources.masks is not None:
                    applied = self.sources.masks.applied
                    kappa = np.stack([applied(first + n, image) for n, image in zip(of_file, kappa)])
                parts.append(kappa[..., self.sources.trained_bin or 0] if self.sources.bins else kappa)
            first += file.num_maps
        return np.concatenate(parts)


def open_judged_files(
    patterns_of_role: Mapping[str, Sequence[str]],
    settings: Evaluate | Novelty,
    masks: Sequence[str] = (),
    *,
    say: Callable[[str], None],
    watch: Callable[..., Iterable],
) -> dict[str, JudgedMaps]:
    """Open the maps that the flags of each role name; the settings tell what the files leave open.

    Args:
      masks: files of one mask, or of one for each map of all roles in their order.
      say: takes a line for each map that is left out.
      watch: as `inspection.inspect` takes it.

    Raises:
      ValueError: files that cannot be read, lack an angle, or do not agree; maps with invalid pixels, unless
        --invalid_pixels says what to do with them; values that look like anything but convergence.
    """
    opened = {role: _open(role, patterns, settings) for role, patterns in patterns_of_role.items()}
    first, total = 0, sum(sources.num_maps for sources in opened.values())
    judged = {}
    for role, sources in opened.items():
        masks_of_role = open_masks(masks, total, (sources.geometry.num_pixels, sources.columns))
        if masks_of_role is not None:
            sources = sources._replace(masks=masks_of_role._replace(first=first))
        judged[role] = _usable(role, sources, settings, say, watch)
        first += sources.num_maps
    return judged


def _open(role: str, patterns: Sequence[str], settings: Evaluate | Novelty) -> MapSources:
    side_deg = settings.side_deg if settings.judged_side_deg is None else settings.judged_side_deg
    options = read_options(settings, side_deg)
    files = tuple(open_given(patterns, role, options))
    check_options(list(files), options)
    sources = agree({role: files}, 1, side_deg, None if settings.source_bins else settings.source_redshift)
    sources = with_bins(sources, settings)
    if sources.columns != sources.geometry.num_pixels:
        raise ValueError(
            f"{role}: {files[0].path} holds maps of {sources.geometry.num_pixels}x{sources.columns} pixels; "
            "statistics are of square maps, so cut them to squares first"
        )
    return sources


def _usable(
    role: str,
    sources: MapSources,
    settings: Evaluate | Novelty,
    say: Callable[[str], None],
    watch: Callable[..., Iterable],
) -> JudgedMaps:
    """Leave out the maps that cannot be judged, by their names; refuse them where --invalid_pixels does."""
    inspection = inspect(sources, sources.geometry.num_pixels, watch)
    dropped = unusable(inspection, settings.invalid_pixels, judged=True)
    for line in as_left_out(inspection, dropped):
        say(line)
    numbers = np.array([number for number in range(len(inspection.maps)) if number not in dropped])
    kept = [inspection.maps[number] for number in numbers]
    findings = plausibility.unlike_convergence(kept, sources.files[role], sources.geometry)
    plausibility.refuse(findings, settings.accept_values)
    return JudgedMaps(role, sources, numbers, any(facts.invalid or facts.masked for facts in kept))
