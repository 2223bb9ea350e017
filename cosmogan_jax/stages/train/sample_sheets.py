"""Pictures of what a training makes, of the same maps each time."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from cosmogan_jax.emulators.emulator import Emulator
from cosmogan_jax.emulators.interface import Variables
from cosmogan_jax.maps.source_bins import only_bin
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
        return only_bin(emulator.draw(key, jnp.arange(_MAPS), theta, variables))

    def write(step: int, variables: Variables) -> Mapping[str, Any]:
        folder.mkdir(exist_ok=True)
        real, fake = only_bin(crops[:_MAPS].cut()), np.asarray(draw(variables))
        write_sheet(folder / f"step_{step:07d}.png", real, fake, crops.geometry.side_deg, f"step {step}")
        return {}

    return write
