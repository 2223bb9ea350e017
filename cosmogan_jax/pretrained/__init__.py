"""Generators that are trained already: weights, and a card that says what they hold for.

    from cosmogan_jax.pretrained import load, names  # names() lists those that come with the package

    emulator = load("name")                      # or the folder that stage pack wrote
    kappa = emulator.sample(seed=0, num_maps=64)
    emulator.card["fidelity"]                    # what was measured, and where it holds
    slope = jax.grad(lambda z: loss(emulator.kappa(z)))(z)

Every emulator is a folder here: `weights.npz`, `card.json` and `card.md`, the card in words.
"""

from cosmogan_jax.emulators.emulator import Emulator
from cosmogan_jax.emulators.packed import find, load, names
from cosmogan_jax.summaries.observer import GalaxyNoise

__all__ = ["Emulator", "GalaxyNoise", "find", "load", "names"]
