"""What a set of maps is like, told before any work is done: size, angle, range, moments, broken pixels."""

import dataclasses
import hashlib
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float

from cosmogan_jax.geometry import MapGeometry
from cosmogan_jax.stages.crops import num_positions, valid_positions
from cosmogan_jax.stages.map_parameters import as_line
from cosmogan_jax.stages.map_sources import MapSources
from cosmogan_jax.stages.progress import progress

_ROWS = 12
_SHOWN = 8


class MapFacts(NamedTuple):
    """One map: moments over its valid pixels (population, float64), and a digest of its float32 pixels.

    positions: where a crop can lie without an invalid pixel.
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
        """Pixels and side of every map; of a column where they are not square."""
        return self.sources.geometry

    @property
    def image(self) -> tuple[int, int]:
        """Rows and columns of every map."""
        return self.sources.geometry.num_pixels, self.sources.columns


def map_digest(kappa: Float[np.ndarray, "height width *bins"]) -> bytes:
    """Of the float32 pixels, bit for bit."""
    return hashlib.blake2b(np.ascontiguousarray(kappa, np.float32).data, digest_size=16).digest()


def inspect_map(role: str, name: str, kappa: Float[np.ndarray, "height width"], crop_size: int) -> MapFacts:
    """The facts of one map; NaN moments where no pixel is valid, NaN skewness of a constant one."""
    values = kappa[np.isfinite(kappa)]
    digest, invalid = map_digest(kappa), kappa.size - values.size
    if not values.size:
        nan = float("nan")
        return MapFacts(role, name, invalid, nan, nan, nan, nan, nan, digest, 0)
    positions = len(valid_positions(kappa, crop_size)) if invalid else num_positions(kappa.shape, crop_size)
    mean = float(values.mean(dtype=np.float64))
    centred = values - np.float64(mean)
    square = centred * centred
    variance = float(square.mean())
    low, high = float(values.min()), float(values.max())
    skewness = float((square * centred).mean() / variance**1.5) if high > low else float("nan")
    return MapFacts(role, name, invalid, low, high, mean, variance**0.5, skewness, digest, positions)


def inspect(sources: MapSources, crop_size: int) -> Inspection:
    """Read every map once; crops of crop_size pixels are to be cut from them."""
    facts: list[MapFacts] = []
    shown: list[np.ndarray] = []
    every = max(1, sources.num_maps // _SHOWN)
    bar = progress(sources.maps(), total=sources.num_maps, desc="inspect", unit="map")
    sigmas = np.zeros(sources.num_bins)
    for number, (role, file, index, whole) in enumerate(bar):
        kappa = whole
        if sources.bins:
            with np.errstate(invalid="ignore"):
                # A pixel that is invalid in one bin is left out of all: crops of them lie at the same places.
                kappa = np.where(np.isfinite(whole).all(-1), whole[..., sources.trained_bin], np.nan)
                sigmas += [float(one[np.isfinite(one)].std()) for one in np.moveaxis(whole, -1, 0)]
        facts.append(inspect_map(role, file.name(index), kappa, crop_size)._replace(digest=map_digest(whole)))
        if number % every == 0 and len(shown) < _SHOWN:
            shown.append(kappa)
    return Inspection(sources, facts, np.stack(shown), tuple((sigmas / len(facts)).tolist()))


def unusable(found: Inspection, invalid_pixels: str) -> dict[int, str]:
    """Maps that must be left out, each with the reason.

    Those without a valid pixel and constant ones always; those with some invalid pixels unless avoided.

    Raises:
      ValueError: there are such maps, and invalid_pixels="refuse"; or nothing is left.
    """
    pixels = found.image[0] * found.image[1]
    reasons = {}
    for number, facts in enumerate(found.maps):
        if facts.invalid == pixels:
            reasons[number] = f"holds no valid pixel: all {pixels} are NaN, infinite or fill values"
        elif facts.low == facts.high:
            reasons[number] = f"is constant: every valid pixel is {facts.low:g}"
        elif facts.invalid and invalid_pixels != "avoid":
            reasons[number] = (
                f"holds {plural(facts.invalid, 'invalid pixel')} of {pixels} (NaN, infinite, fill)"
            )
    if len(reasons) == len(found.maps):
        raise ValueError(
            f"none of the {len(found.maps)} maps can be used: {found.maps[0].name} {reasons[0]}, and so on"
        )
    if reasons and invalid_pixels == "refuse":
        first, count = next(iter(reasons.items())), len(reasons)
        partly = sum(0 < found.maps[number].invalid < pixels for number in reasons)
        advice = "--invalid_pixels=drop leaves out " + ("such maps" if count > 1 else "the map")
        if partly:
            advice += f"; --invalid_pixels=avoid keeps crops off the invalid pixels of {plural(partly, 'map')}"
        others = f" ({count} of {len(found.maps)} maps cannot be used as they are)" if count > 1 else ""
        raise ValueError(f"{found.maps[first[0]].name} {first[1]}{others}; {advice}")
    return reasons


def as_table(found: Inspection) -> str:
    """A text table: a line a file (where they are few), one for each group of maps, one of their parameters."""
    sources, geometry = found.sources, found.geometry
    unknown = "see below" if "source_redshift" in sources.parameters else "not known"
    redshift = unknown if sources.source_redshift is None else f"{sources.source_redshift:g}"
    averaged = f", each the mean of {sources.downsample}x{sources.downsample}" if sources.downsample > 1 else ""
    rows, columns = found.image
    wide = "" if rows == columns else f" by {geometry.side_deg * columns / rows:.6g}"
    sides = f"{geometry.side_deg:.6g}{wide}"
    lines = [
        f"{plural(len(found.maps), 'map')} of {geometry.num_pixels}x{sources.columns} pixels{averaged}, "
        f"{sides} degrees wide ({geometry.pixel_arcmin:.4g} arcmin a pixel, "
        f"ell {geometry.fundamental_ell:.0f} to {geometry.nyquist_ell:.0f}), source redshift {redshift}",
        f"{'':32}{'maps':>6} {'stored as':>18} {'kappa min':>10} {'max':>9} {'mean':>10} {'sigma':>9} "
        f"{'skewness':>8} {'invalid':>8}",
    ]
    for entry in summaries(found, per_file=len(_files(found)) <= _ROWS):
        name = entry["name"] if len(entry["name"]) < 32 else "..." + entry["name"][-28:]
        lines.append(
            f"{name:32}{entry['maps']:6d} {entry['stored_as']:>18} {entry['min']:10.4g} {entry['max']:9.4g} "
            f"{entry['mean']:10.2e} {entry['sigma']:9.4g} {entry['skewness']:8.3f} {entry['invalid_pixels']:8d}"
        )
    if sources.bins:
        lines.append(f"{len(sources.bins)} source bins are stored: {_of_bins(found)}")
    if parameters := as_line(sources.parameters):
        lines.append(f"parameters: {parameters}")
    return "\n".join(lines)


def _of_bins(found: Inspection) -> str:
    sources = found.sources
    said = []
    for number, (redshift, sigma) in enumerate(zip(sources.bins, found.bin_sigmas)):
        at = "redshift not known" if redshift is None else f"redshift {redshift:g}"
        trained = ", trained on" if number == sources.trained_bin else ""
        said.append(f"{number} ({at}, sigma {sigma:.4g}{trained})")
    return ", ".join(said)


def summaries(found: Inspection, *, per_file: bool) -> list[dict[str, Any]]:
    """Facts of every file, then of every group of files; sigma and skewness are means over maps."""
    entries, number = [], 0
    for _, file in _files(found):
        group = found.maps[number : number + file.num_maps]
        number += file.num_maps
        if per_file:
            kind = f"{file.format.split(':')[0]} {file.dtype}"
            entries.append({"name": str(file.path), "stored_as": kind, **_summary(group)})
    for role in found.sources.files:
        group = [facts for facts in found.maps if facts.role == role]
        name = "all maps" if role == "maps" else f"all maps, {role}"
        entries.append({"name": name, "stored_as": "", **_summary(group)})
    return entries


def plural(count: int, noun: str) -> str:
    """1 map, 2 maps."""
    return f"{count} {noun}{'' if count == 1 else 's'}"


def _files(found: Inspection) -> list[tuple[str, Any]]:
    return [(role, file) for role, files in found.sources.files.items() for file in files]


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
