"""Scales by which the networks see convergence: one, or that of each source bin that is trained on."""

import math
from typing import Any

import numpy as np
from jaxtyping import Float

from cosmogan_jax.settings import Prepare


def check(settings: Prepare) -> None:
    """Raise ValueError for a scale that is not positive, or scales of bins that nothing is divided by."""
    if not settings.normalisation_scale > 0:
        raise ValueError(f"normalisation_scale={settings.normalisation_scale} must be positive")
    if settings.bin_scales and settings.normalisation == "none":
        raise ValueError(f"bin_scales={_shown(settings)} goes with --normalisation=linear or arcsinh")


def check_bins(settings: Prepare, trained_on: int) -> None:
    """Raise ValueError for scales of another number of bins than are trained on."""
    if settings.bin_scales and len(settings.bin_scales) != trained_on:
        raise ValueError(
            f"bin_scales={_shown(settings)} must be {trained_on}, one for each source bin that is trained on"
        )


def normalisation(settings: Prepare) -> dict[str, Any]:
    """Return what the crop table's manifest says of kind and scale."""
    return {
        "kind": settings.normalisation,
        "scale": list(settings.bin_scales) or settings.normalisation_scale,
    }


def network_limit(settings: Prepare) -> float | Float[np.ndarray, " bins"]:
    """Return the largest convergence that tanh can make: the normalisation's inverse of 1."""
    if settings.normalisation == "none":
        return 1.0
    scale = np.array(settings.bin_scales) if settings.bin_scales else settings.normalisation_scale
    return scale * (math.sinh(3.0) if settings.normalisation == "arcsinh" else 1.0)


def _shown(settings: Prepare) -> str:
    return ",".join(f"{scale:g}" for scale in settings.bin_scales)
