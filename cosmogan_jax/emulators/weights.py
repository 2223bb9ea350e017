"""A generator's weights and card as a folder: weights.npz, card.json, card.md. Never pickled.

weights.npz holds one array a variable under its path ("params/deconv1/kernel"), as float32 or float16; those
that the kind of emulator wants in full precision (running averages) as float32, whole numbers as they are.
card.json names the file's SHA-256 and is written last, so that a folder without it is not whole.
"""

from pathlib import Path
from typing import Any

import jax
import numpy as np

from cosmogan_jax.files.checksums import file_sha256
from cosmogan_jax.files.json_files import Fields, check_object, read_json, write_json
from cosmogan_jax.files.numpy_files import read_npz
from cosmogan_jax.files.whole_files import write_arrays, write_text

CARD, _WEIGHTS = "card.json", "weights.npz"
FORMAT, VERSION = "cosmogan_jax emulator", 1
_FIELDS: Fields = {
    "name": str, "weights": dict, "architecture": dict, "normalisation": dict, "geometry": dict, "data": dict,
    "training": dict, "fidelity": dict, "source_redshift": (float, type(None)), "cosmology": (dict, type(None)),
}  # fmt: skip
_INSIDE: dict[str, Fields] = {
    "weights": {"sha256": str},
    "normalisation": {"kind": str, "scale": float},
    "geometry": {"num_pixels": int, "side_deg": float},
    "training": {"step": int},
    "fidelity": {"validated": dict},
}

Variables = Any


def write_weights(
    folder: Path, variables: Variables, dtype: str, full_precision: tuple[str, ...] = ()
) -> dict[str, Any]:
    """Write the variables of a model, any pytree of arrays; gives what the card is to say of the file.

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


def read_card(folder: Path) -> dict[str, Any]:
    """The card of a folder.

    Raises:
      ValueError: it is not a card, or one of another version.
    """
    card = read_json(folder / CARD)
    if not isinstance(card, dict) or card.get("format") != FORMAT or card.get("version") != VERSION:
        said = {key: card.get(key) for key in ("format", "version")} if isinstance(card, dict) else card
        raise ValueError(f"{folder / CARD} says {said}, expected format {FORMAT!r} version {VERSION}")
    check_object(card, _FIELDS, folder / CARD)
    for name, fields in _INSIDE.items():
        check_object(card[name], fields, f"{folder / CARD}, {name}")
    return card


def read_weights(folder: Path, card: dict[str, Any], like: Variables) -> Variables:
    """The variables of a folder in the structure and the dtypes of `like`: real numbers are float32.

    Raises:
      ValueError: a file that is missing or not the card's, or arrays that do not fit `like` or are not finite.
    """
    path = folder / _WEIGHTS
    if not path.is_file():
        raise ValueError(f"{folder} holds a {CARD} but no {_WEIGHTS}")
    found, expected = file_sha256(path), card["weights"]["sha256"]
    if found != expected:
        raise ValueError(f"{path} has SHA-256 {found}, its card says {expected}: not the weights of the card")
    arrays = read_npz(path)
    paths, structure = jax.tree_util.tree_flatten_with_path(like)
    kinds = {_name(place): np.dtype(leaf.dtype).kind for place, leaf in paths}
    for name, array in arrays.items():
        if array.dtype.kind != kinds.get(name, "f"):
            wanted = "real" if kinds.get(name, "f") == "f" else "whole"
            raise ValueError(f"{path}: {name} holds {array.dtype.name}, not {wanted} numbers")
        if array.dtype.kind == "f":
            arrays[name] = array.astype(np.float32)
    shapes = {_name(place): leaf.shape for place, leaf in paths}
    given = {name: array.shape for name, array in arrays.items()}
    if given != shapes:
        odd = sorted(name for name in shapes.keys() | given.keys() if shapes.get(name) != given.get(name))
        raise ValueError(
            f"{path}: {odd[0]} has shape {given.get(odd[0])}, the card's architecture {shapes.get(odd[0])}"
        )
    for name, array in arrays.items():
        if not np.isfinite(array).all():
            raise ValueError(f"{path}: {name} is not finite")
    return jax.tree_util.tree_unflatten(structure, [arrays[_name(place)] for place, _ in paths])


def _name(path: tuple) -> str:
    return jax.tree_util.keystr(path, simple=True, separator="/")
