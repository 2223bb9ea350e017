"""A trained emulator as a value: model, variables, normalisation, geometry and card."""

import dataclasses
import functools
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from cosmogan_jax import keys
from cosmogan_jax.emulators.interface import Latent, Model, Variables
from cosmogan_jax.emulators.kinds import model_of
from cosmogan_jax.emulators.normalisation import Normalisation
from cosmogan_jax.emulators.shear import canvas_pixels, cut_with_shear
from cosmogan_jax.geometry import ARCMIN_PER_DEG, MapGeometry
from cosmogan_jax.settings.key_schemes import recorded_scheme
from cosmogan_jax.storage.weights import CARD, read_card, read_weights
from cosmogan_jax.summaries.shear import Shear

_FOLDER = Path(__file__).parents[1] / "pretrained"


@dataclasses.dataclass(frozen=True)
class Emulator:
    """A model, its variables, and what is needed to read its maps as convergence.

    Attributes:
      name: as it was asked for.
      model: `model.sample(variables, latent, theta)` makes maps in network units.
      variables: of the model, any pytree; float32. None where every call is given its own, as in a training.
      normalisation: its inverse takes network units to kappa.
      geometry: pixels and side of every map.
      card: the model card, as in card.json.
      parameters: names of what maps are conditioned on, the columns of theta.
      key_scheme: how a seed becomes a key, as when the emulator was trained (`keys.py`).
    """

    name: str
    model: Model
    variables: Variables
    normalisation: Normalisation
    geometry: MapGeometry
    card: dict[str, Any]
    parameters: tuple[str, ...] = ()
    key_scheme: int = keys.SCHEME

    def key(self, seed: int) -> Array:
        """The root of the latents of a seed's maps."""
        return keys.key(seed, "latents", self.key_scheme)

    def latents(self, key: Array, index: Int[Array, " maps"]) -> Latent:
        """Latents of the maps of these numbers, stacked: that of map n comes from fold_in(key, n) alone."""
        return _compiled_latents(self.model, self.geometry.num_pixels, key, index)

    def draw(
        self,
        key: Array,
        index: Int[Array, " maps"],
        theta: Float[Array, "maps parameters"] | None = None,
        variables: Variables | None = None,
    ) -> Float[Array, "maps size size bins"]:
        """The maps of these numbers of a key, in kappa: map n is the same whatever else is drawn.

        The one place where a number and a seed become a map. Pure in theta and in the variables, which are the
        emulator's own where none are given.

        Raises:
          ValueError: theta is missing, or has other columns than the emulator has parameters.
        """
        theta = self._theta(theta, len(index))
        variables = self.variables if variables is None else variables
        size = self.geometry.num_pixels
        return _draw(self.model, self.normalisation, size, variables, key, index, theta)

    def kappa(
        self,
        latents: Latent,
        variables: Variables | None = None,
        theta: Float[Array, "maps parameters"] | None = None,
    ) -> Float[Array, "maps size size"]:
        """Convergence of given latents: kappa = normalisation^-1(sample(latents)). Pure in all arguments.

        A last axis of source bins stays where there are several.

        Raises:
          ValueError: as `draw`.
        """
        theta = self._theta(theta, len(jax.tree.leaves(latents)[0]))
        variables = self.variables if variables is None else variables
        return _without_one_bin(_kappa(self.model, self.normalisation, variables, latents, theta))

    def sample(
        self,
        seed: int | Array,
        num_maps: int,
        first: int = 0,
        theta: Float[Array, "maps parameters"] | None = None,
    ) -> Float[Array, "maps size size"]:
        """Maps `first` to `first + num_maps` of a seed (or PRNG key); map n depends on the seed and n alone.

        The same maps as `--pretrained=<name> --generate_seed=<seed>` writes, up to rounding. All are held at
        once: ask for many in pieces, with `first`. A last axis of source bins stays where there are several.

        Raises:
          ValueError: num_maps is not positive, or first is negative; as `draw`.
        """
        if num_maps < 1 or first < 0:
            raise ValueError(f"num_maps={num_maps} must be positive and first={first} not negative")
        key = self.key(seed) if isinstance(seed, int) else seed
        return _without_one_bin(self.draw(key, first + jnp.arange(num_maps), theta))

    def sample_shear(
        self,
        seed: int | Array,
        num_maps: int,
        first: int = 0,
        theta: Float[Array, "maps parameters"] | None = None,
        *,
        canvas: int = 2,
    ) -> Shear:
        """Maps and their shear, (kappa, gamma1, gamma2), cut from a canvas of `canvas` sides, where it is made.

        The shear of a point depends on mass far from it (`summaries.shear.shear_of_canvas` says what a canvas
        leaves out). The law of kappa is that of `sample`; the maps of a seed are different ones, as a map's
        latent depends on its size. Without noise: that of the galaxies' shapes is sigma_e / sqrt(n_gal A_pixel)
        in gamma1 and in gamma2 of a pixel, as in kappa (`summaries.observer`).

        Raises:
          ValueError: a canvas of fewer than 2 sides, or one that the model does not make; as `sample`.
        """
        if num_maps < 1 or first < 0:
            raise ValueError(f"num_maps={num_maps} must be positive and first={first} not negative")
        size = self.geometry.num_pixels
        key = self.key(seed) if isinstance(seed, int) else seed
        kappa = self.of_size(canvas_pixels(size, canvas)).draw(key, first + jnp.arange(num_maps), theta)
        return Shear(*map(_without_one_bin, cut_with_shear(kappa, size)))

    def of_size(self, num_pixels: int) -> "Emulator":
        """The emulator of maps of another size, of the same pixels.

        Raises:
          ValueError: a size of which the model makes no maps.
        """
        size = MapGeometry(num_pixels, self.geometry.pixel_arcmin * num_pixels / ARCMIN_PER_DEG)
        jax.eval_shape(lambda key: self.model.latent(key, num_pixels), self.key(0))
        return dataclasses.replace(self, geometry=size)

    def _theta(self, theta: Array | None, num_maps: int) -> Array:
        if theta is None:
            if self.parameters:
                raise ValueError(f"{self.name}: theta is missing, a row of {', '.join(self.parameters)} a map")
            return jnp.zeros((num_maps, 0), jnp.float32)
        theta = jnp.asarray(theta, jnp.float32)
        if theta.shape != (num_maps, len(self.parameters)):
            raise ValueError(
                f"{self.name}: theta.shape={theta.shape} must be (maps, parameters), "
                f"{(num_maps, len(self.parameters))}"
            )
        return theta


def _parameters(card: dict[str, Any], folder: Path) -> tuple[str, ...]:
    """What the maps are conditioned on; cards of before say nothing of it."""
    names = card.get("parameters", [])
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise ValueError(f"{folder / CARD}: parameters={names!r} must be a list of names")
    return tuple(names)


@functools.partial(jax.jit, static_argnums=(0, 1, 2))
def _draw(
    model: Model,
    normalisation: Normalisation,
    size: int,
    variables: Variables,
    key: Array,
    index: Array,
    theta: Array,
) -> Array:
    return normalisation.inverse(model.sample(variables, _latents(model, size, key, index), theta))


def _latents(model: Model, size: int, key: Array, index: Array) -> Latent:
    return jax.vmap(lambda n: model.latent(jax.random.fold_in(key, n), size))(index)


_compiled_latents = functools.partial(jax.jit, static_argnums=(0, 1))(_latents)


@functools.partial(jax.jit, static_argnums=(0, 1))
def _kappa(
    model: Model, normalisation: Normalisation, variables: Variables, latents: Latent, theta: Array
) -> Array:
    return normalisation.inverse(model.sample(variables, latents, theta))


def _without_one_bin(kappa: Float[Array, "maps size size bins"]) -> Array:
    return kappa[..., 0] if kappa.shape[-1] == 1 else kappa


def names() -> list[str]:
    """Emulators that come with the package."""
    return sorted(path.parent.name for path in _FOLDER.glob(f"*/{CARD}"))


def find(name: str) -> Path:
    """The folder of an emulator: one that comes with the package, or any folder with a card.

    Raises:
      ValueError: there is none.
    """
    known = names()
    if name in known:
        return _FOLDER / name
    if (Path(name) / CARD).is_file():
        return Path(name)
    raise ValueError(
        f"pretrained={name!r} is neither a folder with a {CARD} nor one of the known emulators: "
        f"{', '.join(known) or 'none come with this version'}"
    )


def load(name: str | Path, *, forward_mode: bool = False) -> Emulator:
    """Open an emulator by its name, or by the folder that stage pack wrote.

    Args:
      name: one of `names()`, or a folder.
      forward_mode: write the convolutions so that jax.jvp, jax.jacfwd and jax.hessian go through them too.
        The same maps up to rounding; a CPU takes several times as long. Reverse mode always works.

    Raises:
      ValueError: no such emulator; weights that are not those of the card (SHA-256), do not fit its
        architecture or are not finite; a card of another version.
    """
    folder = find(str(name))
    card = read_card(folder)
    model = model_of(card["architecture"], forward_mode=forward_mode)
    geometry = MapGeometry(card["geometry"]["num_pixels"], card["geometry"]["side_deg"])
    parameters, scheme = _parameters(card, folder), recorded_scheme(card, folder / CARD)
    normalisation = Normalisation.of(card["normalisation"])
    any_key = keys.key(0, "weights")
    try:
        jax.eval_shape(lambda key: model.latent(key, geometry.num_pixels), any_key)
    except ValueError as error:
        raise ValueError(f"{folder / CARD}: num_pixels={geometry.num_pixels}, {error}") from error
    like = jax.eval_shape(model.init, any_key)
    return Emulator(
        str(name),
        model,
        jax.tree.map(jnp.asarray, read_weights(folder, card, like)),
        normalisation,
        geometry,
        card,
        parameters,
        scheme,
    )
