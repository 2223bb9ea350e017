"""How maps are seen: as they are, and with shape noise and smoothing as a survey would see them."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from cosmogan_jax import keys
from cosmogan_jax.geometry import ARCMIN_PER_DEG, MapGeometry
from cosmogan_jax.settings import Evaluate
from cosmogan_jax.side_by_side import jit_on_one_thread
from cosmogan_jax.summaries.observer import add_shape_noise, smooth

View = Callable[
    [Float[np.ndarray, "maps size size"], Int[np.ndarray, " maps"], str], Float[Array, "maps size size"]
]
# Noise of no two sets is the same.
_NUMBER = {"generated": 0, "validation": 1, "auxiliary": 2}


def views(settings: Evaluate, geometry: MapGeometry) -> dict[str, View]:
    """Return each view by its label; "" are the maps as they are.

    The noise of a map follows from its set and number alone.

    Raises:
      ValueError: smoothing as wide as the maps.
    """
    by_label: dict[str, View] = {"": lambda kappa, index, name: jnp.asarray(kappa)}
    side_arcmin = geometry.side_deg * ARCMIN_PER_DEG
    for theta in settings.observer_smoothing_arcmin:
        if theta >= side_arcmin:
            raise ValueError(
                f"observer_smoothing_arcmin={theta:g} leaves nothing of maps {side_arcmin:g} arcmin wide"
            )
        by_label[f"shape noise, {theta:g} arcmin"] = _observed(settings, geometry, theta)
    return by_label


def _observed(settings: Evaluate, geometry: MapGeometry, theta_arcmin: float) -> View:
    @jit_on_one_thread
    def see(kappa, index, number):
        key = jax.random.fold_in(keys.key(0, "shape noise"), number)
        noisy = add_shape_noise(
            key,
            kappa,
            index,
            geometry,
            sigma_e_per_component=settings.shape_noise_sigma_e,
            galaxies_per_arcmin2=settings.galaxies_per_arcmin2,
        )
        return smooth(noisy, geometry, theta_arcmin)

    return lambda kappa, index, name: see(jnp.asarray(kappa), jnp.asarray(index), _NUMBER[name])
