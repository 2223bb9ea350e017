"""An emulator of which everything is known: lognormal maps whose power follows parameters by power laws.

    C_l(omega_m, sigma8) = C_l(paper) (sigma8 / 0.8)^a(l) (omega_m / 0.3)^b(l),
    a = 2.5 + 0.3 ln(l / 1000), times `answer`;    b = 1.4 - 0.3 ln(l / 1000)

It stands where a trained emulator would in rehearsals and tests: of its own maps posteriors must be right, and
of those of another `answer` wrong.
"""

import dataclasses
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np

import cosmogan_jax
from cosmogan_jax.emulators.emulator import Emulator
from cosmogan_jax.emulators.normalisation import Normalisation
from cosmogan_jax.geometry import MapGeometry
from cosmogan_jax.sky.limber import convergence_power
from cosmogan_jax.sky.lognormal import CANVAS

NAMES = ("omega_m", "sigma8")
PIXEL_ARCMIN = 0.82
SHIFT = 0.04
DESIGN = tuple((m, s) for m in (0.2, 0.3, 0.4) for s in (0.6, 0.8, 1.0))


@dataclasses.dataclass(frozen=True)
class LognormalSky:
    """Maps of any size, cut from the middle of a canvas twice as wide."""

    answer: float = 1.0
    limit: ClassVar[float | None] = None
    upsamplings: ClassVar[int] = 0
    any_size: ClassVar[bool] = True
    full_precision: ClassVar[tuple[str, ...]] = ()

    def init(self, key):
        """Nothing is trained."""
        return {}

    def latent(self, key, height, width=None):
        """White noise on the canvas; of square maps."""
        if width not in (None, height):
            raise ValueError(f"size={height}x{width}: square maps only")
        return jax.random.normal(key, (CANVAS * height,) * 2, jnp.float32)

    def widest_margin(self, height, width):
        """What the canvas holds around a map."""
        return (CANVAS - 1) * height // 2

    def sample(self, variables, latent, theta, margin=0):
        """Maps in kappa."""
        size, spread = latent.shape[-1] // CANVAS, jax.vmap(self._amplitudes, (None, 0))
        amplitudes, variance = spread(latent.shape[-1], theta)
        shape = latent.shape[-2:]
        g = jnp.fft.irfft2(jnp.fft.rfft2(latent) * amplitudes, s=shape)
        kappa = SHIFT * jnp.expm1(g - variance[:, None, None] / 2)
        low = (latent.shape[-1] - size) // 2 - margin
        return kappa[:, low : low + size + 2 * margin, low : low + size + 2 * margin, None]

    def describe(self) -> dict[str, Any]:
        """As a card would have it."""
        return {"kind": "lognormal_sky", "answer": self.answer}

    def exponents(self, ell):
        """d ln C_l / d ln omega_m and d ln C_l / d ln sigma8."""
        from_1000 = np.log(np.maximum(ell, 1.0) / 1000)
        return 1.4 - 0.3 * from_1000, self.answer * (2.5 + 0.3 * from_1000)

    def _amplitudes(self, canvas, theta):
        """Roots of the Gaussian field's power, as `lognormal_amplitudes` of sky, in jnp; its variance."""
        geometry = MapGeometry(canvas, canvas * PIXEL_ARCMIN / 60)
        ell = geometry.half_plane_ell()
        grid = np.geomspace(geometry.fundamental_ell, ell.max() * 1.01, 128)
        paper = np.exp(
            np.interp(np.log(np.maximum(ell, 1.0)), np.log(grid), np.log(convergence_power(grid, 1.0)))
        )
        paper[0, 0] = 0.0
        by_omega, by_sigma8 = (jnp.asarray(power, jnp.float32) for power in self.exponents(ell))
        power = jnp.asarray(paper / geometry.pixel_rad**2, jnp.float32)
        power = power * (theta[0] / 0.3) ** by_omega * (theta[1] / 0.8) ** by_sigma8
        xi = jnp.fft.irfft2(power, s=(canvas, canvas))
        gauss = jnp.fft.rfft2(jnp.log1p(xi / SHIFT**2)).real
        # A square root has no slope at 0.
        gauss = jnp.maximum(gauss.at[0, 0].set(0.0), 1e-7 * gauss.max())
        gauss = gauss.at[0, 0].set(0.0)
        variance = jnp.fft.irfft2(gauss, s=(canvas, canvas))[0, 0]
        return jnp.sqrt(gauss.at[0, 0].set(1.0)).at[0, 0].set(0.0), variance


def stand_in(num_pixels: int = 64, answer: float = 1.0) -> Emulator:
    """The emulator; `answer` times as strong a one to sigma8."""
    geometry = MapGeometry(num_pixels, num_pixels * PIXEL_ARCMIN / 60)
    model = LognormalSky(answer)
    return Emulator("stand-in", model, {}, Normalisation("linear", 1.0), geometry, {}, NAMES, design=DESIGN)


def opened(name: str, num_pixels: int) -> Emulator:
    """An emulator by name or folder; stand-in[:answer] is the one of which everything is known."""
    kind, _, answer = name.partition(":")
    return stand_in(num_pixels, float(answer or 1)) if kind == "stand-in" else cosmogan_jax.load(name)
