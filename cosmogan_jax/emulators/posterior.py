"""Probability of an emulator's latents given an observed map: what maps of the sky are reconstructed with.

For a map d observed on the pixels of a mask, with Gaussian noise of variance sigma^2, independent between
pixels, and the latents z of an emulator, whose numbers are all standard normal,

    ln p(z | d) = - sum_mask (d - kappa(z))^2 / (2 sigma^2) - sum z^2 / 2 + constant.

Pure and differentiable in the latents (Bohm, Hilbert, Greiner & Ensslin 2017, PRD 96, 123510, do it with a
lognormal field). Its maximum depends on how the latents were chosen: with an amplitude and the noise that it
modulates both free, it is not near the maps that are probable (`experiments/020-map-reconstruction`).
"""

import jax
from jax import numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Bool, Float

from cosmogan_jax.emulators.emulator import Emulator
from cosmogan_jax.emulators.interface import Latent
from cosmogan_jax.summaries.edges import check_kappa, check_mask


def log_posterior(
    emulator: Emulator,
    latents: Latent,
    observed: Float[Array, "maps height width"],
    sigma: ArrayLike,
    mask: Bool[Array, "maps height width"],
    theta: Float[Array, "maps parameters"] | None = None,
) -> Float[Array, " maps"]:
    """Compute ln p(z | d) of each map, up to a constant; see the module.

    Raises:
      ValueError: as `log_likelihood`.
    """
    return log_likelihood(emulator, latents, observed, sigma, mask, theta) + log_prior(latents)


def log_likelihood(
    emulator: Emulator,
    latents: Latent,
    observed: Float[Array, "maps height width"],
    sigma: ArrayLike,
    mask: Bool[Array, "maps height width"],
    theta: Float[Array, "maps parameters"] | None = None,
) -> Float[Array, " maps"]:
    """Compute -sum (d - kappa(z))^2 / (2 sigma^2) of each map over its mask (True: observed).

    sigma is positive, one number or one a pixel. What stands in pixels that are not observed, NaN or anything,
    is not looked at.

    Raises:
      ValueError: observed or mask of another shape than the emulator's maps of these latents; as
        `Emulator.kappa`.
    """
    kappa = emulator.kappa(latents, theta=theta)
    for name, maps in (("observed", observed), ("mask", mask)):
        if maps.shape != kappa.shape:
            raise ValueError(f"{name}.shape={maps.shape} must be {kappa.shape}, the maps' of these latents")
    observed = check_kappa(observed)
    residual = jnp.where(check_mask(mask, observed), (observed - kappa) / jnp.asarray(sigma, kappa.dtype), 0)
    return -0.5 * (residual**2).sum(range(1, kappa.ndim))


def log_prior(latents: Latent) -> Float[Array, " maps"]:
    """Compute -sum z^2 / 2 over all numbers of each map's latent."""
    leaves = jax.tree.leaves(latents)
    return jnp.stack([-0.5 * (leaf**2).sum(range(1, leaf.ndim)) for leaf in leaves]).sum(0)
