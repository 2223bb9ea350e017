"""The lognormal GAN's generator as a model: maps of any size from white noise."""

import dataclasses
import functools
from collections.abc import Iterable, Mapping
from typing import Any, ClassVar

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from cosmogan_jax.emulators.lognormal_gan.base import Base, measured, unmeasured
from cosmogan_jax.emulators.lognormal_gan.fields import (
    Latent,
    Scales,
    draw,
    inputs,
    share_of_noise,
    widest_margin,
)
from cosmogan_jax.emulators.lognormal_gan.generator import START_OF_NOISE, Generator
from cosmogan_jax.layers.initialisation import Variables
from cosmogan_jax.settings.lognormal_gan import BASE_POWERS

KIND = "lognormal_gan"
_MOST = {"num_layers": (1, 64), "num_channels": (1, 1024), "octaves": (0, 4)}
_EARLIER = {"base_power": BASE_POWERS[0]}  # of cards that say nothing of it


@dataclasses.dataclass(frozen=True)
class LognormalGan:
    """A network on a lognormal base field, as `interface.Model`; variables: {"base": Base, "params"}.

    Attributes:
      num_layers, num_channels: of the generator's convolutions.
      octaves: by how many factors of two pixels are finer than those the lengths in `fields.py` are made for.
      base_power: whether the base's power depends on direction (`base.py`): "isotropic" or "fourfold".
    """

    num_layers: int
    num_channels: int
    octaves: int = 0
    base_power: str = "isotropic"
    limit: ClassVar[float | None] = None
    upsamplings: ClassVar[int] = 0
    any_size: ClassVar[bool] = True
    full_precision: ClassVar[tuple[str, ...]] = ("base",)

    def __post_init__(self):
        for name, (least, most) in _MOST.items():
            value = getattr(self, name)
            if type(value) is not int or not least <= value <= most:
                raise ValueError(
                    f"{name}={value!r} of a lognormal_gan must be a whole number from {least} to {most}"
                )
        if self.base_power not in BASE_POWERS:
            raise ValueError(
                f"base_power={self.base_power!r} of a lognormal_gan must be one of {', '.join(BASE_POWERS)}"
            )

    @property
    def generator(self) -> Generator:
        """Return the network."""
        return Generator(self.num_layers, self.num_channels, self.octaves)

    @property
    def scales(self) -> Scales:
        """Return the lengths of its fields."""
        return Scales(self.octaves)

    def measured(self, maps: Iterable[Float[np.ndarray, "maps size size"]]) -> Base:
        """Measure the base of training maps in network units; a fresh network's noise has room beside it.

        Raises:
          ValueError: as `base.measured`.
        """
        room = functools.partial(share_of_noise, amplitude=START_OF_NOISE, scales=self.scales)
        return measured(maps, self.base_power == "fourfold", room)

    def unmeasured(self) -> Base:
        """Return a base of white noise, of the shapes that `measured` gives."""
        return unmeasured(self.base_power == "fourfold")

    def init(self, key: Array) -> Variables:
        """Make a fresh network, on a base of white noise: nothing is measured yet."""
        return {"base": self.unmeasured(), "params": self.generator.init(key)}

    def latent(self, key: Array, height: int, width: int | None = None) -> Latent:
        """Draw white noise on the canvases of one map.

        Raises:
          ValueError: a size that is not positive.
        """
        width = height if width is None else width
        if min(height, width) < 1:
            raise ValueError(f"size={height}x{width} must be positive")
        edge = self.generator.edge
        return draw(key, height + 2 * edge, width + 2 * edge, self.scales)

    def widest_margin(self, height: int, width: int) -> int:
        """Return what the canvas of the base holds around a map."""
        edge = self.generator.edge
        return widest_margin(height + 2 * edge, width + 2 * edge)

    def sample(
        self,
        variables: Variables,
        latent: Latent,
        theta: Float[Array, "batch parameters"],
        margin: int = 0,
    ) -> Float[Array, "batch height width 1"]:
        """Compute maps in network units; theta is not looked at."""
        base = Base(*variables["base"])
        x = self.generator.apply(variables["params"], inputs(base, latent, margin, self.scales))
        return (base.mean + base.sigma * x)[..., None]

    def describe(self) -> dict[str, Any]:
        """Return its sizes."""
        return {"kind": KIND, **dataclasses.asdict(self)}


def model_of(description: Mapping[str, Any], forward_mode: bool) -> LognormalGan:
    """Make the model that a card describes; forward-mode differentiation goes through it as it is.

    Raises:
      ValueError: fields that are unknown or missing, or sizes that no network has.
    """
    fields = _EARLIER | {name: value for name, value in description.items() if name != "kind"}
    if fields.keys() != (names := _MOST | _EARLIER).keys():
        raise ValueError(
            f"architecture: {', '.join(sorted(description)) or 'nothing'} must be {', '.join(names)}"
        )
    return LognormalGan(**fields)


def units(x: Float[Array, "batch size size"], base: Base) -> Float[Array, "batch size size"]:
    """Convert maps from network units to units of the training maps' sigma about their mean."""
    return (x - base.mean) / jnp.maximum(base.sigma, 1e-30)
