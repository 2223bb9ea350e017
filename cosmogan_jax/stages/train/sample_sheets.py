"""Pictures of what a training makes, of the same maps each time; of several bins all bins of fewer maps."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from cosmogan_jax.emulators.emulator import Emulator
from cosmogan_jax.emulators.interface import Variables
from cosmogan_jax.maps.source_bins import Maps
from cosmogan_jax.maps.table_crops import Crops

_MAPS = 8


def sheet_writer(
    emulator: Emulator, crops: Crops, key: Array, folder: Path
) -> Callable[[int, Variables], Mapping[str, Any]]:
    """Return a function that draws the first maps of the key by a step's variables, beside training crops."""
    from cosmogan_jax.figures.sheets import write_sheet

    theta = jnp.asarray(crops[np.arange(_MAPS) % len(crops)].theta(emulator.parameters))

    @jax.jit
    def draw(variables):
        return _panels(emulator.draw(key, jnp.arange(_MAPS), theta, variables))

    def write(step: int, variables: Variables) -> Mapping[str, Any]:
        folder.mkdir(exist_ok=True)
        real, fake = _panels(crops[:_MAPS].cut()), np.asarray(draw(variables))
        write_sheet(folder / f"step_{step:07d}.png", real, fake, crops.geometry.side_deg, f"step {step}")
        return {}

    return write


def _panels(kappa: Maps) -> Maps:
    """Return pictures side by side, the bins of a map beside each other; at most as many as there are maps."""
    shown = kappa[: max(len(kappa) // kappa.shape[-1], 1)]
    return shown.transpose(0, 3, 1, 2).reshape(-1, *kappa.shape[1:3])[: len(kappa)]
