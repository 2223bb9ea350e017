"""The manifest of a map store: what is known of its maps, and of the files that hold them.

"shape" is [maps, rows, columns, bins]; "side_deg" is the length of a column of pixels in degrees (generated
maps need not be square); "observed" holds the shape noise and smoothing that maps were given, where they were;
"parameters" is {name: [value of every map]} of what is known (omega_m, source_redshift and so on), null where
a map's value is not; "source_redshift" is null where it is not known or not one; "bin_redshifts", where there
are several bins, holds each one's (of n(z) the mean), null where it is not known, and "bin_names" what they are
called. Stores of version 2 have neither the axis of bins nor parameters; they read alike.
"""

import dataclasses
from pathlib import Path
from typing import Any

from cosmogan_jax.files.json_files import Fields, check_object
from cosmogan_jax.maps.parameters import Parameters, check_parameters, is_value

FORMAT = "cosmogan_jax map store"
VERSION = 3
_WITHOUT_BINS = 2  # a version whose arrays have three axes
_REQUIRED: Fields = {"shape": list, "side_deg": float, "invalid_pixels": int, "shards": dict, "sha256": dict}
_OPTIONAL: Fields = {"source_redshift": (float, type(None)), "origin": dict}
_IDENTITY = ("shape", "side_deg", "source_redshift", "splits", "parents", "boxes", "sha256")


@dataclasses.dataclass(frozen=True)
class StoreManifest:
    """A manifest that was checked.

    Attributes:
      shape: maps, rows, columns and bins, whatever the version.
      has_bin_axis: whether the array on disk has the axis of bins.
      shards: bytes of every shard, by its path below the array.
      source_redshift: None where it is not known, or not one.
      bin_redshifts: that of each bin; None where it is not known.
      bin_names: that of each bin, bin0 and so on where they have none.
      splits, parents, boxes: one entry a map; empty where they are not recorded.
      seed: None where it is not recorded.
      observed: noise (galaxies of each source bin where they differ) and smoothing that the maps were given;
        empty where they are as they were made.
      content: all of the manifest as it is written, for who writes it again.
    """

    shape: tuple[int, int, int, int]
    has_bin_axis: bool
    side_deg: float
    invalid_pixels: int
    shards: dict[str, int]
    sha256: dict[str, str]
    source_redshift: float | None
    bin_redshifts: tuple[float | None, ...]
    bin_names: tuple[str, ...]
    splits: list[Any]
    parents: list[Any]
    boxes: list[Any]
    parameters: Parameters
    origin: dict[str, Any]
    seed: Any
    observed: dict[str, float | list[float]]
    content: dict[str, Any]

    @classmethod
    def from_json(cls, content: dict[str, Any], path: Path) -> "StoreManifest":
        """Check what a manifest at `path` holds, and take from it what is relied on.

        Raises:
          ValueError: another format or version, or a field that is missing or of another form.
        """
        if content.get("format") != FORMAT or content.get("version") not in (_WITHOUT_BINS, VERSION):
            raise ValueError(
                f"{path.parent}: format={content.get('format')!r} version={content.get('version')!r}, "
                f"expected {FORMAT!r} version {_WITHOUT_BINS} or {VERSION}"
            )
        check_object(content, _REQUIRED, path)
        check_object(content, {name: kinds for name, kinds in _OPTIONAL.items() if name in content}, path)
        check_object(content["shards"], dict.fromkeys(content["shards"], int), f"{path}, shards")
        shape = _shape(content, path)
        check_parameters(content.get("parameters", {}), shape[0], str(path))
        return cls(
            shape=shape,
            has_bin_axis=content["version"] == VERSION,
            source_redshift=content.get("source_redshift"),
            bin_redshifts=_bin_redshifts(content, shape[3], path),
            bin_names=_bin_names(content, shape[3], path),
            splits=_labels(content, "splits", shape[0], path),
            parents=_labels(content, "parents", shape[0], path),
            boxes=_labels(content, "boxes", shape[0], path),
            parameters=content.get("parameters", {}),
            origin=content.get("origin", {}),
            seed=content.get("seed"),
            observed=content.get("observed") or {},
            content=content,
            **{name: content[name] for name in _REQUIRED if name != "shape"},
        )

    def identity(self) -> dict[str, Any]:
        """Return what makes a store the data set it is: pixels by checksum, geometry, splits, parameters.

        Where the maps came from is left out: the same maps from files that were moved are the same data set.
        """
        fields = {name: self.content.get(name) for name in _IDENTITY}
        # Stores without these are what they were before there were any.
        fields |= {"bin_redshifts": self.content["bin_redshifts"]} if "bin_redshifts" in self.content else {}
        return fields | ({"parameters": dict(self.parameters)} if self.parameters else {})


def _shape(content: dict[str, Any], path: Path) -> tuple[int, int, int, int]:
    shape, axes = content["shape"], ["maps", "rows", "columns", "bins"]
    axes = axes if content["version"] == VERSION else axes[:3]
    if len(shape) != len(axes) or any(type(length) is not int or length < 1 for length in shape):
        raise ValueError(f"{path}: shape={shape} is not that of maps, [{', '.join(axes)}]")
    num_maps, rows, columns, num_bins = [*shape, 1][:4]
    return num_maps, rows, columns, num_bins


def _labels(content: dict[str, Any], name: str, num_maps: int, path: Path) -> list[Any]:
    if name not in content:
        return []
    labels = content[name]
    if not isinstance(labels, list) or len(labels) != num_maps:
        raise ValueError(f"{path}: {name} must have one entry for each of {num_maps} maps")
    if any(isinstance(label, (list, dict)) for label in labels):
        raise ValueError(f"{path}: {name} must be words or numbers")
    return labels


def _bin_redshifts(content: dict[str, Any], num_bins: int, path: Path) -> tuple[float | None, ...]:
    if "bin_redshifts" not in content:
        return (content.get("source_redshift"),) if num_bins == 1 else (None,) * num_bins
    redshifts = content["bin_redshifts"]
    known = isinstance(redshifts, list) and all(z is None or is_value(z) for z in redshifts)
    if not known or len(redshifts) != num_bins:
        raise ValueError(f"{path}: bin_redshifts must be a number or null for each of {num_bins} bins")
    return tuple(redshifts)


def _bin_names(content: dict[str, Any], num_bins: int, path: Path) -> tuple[str, ...]:
    if "bin_names" not in content:
        return tuple(f"bin{number}" for number in range(num_bins))
    names = content["bin_names"]
    words = isinstance(names, list) and all(isinstance(name, str) and name for name in names)
    if not words or len(set(names)) != num_bins or len(names) != num_bins:
        raise ValueError(f"{path}: bin_names must be a name of its own for each of {num_bins} bins")
    return tuple(names)
