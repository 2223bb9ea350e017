"""What a set of maps is like, told before any work is done: size, angle, range, moments, broken pixels."""

import dataclasses
import hashlib
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool, Float

from cosmogan_jax.geometry import MapGeometry
from cosmogan_jax.maps.crops import num_positions, valid_positions
from cosmogan_jax.maps.map_parameters import as_line
from cosmogan_jax.maps.sources import MapSources

_ROWS = 12
_SHOWN = 8
_SAMPLED = 2**16  # pixels of a map that tell its median


class MapFacts(NamedTuple):
    """One map: moments over its valid pixels (population, float64), and a digest of its float32 pixels.

    Valid are those that are finite and not masked; of the others, `invalid` are not masked, `masked` are.
    positions: where a crop can lie. middle, bulk: the median of some of the valid pixels, and half of the range
    from their 16th to their 84th percentile, which is sigma of a Gaussian. zeros: the share of valid pixels
    that are exactly 0; whole: whether all are whole numbers; two_valued: whether all are low or high.
    """

    role: str
    name: str
    invalid: int
    low: float
    high: float
    mean: float
    sigma: float
    skewness: float
    digest: bytes
    positions: int
    middle: float
    bulk: float
    zeros: float
    whole: bool
    two_valued: bool
    masked: int = 0


@dataclasses.dataclass(frozen=True)
class Inspection:
    """All maps of the sources, in order, and a few pictures of them.

    Of maps of several source bins the facts are of the bin that is trained on; bin_sigmas are of each bin,
    means over maps.
    """

    sources: MapSources
    maps: list[MapFacts]
    shown: Float[np.ndarray, "maps height width"]
    bin_sigmas: tuple[float, ...] = ()

    @property
    def geometry(self) -> MapGeometry:
        """Return pixels and side of every map; of a column where they are not square."""
        return self.sources.geometry

    @property
    def image(self) -> tuple[int, int]:
        """Return rows and columns of every map."""
        return self.sources.geometry.num_pixels, self.sources.columns


def map_digest(kappa: Float[np.ndarray, "height width *bins"]) -> bytes:
    """Return a digest of the float32 pixels, bit for bit."""
    return hashlib.blake2b(np.ascontiguousarray(kappa, np.float32).data, digest_size=16).digest()


def inspect_map(
    role: str,
    name: str,
    kappa: Float[np.ndarray, "height width"],
    crop_size: int,
    observed: Bool[np.ndarray, "height width"] | None = None,
    most_masked: float = 0.0,
) -> MapFacts:
    """Measure the facts of one map; NaN moments where no pixel is valid, NaN skewness of a constant one.

    observed, most_masked: as `crops.valid_positions` takes them.
    """
    finite = np.isfinite(kappa)
    valid = finite if observed is None else finite & observed
    masked = 0 if observed is None else int(observed.size - np.count_nonzero(observed))
    values = kappa[valid]
    digest, invalid = map_digest(kappa), kappa.size - values.size - masked
    if not values.size:
        nan = float("nan")
        return MapFacts(
            role, name, invalid, nan, nan, nan, nan, nan, digest, 0, nan, nan, nan, False, False, masked
        )
    positions = num_positions(kappa.shape, crop_size)
    if invalid or masked:
        positions = len(valid_positions(kappa, crop_size, observed, most_masked))
    mean = float(values.mean(dtype=np.float64))
    centred = values - np.float64(mean)
    square = centred * centred
    variance = float(square.mean())
    low, high = float(values.min()), float(values.max())
    skewness = float((square * centred).mean() / variance**1.5) if high > low else float("nan")
    some = values[:: max(1, values.size // _SAMPLED)]
    less, middle, more = np.quantile(some.astype(np.float64), [0.16, 0.5, 0.84])
    zeros = 1 - np.count_nonzero(values) / values.size
    two_valued = all(((pixels == low) | (pixels == high)).all() for pixels in (some, values))
    whole = bool((some == np.rint(some)).all() and (values == np.rint(values)).all())
    return MapFacts(
        role, name, invalid, low, high, mean, variance**0.5, skewness, digest, positions,
        float(middle), float(more - less) / 2, zeros, whole, two_valued, masked,
    )  # fmt: skip


def inspect(sources: MapSources, crop_size: int, watch: Callable[..., Iterable] | None = None) -> Inspection:
    """Read every map once; crops of crop_size pixels are to be cut from them.

    watch: takes the maps, and total, desc and unit of what they are, and gives them on (`machine.progress`).
    """
    facts: list[MapFacts] = []
    shown: list[np.ndarray] = []
    every = max(1, sources.num_maps // _SHOWN)
    maps: Iterable = sources.maps()
    if watch is not None:
        maps = watch(maps, total=sources.num_maps, desc="inspect", unit="map")
    sigmas = np.zeros(sources.num_bins)
    for number, (role, file, index, whole) in enumerate(maps):
        kappa, observed = whole, sources.observed(number)
        if sources.bins:
            with np.errstate(invalid="ignore"):
                # A pixel that is invalid in one bin is left out of all: crops of them lie at the same places.
                shown_bin = sources.trained_bin or 0
                kappa = np.where(np.isfinite(whole).all(-1), whole[..., shown_bin], np.nan)
                sigmas += [float(image[np.isfinite(image)].std()) for image in np.moveaxis(whole, -1, 0)]
        of_map = inspect_map(role, file.name(index), kappa, crop_size, observed, sources.most_masked)
        facts.append(of_map._replace(digest=map_digest(whole)))
        if number % every == 0 and len(shown) < _SHOWN:
            shown.append(kappa)
    return Inspection(sources, facts, np.stack(shown), tuple((sigmas / len(facts)).tolist()))


def unusable(inspection: Inspection, invalid_pixels: str, *, judged: bool = False) -> dict[int, str]:
    """Find the maps that must be left out, each with the reason.

    Those without a valid pixel always, and constant ones, but where maps are judged: a constant map is what an
    emulator made. Those with some invalid pixels unless avoided. Masked pixels count for neither.

    Raises:
      ValueError: there are such maps, and invalid_pixels="refuse"; or nothing is left.
    """
    pixels, maps = inspection.image[0] * inspection.image[1], inspection.maps
    reasons = {}
    for number, facts in enumerate(maps):
        if facts.invalid + facts.masked == pixels:
            masked = f" or masked ({facts.masked})" if facts.masked else ""
            reasons[number] = f"holds no valid pixel: all {pixels} are NaN, infinite, fill values{masked}"
        elif facts.low == facts.high and not judged:
            reasons[number] = f"is constant: every valid pixel is {facts.low:g}"
        elif facts.invalid and invalid_pixels != "avoid":
            reasons[number] = (
                f"holds {plural(facts.invalid, 'invalid pixel')} of {pixels} (NaN, infinite, fill)"
            )
    first, count = next(iter(reasons.items()), (0, "")), len(reasons)
    partly = sum(maps[number].invalid > 0 and maps[number].low < np.inf for number in reasons)
    avoid = (
        f"--invalid_pixels=avoid judges {plural(partly, 'map')} by the statistics that take masked maps"
        if judged
        else f"--invalid_pixels=avoid keeps crops off the invalid pixels of {plural(partly, 'map')}"
    )
    if count == len(maps):
        remedy = f"; {avoid}" if partly else ""
        raise ValueError(
            f"none of the {count} maps can be used: {maps[first[0]].name} {first[1]}, and so on{remedy}"
        )
    if reasons and invalid_pixels == "refuse":
        advice = "--invalid_pixels=drop leaves out " + ("such maps" if count > 1 else "the map")
        others = f" ({count} of {len(maps)} maps cannot be used as they are)" if count > 1 else ""
        remedy = f"; {avoid}" if partly else ""
        raise ValueError(f"{maps[first[0]].name} {first[1]}{others}; {advice}{remedy}")
    return reasons


def as_left_out(inspection: Inspection, reasons: dict[int, str]) -> list[str]:
    """Return a line for each of the first maps that are left out, and one for the others."""
    lines = [f"leaves out {inspection.maps[n].name}, which {why}" for n, why in list(reasons.items())[:_ROWS]]
    return lines + [f"leaves out {len(reasons) - _ROWS} more maps"] * (len(reasons) > _ROWS)


def as_table(inspection: Inspection) -> str:
    """Return a table in text: lines for files (where they are few), groups of maps and their parameters."""
    sources, geometry = inspection.sources, inspection.geometry
    unknown = "see below" if "source_redshift" in sources.parameters else "not known"
    redshift = unknown if sources.source_redshift is None else f"{sources.source_redshift:g}"
    averaged = f", each the mean of {sources.downsample}x{sources.downsample}" if sources.downsample > 1 else ""
    rows, columns = inspection.image
    wide = "" if rows == columns else f" by {geometry.side_deg * columns / rows:.6g}"
    sides = f"{geometry.side_deg:.6g}{wide}"
    lines = [
        f"{plural(len(inspection.maps), 'map')} of {geometry.num_pixels}x{sources.columns} pixels{averaged}, "
        f"{sides} degrees wide ({geometry.pixel_arcmin:.4g} arcmin a pixel, "
        f"ell {geometry.fundamental_ell:.0f} to {geometry.nyquist_ell:.0f}), source redshift {redshift}",
        f"{'':32}{'maps':>6} {'stored as':>18} {'kappa min':>10} {'max':>9} {'mean':>10} {'sigma':>9} "
        f"{'skewness':>8} {'invalid':>8}",
    ]
    for entry in summaries(inspection, per_file=len(sources.all_files) <= _ROWS):
        name = entry["name"] if len(entry["name"]) < 32 else "..." + entry["name"][-28:]
        lines.append(
            f"{name:32}{entry['maps']:6d} {entry['stored_as']:>18} {entry['min']:10.4g} {entry['max']:9.4g} "
            f"{entry['mean']:10.2e} {entry['sigma']:9.4g} {entry['skewness']:8.3f} {entry['invalid_pixels']:8d}"
        )
    if sources.masks is not None:
        share = sum(facts.masked for facts in inspection.maps) / (rows * columns * len(inspection.maps))
        lines.append(f"masked: {100 * share:.3g} % of the pixels, by {plural(sources.masks.num_masks, 'mask')}")
    if sources.bins:
        lines.append(f"{len(sources.bins)} source bins are stored: {_of_bins(inspection)}")
    if parameters := as_line(sources.parameters):
        lines.append(f"parameters: {parameters}")
    return "\n".join(lines)


def _of_bins(inspection: Inspection) -> str:
    sources = inspection.sources
    bins = []
    for number, (redshift, sigma) in enumerate(zip(sources.bins, inspection.bin_sigmas)):
        at = "redshift not known" if redshift is None else f"redshift {redshift:g}"
        trained = ", trained on" if sources.trained_bin in (None, number) else ""
        bins.append(f"{number} ({at}, sigma {sigma:.4g}{trained})")
    return ", ".join(bins)


def summaries(inspection: Inspection, *, per_file: bool) -> list[dict[str, Any]]:
    """Return facts of every file, then of every group of files; sigma and skewness are means over maps."""
    entries, number = [], 0
    for file in inspection.sources.all_files:
        group = inspection.maps[number : number + file.num_maps]
        number += file.num_maps
        if per_file:
            entries.append(
                {"name": str(file.path), "stored_as": f"{file.kind} {file.dtype}", **_summary(group)}
            )
    for role in inspection.sources.files:
        group = [facts for facts in inspection.maps if facts.role == role]
        name = "all maps" if role == "maps" else f"all maps, {role}"
        entries.append({"name": name, "stored_as": "", **_summary(group)})
    return entries


def plural(count: int, noun: str) -> str:
    """Return a count with its noun: 1 map, 2 maps."""
    return f"{count} {noun}{'' if count == 1 else 's'}"


def _summary(group: list[MapFacts]) -> dict[str, Any]:
    def mean(name):
        values = np.array([getattr(facts, name) for facts in group])
        values = values[np.isfinite(values)]
        return float(values.mean()) if values.size else float("nan")

    valid = [facts for facts in group if np.isfinite(facts.low)]
    return {
        "maps": len(group),
        "min": min((facts.low for facts in valid), default=float("nan")),
        "max": max((facts.high for facts in valid), default=float("nan")),
        **{name: mean(name) for name in ("mean", "sigma", "skewness")},
        "invalid_pixels": sum(facts.invalid for facts in group),
    }
