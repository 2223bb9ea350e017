"""Emulators that are trained already, by name or by folder; `weights.py` says what a folder holds."""

from pathlib import Path

import jax
import jax.numpy as jnp

from cosmogan_jax import keys
from cosmogan_jax.emulators.emulator import Emulator
from cosmogan_jax.emulators.interface import num_bins
from cosmogan_jax.emulators.kinds import model_of
from cosmogan_jax.emulators.weights import CARD, read_card, read_weights
from cosmogan_jax.switches import with_usual

_FOLDER = Path(__file__).parents[1] / "pretrained"


def names() -> list[str]:
    """List the emulators that come with the package."""
    return sorted(path.parent.name for path in _FOLDER.glob(f"*/{CARD}"))


def find(name: str) -> Path:
    """Find the folder of an emulator: one that comes with the package, or any folder with a card.

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
    model, size = model_of(card.architecture, forward_mode=forward_mode), card.geometry.num_pixels
    any_key = keys.key(0, "weights")
    try:
        card.normalisation.check_bins(num_bins(model))
    except ValueError as error:
        raise ValueError(f"{folder / CARD}: {error}") from error
    try:
        jax.eval_shape(lambda key: model.latent(key, size), any_key)
    except ValueError as error:
        raise ValueError(f"{folder / CARD}: num_pixels={size}, {error}") from error
    like = jax.eval_shape(model.init, any_key)
    return Emulator(
        str(name),
        model,
        jax.tree.map(jnp.asarray, read_weights(folder, card.sha256, like)),
        card.normalisation,
        card.geometry,
        card.content,
        card.parameters,
        card.key_scheme,
        card.training_pixels,
        card.design,
    )
