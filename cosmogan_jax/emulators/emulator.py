"""A trained generator as a value: networks, variables, normalisation, geometry and card."""

import dataclasses
import functools
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from cosmogan_jax.emulators.dcgan.networks import Architecture, Networks, Variables, build_networks
from cosmogan_jax.emulators.dcgan.sampling import latents
from cosmogan_jax.emulators.normalisation import Normalisation
from cosmogan_jax.geometry import MapGeometry
from cosmogan_jax.storage.weights import CARD, read_card, read_weights

_FOLDER = Path(__file__).parents[1] / "pretrained"


@dataclasses.dataclass(frozen=True)
class Emulator:
    """A generator G, its variables, and what is needed to read its maps as convergence.

    Attributes:
      name: as it was asked for.
      networks: pure functions; `networks.gen.apply(params, batch_stats, z, train=False)` is G in network units.
      variables: {"params", "batch_stats"} of the generator, float32.
      normalisation: its inverse takes network units to kappa.
      geometry: pixels and side of every map.
      card: the model card, as in card.json.
    """

    name: str
    networks: Networks
    variables: Variables
    normalisation: Normalisation
    geometry: MapGeometry
    card: dict[str, Any]

    @property
    def latent_size(self) -> int:
        """Length of z."""
        return self.networks.arch.latent_size

    def kappa(
        self, z: Float[Array, "maps latent"], variables: Variables | None = None
    ) -> Float[Array, "maps size size"]:
        """Convergence of z ~ N(0, 1): kappa = normalisation^-1(G(z)). Pure in z and in the variables.

        Batch norm by the running averages, so that a map does not depend on the others of its batch.
        """
        return _kappa(self.networks, self.normalisation, variables or self.variables, z)

    def sample(self, seed: int | Array, num_maps: int, first: int = 0) -> Float[Array, "maps size size"]:
        """Maps `first` to `first + num_maps` of a seed (or PRNG key); map n depends on the seed and n alone.

        The same maps as `--pretrained=<name> --generate_seed=<seed>` writes, up to rounding. All are held at
        once: ask for many in pieces, with `first`.

        Raises:
          ValueError: num_maps is not positive, or first is negative.
        """
        if num_maps < 1 or first < 0:
            raise ValueError(f"num_maps={num_maps} must be positive and first={first} not negative")
        key = jax.random.key(seed) if isinstance(seed, int) else seed
        return self.kappa(latents(key, first + jnp.arange(num_maps), self.latent_size))


@functools.partial(jax.jit, static_argnums=(0, 1))
def _kappa(networks: Networks, normalisation: Normalisation, variables: Variables, z: Array) -> Array:
    x, _ = networks.gen.apply(variables["params"], variables["batch_stats"], z, train=False)
    return normalisation.inverse(x)


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
    form = {"convolution_form": "stock"} if forward_mode else {}
    networks = build_networks(Architecture.of(card["architecture"] | form))
    geometry = MapGeometry(card["geometry"]["num_pixels"], card["geometry"]["side_deg"])
    if geometry.num_pixels != networks.arch.map_size:
        raise ValueError(
            f"{folder / CARD}: num_pixels={geometry.num_pixels}, but the architecture makes maps of "
            f"{networks.arch.map_size}"
        )
    normalisation = Normalisation.of(card["normalisation"])
    params, batch_stats = jax.eval_shape(networks.gen.init, jax.random.key(0))
    variables = read_weights(folder, card, {"params": params, "batch_stats": batch_stats})
    return Emulator(
        str(name),
        networks,
        jax.tree.map(jnp.asarray, variables),
        normalisation,
        geometry,
        card,
    )
