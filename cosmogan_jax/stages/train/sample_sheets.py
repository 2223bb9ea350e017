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
from cosmogan_jax.maps.crop_table import CropTable
from cosmogan_jax.maps.source_bins import only_bin

_MAPS = 8


def sheet_writer(
    emulator: Emulator, table: CropTable, key: Array, folder: Path
) -> Callable[[int, Variables], Mapping[str, Any]]:
    """A function that draws the first maps of the key by the variables of a step, beside training crops."""
    from cosmogan_jax.figures.sheets import write_sheet

    crops = table.crops["train"]
    theta = jnp.asarray(table.theta(crops[np.arange(_MAPS) % len(crops)], emulator.parameters))

    @jax.jit
    def draw(variables):
        return only_bin(emulator.draw(key, jnp.arange(_MAPS), theta, variables))

    def write(step: int, variables: Variables) -> Mapping[str, Any]:
        folder.mkdir(exist_ok=True)
        real, fake = only_bin(table.cut(crops[:_MAPS])), np.asarray(draw(variables))
        write_sheet(folder / f"step_{step:07d}.png", real, fake, table.geometry.side_deg, f"step {step}")
        return {}

    return write
