"""A trained emulator as a value: model, variables, normalisation, geometry and card."""

import dataclasses
import os
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Array, Float, Int

from cosmogan_jax import keys
from cosmogan_jax.emulators import drawing
from cosmogan_jax.emulators.drawing import Size
from cosmogan_jax.emulators.interface import Latent, Model, Variables
from cosmogan_jax.emulators.normalisation import Normalisation
from cosmogan_jax.emulators.observed import Look, look_of
from cosmogan_jax.emulators.parameters import check_inside, check_theta, theta_of
from cosmogan_jax.emulators.shear import canvas_pixels, cut_with_shear
from cosmogan_jax.geometry import ARCMIN_PER_DEG, MapGeometry
from cosmogan_jax.summaries.observer import GalaxyNoise
from cosmogan_jax.summaries.shear import Shear
from cosmogan_jax.switches import with_usual


@dataclasses.dataclass(frozen=True)
class Emulator:
    """A model, its variables, and what is needed to read its maps as convergence.

    Attributes:
      name: as it was asked for.
      model: `model.sample(variables, latent, theta)` makes maps in network units.
      variables: of the model, any pytree; float32. None where every call is given its own, as in a training.
      normalisation: its inverse takes network units to kappa.
      geometry: pixels and side of every map that is not asked for in another size.
      card: the model card, as in card.json.
      parameters: names of what maps are conditioned on, the columns of theta.
      key_scheme: how a seed becomes a key, as when the emulator was trained (`keys.py`).
      training_pixels: side of the maps that the training crops were cut from; None where it is not recorded,
        and counts as the crops' own.
      design: cosmologies of the training maps, a row of parameters each; where it is not recorded, none.
    """

    name: str
    model: Model
    variables: Variables
    normalisation: Normalisation
    geometry: MapGeometry
    card: dict[str, Any]
    parameters: tuple[str, ...] = ()
    key_scheme: int = keys.SCHEME
    training_pixels: int | None = None
    design: tuple[tuple[float, ...], ...] = ()

    @with_usual
    def key(self, seed: int) -> Array:
        """Return the root of the latents of a seed's maps."""
        return keys.key(seed, "latents", self.key_scheme)

    @with_usual
    def latents(self, key: Array, index: Int[Array, " maps"], size: Size | None = None) -> Latent:
        """Draw latents of the maps of these numbers, stacked: that of map n comes from fold_in(key, n) alone.

        Maps of different sizes have latents, and are maps, that have nothing in common.
        """
        return drawing.compiled_latents(self.model, self._shape(size), key, index)

    @with_usual
    def draw(
        self,
        key: Array,
        index: Int[Array, " maps"],
        theta: Float[Array, "maps parameters"] | None = None,
        variables: Variables | None = None,
        *,
        size: Size | None = None,
        noise: GalaxyNoise | None = None,
        smoothing_arcmin: float = 0.0,
    ) -> Float[Array, "maps height width bins"]:
        """Draw the maps of these numbers of a key, in kappa: map n is the same whatever else is drawn.

        The one place where a number and a seed become a map. Pure in theta and in the variables, which are the
        emulator's own where none are given. Any size that the model makes: what was tested `sample` asks.

        Raises:
          ValueError: theta is missing, or has other columns than the emulator has parameters; a size, noise or
            smoothing as for `sample`.
        """
        theta, shape, look = self._prepared(theta, len(index), size, noise, smoothing_arcmin)
        variables = self.variables if variables is None else variables
        return drawing.draw(self.model, self.normalisation, shape, look, variables, key, index, theta)

    @with_usual
    def draw_side_by_side(
        self,
        key: Array,
        index: Int[Array, " maps"],
        theta: Float[Array, "maps parameters"] | None = None,
        *,
        size: Size | None = None,
        noise: GalaxyNoise | None = None,
        smoothing_arcmin: float = 0.0,
    ) -> Float[Array, "maps height width bins"]:
        """Draw the maps of `draw`, up to rounding; not to be traced. Every core of a CPU draws its share.

        One map after the other, so that what it is made from stays in the cache: for kinds that draw canvases
        larger than their maps, and whose maps share little. Elsewhere it is `draw`.

        Raises:
          ValueError: as `draw`.
        """
        if jax.default_backend() != "cpu" or not self.model.any_size:
            return self.draw(key, index, theta, size=size, noise=noise, smoothing_arcmin=smoothing_arcmin)
        theta, shape, look = self._prepared(theta, len(index), size, noise, smoothing_arcmin)
        shares = min(len(os.sched_getaffinity(0)), len(index))
        each = -(-len(index) // shares)
        # Shares of one length, for one program; the last may make a map again that nobody looks at.
        numbers = np.minimum(np.arange(shares * each), len(index) - 1).reshape(shares, each)
        draw_parts = drawing.side_by_side(self.model, self.normalisation, shape, look, each)
        on_host, rows = np.asarray(index), np.asarray(theta)  # chosen from without a program for it
        parts = [(self.variables, key, on_host[share], rows[share]) for share in numbers]
        return jnp.concatenate(draw_parts(parts))[: len(index)]

    @with_usual
    def kappa(
        self,
        latents: Latent,
        variables: Variables | None = None,
        theta: Float[Array, "maps parameters"] | None = None,
    ) -> Float[Array, "maps size size"]:
        """Compute kappa = normalisation^-1(sample(latents)) of given latents. Pure in all arguments.

        A last axis of source bins stays where there are several. Where the model makes maps of any size, the
        latents' own size decides that of the maps.

        Raises:
          ValueError: latents of another form or shape than `latents` gives, with both shapes; as `draw`.
        """
        num_maps = drawing.count_latents(self.name, self.model, self.geometry.num_pixels, latents)
        theta = check_theta(self.name, self.parameters, theta, num_maps)
        variables = self.variables if variables is None else variables
        return _without_one_bin(drawing.kappa_of(self.model, self.normalisation, variables, latents, theta))

    @with_usual
    def sample(
        self,
        seed: int | Array,
        num_maps: int,
        first: int = 0,
        theta: Float[Array, "maps parameters"] | None = None,
        *,
        size: Size | None = None,
        allow_untested_size: bool = False,
        noise: GalaxyNoise | None = None,
        smoothing_arcmin: float = 0.0,
        extrapolate: bool = False,
        **parameters: ArrayLike,
    ) -> Float[Array, "maps height width"]:
        """Draw maps `first` to `first + num_maps` of a seed or PRNG key; map n depends on the seed and n alone.

        The same maps as `--pretrained=<name> --generate_seed=<seed>` writes, up to rounding. All are held at
        once: ask for many in pieces, with `first`. A last axis of source bins stays where there are several.

        Args:
          size: pixels of a side, or (height, width), as wide as the emulator's own; None: as its geometry. The
            law of the maps is the same; the maps of a seed in two sizes are different ones.
          allow_untested_size: make maps of more than twice the training maps' side too, whose longest waves
            were in no map that it learnt from.
          noise: shape noise of the galaxies in each bin, added to the very maps that are made without.
          smoothing_arcmin: standard deviation of a Gaussian, applied last; `summaries.observer.smooth`. Without
            borders where the kind of emulator knows what lies around a map, else periodic.
          extrapolate: make maps of cosmologies outside the hull of the training maps', too.
          parameters: by name in place of theta, omega_m=0.3 of all maps or an array of one each. A seed is the
            same sky at two cosmologies, changed; the maps are differentiable in them. By jax.grad always; by
            jax.jvp where the kind's operations allow it, as a lognormal_gan's do: a dcgan's convolutions raise
            TypeError there but of `load(..., forward_mode=True)`.

        Raises:
          ValueError: num_maps is not positive, or first negative; a size that the model does not make, or not
            tested; too wide smoothing; parameters that are missing, unknown, or outside; as `draw`.
        """
        key, index = self._numbered(seed, num_maps, first)
        if size is not None:
            self.check_size(size, allow_untested_size=allow_untested_size)
        theta = self.theta(num_maps, theta, extrapolate=extrapolate, **parameters)
        arrays = jax.tree.leaves((key, theta, self.variables))
        traced = any(isinstance(array, jax.core.Tracer) for array in arrays)
        draw_maps = self.draw if traced else self.draw_side_by_side
        kappa = draw_maps(key, index, theta, size=size, noise=noise, smoothing_arcmin=smoothing_arcmin)
        return _without_one_bin(kappa)

    @with_usual
    def sample_shear(
        self,
        seed: int | Array,
        num_maps: int,
        first: int = 0,
        theta: Float[Array, "maps parameters"] | None = None,
        *,
        canvas: int = 2,
        extrapolate: bool = False,
        **parameters: ArrayLike,
    ) -> Shear:
        """Draw maps and their shear, (kappa, gamma1, gamma2), cut from a canvas of `canvas` sides.

        The shear of a point depends on mass far from it (`summaries.shear.shear_of_canvas` says what a canvas
        leaves out). The law of kappa is that of `sample`; the maps of a seed are different ones, as a map's
        latent depends on its size. Without noise: that of the galaxies' shapes is sigma_e / sqrt(n_gal A_pixel)
        in gamma1 and in gamma2 of a pixel, as in kappa (`summaries.observer`).

        Raises:
          ValueError: a canvas of fewer than 2 sides, or one that the model does not make; as `sample`.
        """
        key, index = self._numbered(seed, num_maps, first)
        size = self.geometry.num_pixels
        # What is cut out of it is no larger than a map.
        whole = self.of_size(canvas_pixels(size, canvas), allow_untested_size=True)
        theta = self.theta(num_maps, theta, extrapolate=extrapolate, **parameters)
        kappa = whole.draw(key, index, theta)
        return Shear(*map(_without_one_bin, cut_with_shear(kappa, size)))

    @with_usual
    def theta(
        self,
        num_maps: int,
        theta: Float[Array, "maps parameters"] | None = None,
        *,
        extrapolate: bool = False,
        **parameters: ArrayLike,
    ) -> Float[Array, "maps parameters"]:
        """Return a row of parameters a map, of parameters by name or of theta itself; errors as of `sample`."""
        if parameters and theta is not None:
            raise ValueError(f"{self.name}: theta and {next(iter(parameters))} cannot both be given")
        if parameters:
            theta = theta_of(self.name, self.parameters, parameters, num_maps)
        theta = check_theta(self.name, self.parameters, theta, num_maps)
        if self.design and not extrapolate:
            check_inside(self.name, self.parameters, self.design, theta)
        return theta

    def of_size(self, num_pixels: int, *, allow_untested_size: bool = False) -> "Emulator":
        """Return the emulator of square maps of another size, of the same pixels.

        Raises:
          ValueError: as `check_size`.
        """
        self.check_size(num_pixels, allow_untested_size=allow_untested_size)
        size = MapGeometry(num_pixels, self.geometry.pixel_arcmin * num_pixels / ARCMIN_PER_DEG)
        return dataclasses.replace(self, geometry=size, training_pixels=self._training_side)

    @with_usual
    def check_size(self, size: Size, *, allow_untested_size: bool = False) -> tuple[int, int]:
        """Return height and width, where maps of that size can be asked for.

        Raises:
          ValueError: a size of which the model makes no maps; or one of more than twice the training maps'
            side, where that is not allowed.
        """
        height, width = self._shape(size)
        jax.eval_shape(lambda key: self.model.latent(key, height, width), self.key(0))
        side = self._training_side
        if max(height, width) > 2 * side and not allow_untested_size:
            raise ValueError(
                f"size={height}x{width} is more than twice the {side} pixels of the training maps: no map was "
                "there to learn such long waves from (allow_untested_size makes them nevertheless)"
            )
        return height, width

    @property
    def _training_side(self) -> int:
        return self.geometry.num_pixels if self.training_pixels is None else self.training_pixels

    def _numbered(self, seed: int | Array, num_maps: int, first: int) -> tuple[Array, Int[Array, " maps"]]:
        """Return a seed's key, or the given one, and the maps' numbers; ValueError where there are none."""
        if num_maps < 1 or first < 0:
            raise ValueError(f"num_maps={num_maps} must be positive and first={first} not negative")
        index = first + jnp.arange(num_maps)
        return self.key(seed) if isinstance(seed, int) else seed, index

    def _prepared(
        self,
        theta: Array | None,
        num_maps: int,
        size: Size | None,
        noise: GalaxyNoise | None,
        smoothing_arcmin: float,
    ) -> tuple[Array, tuple[int, int], Look | None]:
        """Return theta of every map, their height and width, and how they are seen."""
        theta, shape = check_theta(self.name, self.parameters, theta, num_maps), self._shape(size)
        return theta, shape, look_of(self.model, self.geometry, shape, noise, smoothing_arcmin)

    def _shape(self, size: Size | None) -> tuple[int, int]:
        """Return height and width."""
        own = self.geometry.num_pixels
        return (own, own) if size is None else drawing.height_and_width(size)


def _without_one_bin(kappa: Float[Array, "maps size size bins"]) -> Array:
    return kappa[..., 0] if kappa.shape[-1] == 1 else kappa
