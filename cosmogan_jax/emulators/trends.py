"""How means over training maps follow their cosmology: linear in regressors phi, whose first is constant."""

import numpy as np
from jaxtyping import Float


def without_trend(
    values: Float[np.ndarray, "maps numbers"], phi: Float[np.ndarray, "maps terms"] | None
) -> tuple[Float[np.ndarray, "maps numbers"], Float[np.ndarray, "slopes numbers"]]:
    """Return the values less their trend, and its slopes in phi[:, 1:]; their mean over all maps stays.

    Where phi is None or has a single column, these are the values themselves and no slopes.
    """
    values = np.asarray(values, np.float64)
    if phi is None or phi.shape[1] == 1:
        return values, np.zeros((0, values.shape[1]))
    slopes = np.linalg.lstsq(np.asarray(phi, np.float64), values, rcond=None)[0][1:]
    return values - phi[:, 1:] @ slopes, slopes
