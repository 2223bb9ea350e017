"""From white noise to what the generator sees: the lognormal base, and noise of modulated amplitude.

All fields are drawn on canvases larger than what is cut from them, so that no opposite borders of a map are
neighbours of each other: the base's is twice as large, so that no two of its pixels are nearer around the
canvas than across the map, the noise's larger by several of its longest waves, and a smooth field's by six
times its smoothing, where its correlation has fallen to exp(-9).
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from cosmogan_jax.emulators.lognormal_gan.base import Base
from cosmogan_jax.emulators.lognormal_gan.canvas import Canvas, gaussian
from cosmogan_jax.emulators.lognormal_gan.joint_base import JointBase
from cosmogan_jax.emulators.lognormal_gan.waves import fast_size

# Smoothing in pixels, of the fields that tell the network of a pixel's surroundings, and of those that modulate
# noise.
_SURROUNDINGS = (1.5, 3.0, 6.0, 12.0)
_MODULATIONS = (3.0, 8.0, 24.0)
# The noise holds waves shorter than this many pixels only; its amplitude varies by this much.
_HIGH_PASS, _MODULATION = 3.0, 0.5
# Pixels that a canvas is larger than what is seen: of the noise, 7 of the smoothing whose complement it is; of
# a smooth field, so many of its smoothing.
_MARGIN, _SMOOTHINGS = 22, 6
# Of one input beside the others: the noise is small.
_NOISE_GAIN = 2.0


class Noise(NamedTuple):
    """A kind of noise: its waves are `stretch` times the shortest's, its amplitude is smoothed so far."""

    stretch: int
    modulation: float


class Scales(NamedTuple):
    """The lengths at which fields are made, in pixels.

    Pixels that are 2^octaves times finer hold more: surroundings are smoothed as far as in arcminutes before,
    and noise of 2^octaves times longer waves, modulated as much more slowly, comes to that of the shortest.
    """

    octaves: int = 0

    @property
    def surroundings(self) -> tuple[float, ...]:
        """Return the smoothing of fields that tell of a pixel's surroundings."""
        return _SURROUNDINGS + tuple(_SURROUNDINGS[-1] * 2.0**n for n in range(1, self.octaves + 1))

    @property
    def noises(self) -> tuple[Noise, ...]:
        """Return all kinds of noise."""
        stretches = (1, 2**self.octaves) if self.octaves else (1,)
        return tuple(Noise(s, s * scale) for s in stretches for scale in _MODULATIONS)

    @property
    def margin(self) -> int:
        """Return by how many pixels the noise's canvas is larger than what is seen."""
        return _MARGIN * 2**self.octaves

    @property
    def num_inputs(self) -> int:
        """Count the inputs of the generator for every pixel, of one source bin."""
        return self.inputs_of(1)

    def inputs_of(self, num_bins: int) -> int:
        """Count them of so many source bins."""
        return num_bins * (2 + len(self.surroundings) + len(self.noises)) + len(self.noises)


COARSE = Scales()


class Latent(NamedTuple):
    """White noise of variance 1: all that is random in a map, or with an axis more in a batch of maps.

    Of several source bins, field and noise have an axis of bins before these; amplitudes are of all bins, as
    independent ones would take exp(-beta^2) of the noise's cross power away, beta being how far they vary.

    Attributes:
      field: of the base.
      noise: of the high-passed noise, a canvas for each kind.
      amplitude: of the smooth field that modulates each.
    """

    field: Float[Array, "*batch height width"]
    noise: Float[Array, "*batch kinds tall wide"]
    amplitude: tuple[Float[Array, "*batch taller wider"], ...]


class Inputs(NamedTuple):
    """Inputs of every pixel that the generator sees, in units of the maps' sigma.

    Of several source bins, base and noise have an axis of bins after the width; the features are of all.

    Attributes:
      base: the lognormal field.
      noise: modulated noise of the maps' own small-scale spectrum, by kind.
      features: what the network's first convolution is given.
    """

    base: Float[Array, "batch height width"]
    noise: Float[Array, "batch height width kinds"]
    features: Float[Array, "batch height width inputs"]


def draw(key: Array, height: int, width: int, scales: Scales = COARSE, num_bins: int = 1) -> Latent:
    """Draw the latent of one map of which the generator sees height x width pixels."""
    bins = () if num_bins == 1 else (num_bins,)
    noise = *bins, len(scales.noises), height + scales.margin, width + scales.margin
    margins = [int(_SMOOTHINGS * kind.modulation) for kind in scales.noises]
    amplitude = [(fast_size(height + margin), fast_size(width + margin)) for margin in margins]
    shapes = [(*bins, fast_size(2 * height), fast_size(2 * width)), noise, *amplitude]
    # One draw, as every one costs a second of compilation.
    ends = np.cumsum([np.prod(shape) for shape in shapes])
    white = jnp.split(jax.random.normal(key, (int(ends[-1]),), jnp.float32), ends[:-1])
    field, noises, *amplitudes = (numbers.reshape(shape) for numbers, shape in zip(white, shapes))
    return Latent(field, noises, tuple(amplitudes))


def seen(latent: Latent, scales: Scales = COARSE) -> tuple[int, int]:
    """Return height and width that the generator sees."""
    return latent.noise.shape[-2] - scales.margin, latent.noise.shape[-1] - scales.margin


def widest_margin(height: int, width: int) -> int:
    """Return by how many pixels the base's canvas is wider, on every side, than the height x width seen."""
    return min((fast_size(2 * side) - side) // 2 for side in (height, width))


def inputs(base: Base, latent: Latent, margin: int = 0, scales: Scales = COARSE) -> Inputs:
    """Compute the generator's inputs; pure, differentiable in both arguments.

    margin: so many pixels more on every side, of the same canvases: what lies around the very same map. All
    fields are periodic on their canvases, so that there is as much of them as is asked for; those of the noise
    repeat themselves from half the canvas' surplus on.
    """
    frame = _Frame(*seen(latent, scales), margin)
    canvas = Canvas(latent.field.shape[-2:])
    y, g, around = _lognormal(base, canvas, jnp.fft.rfft2(latent.field), frame, scales)
    canvas = Canvas(latent.noise.shape[-2:])
    fine = _noise(base, canvas, jnp.fft.rfft2(latent.noise), frame, scales)
    amplitude = _amplitude(latent, frame, scales)
    noise = fine * _modulation(amplitude)
    if base.modulation is not None:
        y = y * _modulation(amplitude[..., -1, :, :], base.modulation)
    noise, amplitude = (jnp.moveaxis(v, -3, -1) for v in (noise, amplitude))
    features = jnp.concatenate(
        [jnp.stack([g, jnp.arcsinh(y), *around], -1), _NOISE_GAIN * noise, amplitude], -1
    )
    return Inputs(y, noise, features)


def joint_inputs(base: JointBase, latent: Latent, margin: int = 0, scales: Scales = COARSE) -> Inputs:
    """Compute `inputs` of several source bins, whose white noise is correlated as the base says."""
    frame = _Frame(*seen(latent, scales), margin)
    canvas = Canvas(latent.field.shape[-2:])
    white = _correlated(canvas.at_waves(base.field_root), jnp.fft.rfft2(latent.field), -3)

    def of_bin(own: Base, white: Array) -> tuple[Array, Array, list[Array]]:
        return _lognormal(own, canvas, white, frame, scales)

    y, g, around = jax.vmap(of_bin, (0, white.ndim - 3), -1)(base.each, white)
    noise_canvas = Canvas(latent.noise.shape[-2:])
    white = _correlated(noise_canvas.at_waves(base.noise_root), jnp.fft.rfft2(latent.noise), -4)
    fine = jax.vmap(
        lambda own, white: _noise(own, noise_canvas, white, frame, scales), (0, white.ndim - 4), -1
    )(base.each, white)
    amplitude = _amplitude(latent, frame, scales)
    noise = fine * _modulation(amplitude)[..., None]
    if base.each.modulation is not None:
        y = y * _modulation(amplitude[..., -1, :, :, None], base.each.modulation)
    noise, amplitude = jnp.moveaxis(noise, -4, -1), jnp.moveaxis(amplitude, -3, -1)
    flat = (_NOISE_GAIN * noise).reshape(*noise.shape[:-2], -1)
    features = jnp.concatenate([g, jnp.arcsinh(y), *around, flat, amplitude], -1)
    return Inputs(y, noise, features)


class _Frame(NamedTuple):
    """What is cut from a canvas: the pixels seen, and so many more on every side."""

    height: int
    width: int
    margin: int

    def cut(self, transform: Array, canvas: Canvas) -> Array:
        return _window(jnp.fft.irfft2(transform, canvas.shape), *self)


def _lognormal(base: Base, canvas: Canvas, white: Array, frame: _Frame, scales: Scales):
    """Return the base, the Gaussian field behind it, and this smoothed, of the transform of white noise."""
    colour = canvas.at_waves(base.log_amplitude)
    smoothed = [canvas.unit(colour * canvas.gaussian(scale)) for scale in scales.surroundings]
    around = [frame.cut(white * window, canvas) for window in smoothed]
    whole = jnp.fft.irfft2(white * canvas.unit(colour), canvas.shape)
    exponential = base.shift * (jnp.exp(base.spread * whole - base.spread**2 / 2) - 1)
    y = frame.cut(jnp.fft.rfft2(exponential) * canvas.directed(base.window, base), canvas)
    return y, _window(whole, *frame), around


def _noise(base: Base, canvas: Canvas, white: Array, frame: _Frame, scales: Scales) -> Array:
    """Return noise of the maps' power, an axis of kinds before rows and columns."""
    shares = jnp.stack([_waves_of(kind, canvas.k) for kind in scales.noises])
    return frame.cut(white * (canvas.directed(base.amplitude, base) * shares), canvas)


def _amplitude(latent: Latent, frame: _Frame, scales: Scales) -> Array:
    """Return the smooth field of variance 1 that modulates each kind of noise."""
    smooth = []
    for of_field, kind in zip(latent.amplitude, scales.noises):
        canvas = Canvas(of_field.shape[-2:])
        smooth.append(
            frame.cut(jnp.fft.rfft2(of_field) * canvas.unit(canvas.gaussian(kind.modulation)), canvas)
        )
    return jnp.stack(smooth, -3)


def _modulation(amplitude: Array, beta: float | Array = _MODULATION) -> Array:
    # <exp(2 beta g)> = exp(2 beta^2): as much noise as without modulation.
    return jnp.exp(beta * amplitude - beta**2)


def _correlated(root: Float[Array, "height half bins bins"], white: Array, axis: int) -> Array:
    """Return sum_j R_ij w_j of transforms w, bins along `axis`; between waves too, rows of R have norm 1."""
    root = root / jnp.sqrt((root**2).sum(-1, keepdims=True))
    root = jnp.moveaxis(root, (-2, -1), (0, 1)).reshape(*root.shape[-2:], *(1,) * (-3 - axis), *root.shape[:2])
    return (root * jnp.expand_dims(white, axis - 1)).sum(axis)


def _window(field: Float[Array, "*batch tall wide"], height: int, width: int, margin: int) -> Array:
    """Cut a canvas' first height x width pixels, with a margin that begins at its far ends on every side."""
    if margin:
        for axis, side in ((-2, height), (-1, width)):
            field = jnp.take(field, np.arange(-margin, side + margin) % field.shape[axis], axis)
        return field
    return field[..., :height, :width]


def share_of_noise(
    k: Float[np.ndarray, "..."], amplitude: float, scales: Scales = COARSE
) -> Float[np.ndarray, "..."]:
    """Return the share of the maps' power that all kinds of noise hold together, times this amplitude each."""
    return amplitude**2 * np.sum([_waves_of(kind, k) ** 2 for kind in scales.noises], axis=0)


def _waves_of(kind: Noise, k: Float[np.ndarray, "..."]) -> Float[np.ndarray, "..."]:
    """Return the share of every wave that a kind of noise holds; long noise leaves the shortest to short."""
    high = 1 - gaussian(k, _HIGH_PASS * kind.stretch)
    return high if kind.stretch == 1 else high * gaussian(k, _HIGH_PASS)
