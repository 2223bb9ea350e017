"""A generator's weights and card as a folder: weights.npz, card.json, card.md. Never pickled.

weights.npz holds one array a variable under its path ("params/deconv1/kernel"), as float32 or float16; those
that the kind of emulator wants in full precision (running averages) as float32, whole numbers as they are.
card.json names the file's SHA-256 and is written last, so that a folder without it is not whole.
"""

import dataclasses
from pathlib import Path
from typing import Any

import jax
import numpy as np

from cosmogan_jax.emulators.normalisation import Normalisation
from cosmogan_jax.files.checksums import file_sha256
from cosmogan_jax.files.json_files import Fields, check_object, read_json, write_json
from cosmogan_jax.files.numpy_files import read_npz
from cosmogan_jax.files.whole_files import write_arrays, write_text
from cosmogan_jax.geometry import MapGeometry
from cosmogan_jax.layers.initialisation import Variables
from cosmogan_jax.maps.parameters import is_value
from cosmogan_jax.settings.key_schemes import recorded_scheme

CARD, _WEIGHTS = "card.json", "weights.npz"
FORMAT, VERSION = "cosmogan_jax emulator", 1
_FIELDS: Fields = {
    "name": str, "weights": dict, "architecture": dict, "normalisation": dict, "geometry": dict, "data": dict,
    "training": dict, "fidelity": dict, "source_redshift": (float, type(None)), "cosmology": (dict, type(None)),
}  # fmt: skip
_INSIDE: dict[str, Fields] = {
    "weights": {"sha256": str},
    "normalisation": {"kind": str, "scale": (float, list)},
    "geometry": {"num_pixels": int, "side_deg": float},
    "training": {"step": int},
    "fidelity": {"validated": dict},
}
_COPIED = ("name", "architecture", "source_redshift", "cosmology", "data")


@dataclasses.dataclass(frozen=True)
class Card:
    """A model card, as far as programs read it.

    Attributes:
      content: the whole card, as in card.json.
      sha256: of the file of weights.
      architecture: as `Model.describe` gave it.
      parameters: names of what the maps are conditioned on.
      design: cosmologies of the training maps, a row of parameters each.
      key_scheme: how a seed becomes a key (`keys.py`).
      training_pixels: side of the maps that the training crops were cut from; None where it is not recorded.
      step: of the training, that the weights are of.
      selected: whether they were chosen among others by their scores.
      training_flags: settings of the training.
      bin_redshifts: of every bin, where the maps are of several; None where one's is not known.
      bin_names: what they are called, where that is recorded.
      validated: ranges in which the maps were found to agree with validation maps.
    """

    content: dict[str, Any]
    name: str
    sha256: str
    architecture: dict[str, Any]
    normalisation: Normalisation
    geometry: MapGeometry
    parameters: tuple[str, ...]
    design: tuple[tuple[float, ...], ...]
    key_scheme: int
    training_pixels: int | None
    step: int
    selected: bool
    training_flags: dict[str, Any]
    source_redshift: float | None
    bin_redshifts: tuple[float | None, ...]
    bin_names: tuple[str, ...]
    cosmology: dict[str, Any] | None
    data: dict[str, Any]
    validated: dict[str, Any]

    @classmethod
    def from_json(cls, content: Any, where: Any) -> "Card":
        """Read a card's content; what earlier cards did not say has the value that it had then.

        Raises:
          ValueError: names where it stands, and what it is not.
        """
        check_object(content, _FIELDS, where)
        for name, fields in _INSIDE.items():
            check_object(content[name], fields, f"{where}, {name}")
        training, geometry = {"selected": True, "flags": {}, **content["training"]}, content["geometry"]
        check_object(training, {"flags": dict}, f"{where}, training")
        parameters, side = content.get("parameters", []), content["data"].get("map_pixels")
        if not isinstance(parameters, list) or not all(isinstance(name, str) for name in parameters):
            raise ValueError(f"{where}: parameters={parameters!r} must be a list of names")
        seen = content["architecture"].get("parameters", parameters)
        if seen != parameters:
            raise ValueError(f"{where}, architecture: parameters={seen!r} must be the card's, {parameters!r}")
        design = content.get("design", [])
        if not isinstance(design, list) or not all(_is_point(point, len(parameters)) for point in design):
            raise ValueError(f"{where}: design must be a list of rows of {len(parameters)} numbers")
        if side is not None and (type(side) is not int or side < 1):
            raise ValueError(f"{where}, data: map_pixels={side!r} must be a positive whole number")
        redshifts = content.get("bin_redshifts", [])
        if not isinstance(redshifts, list) or not all(z is None or is_value(z) for z in redshifts):
            raise ValueError(f"{where}: bin_redshifts={redshifts!r} must be a list of numbers")
        return cls(
            content=content,
            bin_redshifts=tuple(redshifts),
            bin_names=tuple(map(str, content.get("bin_names", ()))),
            sha256=content["weights"]["sha256"],
            normalisation=Normalisation.from_json(content["normalisation"]),
            geometry=MapGeometry(geometry["num_pixels"], geometry["side_deg"]),
            parameters=tuple(parameters),
            design=tuple(tuple(map(float, point)) for point in design),
            key_scheme=recorded_scheme(content, where),
            training_pixels=side,
            step=training["step"],
            selected=bool(training["selected"]),
            training_flags=training["flags"],
            validated=content["fidelity"]["validated"],
            **{name: content[name] for name in _COPIED},
        )


def _is_point(point: Any, size: int) -> bool:
    return isinstance(point, list) and len(point) == size and all(map(is_value, point))


def write_weights(
    folder: Path, variables: Variables, dtype: str, full_precision: tuple[str, ...] = ()
) -> dict[str, Any]:
    """Write the variables of a model, any pytree of arrays; return what the card is to say of the file.

    Those whose path begins with one of full_precision are float32 whatever the dtype of the others.
    """
    arrays: dict[str, Any] = {}
    for path, leaf in jax.tree_util.tree_leaves_with_path(variables):
        name, array = _name(path), np.asarray(leaf)
        if array.dtype.kind == "f":
            array = array.astype(np.float32 if name.startswith(full_precision) else dtype)
        arrays[name] = array
    folder.mkdir(parents=True, exist_ok=True)
    write_arrays(folder / _WEIGHTS, arrays)
    return {
        "file": _WEIGHTS,
        "sha256": file_sha256(folder / _WEIGHTS),
        "dtype": dtype,
        "numbers": sum(array.size for array in arrays.values()),
    }


def write_card(folder: Path, card: dict[str, Any], words: str) -> None:
    """Write the card, in words and last for programs."""
    write_text(folder / "card.md", words)
    write_json(folder / CARD, {"format": FORMAT, "version": VERSION, **card})


def read_card(folder: Path) -> Card:
    """Read the card of a folder.

    Raises:
      ValueError: it is not a card, or one of another version.
    """
    content = read_json(folder / CARD)
    if not isinstance(content, dict) or content.get("format") != FORMAT or content.get("version") != VERSION:
        if isinstance(content, dict):
            content = {key: content.get(key) for key in ("format", "version")}
        raise ValueError(f"{folder / CARD} says {content}, expected format {FORMAT!r} version {VERSION}")
    return Card.from_json(content, folder / CARD)


def read_weights(folder: Path, sha256: str, like: Variables) -> Variables:
    """Read the variables of a folder in the structure and the dtypes of `like`: real numbers are float32.

    Raises:
      ValueError: a file that is missing or of another SHA-256 than its card's, or arrays that do not fit `like`
        or are not finite.
    """
    path = folder / _WEIGHTS
    if not path.is_file():
        raise ValueError(f"{folder} holds a {CARD} but no {_WEIGHTS}")
    actual = file_sha256(path)
    if actual != sha256:
        raise ValueError(f"{path} has SHA-256 {actual}, its card says {sha256}: not the weights of the card")
    arrays = read_npz(path)
    leaves, structure = jax.tree_util.tree_flatten_with_path(like)
    expected = {_name(leaf_path): leaf for leaf_path, leaf in leaves}
    for name, array in arrays.items():
        kind = np.dtype(expected[name].dtype).kind if name in expected else "f"
        if array.dtype.kind != kind:
            wanted = "real" if kind == "f" else "whole"
            raise ValueError(f"{path}: {name} holds {array.dtype.name}, not {wanted} numbers")
        if array.dtype.kind == "f":
            arrays[name] = array.astype(np.float32)
    shapes = {name: leaf.shape for name, leaf in expected.items()}
    stored = {name: array.shape for name, array in arrays.items()}
    if stored != shapes:
        odd = min(name for name in shapes.keys() | stored.keys() if shapes.get(name) != stored.get(name))
        raise ValueError(
            f"{path}: {odd} has shape {stored.get(odd)}, the card's architecture {shapes.get(odd)}"
        )
    for name, array in arrays.items():
        if not np.isfinite(array).all():
            raise ValueError(f"{path}: {name} is not finite")
    return jax.tree_util.tree_unflatten(structure, [arrays[name] for name in expected])


def _name(path: tuple) -> str:
    return jax.tree_util.keystr(path, simple=True, separator="/")
