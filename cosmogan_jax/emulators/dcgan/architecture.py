"""The architecture of a pair of networks: sizes, norms, and how they are computed."""

import dataclasses
from collections.abc import Mapping
from typing import Any, Literal

import jax.numpy as jnp

from cosmogan_jax.emulators.dcgan.borders import BORDERS, Borders, feature_ranges
from cosmogan_jax.layers.convolutions import FORMS, Form, Products

MIN_LAYERS = 4
COMPUTE_DTYPES = ("float32", "bfloat16", "bfloat16_gradients")
MATMUL_PRECISIONS = ("float32", "tensorfloat32", "default")
REMATS = ("none", "generator", "both")
DISC_NORMS = ("batch", "none")
_SIZES = ("map_size", "num_layers", "num_filters", "latent_size")
_NUMBERS = (*_SIZES, "num_bins")  # of one bin, which is the paper's, a card says nothing
_LARGEST_SIZE = 2**16  # of a card's: pixels, features and lengths beyond this are damage


@dataclasses.dataclass(frozen=True)
class Architecture:
    """Size of both networks, and how they are computed: Tables 1 and 2 are `Architecture(256, 4, 64, 64)`.

    Attributes:
      map_size: pixels on a side of the maps; divisible by 2**num_layers.
      num_layers: convolutions in each network, at least 4.
      num_filters: features of the widest-resolution layer; doubled at every halving of the resolution.
      latent_size: length of z.
      convolution_form: "auto", "phases", "winograd" or "stock", see `layers/convolutions.py`.
      borders: "zeros" (the paper) or "canvas" for the generator's, see `borders.py`.
      compute_dtype: "float32"; "bfloat16": the convolutions' inputs, products and outputs, forward and for
        gradients; or "bfloat16_gradients": only for gradients. Whichever it is, parameters, batch statistics,
        dense layers, batch norms, activation functions, maps and logits are float32. What a forward pass rounds
        decides on which side of a ReLU's corner a feature lies, and costs the gradients ten times more than
        their own rounding (experiments/benchmarks/README.md).
      matmul_precision: of float32 products, a value of jax.default_matmul_precision.
      remat: "none", "generator" or "both": networks whose activations are computed again for the gradients.
      disc_norm: "batch" (the paper) or "none": the discriminator's norm from its second convolution on. A
        gradient penalty asks for "none": with batch norm a logit depends on all maps of the batch.
      num_bins: source bins that are made and judged together: channels of G's last layer and of D's first.
        Maps of one (the paper) have no axis of bins; of several it is the last.
    """

    map_size: int
    num_layers: int
    num_filters: int
    latent_size: int
    convolution_form: Form = "phases"
    borders: Borders = "zeros"
    compute_dtype: Literal["float32", "bfloat16", "bfloat16_gradients"] = "float32"
    matmul_precision: Literal["float32", "tensorfloat32", "default"] = "float32"
    remat: Literal["none", "generator", "both"] = "none"
    disc_norm: Literal["batch", "none"] = "batch"
    num_bins: int = 1

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> "Architecture":
        """Read the fields that a card names.

        Raises:
          ValueError: fields that are unknown or missing, or of another type, or sizes that no memory holds.
        """
        known = {field.name for field in dataclasses.fields(cls)}
        odd = [name for name in fields if name not in known]
        lacking = [name for name in _SIZES if name not in fields]
        if odd or lacking:
            raise ValueError(f"architecture: {(odd or lacking)[0]!r} is {'unknown' if odd else 'missing'}")
        for name, value in fields.items():
            kind = int if name in _NUMBERS else str
            if type(value) is not kind:
                raise ValueError(f"architecture: {name}={value!r} is not of type {kind.__name__}")
            if isinstance(value, int) and value > _LARGEST_SIZE:
                raise ValueError(f"architecture: {name}={value} must be at most {_LARGEST_SIZE}")
        return cls(**fields)

    def __post_init__(self):
        if self.num_layers < MIN_LAYERS:
            raise ValueError(f"num_layers={self.num_layers} must be at least {MIN_LAYERS}")
        for name in ("map_size", "num_filters", "latent_size", "num_bins"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name}={getattr(self, name)} must be positive")
        if self.map_size % 2**self.num_layers:
            raise ValueError(
                f"map_size={self.map_size} must be divisible by 2**num_layers={2**self.num_layers}"
            )
        for name, known in (
            ("convolution_form", FORMS),
            ("borders", BORDERS),
            ("compute_dtype", COMPUTE_DTYPES),
            ("matmul_precision", MATMUL_PRECISIONS),
            ("remat", REMATS),
            ("disc_norm", DISC_NORMS),
        ):
            if getattr(self, name) not in known:
                raise ValueError(f"{name}={getattr(self, name)!r} must be one of {', '.join(known)}")
        if self.compute_dtype == "bfloat16_gradients" and self.convolution_form == "stock":
            raise ValueError("compute_dtype=bfloat16_gradients needs convolution_form=auto, phases or winograd")

    @property
    def products(self) -> Products:
        """Return dtypes of the convolutions' products; in float32 they are their inputs' own."""
        half = jnp.dtype(jnp.bfloat16)
        return {"float32": Products(), "bfloat16": Products(half, half)}.get(
            self.compute_dtype, Products(None, half)
        )

    @property
    def map_shape(self) -> tuple[int, ...]:
        """Return the shape of a map: height, width, and bins where there are several."""
        return (self.map_size, self.map_size, *(() if self.num_bins == 1 else (self.num_bins,)))

    @property
    def base_size(self) -> int:
        """Return pixels on a side of the smallest feature maps (16 in the paper); a canvas has three more."""
        first, stop = feature_ranges(self.map_size, self.num_layers, self.borders)[0]
        return stop - first

    def features(self, layer: int) -> int:
        """Return features after `layer` halvings of the resolution (1 to num_layers)."""
        return self.num_filters * 2 ** (layer - 1)
