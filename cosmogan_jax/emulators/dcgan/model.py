"""The DCGAN's generator as a model: maps from a vector of numbers, and of parameters where it is given any."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from cosmogan_jax.emulators import conditioning, matching
from cosmogan_jax.emulators.conditioning import Standardisation
from cosmogan_jax.emulators.dcgan.architecture import Architecture
from cosmogan_jax.emulators.dcgan.networks import Networks, Variables, build_networks
from cosmogan_jax.emulators.dcgan.step_parts import StepSettings
from cosmogan_jax.settings import Train

KIND = "dcgan"


@dataclasses.dataclass(frozen=True)
class Dcgan:
    """G of Table 1 as `interface.Model`; its variables are {"params", "batch_stats"}.

    Batch norm by the running averages, so that a map does not depend on the others of its batch. Where it has
    parameters, the columns of theta, "standardisation" stands beside these variables: what takes theta to the t
    that G is given behind z.

    Maps are differentiable in z, variables and theta in reverse mode. Forward mode (jax.jvp, jax.jacfwd) raises
    TypeError: the convolutions' gradients are written by hand, but in the architecture's form "stock"
    (`load(..., forward_mode=True)`).
    """

    arch: Architecture
    parameters: tuple[str, ...] = ()
    limit: float = 1.0  # tanh
    any_size: bool = False  # its dense layer makes maps of one size
    # Running averages span many orders; what a parameter means is not to be rounded.
    full_precision: tuple[str, ...] = ("batch_stats/", "standardisation/")

    def __post_init__(self):
        names = self.parameters
        if not (isinstance(names, tuple) and all(isinstance(name, str) for name in names)):
            raise ValueError(f"parameters={names!r} of a dcgan must be names")

    @property
    def num_bins(self) -> int:
        """Count the source bins of its maps."""
        return self.arch.num_bins

    def without_one_bin(
        self, maps: Float[Array, "batch size size bins"]
    ) -> Float[Array, "batch size size *bins"]:
        """Take the axis of bins away, the last, where there is one: as its networks take and give maps.

        Raises:
          ValueError: maps of another number of bins.
        """
        if maps.shape[-1] != self.num_bins:
            raise ValueError(f"maps of {maps.shape[-1]} source bins: this dcgan makes {self.num_bins}")
        return maps[..., 0] if self.num_bins == 1 else maps

    @property
    def upsamplings(self) -> int:
        """Count the layers of the generator: every one doubles the resolution."""
        return self.arch.num_layers

    @property
    def networks(self) -> Networks:
        """Build both networks."""
        return build_networks(self.arch, len(self.parameters))

    def init(self, key: Array) -> Variables:
        """Make fresh variables of G."""
        params, batch_stats = self.networks.gen.init(key)
        variables = {"params": params, "batch_stats": batch_stats}
        if not self.parameters:
            return variables
        return {**variables, "standardisation": conditioning.unstandardised(len(self.parameters))}

    def standardised(
        self, standardisation: Standardisation, theta: Float[Array, "batch parameters"]
    ) -> Float[Array, "batch parameters"]:
        """Return t of these parameters."""
        return conditioning.standardised(standardisation, theta, self.parameters)

    def latent(self, key: Array, height: int, width: int | None = None) -> Float[Array, " latent"]:
        """Draw z ~ N(0, 1).

        Raises:
          ValueError: a size that is not the networks'.
        """
        size, width = self.arch.map_size, height if width is None else width
        if (height, width) != (size, size):
            raise ValueError(
                f"size={height}x{width}: this generator makes maps of {size}x{size} pixels only; emulators of "
                "kind lognormal_gan make any"
            )
        return jax.random.normal(key, (self.arch.latent_size,), jnp.float32)

    def widest_margin(self, height: int, width: int) -> int:
        """Return 0: nothing is known of what lies around a map."""
        return 0

    def sample(
        self,
        variables: Variables,
        latent: Float[Array, "batch latent"],
        theta: Float[Array, "batch parameters"],
        margin: int = 0,
    ) -> Float[Array, "batch size size bins"]:
        """Compute G(z), in (-1, 1), or G(z, t) where it has parameters.

        Raises:
          ValueError: a margin that is not 0.
        """
        if margin:
            raise ValueError(f"margin={margin} must be 0: this generator makes nothing around its maps")
        t = self.standardised(variables["standardisation"], theta) if self.parameters else None
        x, _ = self.networks.gen.apply(variables["params"], variables["batch_stats"], latent, t, train=False)
        return x[..., None] if self.num_bins == 1 else x

    def left_out(self, variables: Variables) -> dict[str, float]:
        """Return nothing: no part of it is a regression whose error is known."""
        return {}

    def describe(self) -> dict[str, Any]:
        """Return the fields of the architecture, without the convolutions' form: how, not what is computed.

        Beside them the parameters, where it has any, and the number of bins, where they are several.
        """
        fields = dataclasses.asdict(self.arch)
        fields.pop("convolution_form")
        if self.num_bins == 1:
            fields.pop("num_bins")  # as cards have it
        return {"kind": KIND, **fields, **({"parameters": self.parameters} if self.parameters else {})}


def model_of(description: Mapping[str, Any], forward_mode: bool) -> Dcgan:
    """Return the model that a card describes.

    Raises:
      ValueError: fields that are unknown or missing, of another type, or sizes that no memory holds.
    """
    fields = {name: value for name, value in description.items() if name not in ("kind", "parameters")}
    form = {"convolution_form": "stock"} if forward_mode else {}
    names = description.get("parameters", ())
    return Dcgan(Architecture.from_json(fields | form), tuple(names) if isinstance(names, list) else names)


def make_model(settings: Train, num_bins: int = 1) -> Dcgan:
    """Make the model of the settings, of maps of so many source bins.

    Raises:
      ValueError: sizes that no network can have, a batch too small for batch norm, a loss, a statistic or a
        probability that is none, or that do not go together.
    """
    own = settings.of_kind
    if settings.batch_size < 2:
        raise ValueError(f"batch_size={settings.batch_size} must be at least 2: batch norm needs a variance")
    if own.num_layers > 0 and settings.crop_size % 2**own.num_layers:
        raise ValueError(
            f"crop_size={settings.crop_size} must be divisible by 2**num_layers={2**own.num_layers}"
        )
    model = Dcgan(
        Architecture(
            settings.crop_size,
            own.num_layers,
            own.num_filters,
            own.latent_size,
            own.convolution_form,
            own.borders,
            own.compute_dtype,
            own.matmul_precision,
            own.remat,
            own.disc_norm,
            num_bins,
        ),
        tuple(settings.condition_on),
    )
    matching.check_names(own.match)
    StepSettings.of_training(settings).objective(model.arch)
    return model
