"""The DCGAN's generator as a model: maps from a vector of numbers."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from cosmogan_jax.emulators import matching
from cosmogan_jax.emulators.dcgan.architecture import Architecture
from cosmogan_jax.emulators.dcgan.networks import Networks, Variables, build_networks
from cosmogan_jax.emulators.dcgan.step_parts import StepSettings
from cosmogan_jax.settings import Train

KIND = "dcgan"


@dataclasses.dataclass(frozen=True)
class Dcgan:
    """G of Table 1 as `interface.Model`; its variables are {"params", "batch_stats"}.

    Batch norm by the running averages, so that a map does not depend on the others of its batch.
    """

    arch: Architecture
    limit: float = 1.0  # tanh
    any_size: bool = False  # its dense layer makes maps of one size
    full_precision: tuple[str, ...] = ("batch_stats/",)  # running averages span many orders

    @property
    def upsamplings(self) -> int:
        """Count the layers of the generator: every one doubles the resolution."""
        return self.arch.num_layers

    @property
    def networks(self) -> Networks:
        """Build both networks."""
        return build_networks(self.arch)

    def init(self, key: Array) -> Variables:
        """Make fresh variables of G."""
        params, batch_stats = self.networks.gen.init(key)
        return {"params": params, "batch_stats": batch_stats}

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
    ) -> Float[Array, "batch size size 1"]:
        """Compute G(z), in (-1, 1); theta is not looked at.

        Raises:
          ValueError: a margin that is not 0.
        """
        if margin:
            raise ValueError(f"margin={margin} must be 0: this generator makes nothing around its maps")
        x, _ = self.networks.gen.apply(variables["params"], variables["batch_stats"], latent, train=False)
        return x[..., None]

    def left_out(self, variables: Variables) -> dict[str, float]:
        """Return nothing: no part of it is a regression whose error is known."""
        return {}

    def describe(self) -> dict[str, Any]:
        """Return the fields of the architecture, without the convolutions' form: how, not what is computed."""
        fields = dataclasses.asdict(self.arch)
        fields.pop("convolution_form")
        return {"kind": KIND, **fields}


def model_of(description: Mapping[str, Any], forward_mode: bool) -> Dcgan:
    """Return the model that a card describes.

    Raises:
      ValueError: fields that are unknown or missing, of another type, or sizes that no memory holds.
    """
    fields = {name: value for name, value in description.items() if name != "kind"}
    form = {"convolution_form": "stock"} if forward_mode else {}
    return Dcgan(Architecture.from_json(fields | form))


def make_model(settings: Train) -> Dcgan:
    """Make the model of the settings.

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
        )
    )
    matching.check_names(own.match)
    StepSettings.of_training(settings).objective(model.arch)
    return model
