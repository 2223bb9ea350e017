"""The last axis of maps, that of source bins, for what looks at maps of one bin."""

from typing import TYPE_CHECKING, TypeVar

import numpy as np

if TYPE_CHECKING:  # who reads files, to print --help or a report, does without JAX
    import jax

Maps = TypeVar("Maps", "jax.Array", np.ndarray)


def only_bin(kappa: Maps) -> Maps:
    """Take the last axis, that of source bins, away: (..., 1) to (...), without a copy.

    Raises:
      ValueError: there are several bins.
    """
    if kappa.shape[-1] != 1:
        raise ValueError(f"maps of {kappa.shape[-1]} source bins: only those of one bin can be taken here")
    return kappa[..., 0]
