"""What is judged: statistics of sets of maps by name, and how each of them is to be compared."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Shaped

from cosmogan_jax.compare.effects.resamples import Ensemble, Resampling, ensemble
from cosmogan_jax.settings.margins import MeanUnit


class MapSet(NamedTuple):
    """Statistics of a set of maps by the quantity's name, and the parent of each map."""

    values: Mapping[str, Float[np.ndarray, "maps bands"]]
    parents: Shaped[np.ndarray, " maps"]


class Quantity(NamedTuple):
    """A statistic to be judged: its name in `MapSet.values`, a label for each band, how it is judged.

    mean_unit: "mean" for relative differences, "scatter" for units of the validation scatter, "coherence" for
      powers of two source bins: bands are then those of P_ij, of P_ii and of P_jj, one after the other.
    covariance: whether correlations and the covariance slope are judged too (2 to 40 bands).
    used_by_selection: whether the generator was chosen by this statistic: agreement is then partly by choice.
    """

    name: str
    bands: tuple[str, ...]
    mean_unit: MeanUnit = "mean"
    covariance: bool = False
    used_by_selection: bool = False


class Compared(NamedTuple):
    """One quantity of all sets; the baseline is of `first` against `second`."""

    generated: Ensemble
    validation: Ensemble
    first: Ensemble
    second: Ensemble


def values_of(set_name: str, maps: MapSet, quantity: Quantity) -> Float[np.ndarray, "maps bands"]:
    """Return one quantity of a set.

    Raises:
      ValueError: a set that lacks the quantity or differs in its bands.
    """
    if quantity.name not in maps.values:
        raise ValueError(f"{set_name} has no {quantity.name}, but {', '.join(maps.values) or 'nothing'}")
    values = np.asarray(maps.values[quantity.name])
    if values.shape != (len(maps.parents), len(quantity.bands)):
        shape = f"({len(maps.parents)}, {len(quantity.bands)})"
        raise ValueError(f"{quantity.name} of {set_name} of shape {values.shape} must be (maps, bands) {shape}")
    return values


def ensemble_of(set_name: str, values: np.ndarray, resampling: Resampling, quantity: Quantity) -> Ensemble:
    """Return the values with the resampling of their set; errors name both."""
    return ensemble(f"{quantity.name} of {set_name}", values, resampling)
