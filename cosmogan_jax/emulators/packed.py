"""Emulators that are trained already, by name or by folder; `weights.py` says what a folder holds."""

from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp

from cosmogan_jax import keys
from cosmogan_jax.emulators.emulator import Emulator
from cosmogan_jax.emulators.kinds import model_of
from cosmogan_jax.emulators.normalisation import Normalisation
from cosmogan_jax.emulators.weights import CARD, read_card, read_weights
from cosmogan_jax.geometry import MapGeometry
from cosmogan_jax.settings.key_schemes import recorded_scheme
from cosmogan_jax.switches import with_usual

_FOLDER = Path(__file__).parents[1] / "pretrained"


def names() -> list[str]:
    """Emulators that come with the package."""
    return sorted(path.parent.name for path in _FOLDER.glob(f"*/{CARD}"))


def find(name: str) -> Path:
    """The folder of an emulator: one that comes with the package, or any folder with a card.

    Raises:
      ValueError: there is none.
    """
    known = names()
    if name in known:
        return _FOLDER / name
    if (Path(name) / CARD).is_file():
        return Path(name)
    raise ValueError(
        f"pretrained={name!r} is neither a folder with a {CARD} nor one of the known emulators: "
        f"{', '.join(known) or 'none come with this version'}"
    )


@with_usual
def load(name: str | Path, *, forward_mode: bool = False) -> Emulator:
    """Open an emulator by its name, or by the folder that stage pack wrote.

    Args:
      name: one of `names()`, or a folder.
      forward_mode: write the convolutions so that jax.jvp, jax.jacfwd and jax.hessian go through them too.
        The same maps up to rounding; a CPU takes several times as long. Reverse mode always works.

    Raises:
      ValueError: no such emulator; weights that are not those of the card (SHA-256), do not fit its
        architecture or are not finite; a card of another version.
    """
    folder = find(str(name))
    card = read_card(folder)
    model = model_of(card["architecture"], forward_mode=forward_mode)
    geometry = MapGeometry(card["geometry"]["num_pixels"], card["geometry"]["side_deg"])
    parameters, scheme = _parameters(card, folder), recorded_scheme(card, folder / CARD)
    normalisation = Normalisation.of(card["normalisation"])
    any_key = keys.key(0, "weights")
    try:
        jax.eval_shape(lambda key: model.latent(key, geometry.num_pixels), any_key)
    except ValueError as error:
        raise ValueError(f"{folder / CARD}: num_pixels={geometry.num_pixels}, {error}") from error
    like = jax.eval_shape(model.init, any_key)
    return Emulator(
        str(name),
        model,
        jax.tree.map(jnp.asarray, read_weights(folder, card, like)),
        normalisation,
        geometry,
        card,
        parameters,
        scheme,
        _training_pixels(card, folder),
    )


def _parameters(card: dict[str, Any], folder: Path) -> tuple[str, ...]:
    """What the maps are conditioned on; cards of before say nothing of it."""
    names = card.get("parameters", [])
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise ValueError(f"{folder / CARD}: parameters={names!r} must be a list of names")
    return tuple(names)


def _training_pixels(card: dict[str, Any], folder: Path) -> int | None:
    """Side of the maps that the training crops were cut from; cards of before say nothing of it."""
    side = card["data"].get("map_pixels")
    if side is not None and (type(side) is not int or side < 1):
        raise ValueError(f"{folder / CARD}, data: map_pixels={side!r} must be a positive whole number")
    return side
