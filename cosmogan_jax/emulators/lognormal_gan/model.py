"""The lognormal GAN's generator as a model: maps of any size from white noise."""

import dataclasses
import functools
from collections.abc import Callable, Iterable, Mapping
from typing import Any, ClassVar, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from cosmogan_jax.emulators import conditioning
from cosmogan_jax.emulators.conditioning import ONE, Conditioning, Cosmologies
from cosmogan_jax.emulators.interface import TrainingMaps
from cosmogan_jax.emulators.lognormal_gan import base_of_theta, bins_apart, joint_base, joint_base_of_theta
from cosmogan_jax.emulators.lognormal_gan.base import Base, base_of, measured, unmeasured
from cosmogan_jax.emulators.lognormal_gan.base_of_theta import BaseOfTheta, ErrorsLeftOut
from cosmogan_jax.emulators.lognormal_gan.conditional_base import ConditionalBase
from cosmogan_jax.emulators.lognormal_gan.fields import (
    Inputs,
    Latent,
    Scales,
    draw,
    inputs,
    joint_inputs,
    share_of_noise,
    widest_margin,
)
from cosmogan_jax.emulators.lognormal_gan.generator import START_OF_NOISE, Generator
from cosmogan_jax.emulators.lognormal_gan.joint_base import JointBase
from cosmogan_jax.emulators.lognormal_gan.joint_base_of_theta import JointBaseOfTheta
from cosmogan_jax.emulators.lognormal_gan.map_sums import JointSums
from cosmogan_jax.emulators.lognormal_gan.units import AnyBase, base_axes
from cosmogan_jax.layers.initialisation import Variables
from cosmogan_jax.settings.lognormal_gan import BASE_POWERS

KIND = "lognormal_gan"
_MOST = {"num_layers": (1, 64), "num_channels": (1, 1024), "octaves": (0, 4)}
_OF_THETA: dict[str, Any] = {"parameters": (), "theta_order": 2}
_EARLIER = {"base_power": BASE_POWERS[0], "modulated": False}  # of cards that say nothing of it
_OF_BINS = {"num_bins": 1}
_MOST_BINS = 64
Maps = TypeVar("Maps", Array, np.ndarray)


@dataclasses.dataclass(frozen=True)
class LognormalGan:
    """A network on a lognormal base field, as `interface.Model`; variables: {"base": Base, "params"}.

    Attributes:
      num_layers, num_channels: of the generator's convolutions.
      octaves: by how many factors of two pixels are finer than those the lengths in `fields.py` are made for.
      base_power: whether the base's power depends on direction (`base.py`): "isotropic" or "fourfold".
      parameters: names of what maps are conditioned on, the columns of theta; none for a single cosmology.
      theta_order: of the polynomial in them that the base follows (`conditioning.py`).
      num_bins: source bins that are made together, the last axis of maps.
      modulated: whether the base's amplitude varies slowly, where tails are heavier than a lognormal field's.
    """

    num_layers: int
    num_channels: int
    octaves: int = 0
    base_power: str = "isotropic"
    parameters: tuple[str, ...] = ()
    theta_order: int = 2
    num_bins: int = 1
    modulated: bool = False
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
        if type(self.num_bins) is not int or not 1 <= self.num_bins <= _MOST_BINS:
            raise ValueError(
                f"num_bins={self.num_bins!r} of a lognormal_gan must be a whole number from 1 to {_MOST_BINS}"
            )
        if self.theta_order not in conditioning.ORDERS:
            raise ValueError(
                f"theta_order={self.theta_order!r} of a lognormal_gan must be 1 or 2, linear or quadratic"
            )
        if not (isinstance(self.parameters, tuple) and all(isinstance(name, str) for name in self.parameters)):
            raise ValueError(f"parameters={self.parameters!r} of a lognormal_gan must be names")
        if self.base_power not in BASE_POWERS:
            raise ValueError(
                f"base_power={self.base_power!r} of a lognormal_gan must be one of {', '.join(BASE_POWERS)}"
            )

    @property
    def generator(self) -> Generator:
        """Return the network."""
        return Generator(self.num_layers, self.num_channels, self.octaves, len(self.parameters), self.num_bins)

    @property
    def num_slopes(self) -> int:
        """How many regressors beside the constant there are: 0 for a single cosmology."""
        if not self.parameters:
            return 0
        return conditioning.num_terms(len(self.parameters), self.theta_order) - 1

    @property
    def scales(self) -> Scales:
        """Return the lengths of its fields."""
        return Scales(self.octaves)

    @property
    def _modulated_over(self) -> float | None:
        """Return the smoothing of what the base's amplitude follows, the slowest of the noise's."""
        return self.scales.noises[-1].modulation if self.modulated else None

    @property
    def _how_measured(self) -> tuple[bool, Callable[..., Any]]:
        """Return whether power depends on direction, and the room that is left to a fresh network's noise."""
        room = functools.partial(share_of_noise, amplitude=START_OF_NOISE, scales=self.scales)
        return self.base_power == "fourfold", room

    def measured(
        self, maps: Callable[[], Iterable[Float[np.ndarray, "maps size size *bins"]]], blocks: int = 1
    ) -> AnyBase:
        """Measure the base of training maps in network units; a fresh network's noise has room beside it.

        Maps of one bin have no axis of bins; of several they are read twice. blocks: as `base.measured`.

        Raises:
          ValueError: as `base.measured`; the bin is named where there are several.
        """
        fourfold, room = self._how_measured
        if self.num_bins == 1:
            return measured(maps(), fourfold, room, blocks, self._modulated_over)
        mixing = bins_apart.measured(maps())
        apart = (bins_apart.apart_in_float64(some_maps, mixing) for some_maps in maps())
        how = fourfold, room, mixing, blocks, self._modulated_over
        return joint_base.measured(apart, self.num_bins, *how)

    def measured_at(self, maps: TrainingMaps, blocks: int = 1) -> ConditionalBase:
        """Return the base at any cosmology, of training maps of several, and what it errs by at others.

        Raises:
          ValueError: as `base.measured` and `conditioning.measured`.
        """
        theta = maps.theta
        made = conditioning.measured(theta, self.parameters, self.theta_order)
        points, of_map = np.unique(theta, axis=0, return_inverse=True)
        sums, start = [JointSums(self.num_bins, blocks) for _ in points], 0
        mixing = bins_apart.measured(maps()) if self.num_bins > 1 else np.eye(1)
        for some_maps in maps():
            own = of_map.reshape(-1)[start : start + len(some_maps)]
            some_maps = bins_apart.apart_in_float64(some_maps, mixing)
            for number in np.unique(own):
                sums[number].add(some_maps[own == number])
            start += len(some_maps)
        (fourfold, room), over = self._how_measured, self._modulated_over
        phi = np.asarray(conditioning.regressors(made, jnp.asarray(points), self.parameters, self.theta_order))
        num_maps = np.bincount(of_map.reshape(-1)).astype(float)
        if self.num_bins > 1:
            joint = [joint_base.base_of(each, fourfold, room, mixing, over) for each in sums]
            errors = joint_base_of_theta.errors_left_out(joint, phi, num_maps)
            return ConditionalBase(made, joint_base_of_theta.regressed(joint, phi, num_maps), errors)
        bases = [base_of(each.each[0], fourfold, room, over) for each in sums]
        errors = base_of_theta.errors_left_out(bases, phi, num_maps)
        return ConditionalBase(made, base_of_theta.regressed(bases, phi, num_maps), errors)

    def without_one_bin(self, maps: Maps) -> Maps:
        """Take the axis of bins away, the last, where there is one."""
        return maps[..., 0] if self.num_bins == 1 else maps

    def unmeasured(self) -> AnyBase | ConditionalBase:
        """Return a base of white noise, of the shapes that `measured` or `measured_at` gives."""
        how = self.base_power == "fourfold", self.modulated
        if not self.parameters:
            return unmeasured(*how) if self.num_bins == 1 else joint_base.unmeasured(self.num_bins, *how)
        count = len(self.parameters)
        terms, made = (
            conditioning.num_terms(count, self.theta_order),
            conditioning.unmeasured(count, self.theta_order),
        )
        if self.num_bins > 1:
            return ConditionalBase(made, *joint_base_of_theta.unmeasured(terms, self.num_bins, *how))
        return ConditionalBase(made, *base_of_theta.unmeasured(terms, *how))

    def cosmologies(
        self, base: AnyBase | ConditionalBase, theta: Float[Array, "batch parameters"]
    ) -> Cosmologies:
        """Return what maps of these parameters are conditioned on; nothing where the model knows of none."""
        if not self.parameters:
            return ONE
        own = Conditioning(*base[0])
        t = conditioning.standardised(own, theta, self.parameters)
        return Cosmologies(t, conditioning.regressors(own, theta, self.parameters, self.theta_order))

    def base_of(self, base: AnyBase | ConditionalBase, cosmologies: Cosmologies) -> AnyBase:
        """Return the base of these cosmologies, with an axis of maps; none where all are of one."""
        if cosmologies.phi is None:
            return Base(*base) if self.num_bins == 1 else JointBase(Base(*base[0]), *base[1:])
        if self.num_bins > 1:
            joint = JointBaseOfTheta(BaseOfTheta(*base[1][0]), *base[1][1:])
            return jax.vmap(joint_base_of_theta.at, (None, 0))(joint, cosmologies.phi)
        return jax.vmap(base_of_theta.at, (None, 0))(BaseOfTheta(*base[1]), cosmologies.phi)

    def inputs(self, base: AnyBase, latent: Latent, margin: int = 0) -> Inputs:
        """Return what the network sees of latents, each map of its own base where `base_of` gives one a map."""

        def make(own: Any, white: Latent) -> Inputs:
            of_bins = joint_inputs if self.num_bins > 1 else inputs
            return of_bins(own, white, margin, self.scales)

        return jax.vmap(make)(base, latent) if base_axes(base) else make(base, latent)

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
        return draw(key, height + 2 * edge, width + 2 * edge, self.scales, self.num_bins)

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
    ) -> Float[Array, "batch height width bins"]:
        """Make maps in network units; theta is looked at where the model has parameters."""
        cosmologies = self.cosmologies(variables["base"], theta)
        base = self.base_of(variables["base"], cosmologies)
        x = self.generator.apply(variables["params"], self.inputs(base, latent, margin), cosmologies.t)
        if isinstance(base, JointBase):
            return joint_base.of_units(x, base)
        return (base.mean[..., None, None] + base.sigma[..., None, None] * x)[..., None]

    def left_out(self, variables: Variables) -> dict[str, float]:
        """Return what the base errs by at a training cosmology that its regression does not know, by name.

        Of one cosmology and several bins, the smallest eigenvalue of each coherence as it was measured: below
        `joint_base.FLOOR` the base's is not the maps' own.
        """
        if not self.parameters:
            if self.num_bins == 1:
                return {}
            names = "smallest eigenvalue of the fields' coherence", "of the noise's"
            return dict(zip(names, map(float, variables["base"][3])))
        errors = ErrorsLeftOut(*variables["base"][2])
        words = {"log_sigma": "ln sigma", "log_spread": "ln spread", "power": "power over its mean"}
        return {words[name]: float(error) for name, error in errors._asdict().items()}

    def describe(self) -> dict[str, Any]:
        """Return its sizes; what it is conditioned on, if on anything."""
        fields = dataclasses.asdict(self)
        if not self.parameters:
            fields = {name: value for name, value in fields.items() if name not in _OF_THETA}
        if self.num_bins == 1:
            fields.pop("num_bins")  # as cards have it
        if not self.modulated:
            fields.pop("modulated")
        return {"kind": KIND, **fields}


def model_of(description: Mapping[str, Any], forward_mode: bool) -> LognormalGan:
    """Make the model that a card describes; forward-mode differentiation goes through it as it is.

    Raises:
      ValueError: fields that are unknown or missing, or sizes that no network has.
    """
    given = {name: value for name, value in description.items() if name != "kind"}
    fields = _EARLIER | _OF_THETA | _OF_BINS | given
    if fields.keys() != (names := _MOST | _EARLIER | _OF_THETA | _OF_BINS).keys():
        raise ValueError(
            f"architecture: {', '.join(sorted(description)) or 'nothing'} must be {', '.join(names)}"
        )
    if isinstance(fields["parameters"], list):
        fields["parameters"] = tuple(fields["parameters"])
    return LognormalGan(**fields)
