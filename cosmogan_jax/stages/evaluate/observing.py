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
from cosmogan_jax.summaries.observer import GalaxyNoise, add_shape_noise, add_shape_noise_of_bins, smooth

View = Callable[
    [Float[np.ndarray, "maps size size"], Int[np.ndarray, " maps"], str], Float[Array, "maps size size"]
]
ViewOfBins = Callable[
    [Float[np.ndarray, "maps bins size size"], Int[np.ndarray, " maps"], str],
    Float[Array, "maps bins size size"],
]
# Noise of no two sets is the same.
_NUMBER = {"generated": 0, "validation": 1, "auxiliary": 2}


def observers(settings: Evaluate, geometry: MapGeometry) -> dict[str, float]:
    """Return the smoothing of each observer in arcmin, by the label of what it sees.

    Raises:
      ValueError: smoothing as wide as the maps.
    """
    by_label, side_arcmin = {}, geometry.side_deg * ARCMIN_PER_DEG
    for theta in settings.observer_smoothing_arcmin:
        if theta >= side_arcmin:
            raise ValueError(
                f"observer_smoothing_arcmin={theta:g} leaves nothing of maps {side_arcmin:g} arcmin wide"
            )
        by_label[f"shape noise, {theta:g} arcmin"] = theta
    return by_label


def noise_of(settings: Evaluate) -> GalaxyNoise:
    """Return the shape noise that observers see."""
    return GalaxyNoise(settings.galaxies_per_arcmin2, settings.shape_noise_sigma_e)


def views(settings: Evaluate, geometry: MapGeometry, bin_: int | None = None) -> dict[str, View]:
    """Return each view by its label; "" are the maps as they are.

    The noise of a map follows from its set, its number and its bin alone.

    Args:
      bin_: of several source bins that are judged together, which one; None where there is one.

    Raises:
      ValueError: smoothing as wide as the maps.
    """
    by_label: dict[str, View] = {"": lambda kappa, index, name: jnp.asarray(kappa)}
    for label, theta in observers(settings, geometry).items():
        by_label[label] = _observed(settings, geometry, theta, bin_)
    return by_label


def _observed(settings: Evaluate, geometry: MapGeometry, theta_arcmin: float, bin_: int | None) -> View:
    noise_of(settings).of_bins(1)
    (galaxies,) = settings.galaxies_per_arcmin2

    @jit_on_one_thread
    def see(kappa, index, number):
        key = jax.random.fold_in(keys.key(0, "shape noise"), number)
        if bin_ is not None:
            key = jax.random.fold_in(key, bin_)
        noisy = add_shape_noise(
            key,
            kappa,
            index,
            geometry,
            sigma_e_per_component=settings.shape_noise_sigma_e,
            galaxies_per_arcmin2=galaxies,
        )
        return smooth(noisy, geometry, theta_arcmin)

    return lambda kappa, index, name: see(jnp.asarray(kappa), jnp.asarray(index), _NUMBER[name])


def view_of_bins(settings: Evaluate, geometry: MapGeometry, theta_arcmin: float) -> ViewOfBins:
    """Return how an observer sees all source bins of a map, each with the noise that `views` gives it."""
    noise = noise_of(settings)

    @jit_on_one_thread
    def see(kappa, index, number):
        key = jax.random.fold_in(keys.key(0, "shape noise"), number)
        return smooth(add_shape_noise_of_bins(key, kappa, index, geometry, noise), geometry, theta_arcmin)

    return lambda kappa, index, name: see(jnp.asarray(kappa), jnp.asarray(index), _NUMBER[name])
