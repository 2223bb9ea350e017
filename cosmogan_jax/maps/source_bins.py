"""The last axis of maps, that of source bins: taken away where there is one bin, or moved before the pixels."""

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


def bins_first(kappa: Maps) -> Maps:
    """Move the last axis, that of source bins, before the pixels: to (..., bins, rows, columns).

    Stores, exports and emulators have the bins last; whatever takes maps with any axes in front of the pixels
    (spectra, shear, smoothing) takes them so, and so do the statistics of several bins.

    Raises:
      ValueError: fewer than three axes.
    """
    if kappa.ndim < 3:
        raise ValueError(f"kappa of shape {kappa.shape} must be (..., rows, columns, bins)")
    axes = (*range(kappa.ndim - 3), kappa.ndim - 1, kappa.ndim - 3, kappa.ndim - 2)
    return kappa.transpose(axes)
